"""Certificates of hosts, of an authority that set-up keeps or was given."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from postcopy import pki
from postcopy.libvirt.readiness.certificates import Key, TlsSet
from postcopy.libvirt.readiness.facts import LibvirtFacts
from postcopy.libvirt.readiness.fixes.network import Peers
from postcopy.libvirt.readiness.fixes.settings import restart
from postcopy.readiness import (
    Change,
    Command,
    FileChange,
    Files,
    Fix,
    HostSubject,
    MissingFacts,
)

__all__ = ["FIXES", "Issuer"]


@dataclass(frozen=True, slots=True)
class Issuer:
    """What issues certificates, as facts of a host.

    :ivar issue: makes a certificate for a name, DNS names and addresses.
    :ivar authority: returns the authority's own certificate, PEM.
    """

    issue: Callable[[str, Sequence[str], Sequence[str]], pki.Certificate]
    authority: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one user of certificates has them, if nothing else is configured."""

    authority: str
    certificates: tuple[str, str]
    keys: tuple[str, str]


_DAEMON = _Place(
    "/etc/pki/CA/cacert.pem",
    ("/etc/pki/libvirt/servercert.pem", "/etc/pki/libvirt/clientcert.pem"),
    ("/etc/pki/libvirt/private/serverkey.pem", "/etc/pki/libvirt/private/clientkey.pem"),
)
_QEMU = _Place(
    "/etc/pki/qemu/ca-cert.pem",
    ("/etc/pki/qemu/server-cert.pem", "/etc/pki/qemu/client-cert.pem"),
    ("/etc/pki/qemu/server-key.pem", "/etc/pki/qemu/client-key.pem"),
)


def _of_daemon(host: HostSubject) -> Sequence[Change]:
    facts = host.facts.of(LibvirtFacts)
    issued = _issue(host, facts, facts.tls, _DAEMON, owner="root")
    return (*issued, restart(facts, "it reads its certificates when it starts"))


def _of_migration(host: HostSubject) -> Sequence[Change]:
    facts = host.facts.of(LibvirtFacts)
    # QEMU itself reads them, each time that a migration begins.
    return tuple(_issue(host, facts, facts.migration_tls, _QEMU, owner=facts.account.user))


def _issue(
    host: HostSubject, facts: LibvirtFacts, tls: TlsSet, place: _Place, owner: str
) -> Iterator[Change]:
    if tls.server_key.path not in ("", place.keys[0]):
        raise MissingFacts(f"its certificates are where its configuration says: {tls.place}")
    files, issuer = host.facts.of(Files), host.facts.of(Issuer)
    authority = files.text(place.authority)
    if authority is not None and authority.encode() != issuer.authority():
        raise MissingFacts(
            f"{place.authority} is another authority's: give set-up its certificate and key"
            " (--authority DIRECTORY), or move the file away on all hosts"
        )
    if authority is None:
        _agree(host, issuer)
    names = dict.fromkeys((facts.hostname, facts.hostname.split(".")[0]))
    told = facts.qemu.text("migration_host")
    if told and told not in facts.addresses and not told[0].isdigit():
        names[told] = None
    addresses = [one for one in facts.addresses if not one.startswith("fe80")]
    issued = issuer.issue(facts.hostname, [name for name in names if name], addresses)
    if authority is None:
        yield FileChange(
            path=place.authority,
            before=None,
            after=issued.authority.decode(),
            why="whom this host believes",
        )
    for path in place.keys:
        yield FileChange(
            path=path,
            before=None,
            after=issued.key.decode(),
            why="the key of the new certificate",
            mode=0o600,
            owner=owner,
            secret=True,
        )
    for path in place.certificates:
        yield FileChange(
            path=path,
            before=files.text(path),
            after=issued.certificate.decode(),
            why=f"a certificate for {', '.join([*names, *addresses])}",
        )


def _agree(host: HostSubject, issuer: Issuer) -> None:
    """Return if no other host believes somebody else: half a set is worse than none.

    :raises MissingFacts: when one does.
    """
    peers = host.facts.find(Peers)
    if peers is None or not peers.authorities:
        return
    ours = pki.load(issuer.authority()).subject.rfc4514_string()
    for name, subject in peers.authorities.items():
        if subject != ours:
            raise MissingFacts(
                f"{name} believes the authority {subject}: give set-up its certificate and key"
                " (--authority DIRECTORY)"
            )


def _keys(
    of: Callable[[LibvirtFacts], TlsSet], for_qemu: bool
) -> Callable[[HostSubject], Sequence[Change]]:
    def plan(host: HostSubject) -> Sequence[Change]:
        facts = host.facts.of(LibvirtFacts)
        tls = of(facts)
        keys = {key.path: key for key in (tls.server_key, tls.client_key) if key.exists}
        return [
            change
            for key in keys.values()
            for change in _private(key, facts.account.uid if for_qemu else 0)
        ]

    return plan


def _private(key: Key, uid: int | None) -> Iterator[Change]:
    """Yield what makes a key its user's alone."""
    if uid is not None and key.uid != uid and uid != 0:
        yield Command(
            argv=("chown", str(uid), key.path),
            why="whoever uses the key can read it",
            undo=("chown", str(key.uid), key.path),
        )
    if key.mode & 0o177 or not key.mode & 0o400:
        yield Command(
            argv=("chmod", "0600", key.path),
            why="nobody else can read the key",
            undo=("chmod", f"{key.mode:04o}", key.path),
        )


def _reads(place: _Place) -> tuple[str, ...]:
    return (place.authority, *place.certificates)


FIXES = (
    Fix(
        id="libvirt.tls.certificates",
        title="the daemon has certificates",
        plan=_of_daemon,
        reads=_reads(_DAEMON),
        order=30,
    ),
    Fix(
        id="libvirt.migration-tls.certificates",
        title="QEMU has certificates for migrations",
        plan=_of_migration,
        reads=_reads(_QEMU),
        order=30,
    ),
    Fix(
        id="libvirt.tls.keys",
        title="the daemon's keys are private",
        plan=_keys(lambda facts: facts.tls, False),
        order=40,
    ),
    Fix(
        id="libvirt.migration-tls.keys",
        title="QEMU's keys are private, and QEMU's",
        plan=_keys(lambda facts: facts.migration_tls, True),
        order=40,
    ),
)
