"""What the QEMU floor wants to know of a host: QEMU is asked, as the user that it will run as.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from postcopy.probe import child
from postcopy.probe import collect as look
from postcopy.probe.account import Account, qemu_account
from postcopy.qemu import proof

__all__ = ["collect"]

_PLACES = ("/usr/bin/qemu-system-{machine}", "/usr/libexec/qemu-kvm", "/usr/bin/qemu-kvm")
_FIRMWARE = ("/usr/share/qemu/firmware/*.json", "/etc/qemu/firmware/*.json")
_SECONDS = 8.0

# As libvirt starts it, unless it is told otherwise (src/qemu/qemu_command.c).
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def collect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the QEMU of this host, and have it boot and migrate where that is wanted."""
    proofs = request.get("proofs", ())
    account = qemu_account()
    told: dict[str, Any] = {
        "account": account._asdict(),
        "machine": platform.machine(),
        "files": look.files(*_FIRMWARE, content=False),
        "commands": {},
        "proofs": {},
    }
    binary = _binary()
    told["binary"] = binary
    if binary is None:
        return told
    with _scratch(account) as scratch:
        work = {"dialogue": partial(_dialogue, binary)}
        if platform.machine() == "x86_64":
            if "kvm" in proofs:
                work["kvm"] = partial(proof.boot_kvm, binary, scratch)
            if "self-migration" in proofs:
                work["self-migration"] = partial(proof.migrate_here, binary, scratch)
        told["commands"]["version"] = look.run([binary, "--version"])
        told["proofs"] = child.call_all(work, account, _SECONDS)
    return told


def _binary() -> str | None:
    machine = platform.machine()
    for place in _PLACES:
        path = place.format(machine=machine)
        if os.access(path, os.X_OK):
            return path
    return shutil.which(f"qemu-system-{machine}")


@contextlib.contextmanager
def _scratch(account: Account) -> Iterator[str]:
    """Yield a directory of that user's; it and what is in it are gone afterwards."""
    path = tempfile.mkdtemp(prefix="postcopy-")
    try:
        if os.geteuid() == 0:
            os.chown(path, account.uid, account.gid)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _dialogue(binary: str) -> dict[str, Any]:
    """Ask a QEMU without a machine what it can do, and whether it takes post-copy here."""
    argv = [binary, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none"]
    argv += ["-S", "-m", "16M", "-incoming", "defer"]
    told: dict[str, Any] = {"sandbox": True}
    try:
        qemu = proof.Qmp([*argv, "-sandbox", _SANDBOX])
    except proof.QmpError as error:
        told.update(sandbox=False, sandbox_error=str(error))
        qemu = proof.Qmp(argv)
    try:
        greeting = qemu.greeting.get("QMP", {})
        told["version"] = greeting.get("version")
        told["oob"] = "oob" in greeting.get("capabilities", ())
        known = qemu("query-migrate-capabilities")
        told["capabilities"] = sorted(entry["capability"] for entry in known)
        told["commands"] = sorted(
            entry["name"] for entry in qemu("query-commands") if "migrate" in entry["name"]
        )
        told["machines"] = [
            {
                key: entry[key]
                for key in ("name", "alias", "is-default", "deprecated")
                if key in entry
            }
            for entry in qemu("query-machines")
        ]
        told["accepts"] = {}
        for name in ("postcopy-ram", "postcopy-preempt", "postcopy-blocktime", "multifd"):
            wanted = [{"capability": name, "state": True}]
            try:
                qemu("migrate-set-capabilities", capabilities=wanted)
                told["accepts"][name] = ""
            except proof.QmpError as error:
                told["accepts"][name] = str(error)
    finally:
        qemu.quit()
    return told
