"""What the kernel floor wants to know of a host.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from postcopy.kernel import userfaultfd
from postcopy.probe import child
from postcopy.probe import collect as look
from postcopy.probe.account import qemu_account

__all__ = ["collect"]

_FILES = (
    "/etc/os-release",
    "/proc/meminfo",
    "/proc/pressure/memory",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/net/ipv4/tcp_retries2",
    "/proc/sys/net/ipv4/tcp_rmem",
    "/proc/sys/net/ipv4/tcp_wmem",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/unprivileged_userfaultfd",
    "/sys/devices/system/node/node*/meminfo",
    "/sys/kernel/mm/hugepages/*/free_hugepages",
    "/sys/kernel/mm/hugepages/*/nr_hugepages",
    "/sys/kernel/mm/transparent_hugepage/enabled",
)
_DEVICES = ("/dev/kvm", "/dev/userfaultfd")
_SYSCTL = (
    "/etc/sysctl.conf",
    *(f"{root}/sysctl.d/*.conf" for root in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")),
)
_UDEV = tuple(f"{root}/udev/rules.d/*.rules" for root in ("/etc", "/run", "/usr/lib", "/lib"))
_CONFIG = ("USERFAULTFD", "HAVE_ARCH_USERFAULTFD_WP", "HAVE_ARCH_USERFAULTFD_MINOR", "KVM",
           "HUGETLBFS", "TRANSPARENT_HUGEPAGE", "NUMA")  # fmt: skip
_STATUS = re.compile(r"^(Name|Uid|CapEff|VmRSS|VmLck|VmSize):\s*(.*)$", re.MULTILINE)
_MOST_PROCESSES = 200


def collect(request: Mapping[str, Any]) -> dict[str, Any]:
    """Look at what the kernel says of itself, and try userfaultfd where that is asked for."""
    account = qemu_account()
    files = {
        **look.files(*_FILES),
        **look.files(*_DEVICES, content=False),
        **look.grep("userfaultfd", *_SYSCTL, *_UDEV),
        **look.grep("tcp_retries2", *_SYSCTL),
    }
    told: dict[str, Any] = {
        "files": files,
        "machine": platform.machine(),
        "page_bytes": os.sysconf("SC_PAGESIZE"),
        "cpu": _cpu(),
        "config": _config(),
        "account": account._asdict(),
        "links": _links(),
        "qemus": _qemus(),
        "commands": {"addresses": look.run(["ip", "-json", "address"])},
        "proofs": {},
    }
    if "userfaultfd" in request.get("proofs", ()):
        told["proofs"]["userfaultfd"] = child.call(userfaultfd.prove)
        told["proofs"]["userfaultfd-as-qemu"] = child.call(userfaultfd.prove, account)
    return told


def _cpu() -> dict[str, str]:
    """Return what /proc/cpuinfo says of the first processor."""
    first = "\n".join(look.lines("/proc/cpuinfo")).partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _config() -> dict[str, str]:
    """Return the settings that matter of the kernel's build, without ``CONFIG_``."""
    release = platform.release()
    for path in (f"/boot/config-{release}", f"/lib/modules/{release}/config", "/proc/config.gz"):
        try:
            data = Path(path).read_bytes()
            text = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
        except (OSError, ValueError, EOFError):
            continue
        said = dict(re.findall(r"^CONFIG_(\w+)=(\w+)$", text, re.MULTILINE))
        return {"from": path, **{name: said.get(name, "n") for name in _CONFIG}}
    return {}


def _links() -> dict[str, dict[str, str]]:
    """Return of each network link its speed in Mb/s, its MTU and its state."""
    found = {}
    for path in look.listed("/sys/class/net/*"):
        about = {}
        for name in ("speed", "mtu", "operstate"):
            with contextlib.suppress(OSError):  # a link without a carrier has no speed
                about[name] = Path(path, name).read_text().strip()
        found[Path(path).name] = about
    return found


def _qemus() -> list[dict[str, str]]:
    """Return what the kernel says of the QEMUs that run, but for those of this very probe."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if "qemu" in (path / "comm").read_text() and not _is_ours(path.name):
                found.append(dict(_STATUS.findall((path / "status").read_text())))
    return found[:_MOST_PROCESSES]


def _is_ours(pid: str) -> bool:
    while pid not in ("", "0", "1"):
        if pid == str(os.getpid()):
            return True
        status = Path("/proc", pid, "status").read_text()
        pid = status.partition("\nPPid:")[2].partition("\n")[0].strip()
    return False
