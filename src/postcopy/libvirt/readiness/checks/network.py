"""Checks of how a host is reached: its daemon, its migration ports, its names."""

from postcopy.libvirt.readiness.checks.catalogue import CHECKS, answering, libvirt_of
from postcopy.libvirt.readiness.facts import is_loopback
from postcopy.libvirt.readiness.firewall import Firewall, Passage
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned

__all__ = ["blocked"]

_FEWEST_PORTS = 8
_NOWHERE = ("0.0.0.0", "::")
_SSH = 22


@CHECKS.host(
    "libvirt.listen.remote",
    title="the daemon can be reached from other hosts",
    why="A peer-to-peer migration begins with a connection to the destination's daemon.",
    remedy="systemctl enable --now libvirtd-tls.socket (or virtproxyd-tls.socket); without systemd"
    " `libvirtd --listen`",
    fix="libvirt.listen",
    since="libvirt 5.6.0: under systemd its sockets decide, and listen_tls and listen_tcp do not",
)
def remote(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    found = [f"{name} at port {port}" for name, port in facts.daemon_ports.items()]
    if found:
        return passed(", ".join(found))
    if facts.listens(_SSH):
        return passed("by SSH alone")
    answering(host)  # one that does not run listens nowhere
    wanted = [name for name in ("tls", "tcp") if facts.daemon.number(f"listen_{name}", 0)]
    asked = f"; listen_{wanted[0]} = 1 alone opens nothing" if wanted else ""
    return failed(f"nothing listens at 16509, 16514 or 22{asked}")


@CHECKS.host(
    "libvirt.listen.auth",
    title="not everybody who reaches the daemon governs the host",
    why="Whoever may define a domain is root on that host.",
    remedy="use TLS (libvirtd-tls.socket), or auth_tcp with SASL",
)
def auth(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    ports = facts.daemon_ports
    if not ports:
        return skipped("it takes no connections from other hosts by TCP or TLS")
    if "tcp" in ports and facts.daemon.text("auth_tcp", "sasl") == "none":
        return warned(f'auth_tcp = "none", and port {ports["tcp"]} is open')
    if "tls" in ports and facts.daemon.number("tls_no_verify_certificate", 0):
        return warned("tls_no_verify_certificate = 1: any certificate will do")
    return passed(f"{' and '.join(ports)} with authentication")


@CHECKS.host(
    "libvirt.migration.address",
    title="incoming migrations are awaited where other hosts can come",
    why="A QEMU that listens at loopback, or at an address that the host lacks, is never found.",
    remedy="correct migration_address in /etc/libvirt/qemu.conf, or remove it",
    fix="libvirt.migration.address",
)
def address(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    wanted = facts.qemu.text("migration_address")
    if not wanted or wanted in _NOWHERE:
        return passed("every address of the host")
    if is_loopback(wanted):
        return failed(f'migration_address = "{wanted}" is loopback')
    if facts.addresses and wanted not in facts.addresses:
        return failed(f'migration_address = "{wanted}", and the host has no such address')
    return passed(f'migration_address = "{wanted}"')


@CHECKS.host(
    "libvirt.migration.host",
    title="sources are told a name of this host that they can use",
    why="The destination tells the source where to send the guest's memory.",
    remedy='put migration_host = "ADDRESS" into /etc/libvirt/qemu.conf',
    fix="libvirt.migration.host",
)
def name(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    wanted = facts.qemu.text("migration_host")
    if not wanted:
        if facts.hostname.split(".")[0] in ("localhost", ""):
            return failed(f"the host calls itself {facts.hostname or 'nothing'}")
        return passed(f"its own name, {facts.hostname}")
    if is_loopback(wanted) or wanted.split(".")[0] == "localhost":
        return failed(f'migration_host = "{wanted}" is loopback')
    if wanted in _NOWHERE:
        return failed(f'migration_host = "{wanted}" is no place to connect to')
    return passed(f'migration_host = "{wanted}"')


@CHECKS.host(
    "libvirt.migration.hostname",
    title="the host's own name does not resolve to loopback",
    why="Where such a file of hosts is copied, a source that asks for this host finds itself.",
    remedy="give the name the host's real address in /etc/hosts (Debian's installer writes"
    " 127.0.1.1), or set migration_host",
    fix="libvirt.migration.hostname",
)
def hostname(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    if not facts.resolved:
        return warned(f"{facts.hostname} resolves to nothing")
    looped = [found for found in facts.resolved if is_loopback(found)]
    if looped and len(looped) == len(facts.resolved):
        return warned(f"{facts.hostname} is {', '.join(looped)}")
    return passed(f"{facts.hostname} is {', '.join(facts.resolved)}")


@CHECKS.host(
    "libvirt.migration.ports",
    title="there are ports for several migrations at a time",
    why="Each incoming guest takes a port or two, and is refused when none is free.",
    remedy="remove migration_port_min and migration_port_max from qemu.conf: 49152 to 49215",
    fix="libvirt.migration.ports",
)
def ports(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    low, high = facts.migration_ports
    if not 1024 <= low <= high <= 65535:
        return failed(f"migration_port_min = {low}, migration_port_max = {high}")
    free = sum(not facts.listens(port) for port in range(low, high + 1))
    saw = f"{free} of the ports {low} to {high} are free"
    return warned(saw) if free < _FEWEST_PORTS else passed(saw)


@CHECKS.host(
    "libvirt.firewall.migration",
    title="the packet filter lets migrations in",
    why="The source connects to the destination's QEMU, and waits in vain at a closed port.",
    remedy="nft add rule inet filter input tcp dport 49152-49215 accept"
    " (firewall-cmd --permanent --add-port=49152-49215/tcp)",
    fix="libvirt.firewall",
)
def migration(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    if not facts.firewalls:
        return skipped("its rules cannot be read: there is neither nft nor iptables-save")
    low, high = facts.migration_ports
    return _passage(facts.firewalls, range(low, min(high, low + 1023) + 1))


@CHECKS.host(
    "libvirt.firewall.daemon",
    title="the packet filter lets other hosts reach the daemon",
    why="A peer-to-peer migration begins with a connection to the destination's daemon.",
    remedy="nft add rule inet filter input tcp dport { 16509, 16514 } accept"
    " (firewall-cmd --permanent --add-service=libvirt-tls)",
    fix="libvirt.firewall",
)
def daemon(host: HostSubject) -> Result:
    facts = libvirt_of(host)
    if not facts.firewalls:
        return skipped("its rules cannot be read: there is neither nft nor iptables-save")
    if not facts.daemon_ports:
        return skipped("it takes no connections from other hosts by TCP or TLS")
    return _passage(facts.firewalls, list(facts.daemon_ports.values()))


def blocked(firewalls: tuple[Firewall, ...], port: int) -> bool:
    """Return whether it is certain that a connection to a port is not let in."""
    return any(one.passage(port) is Passage.BLOCKED for one in firewalls)


def _passage(firewalls: tuple[Firewall, ...], wanted: "range | list[int]") -> Result:
    closed = [port for port in wanted if blocked(firewalls, port)]
    if closed:
        ports_ = str(closed[0]) if len(closed) == 1 else f"{closed[0]} to {closed[-1]}"
        return failed(f"its rules drop new connections to {ports_}")
    unsure = [port for port in wanted if any(f.passage(port) is Passage.UNSURE for f in firewalls)]
    if unsure:
        return skipped(f"whether port {unsure[0]} is open depends on who asks: see the pair's")
    return passed(f"its rules let in {wanted[0]}" + (f" to {wanted[-1]}" if wanted[1:] else ""))
