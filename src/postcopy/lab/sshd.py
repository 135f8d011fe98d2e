"""sshd in a lab host: Debian's, as a plain process, for root with a key of the lab.

It listens on the control link alone, so that what it carries never competes with a migration.
"""

from postcopy.lab.credentials import HOST_KEY
from postcopy.lab.host import Host

__all__ = ["ensure", "pid"]

_PID_FILE = "/run/sshd.pid"

_CONFIG = """\
ListenAddress {address}
HostKey {key}
PidFile {pid}
AllowUsers root
PermitRootLogin prohibit-password
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
"""


def pid(host: Host) -> int | None:
    """Return the daemon's process number inside the host, or None when it does not run."""
    return host.daemon(_PID_FILE, "sshd")


async def ensure(host: Host) -> None:
    """Start the daemon if it does not run; it listens when this returns.

    :raises UnavailableError: when it does not start, with what it says.
    """
    if pid(host) is not None:
        return
    (host.root_dir / "run/sshd").mkdir(exist_ok=True)  # where it confines what is not yet trusted
    config = _CONFIG.format(address=host.control_address, key=HOST_KEY, pid=_PID_FILE)
    (host.root_dir / "etc/ssh/sshd_config").write_text(config)
    await host.run("/usr/sbin/sshd", timeout=20.0)
