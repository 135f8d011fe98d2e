"""Certificates made for a test, as text."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from postcopy import pki

__all__ = ["NOW", "Authority", "Issued"]

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str

    def write(self, directory: Path, name: str) -> None:
        (directory / f"{name}-cert.pem").write_text(self.certificate)
        (directory / f"{name}-key.pem").write_text(self.key)


class Authority:
    """Issues certificates.

    :param now: when they are made.
    """

    def __init__(self, name: str = "test", now: datetime.datetime = NOW) -> None:
        self._made = pki.Authority.create(name, now)
        self._now = now

    @property
    def certificate(self) -> str:
        return self._made.certificate.decode()

    def issue(self, *names: str, days: int = 365) -> Issued:
        """Issue a certificate by which a host is reached under these names and addresses."""
        made = self._made.issue(
            names[0],
            self._now,
            dns=[name for name in names if not _is_address(name)],
            addresses=[name for name in names if _is_address(name)],
            lifetime=datetime.timedelta(days),
        )
        return Issued(made.certificate.decode(), made.key.decode())

    def issue_for_client(self, name: str) -> Issued:
        """Issue a certificate for a client alone."""
        made = self._made.issue(name, self._now)
        return Issued(made.certificate.decode(), made.key.decode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
