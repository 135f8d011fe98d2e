"""Checks of the certificates that libvirt's daemon and QEMU's migrations use."""

from collections.abc import Callable, Iterator

from postcopy.libvirt.readiness.certificates import Key, TlsSet, day
from postcopy.libvirt.readiness.checks.catalogue import CHECKS, libvirt_of
from postcopy.libvirt.readiness.facts import LibvirtFacts
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned

__all__ = ["faults"]

_SOON_SECONDS = 30 * 86400.0
_CLOCK_SECONDS = 60.0

Judge = Callable[[LibvirtFacts, TlsSet, bool], Result]


def _list(name: str, judge: Judge, **about: str) -> None:
    """List a question about certificates twice: of the daemon's, and of QEMU's."""

    @CHECKS.host(
        f"libvirt.tls.{name}",
        **{
            **about,
            "title": f"{about['title']}: the daemon's",
            "fix": f"libvirt.tls.{about['fix']}",
        },
    )
    def of_daemon(host: HostSubject) -> Result:
        facts = libvirt_of(host)
        return judge(facts, facts.tls, False)

    @CHECKS.host(
        f"libvirt.migration-tls.{name}",
        **{
            **about,
            "title": f"{about['title']}: QEMU's for migration",
            "fix": f"libvirt.migration-tls.{about['fix']}",
        },
    )
    def of_migration(host: HostSubject) -> Result:
        facts = libvirt_of(host)
        return judge(facts, facts.migration_tls, True)


def _complete(facts: LibvirtFacts, tls: TlsSet, migrates: bool) -> Result:
    wanted = (
        facts.qemu.number("migrate_tls_force", 0)
        if migrates
        else "tls" in facts.daemon_ports or facts.daemon.number("listen_tls", 0)
    )
    if not tls.exists:
        if wanted:
            return failed(f"TLS is switched on, and there are no certificates in {tls.place}")
        return skipped(f"TLS is not set up: there is nothing in {tls.place}")
    missing = [
        what
        for what, there in (
            ("the authority's certificate", tls.authority is not None),
            ("the server's certificate", tls.server is not None),
            ("the server's key", tls.server_key.exists),
            ("the key of the client's certificate", tls.client is None or tls.client_key.exists),
        )
        if not there
    ]
    if missing:
        return failed(f"{tls.place} lacks {', '.join(missing)}")
    return passed(", ".join(one.path for one in tls.certificates))


def _chain(_facts: LibvirtFacts, tls: TlsSet, _migrates: bool) -> Result:
    if not tls.certificates:
        return skipped("TLS is not set up")
    wrong = [f"{one.path} cannot be read: {one.error}" for one in tls.certificates if one.error]
    wrong += [
        f"{one.path} was issued by another authority"
        for one in (tls.server, tls.client)
        if one is not None and one.issued is False
    ]
    if tls.server is not None and not tls.server.serves:
        wrong.append(f"{tls.server.path} is not for servers")
    if tls.client is not None and not tls.client.calls:
        wrong.append(f"{tls.client.path} is not for clients")
    if wrong:
        return failed("; ".join(wrong))
    return passed("issued by the authority beside them, each for its purpose")


def _names(facts: LibvirtFacts, tls: TlsSet, migrates: bool) -> Result:
    server = tls.server
    if server is None or server.error:
        return skipped("there is no certificate of a server")
    wanted = facts.migration_name if migrates else facts.hostname
    saw = f"{server.path} is for {', '.join(server.names) or 'no name'}"
    if not server.covers(wanted):
        return failed(f"{saw}, and this host is {wanted}")
    return passed(saw)


def _validity(facts: LibvirtFacts, tls: TlsSet, _migrates: bool) -> Result:
    known = [one for one in tls.certificates if not one.error]
    if not known:
        return skipped("TLS is not set up")
    for one in known:
        if one.not_after <= facts.now:
            return failed(f"{one.path} expired on {day(one.not_after)}")
        if one.not_before > facts.now + _CLOCK_SECONDS:
            return failed(f"{one.path} is not good before {day(one.not_before)}")
    first = min(known, key=lambda one: one.not_after)
    if first.not_after < facts.now + _SOON_SECONDS:
        return warned(f"{first.path} expires on {day(first.not_after)}")
    return passed(f"good until {day(first.not_after)}")


def _keys(facts: LibvirtFacts, tls: TlsSet, migrates: bool) -> Result:
    keys = [key for key in (tls.server_key, tls.client_key) if key.exists]
    if not keys:
        return skipped("TLS is not set up")
    for key in keys:
        if key.mode & 0o007:
            return failed(f"{key.path} has mode {key.mode:04o}: anybody can read or change it")
        if migrates and not _readable(key, facts):
            return failed(f"{key.path} cannot be read by {facts.account.user}, whom QEMU runs as")
    return passed(", ".join(f"{key.path} has mode {key.mode:04o}" for key in keys))


def _readable(key: Key, facts: LibvirtFacts) -> bool:
    account = facts.account
    if account.uid in (0, None):
        return True
    if key.uid == account.uid:
        return bool(key.mode & 0o400)
    return key.gid == account.gid and bool(key.mode & 0o040)


def faults(facts: LibvirtFacts, migrates: bool) -> Iterator[str]:
    """Yield the ids of checks that found fault with a host's certificates."""
    tls = facts.migration_tls if migrates else facts.tls
    kind = "migration-tls" if migrates else "tls"
    for name, judge in _JUDGES.items():
        if judge(facts, tls, migrates).verdict == "fail":
            yield f"libvirt.{kind}.{name}"


_JUDGES: dict[str, Judge] = {
    "complete": _complete,
    "chain": _chain,
    "names": _names,
    "validity": _validity,
    "keys": _keys,
}

_list(
    "complete",
    _complete,
    title="TLS has all its certificates and keys",
    why="With one of them missing TLS is not offered, and the daemon may not even start.",
    remedy="postcopy setup HOST makes a set; or see libvirt.org/kbase/tlscerts.html",
    fix="certificates",
)
_list(
    "chain",
    _chain,
    title="certificates come from the authority beside them",
    why="Each side refuses a certificate that its authority did not issue for that purpose.",
    remedy="openssl verify -CAfile CA-CERTIFICATE CERTIFICATE; then issue it anew",
    fix="certificates",
)
_list(
    "names",
    _names,
    title="the server's certificate is for this host's name",
    why="Whoever connects compares the name that was asked for with those in the certificate.",
    remedy="issue it anew with the host's name and addresses as subject alternative names",
    fix="certificates",
)
_list(
    "validity",
    _validity,
    title="certificates are good today and for a month",
    why="On the day that one expires, no migration begins any more.",
    remedy="renew it: postcopy setup HOST",
    fix="certificates",
)
_list(
    "keys",
    _keys,
    title="private keys are private, and readable to whom they are for",
    why="Whoever reads a key can be this host; a QEMU that cannot read its own takes no guest in.",
    remedy="chmod 0600 KEY; for QEMU's also chgrp QEMU-GROUP KEY and chmod 0640",
    fix="keys",
)
