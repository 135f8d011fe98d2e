"""Certificates: believed by a TLS library, for the right host, secret from the first moment."""

import datetime
import os
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from postcopy import pki
from postcopy.errors import UnavailableError
from postcopy.pki import Authority

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def authority() -> Authority:
    return Authority.create("test", NOW)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def shake_hands(directory: Path, name: str) -> str:
    """Have a client that insists on `name` and a server that wants to know the client meet."""
    for context in (
        server := ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        client := ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    ):
        context.load_verify_locations(directory / "cacert.pem")
        context.load_cert_chain(directory / "clientcert.pem", directory / "clientkey.pem")
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    server.verify_mode = ssl.CERT_REQUIRED
    here, there = socket.socketpair()
    told: list[str] = []

    def serve() -> None:
        try:
            with server.wrap_socket(there, server_side=True) as peer:
                told.append(str(peer.getpeercert()))
        except (ssl.SSLError, OSError):
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with here, client.wrap_socket(here, server_hostname=name):
            pass
    finally:
        thread.join(10)
    return told[0]


@pytest.mark.parametrize("name", ["web1.example", "192.0.2.7", "2001:db8::7"])
def test_a_host_is_believed_under_each_of_its_names(
    authority: Authority, tmp_path: Path, name: str
) -> None:
    issued = authority.issue(
        "web1", NOW, dns=["web1.example"], addresses=["192.0.2.7", "2001:db8::7"]
    )
    pki.install(issued, tmp_path, pki.CLIENT_FILES)
    assert "web1" in shake_hands(tmp_path, name)


def test_and_under_no_other(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue("web1", NOW, dns=["web1.example"], addresses=["192.0.2.7"])
    pki.install(issued, tmp_path, pki.CLIENT_FILES)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"web2\.example"):
        shake_hands(tmp_path, "web2.example")


def test_a_certificate_of_another_authority_is_not_believed(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority.create("test", NOW)  # of the same name
    pki.install(other.issue("web1", NOW, dns=["web1"]), tmp_path, pki.CLIENT_FILES)
    (tmp_path / "cacert.pem").write_bytes(authority.certificate)
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, "web1")


def test_one_for_nobody_to_reach_is_no_server(authority: Authority, tmp_path: Path) -> None:
    pki.install(authority.issue("a manager", NOW), tmp_path, pki.CLIENT_FILES)
    with pytest.raises(ssl.SSLError):
        shake_hands(tmp_path, "a manager")


def test_every_file_is_where_libvirt_and_qemu_look(authority: Authority, tmp_path: Path) -> None:
    pki.install(authority.issue("web1", NOW, dns=["web1"]), tmp_path, pki.HOST_FILES)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {
        "etc/pki/CA/cacert.pem",
        "etc/pki/libvirt/servercert.pem",
        "etc/pki/libvirt/private/serverkey.pem",
        "etc/pki/libvirt/clientcert.pem",
        "etc/pki/libvirt/private/clientkey.pem",
        "etc/pki/qemu/ca-cert.pem",
        "etc/pki/qemu/server-cert.pem",
        "etc/pki/qemu/server-key.pem",
        "etc/pki/qemu/client-cert.pem",
        "etc/pki/qemu/client-key.pem",
    }
    assert {name for name in found if mode(tmp_path / name) == 0o600} == {
        name for name in found if "key.pem" in name
    }


def test_a_key_is_nobodys_elses_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = os.open

    def watched(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real(path, flags, mode)
        made.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    (tmp_path / "key").write_text("an older one that everybody can read")
    pki.write_private(tmp_path / "key", b"secret")
    assert made == [0o600]
    assert mode(tmp_path / "key") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_an_authority_is_made_once(tmp_path: Path) -> None:
    first = Authority.ensure(tmp_path / "ca", "test", NOW)
    again = Authority.ensure(tmp_path / "ca", "test", NOW + DAY)
    assert again.certificate == first.certificate
    assert mode(tmp_path / "ca/cakey.pem") == 0o600
    pki.install(again.issue("web1", NOW, dns=["web1"]), tmp_path, pki.CLIENT_FILES)
    shake_hands(tmp_path, "web1")


def test_an_authority_that_does_not_fit_its_key_is_refused(tmp_path: Path) -> None:
    Authority.create("one", NOW).save(tmp_path)
    (tmp_path / "cacert.pem").write_bytes(Authority.create("two", NOW).certificate)
    with pytest.raises(UnavailableError, match="does not fit its key"):
        Authority.load(tmp_path)
    (tmp_path / "cakey.pem").write_text("rubbish")
    with pytest.raises(UnavailableError, match="cannot be read"):
        Authority.load(tmp_path)


def test_a_certificate_is_renewed_in_good_time(authority: Authority) -> None:
    issued = authority.issue("web1", NOW, dns=["web1"], lifetime=10 * DAY)
    certificate = pki.load(issued.certificate)

    def due(when: datetime.datetime) -> bool:
        return pki.needs_renewal(certificate, when, within=3 * DAY)

    assert not due(NOW)
    assert not due(NOW + 6 * DAY)
    assert due(NOW + 8 * DAY)
    assert due(NOW + 11 * DAY)
    assert due(NOW - DAY)  # of a host whose clock is far ahead: not valid yet


def test_a_key_does_not_show(authority: Authority) -> None:
    assert "PRIVATE" not in repr(authority.issue("web1", NOW))
