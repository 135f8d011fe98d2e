"""What certificates say, read from their public text. Keys stay on their hosts, unread."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from postcopy.libvirt.readiness.conf import Conf
from postcopy.readiness import Evidence, File

if TYPE_CHECKING:
    from cryptography import x509

__all__ = [
    "TlsSet",
    "of_daemon",
    "of_migrations",
    "Certificate",
    "Key",
    "read_certificate",
    "day",
]

_PKI = "/etc/pki/libvirt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate.

    :ivar error: why it cannot be read; empty where it could.
    :ivar names: DNS names and addresses that it is for; its common name where it lists none.
    :ivar not_before: Unix time from which on it is good.
    :ivar not_after: Unix time until which it is good.
    :ivar issued: whether the authority of the same set issued it; None without one.
    :ivar serves: whether it may be used by a server.
    :ivar calls: whether it may be used by a client.
    """

    path: str
    error: str = ""
    subject: str = ""
    names: tuple[str, ...] = ()
    not_before: float = 0.0
    not_after: float = 0.0
    issued: bool | None = None
    serves: bool = True
    calls: bool = True

    def covers(self, name: str) -> bool:
        """Return whether it is good for a host name or an address (RFC 6125)."""
        wanted = name.lower().rstrip(".")
        for own in (one.lower() for one in self.names):
            if own == wanted or _same_address(own, wanted):
                return True
            if own.startswith("*.") and "." in wanted and wanted.split(".", 1)[1] == own[2:]:
                return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A private key, seen from outside."""

    path: str
    exists: bool = False
    mode: int = 0
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSet:
    """What one user of TLS has: an authority, and a certificate with a key for each role.

    :ivar place: where it is, in words that a person can look at.
    """

    place: str
    authority: Certificate | None = None
    server: Certificate | None = None
    client: Certificate | None = None
    server_key: Key
    client_key: Key

    @property
    def exists(self) -> bool:
        """Whether there is anything of it."""
        return any((self.authority, self.server, self.client, self.server_key.exists))

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """All that are there."""
        return tuple(one for one in (self.authority, self.server, self.client) if one is not None)


def of_daemon(evidence: Evidence, daemon: Conf) -> TlsSet:
    """Return what libvirt's daemon has, by its own configuration."""
    authority = evidence.file(daemon.text("ca_file", "/etc/pki/CA/cacert.pem"))
    server = evidence.file(daemon.text("cert_file", f"{_PKI}/servercert.pem"))
    client = evidence.file(f"{_PKI}/clientcert.pem")
    return TlsSet(
        place=_PKI,
        authority=read_certificate(authority),
        server=read_certificate(server, authority),
        client=read_certificate(client, authority),
        server_key=_key(evidence, daemon.text("key_file", f"{_PKI}/private/serverkey.pem")),
        client_key=_key(evidence, f"{_PKI}/private/clientkey.pem"),
    )


def of_migrations(evidence: Evidence, qemu: Conf) -> TlsSet:
    """Return what QEMUs have for migrations, by ``qemu.conf``."""
    place = qemu.text("migrate_tls_x509_cert_dir")
    if not place:
        own = "/etc/pki/libvirt-migrate"
        default = qemu.text("default_tls_x509_cert_dir", "/etc/pki/qemu")
        place = own if evidence.file(own).exists else default
    authority = evidence.file(f"{place}/ca-cert.pem")
    return TlsSet(
        place=place,
        authority=read_certificate(authority),
        server=read_certificate(evidence.file(f"{place}/server-cert.pem"), authority),
        client=read_certificate(evidence.file(f"{place}/client-cert.pem"), authority),
        server_key=_key(evidence, f"{place}/server-key.pem"),
        client_key=_key(evidence, f"{place}/client-key.pem"),
    )


def _key(evidence: Evidence, path: str) -> Key:
    file = evidence.file(path)
    return Key(
        path=path, exists=file.exists, mode=file.mode or 0, uid=file.uid or 0, gid=file.gid or 0
    )


def read_certificate(file: File, authority: File | None = None) -> Certificate | None:
    """Return what a file in PEM holds; None where there is no file.

    :param authority: the file of the authority that should have issued it.
    """
    if not file.exists:
        return None
    # A quarter of a second of import, and most hosts have no certificates.
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        parsed = x509.load_pem_x509_certificate((file.text or "").encode())
        return Certificate(
            path=file.path,
            subject=parsed.subject.rfc4514_string(),
            names=_names(parsed),
            not_before=parsed.not_valid_before_utc.timestamp(),
            not_after=parsed.not_valid_after_utc.timestamp(),
            issued=_issued(parsed, authority),
            serves=_usable(parsed, ExtendedKeyUsageOID.SERVER_AUTH),
            calls=_usable(parsed, ExtendedKeyUsageOID.CLIENT_AUTH),
        )
    except Exception as error:  # noqa: BLE001 - what certificates can get wrong is endless
        said = str(error).splitlines()
        return Certificate(path=file.path, error=said[0][:120] if said else "not a certificate")


def _names(parsed: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    try:
        listed = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(one.value) for one in common)
    addresses = (str(one) for one in listed.get_values_for_type(x509.IPAddress))
    return (*listed.get_values_for_type(x509.DNSName), *addresses)


def _issued(parsed: "x509.Certificate", authority: File | None) -> bool | None:
    from cryptography import x509

    if authority is None or not authority.exists:
        return None
    # A file of authorities may hold several; one of them is enough.
    for issuer in x509.load_pem_x509_certificates((authority.text or "").encode()):
        try:
            parsed.verify_directly_issued_by(issuer)
        except Exception:  # noqa: BLE001, S112 - not this one, for whatever reason
            continue
        return True
    return False


def _usable(parsed: "x509.Certificate", purpose: "x509.ObjectIdentifier") -> bool:
    from cryptography import x509

    try:
        usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return purpose in usage


def _same_address(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False


def day(moment: float) -> str:
    """Return the day of a moment of Unix time, in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
