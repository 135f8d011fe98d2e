"""Where other hosts send guests to, and how."""

from postcopy.nova.checks.catalogue import CHECKS, configured, said
from postcopy.nova.overrides import address_is_wrong, candidate, transport
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned

__all__: list[str] = []

_SCHEMES = ("tcp", "tls", "ssh", "libssh", "libssh2")


@CHECKS.host(
    "nova.address.set",
    title="the address for incoming migrations is set",
    why="Without it the source resolves this host's name, which may lead to loopback or to the"
    " management network.",
    remedy="[libvirt] live_migration_inbound_addr = this host's address in the migration network",
    fix="nova.address",
    since="Nova 15 (Ocata); without it the host name is used",
)
def inbound(host: HostSubject) -> Result:
    facts = configured(host)
    if not facts.address()[0]:
        by_hand = "" if candidate(facts) else "; which address it should be has to be said by hand"
        return warned(f"{said(facts, 'live_migration_inbound_addr')}{by_hand}")
    return passed(said(facts, "live_migration_inbound_addr"))


@CHECKS.host(
    "nova.address.own",
    title="the address for incoming migrations is this host's",
    why="The source sends guests there: to another host, to itself, or to nobody.",
    remedy="[libvirt] live_migration_inbound_addr = this host's address in the migration network",
    fix="nova.address",
    since="Nova 15 (Ocata); without it the host name is used",
)
def own(host: HostSubject) -> Result:
    facts = configured(host)
    value, meant = facts.address()
    if not value:
        return skipped("live_migration_inbound_addr is not set")
    if not facts.addresses:
        return skipped("this host's addresses are not known")
    saw = said(facts, "live_migration_inbound_addr")
    if not meant:
        return failed(f"{saw}: the name means nothing on this host")
    if any(ip.is_loopback for ip in meant):
        return failed(f"{saw} is loopback: {', '.join(map(str, meant))}")
    if address_is_wrong(facts):
        has = ", ".join(str(one.ip) for one in facts.addresses if not one.ip.is_loopback)
        return failed(f"{saw} is not among this host's addresses: {has or 'none'}")
    return passed(saw)


@CHECKS.host(
    "nova.uri.unset",
    title="live_migration_uri is not used any more",
    why="It outdoes live_migration_scheme, is deprecated, and a host name written into it sends"
    " every guest to one host.",
    remedy="take live_migration_uri out; set live_migration_scheme and live_migration_inbound_addr",
    fix="nova.address",
    since="deprecated since Nova 15 (Ocata)",
)
def uri(host: HostSubject) -> Result:
    facts = configured(host)
    value = facts.configuration.value("live_migration_uri")
    if not value:
        return passed("live_migration_uri is not set")
    saw = said(facts, "live_migration_uri")
    if "%s" not in value:
        return failed(f"{saw} has no %s, so every guest goes to the same host")
    return warned(saw)


@CHECKS.host(
    "nova.scheme.known",
    title="the source's libvirt knows how to reach the destination's",
    why="Nova makes the URI qemu+SCHEME://DEST/system of it, and libvirt knows but a few.",
    remedy="[libvirt] live_migration_scheme = tls (or tcp in a network of trust, or ssh)",
    since="Nova 15 (Ocata); the default is tcp",
)
def scheme(host: HostSubject) -> Result:
    facts = configured(host)
    if uri_ := facts.configuration.value("live_migration_uri"):
        name, saw = transport(uri_), said(facts, "live_migration_uri")
    else:
        name = facts.configuration.value("live_migration_scheme") or "tcp"
        saw = said(facts, "live_migration_scheme")
    if name not in _SCHEMES:
        return failed(f"{saw}: {name or 'none'} is none of {', '.join(_SCHEMES)}")
    return passed(saw)


@CHECKS.host(
    "nova.tunnelled.off",
    title="migration is not tunnelled through libvirt",
    why="Tunnelled migration has no post-copy: libvirt refuses both together.",
    remedy="[libvirt] live_migration_tunnelled = false; live_migration_with_native_tls = true, once"
    " the hosts have certificates",
    since="tunnelling is deprecated since Nova 23 (Wallaby)",
)
def tunnelled(host: HostSubject) -> Result:
    facts = configured(host)
    saw = said(facts, "live_migration_tunnelled")
    return failed(saw) if facts.configuration.value("live_migration_tunnelled") else passed(saw)


@CHECKS.host(
    "nova.tls.consistent",
    title="TLS is set for libvirt's connection and QEMU's stream alike",
    why="The scheme encrypts what libvirts say to each other, and native TLS the guest's memory:"
    " one without the other is rarely meant. With tunnelling beside it, nova-compute does not"
    " start.",
    remedy="[libvirt] live_migration_scheme = tls and live_migration_with_native_tls = true",
    since="Nova 19 (Stein)",
)
def tls(host: HostSubject) -> Result:
    facts = configured(host)
    value = facts.configuration.value
    native = value("live_migration_with_native_tls")
    saw = said(facts, "live_migration_with_native_tls")
    if native and value("live_migration_tunnelled"):
        return failed(f"{saw}, and {said(facts, 'live_migration_tunnelled')}")
    name = transport(value("live_migration_uri") or "") or value("live_migration_scheme") or "tcp"
    if name == "tls" and not native:
        return warned(f"{saw} with scheme tls: memory crosses the network in the clear")
    if not native:
        return passed(f"{saw}: memory crosses the network in the clear, as is set")
    if facts.release is not None and facts.release < 19:
        return skipped(f"Nova {facts.version} does not know live_migration_with_native_tls")
    return passed(saw)
