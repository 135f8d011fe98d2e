"""How nova-compute is started on a host: its process, its unit, and what it reads in which order.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from postcopy.nova.options import OPTIONS
from postcopy.probe import collect as look

__all__ = ["arguments", "exists", "home", "layout", "process", "release", "unit"]

_UNITS = (
    "nova-compute.service", "openstack-nova-compute.service",
    "kolla-nova_compute-container.service", "devstack@n-cpu.service",
)  # fmt: skip
_UNIT_DIRECTORIES = (
    "/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
)  # fmt: skip
_PACKAGES = (
    "usr/lib/python3/dist-packages", "usr/lib/python3*/site-packages",
    "usr/local/lib/python3*/*-packages", "var/lib/kolla/venv/lib/python3*/site-packages",
    "var/lib/openstack/lib/python3*/site-packages",
    "openstack/venvs/nova-*/lib/python3*/site-packages",
    "opt/stack/data/venv/lib/python3*/site-packages",
)  # fmt: skip
_ENVIRONMENT = {f"OS_{option.section.upper()}__{option.name.upper()}" for option in OPTIONS}


def process() -> dict[str, Any] | None:
    """Return the nova-compute that runs here: the first one, the others are its helpers."""
    pids = sorted(int(path.name) for path in Path("/proc").glob("[0-9]*"))
    for pid in pids:
        proc = Path(f"/proc/{pid}")
        try:
            words = proc.joinpath("cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            at = next((i for i, word in enumerate(words[:3]) if _is_compute(word)), None)
            if at is None or _elsewhere(proc):
                continue
            uid, gid = proc.stat().st_uid, proc.stat().st_gid
            return {
                "pid": pid, "uid": uid, "gid": gid, "started": _started(proc),
                "argv": [words[at], *_configuration_arguments(words[at + 1 :])],
                "interpreter": words[0], "environment": _environment(proc),
                "contained": _other_root(proc),
            }  # fmt: skip
        except OSError:
            continue  # it has ended meanwhile, or is none of our business
    return None


def _is_compute(word: str) -> bool:
    return word.rsplit("/", 1)[-1] == "nova-compute"


def _elsewhere(proc: Path) -> bool:
    """Return whether a process belongs to a host that is a namespace on this one."""
    try:
        return (proc / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except PermissionError:
        return False


def _other_root(proc: Path) -> bool:
    try:
        ours, theirs = Path("/").stat(), proc.joinpath("root").stat()
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino)


def _started(proc: Path) -> float | None:
    """Return when a process started, in Unix time."""
    ticks = int(proc.joinpath("stat").read_text().rsplit(")", 1)[1].split()[19])
    boot = [line.split()[1] for line in look.lines("/proc/stat") if line.startswith("btime ")]
    return int(boot[0]) + ticks / os.sysconf("SC_CLK_TCK") if boot else None


def _environment(proc: Path) -> dict[str, str]:
    try:
        pairs = proc.joinpath("environ").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return {}
    told = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {name: value for name, value in told.items() if name in _ENVIRONMENT}


def _configuration_arguments(words: Sequence[str]) -> list[str]:
    """Return ``--config-file=PATH`` and ``--config-dir=PATH``, and nothing else, in their order."""
    kept = []
    for i, word in enumerate(words):
        for name in ("--config-file", "--config-dir"):
            if word.startswith(name + "="):
                kept.append(word)
            elif word == name and i + 1 < len(words):
                kept.append(f"{name}={words[i + 1]}")
    return kept


def unit() -> dict[str, str] | None:
    """Return what systemd knows of nova-compute: drop-ins of the unit come after it."""
    for name in _UNITS:
        paths = [Path(directory, name) for directory in _UNIT_DIRECTORIES]
        main = [path for path in paths if path.is_file()][:1]
        if not main:
            continue
        more = [drop for path in paths for drop in sorted(path.parent.glob(f"{name}.d/*.conf"))]
        told = {"name": name}
        for path in (*main, *more):
            for line in look.lines(str(path)):
                key, _, value = line.partition("=")
                if key.strip() in ("ExecStart", "User") and value.strip():
                    told[key.strip()] = value.strip()
        # A command line may hold anything; of this one only what we know is told.
        words = _split(told.pop("ExecStart", ""))
        told["program"] = words[0].lstrip("-@:+!") if words else ""
        told["arguments"] = shlex.join(_configuration_arguments(words))
        return told
    return None


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def arguments(unit: dict[str, str] | None) -> list[str]:
    """Return the command line that nova-compute will be started with."""
    argv = ["nova-compute", *_split((unit or {}).get("arguments", ""))]
    if unit and unit["program"] == "/etc/init.d/nova-compute":
        # Debian's script, which names its files itself.
        argv.append("--config-file=/etc/nova/nova.conf")
        if exists("/etc/nova/nova-compute.conf"):
            argv.append("--config-file=/etc/nova/nova-compute.conf")
    return argv


def exists(path: str | Path) -> bool:
    """Return whether something is there; what may not be looked at counts as being there."""
    try:
        Path(path).stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def home(process: dict[str, Any] | None, unit: dict[str, str] | None) -> str:
    try:
        if process:
            return pwd.getpwuid(process["uid"]).pw_dir
        return pwd.getpwnam((unit or {}).get("User", "nova")).pw_dir
    except KeyError:
        return "/var/lib/nova"


def layout(argv: Sequence[str], root: Path, home: str) -> list[list[str]]:
    """Return files and directories in the order in which oslo.config reads them.

    Those that it looks for by itself come first, each kind only if none of it is on the command
    line. So a file that is named there outdoes a directory that is not.
    """
    places = (f"{home}/.nova", home, "/etc/nova", "/etc")
    names = ("nova", argv[0].rsplit("/", 1)[-1])

    def first(name: str) -> str:
        found = [p for p in places if exists(root.joinpath(p.lstrip("/"), name))]
        return f"{found[0]}/{name}" if found else ""

    layout = []
    if not any(word.startswith("--config-file") for word in argv):
        distribution = "/usr/share/nova/nova-dist.conf"  # Red Hat's packages read it first
        if exists(root.joinpath(distribution.lstrip("/"))):
            layout.append(["file", distribution])
        layout += [["file", path] for path in (first(f"{name}.conf") for name in names) if path]
    if not any(word.startswith("--config-dir") for word in argv):
        layout += [
            ["directory", first(f"{name}.conf.d") or f"/etc/nova/{name}.conf.d"] for name in names
        ]
    for word in argv[1:]:
        option, _, path = word.partition("=")
        layout.append(["file" if option == "--config-file" else "directory", path])
    return layout


def release(root: Path, process: dict[str, Any] | None) -> str:
    """Return the version of the Python package, as its metadata's directory has it."""
    patterns = list(_PACKAGES)
    if process and process["interpreter"].endswith(("python", "python3")):
        prefix = process["interpreter"].rsplit("/bin/", 1)[0].lstrip("/")
        patterns.insert(0, f"{prefix}/lib/python3*/site-packages")
    for pattern in patterns:
        for path in sorted(root.glob(f"{pattern}/nova-*-info")):
            match = re.match(r"nova-(\d[\w.]*?)(-py[\d.]+)?\.(dist|egg)-info$", path.name)
            if match:
                return match[1]
    return ""
