"""The first process of a lab host: builds what the host sees, then reaps its orphans.

Run by path, by the machine's own interpreter, with nothing but the standard library; `main` reads
a `HostSpec` as JSON from standard input. The process that is started joins the host's network
namespace, makes the other namespaces and forks; the child is PID 1 in there and is the host for
as long as it lives: when it dies, the kernel ends everything else in the host and takes its mounts
away. Standard output carries one JSON object a line: ``{"pid": N}``, then ``{"ready": true}`` or
``{"error": "...", "errno": N}``, and is then closed.
"""

import fcntl
import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":  # run by path in isolated mode: the package is not on the search path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from postcopy import syscalls
from postcopy.lab import mounts
from postcopy.syscalls import MS_NODEV, MS_NOEXEC, MS_NOSUID

__all__ = ["HostSpec", "main", "overlay_options"]

_NODES = {
    # Documentation/admin-guide/devices.txt
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "net/tun": (10, 200),
}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_MISC_MAJOR = 10
_TTY_GROUP = 5  # of every Debian, base-passwd


@dataclass(frozen=True)
class HostSpec:
    """What a host is made of.

    :ivar name: its host name.
    :ivar namespace: the file of its network namespace.
    :ivar root: the directory that is the lower layer of its root.
    :ivar layers: an empty directory for the upper layer.
    :ivar runtime: the directory that is ``/run/postcopy`` inside.
    :ivar shared: the directory that is ``/mnt/shared`` inside, the same for all hosts of a lab.
    :ivar hosts: names and addresses for ``/etc/hosts``.
    :ivar kvm: whether there is a ``/dev/kvm`` inside.
    """

    name: str
    namespace: str
    root: str
    layers: str
    runtime: str
    shared: str
    hosts: dict[str, str]
    kvm: bool = False

    def to_json(self) -> str:
        """Return the text that `main` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "HostSpec":
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


class _SetUpError(Exception):
    def __init__(self, step: str, error: OSError) -> None:
        super().__init__(f"{step}: {error}")
        self.errno = error.errno


def overlay_options(lower: Path, upper: Path, work: Path) -> str:
    """Return the mount options of an overlay; commas, colons and backslashes are escaped."""

    def escaped(path: Path) -> str:
        return re.sub(r"([\\,:])", r"\\\1", str(path))

    return f"lowerdir={escaped(lower)},upperdir={escaped(upper)},workdir={escaped(work)}"


def main() -> None:
    """Become a host, as standard input says."""
    spec = HostSpec.from_json(sys.stdin.read())
    os.umask(0o022)
    try:
        _step("joining the network namespace", lambda: _join(spec.namespace))
        _step(
            "making mount, UTS, IPC and PID namespaces",
            lambda: syscalls.unshare(
                syscalls.CLONE_NEWNS
                | syscalls.CLONE_NEWUTS
                | syscalls.CLONE_NEWIPC
                | syscalls.CLONE_NEWPID
            ),
        )
    except _SetUpError as error:
        _tell(error=str(error), errno=error.errno)
        sys.exit(1)
    pid = os.fork()
    if pid:
        _tell(pid=pid)
        os._exit(0)
    try:
        _build(spec)
    except _SetUpError as error:
        _tell(error=str(error), errno=error.errno)
        os._exit(1)
    _tell(ready=True)
    _reap()


def _build(spec: HostSpec) -> None:
    new = Path(spec.layers) / "merged"
    steps: dict[str, Callable[[], None]] = {
        "making all mounts private": mounts.make_private,
        "making the root a mount": mounts.make_root_a_mount,
        "laying the overlay": lambda: _mount_root(Path(spec.root), Path(spec.layers), new),
        "mounting /proc and /sys": lambda: _mount_kernel_views(new),
        "filling /dev": lambda: _fill_dev(new / "dev", spec.kvm),
        "mounting /run and /tmp": lambda: _mount_scratch(new, spec.runtime),
        "mounting /mnt/shared": lambda: _mount_shared(new / "mnt/shared", spec.shared),
        "writing /etc": lambda: _write_etc(new / "etc", spec),
        "setting the host name": lambda: socket.sethostname(spec.name),
        "changing the root": lambda: _pivot(new),
        "leaving the session": _detach,
    }
    for words, action in steps.items():
        _step(words, action)


def _step(words: str, action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        raise _SetUpError(words, error) from error


def _tell(**message: object) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _join(namespace: str) -> None:
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    syscalls.setns(descriptor, syscalls.CLONE_NEWNET)
    os.close(descriptor)


def _mount_root(lower: Path, layers: Path, new: Path) -> None:
    # Held open and locked as long as this process lives: that is how the cache knows that a root
    # is in use.
    fcntl.flock(os.open(lower, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)
    new.mkdir(parents=True, exist_ok=True)
    try:
        _overlay(lower, layers, new)
    except OSError:
        # An overlay cannot be the upper layer of another, and a container's files often are one.
        memory = layers / "memory"
        memory.mkdir(exist_ok=True)
        syscalls.mount("layers", memory, "tmpfs", 0, "mode=700")
        _overlay(lower, memory, new)


def _overlay(lower: Path, layers: Path, new: Path) -> None:
    upper, work = layers / "upper", layers / "work"
    upper.mkdir(exist_ok=True)
    work.mkdir(exist_ok=True)
    upper.chmod(0o755)  # it lends its mode to the root directory
    syscalls.mount("overlay", new, "overlay", 0, overlay_options(lower, upper, work))


def _mount_kernel_views(new: Path) -> None:
    safe = MS_NOSUID | MS_NODEV | MS_NOEXEC
    syscalls.mount("proc", new / "proc", "proc", safe)
    # Read-only: most of what can be written there is the whole machine's.
    syscalls.mount("sysfs", new / "sys", "sysfs", safe | syscalls.MS_RDONLY)


def _fill_dev(dev: Path, kvm: bool) -> None:
    syscalls.mount("dev", dev, "tmpfs", MS_NOSUID, "mode=755")
    for name in ("net", "pts", "shm"):
        (dev / name).mkdir()
    syscalls.mount("shm", dev / "shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    syscalls.mount(
        "devpts",
        dev / "pts",
        "devpts",
        MS_NOSUID | MS_NOEXEC,
        f"newinstance,ptmxmode=0666,mode=0620,gid={_TTY_GROUP}",
    )
    for name, (major, minor) in _NODES.items():
        _node(dev, name, major, minor, 0o666)
    misc = _misc_devices()
    if "userfaultfd" in misc:
        _node(dev, "userfaultfd", _MISC_MAJOR, misc["userfaultfd"], 0o600)
    if kvm and "kvm" in misc:
        _node(dev, "kvm", _MISC_MAJOR, misc["kvm"], 0o660)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)


def _misc_devices() -> dict[str, int]:
    """Return the minor numbers of the devices whose number the kernel chose when it started."""
    lines = Path("/proc/misc").read_text().splitlines()
    return {name: int(minor) for minor, name in map(str.split, lines)}


def _node(dev: Path, name: str, major: int, minor: int, mode: int) -> None:
    path = dev / name
    try:
        os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))
        path.chmod(mode)
    except PermissionError:
        # No CAP_MKNOD, as in many containers: then the machine's own node has to do.
        path.touch()
        syscalls.mount(Path("/dev") / name, path, None, syscalls.MS_BIND)


def _mount_scratch(new: Path, runtime: str) -> None:
    syscalls.mount("run", new / "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    syscalls.mount("tmp", new / "tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    lock = new / "run/lock"
    lock.mkdir()
    lock.chmod(0o1777)
    inside = new / "run/postcopy"
    inside.mkdir()
    syscalls.mount(runtime, inside, None, syscalls.MS_BIND)


def _mount_shared(inside: Path, shared: str) -> None:
    inside.mkdir(exist_ok=True)
    syscalls.mount(shared, inside, None, syscalls.MS_BIND)


def _write_etc(etc: Path, spec: HostSpec) -> None:
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in spec.hosts.items())]
    for name, text in (
        ("hosts", "\n".join(lines) + "\n"),
        ("hostname", spec.name + "\n"),
        ("resolv.conf", ""),
    ):
        path = etc / name
        path.unlink(missing_ok=True)  # may be a symbolic link to something that is not there
        path.write_text(text)


def _pivot(new: Path) -> None:
    # pivot_root(2), "pivot_root(".", ".")": the old root is stacked on the new one, and taken off.
    os.chdir(new)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".", syscalls.MNT_DETACH)
    os.chdir("/")


def _detach() -> None:
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 2)
    os.close(nothing)


def _reap() -> None:
    awaited = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    os.dup2(0, 1)  # the end of what the controller reads
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if signal.sigwait(awaited) == signal.SIGTERM:
            os._exit(0)


if __name__ == "__main__":
    main()
