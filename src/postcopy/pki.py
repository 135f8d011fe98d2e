"""Certificates for hosts that talk TLS to each other: libvirt's daemons and QEMU's migrations.

Start with `Authority`: `Authority.ensure` loads a certificate authority or makes one, `issue` signs
for a host. `install` puts a host's files where libvirtd and QEMU look for them, and
`needs_renewal` says when to do it again.

A certificate of ours serves both ends of a connection, because a libvirt host is both: a server to
those who manage it, and a client of the host that it sends a guest to. Keys are on the curve
P-256. The layout is libvirt's (https://libvirt.org/kbase/tlscerts.html) and that of
``default_tls_x509_cert_dir`` in ``qemu.conf``.
"""

import contextlib
import datetime
import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from postcopy.errors import UnavailableError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "AUTHORITY_LIFETIME",
    "CLIENT_FILES",
    "HOST_FILES",
    "HOST_LIFETIME",
    "Authority",
    "Certificate",
    "install",
    "load",
    "needs_renewal",
    "write_private",
]

AUTHORITY_LIFETIME = datetime.timedelta(days=3650)
HOST_LIFETIME = datetime.timedelta(days=825)
"""Of a host's certificate: the longest that every TLS library in use takes."""

_BACKDATED = datetime.timedelta(hours=1)
"""Clocks of hosts differ; a certificate is valid from somewhat before it was made."""

HOST_FILES = {
    "authority": ("etc/pki/CA/cacert.pem", "etc/pki/qemu/ca-cert.pem"),
    "certificate": (
        *("etc/pki/libvirt/servercert.pem", "etc/pki/libvirt/clientcert.pem"),
        *("etc/pki/qemu/server-cert.pem", "etc/pki/qemu/client-cert.pem"),
    ),
    "key": (
        *("etc/pki/libvirt/private/serverkey.pem", "etc/pki/libvirt/private/clientkey.pem"),
        *("etc/pki/qemu/server-key.pem", "etc/pki/qemu/client-key.pem"),
    ),
}
"""Where a libvirt host looks for what, below its root directory."""

CLIENT_FILES = {
    "authority": ("cacert.pem",),
    "certificate": ("clientcert.pem",),
    "key": ("clientkey.pem",),
}
"""The same in the directory that ``?pkipath=`` of a libvirt URI names."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key and whose signature it bears, all of them PEM."""

    certificate: bytes
    key: bytes
    authority: bytes

    def __repr__(self) -> str:
        """Say nothing of the key: this may end up in a log."""
        return f"<Certificate of {len(self.certificate)} bytes>"


class Authority:
    """A certificate authority. Make it with `create`, `load` or `ensure`.

    :ivar certificate: its own, PEM.
    """

    def __init__(self, certificate: "x509.Certificate", key: "ec.EllipticCurvePrivateKey") -> None:
        self._certificate = certificate
        self._key = key

    @property
    def certificate(self) -> bytes:
        """Its own certificate, PEM: what everybody who is to believe it needs."""
        return _pem(self._certificate)

    @classmethod
    def create(cls, name: str, now: datetime.datetime) -> "Authority":
        """Make a new one, in memory.

        :param name: what it is called in its certificates.
        :param now: with a time zone.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = (
            _builder(key, subject, issuer=subject, now=now, lifetime=AUTHORITY_LIFETIME)
            # It signs hosts and no other authorities.
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, directory: Path) -> "Authority":
        """Read what `save` wrote.

        :raises UnavailableError: when it is not there, or cannot be read.
        """
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            certificate = load((directory / "cacert.pem").read_bytes())
            key = serialization.load_pem_private_key(
                (directory / "cakey.pem").read_bytes(), password=None
            )
        except (OSError, ValueError, TypeError) as error:
            raise UnavailableError(
                f"the certificate authority in {directory} cannot be read: {error}",
                hint="cacert.pem and cakey.pem belong there, the key without a passphrase",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or (
            key.public_key() != certificate.public_key()
        ):
            raise UnavailableError(
                f"the certificate authority in {directory} does not fit its key",
                hint="cacert.pem and cakey.pem there are not from the same authority",
            )
        return cls(certificate, key)

    @classmethod
    def ensure(cls, directory: Path, name: str, now: datetime.datetime) -> "Authority":
        """Load the one in a directory; make it there if the directory has none.

        :raises UnavailableError: when there is one that cannot be read.
        """
        if (directory / "cacert.pem").exists():
            return cls.load(directory)
        made = cls.create(name, now)
        made.save(directory)
        return made

    def save(self, directory: Path) -> None:
        """Write ``cakey.pem``, for the owner alone, and ``cacert.pem``."""
        directory.mkdir(parents=True, exist_ok=True)
        write_private(directory / "cakey.pem", _pem_of_key(self._key))
        _write_public(directory / "cacert.pem", self.certificate)

    def issue(
        self,
        name: str,
        now: datetime.datetime,
        *,
        dns: Iterable[str] = (),
        addresses: Iterable[str] = (),
        lifetime: datetime.timedelta = HOST_LIFETIME,
    ) -> Certificate:
        """Make a key and sign a certificate for it, for servers and clients alike.

        :param name: whom it is for; with neither `dns` nor `addresses` it serves clients alone.
        :param dns: names by which the host is reached.
        :param addresses: IP addresses by which it is reached.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = ec.generate_private_key(ec.SECP256R1())
        reached: list[x509.GeneralName] = [x509.DNSName(each) for each in dns]
        reached += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if reached:
            uses.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
        builder = (
            _builder(key, _name(name), issuer=self._certificate.subject, now=now, lifetime=lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # libvirt and QEMU insist on key encipherment, though a key on a curve never does it
            # (virNetTLSContextCheckCertKeyUsage, qcrypto_tls_creds_check_cert_key_usage).
            .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
            )
        )
        if reached:
            builder = builder.add_extension(x509.SubjectAlternativeName(reached), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Certificate(_pem(signed), _pem_of_key(key), self.certificate)


def install(certificate: Certificate, where: Path, files: Mapping[str, tuple[str, ...]]) -> None:
    """Write a certificate's files, each of them whole, the key for its owner alone.

    :param where: a host's root directory for `HOST_FILES`, any directory for `CLIENT_FILES`.
    """
    for path in _below(where, files["authority"]):
        _write_public(path, certificate.authority)
    for path in _below(where, files["certificate"]):
        _write_public(path, certificate.certificate)
    for path in _below(where, files["key"]):
        write_private(path, certificate.key)


def load(pem: bytes) -> "x509.Certificate":
    """Read a certificate.

    :raises ValueError: when it is none.
    """
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem)


def needs_renewal(
    certificate: "x509.Certificate", now: datetime.datetime, *, within: datetime.timedelta
) -> bool:
    """Return whether a certificate is over, or will be within that time, or is not valid yet."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return not begins <= now or ends - now <= within


def write_private(path: Path, content: bytes) -> None:
    """Write a secret that nobody but its owner can read at any moment, whole or not at all."""
    _write(path, content, 0o600)


def _write_public(path: Path, content: bytes) -> None:
    _write(path, content, 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # O_EXCL: nobody else's file, and not through a link
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        part.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        raise


def _below(where: Path, files: tuple[str, ...]) -> list[Path]:
    paths = [where / file for file in files]
    for path in paths:
        private = path.parent.name == "private"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o755)
    return paths


def _builder(
    key: "ec.EllipticCurvePrivateKey",
    subject: "x509.Name",
    *,
    issuer: "x509.Name",
    now: datetime.datetime,
    lifetime: datetime.timedelta,
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _usage(**granted: bool) -> "x509.KeyUsage":
    from cryptography import x509

    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in names})


def _name(common: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: "ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
