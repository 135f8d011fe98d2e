"""Reads, writes and removes files on a host, and restarts its services: one request a run.

Runs on the hosts that are set up, with their Python (3.9 or newer) and nothing else. `main` prints
one JSON object between two marks, because a login may print before and after it. What is to be
written comes through standard input, so that no secret is ever seen in a list of processes.

A file is written beside its place, with its mode and owner before its content, and renamed into it:
whoever reads it sees the old one or the new one. It is touched only while it holds what it held
when it was looked at.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import grp
import hashlib
import json
import os
import pwd
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "main"]

BEGIN, END = "<<<postcopy-setup", "postcopy-setup>>>"

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_BYTES = 8 << 20
_STOP_SECONDS = 20.0


def main(request: Mapping[str, Any]) -> None:
    """Do what a request says and print what came of it."""
    actions = {
        "identify": _identify,
        "look": _look,
        "write": _write,
        "remove": _remove,
        "put_back": _put_back,
        "tidy": _tidy,
        "restart": _restart,
    }
    try:
        told = actions[request["action"]](request)
    except OSError as error:
        told = {"error": error.strerror or str(error), "path": error.filename}
    except (KeyError, ValueError) as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    print(BEGIN, json.dumps(told), END, sep="\n", flush=True)


def _identify(_request: Mapping[str, Any]) -> dict[str, Any]:
    """Tell this host apart from others that may come to have its name or address."""
    told = {"node": os.uname().nodename, "uid": os.getuid()}
    with contextlib.suppress(OSError):
        told["machine"] = Path("/etc/machine-id").read_text().strip()
    return told


def _look(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "files": {path: _state(path, request.get("content", True)) for path in request["paths"]}
    }


def _state(path: str, content: bool) -> dict[str, Any]:
    """Return what is at a path, whatever links lead there.

    ``parents`` are the directories that are missing above it, the topmost first.
    """
    real = Path(os.path.realpath(path))
    told: dict[str, Any] = {"real": str(real), "parents": []}
    try:
        held = os.lstat(real)
    except FileNotFoundError:
        parents = [str(parent) for parent in real.parents if not parent.exists()]
        return {**told, "there": False, "parents": parents[::-1]}
    if not stat.S_ISREG(held.st_mode):
        raise OSError(errno.EINVAL, "is no regular file", str(real))
    if held.st_size > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {_MOST_BYTES} bytes", str(real))
    data = real.read_bytes()
    told.update(
        there=True, sha256=_hash(data), mode=held.st_mode & 0o7777, uid=held.st_uid, gid=held.st_gid
    )
    if content:
        told["content"] = base64.b64encode(data).decode()
    return told


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _holds(path: Path) -> str | None:
    """Return the digest of what a file holds, or None where there is none."""
    held: str | None = _state(str(path), content=False).get("sha256")
    return held


def _write(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write a file that holds what is expected (nothing, where it is not there).

    ``keep`` is a path for what it held, for what must never leave the host.
    """
    path, expected = Path(os.path.realpath(request["path"])), request["expected"]
    data = base64.b64decode(request["content"])
    held = _holds(path)
    if held == _hash(data) and held != expected:
        return {"done": True, "already": True}
    if held != expected:
        return {"changed": True}
    for parent in request.get("parents", []):
        with contextlib.suppress(FileExistsError):
            Path(parent).mkdir(0o755)
    part = _part(path)
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchown(descriptor, _user(request["owner"]), _group(request["group"]))
            os.fchmod(descriptor, request["mode"])
            if held is not None:
                _copy_attributes(path, descriptor)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        if _holds(path) != expected:
            return {"changed": True}
        if expected is None:
            os.link(part, path)  # fails if somebody made it meanwhile
        else:
            if keep := request.get("keep"):
                with contextlib.suppress(FileExistsError):
                    os.link(path, keep)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_directory(path)
    if expected is None:
        _label(path)
    return {"done": True}


def _remove(request: Mapping[str, Any]) -> dict[str, Any]:
    """Remove a file that holds what is expected, and directories that were made for it."""
    path = Path(os.path.realpath(request["path"]))
    _part(path).unlink(missing_ok=True)
    held = _holds(path)
    if held is not None and held != request["expected"]:
        return {"changed": True}
    if held is not None:
        if keep := request.get("keep"):
            path.replace(keep)
        else:
            path.unlink()
        _sync_directory(path)
    for parent in reversed(request.get("parents", [])):
        try:
            Path(parent).rmdir()
        except OSError:
            break  # it is somebody else's by now
    return {"done": True}


def _put_back(request: Mapping[str, Any]) -> dict[str, Any]:
    """Give a file back that `_write` or `_remove` kept."""
    path, keep = Path(os.path.realpath(request["path"])), Path(request["keep"])
    held = _holds(path)
    if not keep.exists():
        return {"done": True, "already": True} if held == request["before"] else {"changed": True}
    if held not in (request["expected"], request["before"]):
        return {"changed": True}
    if held == request["before"]:
        keep.unlink()  # two names of one file: rename(2) would do nothing
    else:
        keep.replace(path)
    _part(path).unlink(missing_ok=True)
    _sync_directory(path)
    return {"done": True}


def _tidy(request: Mapping[str, Any]) -> dict[str, Any]:
    """Remove what a write that was killed has left beside its file."""
    _part(Path(os.path.realpath(request["path"]))).unlink(missing_ok=True)
    return {"done": True}


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.postcopy-part")


def _user(owner: str | int) -> int:
    return owner if isinstance(owner, int) else pwd.getpwnam(owner).pw_uid


def _group(group: str | int) -> int:
    return group if isinstance(group, int) else grp.getgrnam(group).gr_gid


def _copy_attributes(path: Path, descriptor: int) -> None:
    """Keep access lists and labels (SELinux) of the file that is replaced."""
    with contextlib.suppress(OSError):
        for name in os.listxattr(path):
            os.setxattr(descriptor, name, os.getxattr(path, name))


def _label(path: Path) -> None:
    """Give a new file the label that SELinux wants it to have, where there is SELinux."""
    if Path("/sys/fs/selinux/enforce").exists():
        with contextlib.suppress(OSError):
            subprocess.run(["restorecon", str(path)], env={"PATH": _PATH}, check=False, timeout=10)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- services ----------------------------------------------------------------------------------


def _restart(request: Mapping[str, Any]) -> dict[str, Any]:
    """Restart a service: by systemd, or where that does not run, the process itself."""
    unit = request["service"]
    if Path("/run/systemd/system").is_dir():
        if not unit.endswith(".socket"):
            return _run("systemctl", "restart", unit)
        # A socket is not started while its service runs.
        service = unit.split("-")[0].split(".")[0] + ".service"
        for verb, one in (("stop", service), ("restart", unit), ("start", service)):
            told = _run("systemctl", verb, one)
            if "error" in told:
                break
        return told
    name = unit.rsplit(".", 1)[0]
    running = _process(name)
    argv = _command_line(running) if running else _START.get(name)
    if argv is None:
        raise ValueError(f"{name} does not run, and there is no systemd to start it")
    told = _environment_of(running) if running else {}
    if running:
        _stop(running)
    # A daemon returns at once; whatever stays in the foreground is left running.
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd=told.get("cwd", "/"), env=told.get("env", {"PATH": _PATH}),
    )  # fmt: skip
    try:
        code = process.wait(timeout=_STOP_SECONDS if "--daemon" in argv else 1.0)
    except subprocess.TimeoutExpired:
        return {"done": True}
    return {"done": True} if code == 0 else {"error": f"{argv[0]} ended with status {code}"}


_START = {"libvirtd": ["/usr/sbin/libvirtd", "--daemon", "--listen"]}


def _run(*argv: str) -> dict[str, Any]:
    done = subprocess.run(
        argv, env={"PATH": _PATH, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="replace", check=False, timeout=120,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-500:]
        return {"error": f"{' '.join(argv)} ended with status {done.returncode}: {said}"}
    return {"done": True}


def _process(name: str) -> int | None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            argv = _command_line(int(entry.name))
            # A program may be a script: then its interpreter comes first.
            if any(Path(word).name == name for word in argv[:2]) and _parent(entry) == 1:
                return int(entry.name)
    return None


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []


def _environment_of(pid: int) -> dict[str, Any]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
    return {
        "cwd": str(Path(f"/proc/{pid}/cwd").readlink()),
        "env": dict(pair.split("=", 1) for pair in pairs if "=" in pair),
    }


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while Path(f"/proc/{pid}").is_dir():
        if time.monotonic() > deadline:
            raise ValueError(f"process {pid} does not end within {_STOP_SECONDS:.0f} s")
        time.sleep(0.05)
