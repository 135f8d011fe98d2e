"""Certificates: read from their text, judged for the daemon and for QEMU's migrations."""

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.libvirt.readiness.certificates import read_certificate
from postcopy.readiness import File, HostSubject

from .hosts import host, judge, recorded
from .pki import NOW, Authority

PLACES = {
    "tls": {
        "authority": "/etc/pki/CA/cacert.pem",
        "server": "/etc/pki/libvirt/servercert.pem",
        "client": "/etc/pki/libvirt/clientcert.pem",
        "server_key": "/etc/pki/libvirt/private/serverkey.pem",
        "client_key": "/etc/pki/libvirt/private/clientkey.pem",
    },
    "migration-tls": {
        "authority": "/etc/pki/qemu/ca-cert.pem",
        "server": "/etc/pki/qemu/server-cert.pem",
        "client": "/etc/pki/qemu/client-cert.pem",
        "server_key": "/etc/pki/qemu/server-key.pem",
        "client_key": "/etc/pki/qemu/client-key.pem",
    },
}
NAMES = ("alpha", "198.18.0.1")


@functools.cache
def texts(case: str) -> dict[str, str]:
    ours, theirs = Authority(), Authority("another")
    issue = ours.issue
    good = issue(*NAMES).certificate
    found = {"authority": ours.certificate, "server": good, "client": good}
    match case:
        case "strange":
            found["server"] = theirs.issue(*NAMES).certificate
        case "misnamed":
            found["server"] = issue("beta", "198.18.0.2").certificate
        case "old":
            found["server"] = issue(*NAMES, days=0).certificate
        case "soon":
            found["client"] = issue(*NAMES, days=20).certificate
        case "nonsense":
            found["server"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        case "client-only":
            found["server"] = ours.issue_for_client(NAMES[0]).certificate
    return found


def subject(
    kind: str,
    case: str = "good",
    *,
    lacks: tuple[str, ...] = (),
    key_mode: int = 0o600,
    key_gid: int = 0,
    conf: dict[str, str] | None = None,
    later_days: float = 1.0,
    **values: Any,
) -> HostSubject:
    """Return a host with certificates of one kind."""
    paths = PLACES[kind]
    files: dict[str, Any] = {
        paths[name]: {"mode": 0o644, "uid": 0, "gid": 0, "text": text}
        for name, text in texts(case).items()
        if name not in lacks
    }
    for name in ("server_key", "client_key"):
        if name not in lacks:
            files[paths[name]] = {"mode": key_mode, "uid": 0, "gid": key_gid}
    now = NOW.timestamp() + later_days * 86400
    return host(recorded("trixie", files=files, conf=conf, now=now, **values))


LISTENS: dict[str, Any] = {"listening": [["00000000", 16514]]}
DEBIAN = {"qemu": 'user = "libvirt-qemu"\nmigration_host = "198.18.0.1"\n'}

BOTH: list[tuple[str, dict[str, Any], str, str]] = [
    ("complete", {}, "pass", "cert"),
    ("complete", {"lacks": ("authority",)}, "fail", "the authority's certificate"),
    ("complete", {"lacks": ("server_key",)}, "fail", "the server's key"),
    ("complete", {"lacks": ("client_key",)}, "fail", "client's"),
    ("complete", {"lacks": ("client", "client_key")}, "pass", "cert"),
    ("chain", {}, "pass", "issued"),
    ("chain", {"case": "strange"}, "fail", "another authority"),
    ("chain", {"case": "nonsense"}, "fail", "cannot be read"),
    ("chain", {"case": "client-only"}, "fail", "not for servers"),
    ("names", {}, "pass", "alpha"),
    ("names", {"case": "misnamed"}, "fail", "is for beta"),
    ("validity", {}, "pass", "good until 2027-06-01"),
    ("validity", {"case": "old"}, "fail", "expired on 2026-06-01"),
    ("validity", {"case": "soon"}, "warn", "expires on 2026-06-21"),
    ("validity", {"later_days": -9.0}, "fail", "not good before"),
    ("keys", {}, "pass", "0600"),
    ("keys", {"key_mode": 0o644}, "fail", "anybody"),
]


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize(("name", "changes", "verdict", "said"), BOTH)
def test_of_both_kinds(
    kind: str, name: str, changes: dict[str, Any], verdict: str, said: str
) -> None:
    found = judge(f"libvirt.{kind}.{name}", subject(kind, **changes))
    assert found.verdict == verdict, found.saw
    assert said in found.saw
    assert found.fix.startswith(f"libvirt.{kind}.") is (verdict in ("fail", "warn"))


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("name", ["complete", "chain", "names", "validity", "keys"])
def test_a_host_without_tls_is_not_blamed(kind: str, name: str) -> None:
    assert judge(f"libvirt.{kind}.{name}", host(recorded())).verdict == "skip"


def test_tls_that_is_switched_on_needs_certificates() -> None:
    assert judge("libvirt.tls.complete", host(recorded(**LISTENS))).verdict == "fail"
    forced = recorded(conf={"qemu": "migrate_tls_force = 1\n"})
    assert judge("libvirt.migration-tls.complete", host(forced)).verdict == "fail"


@pytest.mark.parametrize(
    ("mode", "gid", "verdict"), [(0o600, 0, "fail"), (0o640, 64055, "pass"), (0o640, 7, "fail")]
)
def test_qemus_key_must_be_readable_to_qemu(mode: int, gid: int, verdict: str) -> None:
    found = judge(
        "libvirt.migration-tls.keys",
        subject("migration-tls", key_mode=mode, key_gid=gid, conf=DEBIAN),
    )
    assert found.verdict == verdict, found.saw


def test_names_may_be_wild_and_addresses_are_compared_as_such() -> None:
    issued = Authority().issue("*.example.net", "2001:db8::1")
    found = read_certificate(File(path="/x", text=issued.certificate, mode=0o644))
    assert found is not None
    assert found.covers("alpha.example.net")
    assert not found.covers("alpha.beta.example.net")
    assert found.covers("2001:0db8:0::1")
    assert found.issued is None


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    found = read_certificate(File(path="/x", text=text, mode=0o644))
    assert found is not None
    assert found.error
