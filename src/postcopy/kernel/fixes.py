"""What mends a kernel's settings. Who may use userfaultfd is `postcopy.setup.userfaultfd`'s: that
takes more than the kernel to decide.
"""

from collections.abc import Sequence

from postcopy.kernel.facts import KernelFacts
from postcopy.readiness import Change, Command, FileChange, Files, Fix, HostSubject

__all__ = ["FIXES", "sysctl"]

_RETRIES = "/etc/sysctl.d/60-postcopy-network.conf"
_RETRIES_WANTED = 5
"""With it a cut is noticed after 5 to 15 s, and a short one is still ridden out; 15 s were measured
on a link of 40 Mb/s, and a quarter of an hour without."""


def sysctl(path: str, held: str | None, key: str, value: int, was: int, why: str) -> list[Change]:
    """Return what sets a kernel parameter now and after every boot.

    :param path: the file below ``sysctl.d`` that is ours.
    :param held: what that holds.
    :param was: the value now, for the way back.
    """
    line = f"{key} = {value}"
    return [
        FileChange(path=path, before=held, after=f"# {why}\n{line}\n", why=why),
        Command(
            argv=("sysctl", "-q", "-w", f"{key}={value}"),
            why="now too, not only after the next boot",
            undo=("sysctl", "-q", "-w", f"{key}={was}"),
        ),
    ]


def _retries(host: HostSubject) -> Sequence[Change]:
    facts = host.facts.of(KernelFacts)
    if facts.tcp_retries2 is None or facts.tcp_retries2 <= _RETRIES_WANTED:
        return ()
    return sysctl(
        _RETRIES,
        host.facts.of(Files).text(_RETRIES),
        "net.ipv4.tcp_retries2",
        _RETRIES_WANTED,
        facts.tcp_retries2,
        "a cut connection is given up in time, so that an interrupted post-copy can be recovered",
    )


FIXES = (
    Fix(
        id="kernel.retries",
        title="TCP gives up a cut connection in time",
        plan=_retries,
        reads=(_RETRIES,),
        order=10,
    ),
)
