"""What the Nova floor wants to know of a host.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else. What may
be a secret is blanked here, before anything is printed; see `postcopy.nova.options.blank`.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from postcopy.nova import start
from postcopy.nova.options import blank
from postcopy.probe import collect as look

__all__ = ["collect"]

_KOLLA = "/etc/kolla/nova-compute"
_SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")
_GUESTS = "run/libvirt/qemu"
_MOST_GUESTS = 2000
_ADDRESS = re.compile(
    r"^\s*live_migration_inbound_addr\s*[=:]\s*['\"]?([A-Za-z0-9_.:-]+)", re.MULTILINE
)


def collect(_request: Mapping[str, Any]) -> dict[str, Any]:
    """Look at nova-compute and its configuration."""
    process, unit = start.process(), start.unit()
    told: dict[str, Any] = {"process": process, "unit": unit, "kolla": Path(_KOLLA).is_dir()}
    contained = process is not None and process["contained"]
    root = Path(f"/proc/{process['pid']}/root" if process and contained else "/")
    told["release"] = start.release(root, process)
    told["compute"] = bool(
        process or unit or told["kolla"] or start.exists("/usr/bin/nova-compute")
    )
    if not told["compute"]:
        return told
    if told["kolla"]:
        # The container copies it to where nova-compute finds it, each time that it starts.
        root, told["layout"] = Path("/"), [["file", f"{_KOLLA}/nova.conf"]]
    else:
        argv = process["argv"] if process else start.arguments(unit)
        told["layout"] = start.layout(argv, root, start.home(process, unit))
    told["files"], told["changed"] = _files(told["layout"], root)
    told["addresses"] = _addresses()
    told["names"] = _names(told["files"])
    told["my_ip"], told["hostname"] = _my_address(), socket.gethostname()
    told["guests"] = _guests()
    told["proofs"] = {"libvirt": _reaches_libvirt(process, unit)}
    return told


def _files(layout: Sequence[Sequence[str]], root: Path) -> tuple[dict[str, Any], dict[str, float]]:
    files: dict[str, Any] = {}
    changed: dict[str, float] = {}
    for kind, path in layout:
        real = root.joinpath(path.lstrip("/"))
        inside = sorted(real.glob("*.conf"))[:200] if kind == "directory" else [real]
        for one in inside:
            name = f"{path.rstrip('/')}/{one.name}" if kind == "directory" else path
            told = look.file(str(one))
            if "text" in told:
                told["text"] = blank(told["text"])
                changed[name] = one.stat().st_mtime
            files[name] = told
    return files, changed


def _addresses() -> list[list[str]]:
    """Return each address of this host with its prefix length and its device."""
    ran = look.run(["ip", "-j", "address"])
    try:
        return [
            [str(one["local"]), str(one["prefixlen"]), str(device["ifname"])]
            for device in json.loads(ran.get("out", ""))
            for one in device.get("addr_info", [])
            if "local" in one
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _names(files: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what the host makes of the names that it is to be reached by."""
    told: dict[str, list[str]] = {}
    for one in files.values():
        for name in _ADDRESS.findall(one.get("text") or "")[-4:]:
            try:
                found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
                told[name] = sorted({str(entry[4][0]) for entry in found})
            except (OSError, UnicodeError):
                told[name] = []
    return told


def _my_address() -> str:
    """Return the address that packets to elsewhere leave from, as Nova's ``my_ip`` has it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # a datagram socket: nothing is sent
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _guests() -> list[dict[str, Any]] | None:
    """Return the guests that run here, as libvirt's own notes have them; None if unreadable."""
    directory = Path("/", _GUESTS)
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".xml")
        return [_guest(path) for path in paths[:_MOST_GUESTS]]
    except OSError:
        return None


def _guest(path: Path) -> dict[str, Any]:
    # Only these few words: the description as a whole may hold passwords of displays.
    text = path.read_text(encoding="utf-8", errors="replace")
    status = re.search(r"<domstatus\s[^>]*>", text)
    job = re.search(r"<job\s[^>]*>", text)
    memory = re.search(r"<memory\s[^>]*unit='KiB'[^>]*>(\d+)<", text)
    return {
        "name": path.name[: -len(".xml")],
        "state": _attribute(status, "state"),
        "reason": _attribute(status, "reason"),
        "job": _attribute(job, "async"),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
    }


def _attribute(tag: re.Match[str] | None, name: str) -> str:
    found = re.search(rf"\s{name}='([^']*)'", tag[0]) if tag else None
    return found[1] if found else ""


_CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(3)
s.connect(sys.argv[1])
"""


def _reaches_libvirt(
    process: dict[str, Any] | None, unit: dict[str, str] | None
) -> dict[str, Any] | None:
    """Connect to libvirt's socket as the user that nova-compute runs as."""
    path = next((path for path in _SOCKETS if start.exists(path)), None)
    if process is None and not (unit or {}).get("User"):
        return None
    try:
        user = pwd.getpwuid(process["uid"]).pw_name if process else (unit or {})["User"]
    except KeyError:
        return None
    if path is None:
        return {"user": user, "socket": "", "error": "libvirt has no socket here"}
    command = [sys.executable or "python3", "-I", "-S", "-c", _CONNECT, path]
    if os.getuid() == 0:
        command = ["setpriv", f"--reuid={user}", "--regid", _group(user), "--init-groups", *command]
    elif pwd.getpwuid(os.getuid()).pw_name != user:
        return None
    ran = look.run(command)
    said = (ran.get("err") or "").strip().splitlines()[-1:]
    error = ran.get("error") or ("" if ran.get("code") == 0 else "".join(said) or "it failed")
    return {"user": user, "socket": path, "error": error}


def _group(user: str) -> str:
    return str(pwd.getpwnam(user).pw_gid)
