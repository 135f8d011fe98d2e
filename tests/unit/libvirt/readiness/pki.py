"""Certificates made for a test."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["NOW", "Authority", "Issued"]

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
_DAY = datetime.timedelta(days=1)


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
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._now = now
        usage = x509.BasicConstraints(ca=True, path_length=None)
        self._own = (
            self._builder(self._name, self._key, 3650)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> str:
        return self._own.public_bytes(serialization.Encoding.PEM).decode()

    def issue(
        self,
        *names: str,
        days: int = 365,
        server: bool = True,
        client: bool = True,
    ) -> Issued:
        """Issue a certificate for names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH] * server
        purposes += [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        signed = (
            self._builder(subject, key, days)
            .add_extension(x509.SubjectAlternativeName([*map(_general, names)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return Issued(signed.public_bytes(serialization.Encoding.PEM).decode(), private.decode())

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _DAY)
            .not_valid_after(self._now + days * _DAY)
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
