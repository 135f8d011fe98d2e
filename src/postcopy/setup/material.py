"""What set-up itself brings to hosts: where the others are, and certificates of an authority.

::

    STATE/setup/authority/      cacert.pem, and cakey.pem with mode 0600

One that is not there yet is made in memory, and written down only when something is set up with it.
"""

import contextlib
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from postcopy import pki
from postcopy.doctor import Examination
from postcopy.libvirt.readiness import LibvirtFacts
from postcopy.libvirt.readiness.fixes import Issuer, Peers, own_address
from postcopy.paths import state_dir
from postcopy.readiness import HostSubject, MissingFacts

__all__ = ["Material"]

_NAME = "postcopy setup"


class Material:
    """The authority, loaded or made when it is first asked for.

    :param directory: of the authority; one of set-up's own without it.
    :param now: with a time zone.
    """

    def __init__(
        self,
        directory: Path | None = None,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._given = directory is not None
        self._directory = directory or state_dir() / "setup" / "authority"
        self._now = now
        self._authority: pki.Authority | None = None
        self._used = False

    def for_hosts(self, examined: Examination) -> Mapping[str, Sequence[object]]:
        """Return what each host's fixes may ask for."""
        issuer = Issuer(self._issue, self._certificate)
        return {
            host.name: (issuer, _peers(one for one in examined.hosts if one is not host))
            for host in examined.hosts
        }

    def keep(self) -> None:
        """Write a new authority down, if certificates of it are about to be installed."""
        if self._used and self._authority and not (self._directory / "cacert.pem").exists():
            self._directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._authority.save(self._directory)

    def _load(self) -> pki.Authority:
        if self._authority is None:
            if self._given or (self._directory / "cacert.pem").exists():
                self._authority = pki.Authority.load(self._directory)
            else:
                self._authority = pki.Authority.create(_NAME, self._now())
        return self._authority

    def _certificate(self) -> bytes:
        return self._load().certificate

    def _issue(self, name: str, dns: Sequence[str], addresses: Sequence[str]) -> pki.Certificate:
        self._used = True
        return self._load().issue(name, self._now(), dns=dns, addresses=addresses)


def _peers(hosts: Iterable[HostSubject]) -> Peers:
    """Return where hosts are, by the name that each tells the others, and whom they believe."""
    addresses, authorities = {}, {}
    for host in hosts:
        facts = host.facts.find(LibvirtFacts)
        if facts is None:
            continue
        if facts.migration_name and not facts.migration_name[0].isdigit():
            with contextlib.suppress(MissingFacts):
                addresses[facts.migration_name] = own_address(facts)
        if facts.tls.authority is not None and not facts.tls.authority.error:
            authorities[host.name] = facts.tls.authority.subject
    return Peers(addresses, authorities)
