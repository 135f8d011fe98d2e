"""What keeps others from reaching a host: its names, its daemon's ports, its packet filter."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from postcopy.libvirt.readiness.facts import LibvirtFacts, is_loopback
from postcopy.libvirt.readiness.firewall import Chain, Firewall, Passage
from postcopy.libvirt.readiness.fixes.settings import DAEMON_CONFS, edit, own_address
from postcopy.readiness import (
    Change,
    Command,
    FileChange,
    Files,
    Fix,
    HostSubject,
    MissingFacts,
    Restart,
)

__all__ = ["FIXES", "Peers", "hosts_file"]

_HOSTS = "/etc/hosts"
_NFTABLES = "/etc/nftables.conf"
_COMMENT = "postcopy migration"
_FEWEST_PORTS = 8
_DEFAULT_PORTS = (49152, 49215)
"""libvirt's own ``migration_port_min`` and ``migration_port_max``."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The other hosts that guests come from or go to, as facts of a host.

    :ivar addresses: by the name that each tells the others.
    :ivar authorities: the subject of the certificate authority that each believes, by host.
    """

    addresses: Mapping[str, str]
    authorities: Mapping[str, str] = field(default_factory=dict)


def hosts_file(text: str, name: str, address: str) -> str:
    """Return ``/etc/hosts`` with a name at an address, and at no loopback address any more.

    Other names keep their lines, and comments stay where they are.
    """
    short = name.split(".", maxsplit=1)[0]
    wanted = {name, short}
    lines, known = [], False
    for line in text.split("\n"):
        content, mark, comment = line.partition("#")
        words = content.split()
        if len(words) > 1 and wanted & set(words[1:]):
            if not is_loopback(words[0]):
                known = known or words[0] == address
            else:
                kept = [word for word in words[1:] if word not in wanted]
                if not kept:
                    continue
                line = "\t".join([words[0], " ".join(kept)]) + (f" {mark}{comment}" if mark else "")
        lines.append(line)
    if not known:
        entry = f"{address}\t{' '.join(dict.fromkeys((name, short)))}"
        at = len(lines) - 1 if lines and not lines[-1] else len(lines)
        lines.insert(at, entry)
        if at == len(lines) - 1:
            lines.append("")
    return "\n".join(lines)


def _hostname(host: HostSubject) -> Sequence[Change]:
    facts, before = host.facts.of(LibvirtFacts), host.facts.of(Files).text(_HOSTS)
    address = own_address(facts)
    after = hosts_file(before or "", facts.hostname, address)
    if after == before:
        raise MissingFacts(f"{facts.hostname} is right in {_HOSTS}: who else resolves it?")
    why = f"{facts.hostname} is {address}, as other hosts see it, and not this host's loopback"
    return (FileChange(path=_HOSTS, before=before, after=after, why=why),)


def _peers(host: HostSubject) -> Sequence[Change]:
    before = host.facts.of(Files).text(_HOSTS)
    after = before or ""
    peers = host.facts.of(Peers).addresses
    for name, address in peers.items():
        after = hosts_file(after, name, address)
    if after == (before or ""):
        return ()
    why = f"guests are sent to {', '.join(peers)}, and this host cannot resolve that"
    return (FileChange(path=_HOSTS, before=before, after=after, why=why),)


def _listen(host: HostSubject) -> Sequence[Change]:
    """Have the daemon listen, with TLS: whoever may talk to it without is root there."""
    facts = host.facts.of(LibvirtFacts)
    why = "other hosts reach the daemon, with TLS"
    if facts.systemd:
        unit = "virtproxyd-tls.socket" if facts.modular else "libvirtd-tls.socket"
        return (
            Command(
                argv=("systemctl", "enable", unit), why=why, undo=("systemctl", "disable", unit)
            ),
            Restart(service=unit, why="systemd listens in the daemon's place"),
        )
    return edit(host, DAEMON_CONFS[0], {"listen_tls": 1}, why)


# --- the packet filter -------------------------------------------------------------------------


def _firewall(host: HostSubject) -> Sequence[Change]:
    facts = host.facts.of(LibvirtFacts)
    low, high = facts.migration_ports
    if high - low < _FEWEST_PORTS:  # so few are mended too, to libvirt's own
        low, high = _DEFAULT_PORTS
    ports = [(low, high), *((port, port) for port in facts.daemon_ports.values())]
    closed = [
        span
        for span in ports
        if any(one.passage(port) is Passage.BLOCKED for one in facts.firewalls for port in span)
    ]
    changes: list[Change] = []
    names = {key for one in facts.firewalls for key in one.chains}
    for span in closed:
        if any("firewalld" in name for name in names):
            changes += _firewalld(span)
        elif any("ufw" in name for name in names):
            changes.append(_ufw(span))
        else:
            changes += [
                command
                for one in facts.firewalls
                for key in dict.fromkeys(key for port in span for key in _closed_chains(one, port))
                for command in _rules(key, span, len(facts.firewalls))
            ]
    if closed and (edited := _nftables_conf(host.facts.of(Files).text(_NFTABLES), closed)):
        changes.insert(0, edited)
    return changes


def _closed_chains(firewall: Firewall, port: int) -> Iterator[str]:
    """Yield the chains at input that drop a connection, each whatever the others do."""
    for key, chain in firewall.chains.items():
        alone = {
            name: other if name == key else Chain(other.rules)
            for name, other in firewall.chains.items()
        }
        if chain.policy and Firewall(alone).passage(port) is Passage.BLOCKED:
            yield key


def _span(span: tuple[int, int], between: str) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]}{between}{span[1]}"


def _why(span: tuple[int, int]) -> str:
    what = "libvirt's daemon is" if span[0] == span[1] else "incoming migrations are"
    return f"{what} reached at {_span(span, ' to ')}"


def _firewalld(span: tuple[int, int]) -> Iterator[Change]:
    ports = f"{_span(span, '-')}/tcp"
    for when in ((), ("--permanent",)):
        yield Command(
            argv=("firewall-cmd", *when, f"--add-port={ports}"),
            why=_why(span) + (", after a reload too" if when else ""),
            undo=("firewall-cmd", *when, f"--remove-port={ports}"),
        )


def _ufw(span: tuple[int, int]) -> Change:
    rule = ("allow", f"{_span(span, ':')}/tcp")
    return Command(argv=("ufw", *rule), why=_why(span), undo=("ufw", "--force", "delete", *rule))


def _rules(key: str, span: tuple[int, int], readers: int) -> Iterator[Change]:
    """Yield what lets a span in, first of all in one chain; twice is as good as once."""
    words = key.split(" ")
    if len(words) == 3:
        ports = _span(span, "-")
        rule = f'tcp dport {ports} accept comment "{_COMMENT}"'
        put = f"nft list chain {key} | grep -qF '{rule}' || nft 'insert rule {key} {rule}'"
        take = (
            f"nft -a list chain {key} | grep -F '{rule}' | sed 's/.*handle //' |"
            f" while read -r handle; do nft delete rule {key} handle $handle; done"
        )
        yield Command(argv=("sh", "-c", put), why=_why(span), undo=("sh", "-c", take))
    elif readers == 1:  # iptables alone; where there is nft too, it shows the same rules
        rule = f"{words[0]} -p tcp --dport {_span(span, ':')} -j ACCEPT"
        yield Command(
            argv=("sh", "-c", f"iptables -C {rule} 2>/dev/null || iptables -I {rule}"),
            why=_why(span),
            undo=("sh", "-c", f"! iptables -C {rule} 2>/dev/null || iptables -D {rule}"),
        )


def _nftables_conf(text: str | None, spans: Sequence[tuple[int, int]]) -> FileChange | None:
    """Return the same in Debian's file of rules, if it is plain where they belong."""
    hooks = re.findall(r"^[ \t]*type filter hook input [^\n]*;[ \t]*\n", text or "", re.MULTILINE)
    if text is None or len(hooks) != 1:
        return None
    indent = hooks[0][: len(hooks[0]) - len(hooks[0].lstrip())]
    rules = "".join(
        f'{indent}tcp dport {_span(span, "-")} accept comment "{_COMMENT}"\n' for span in spans
    )
    after = text.replace(hooks[0], hooks[0] + rules)
    why = "and after the next boot"
    return FileChange(path=_NFTABLES, before=text, after=after, why=why)


FIXES = (
    Fix(
        id="libvirt.migration.hostname",
        title="the host's name is its address",
        plan=_hostname,
        reads=(_HOSTS,),
    ),
    Fix(
        id="libvirt.pair.names",
        title="a host knows where its peers are",
        plan=_peers,
        reads=(_HOSTS,),
        order=55,
        side="source",
    ),
    Fix(
        id="libvirt.listen",
        title="other hosts reach the daemon",
        plan=_listen,
        reads=DAEMON_CONFS,
        order=60,
    ),
    Fix(
        id="libvirt.firewall",
        title="the packet filter lets migrations in",
        plan=_firewall,
        reads=(_NFTABLES,),
        side="destination",
    ),
)
