"""What a destination has for one guest: its disks' files, a TPM's program, a CPU like its own.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postcopy.probe import collect as look

__all__ = ["collect"]


def collect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Look for what a guest needs.

    :param request: ``xml``, the guest's definition; ``virttype``; ``paths``, its disks.
    """
    commands = {"swtpm": look.run(["swtpm", "--version"])}
    paths = [str(path) for path in request.get("paths", ())][:64]
    for path in paths:
        commands[f"storage {path}"] = look.run(["stat", "-f", "-c", "%T", path])
    if request.get("xml"):
        commands["cpu-compare"] = look.run(
            ["virsh", "-c", "qemu:///system", "hypervisor-cpu-compare", "/dev/stdin",
             "--virttype", str(request.get("virttype") or "kvm")],
            stdin=str(request["xml"]),
        )  # fmt: skip
    return {"commands": commands, "files": look.files(*paths, content=False)}
