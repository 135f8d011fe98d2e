"""Which Debian the hosts are made of: what a user writes, and what mixed hosts have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import NotFoundError, UsageError
from postcopy.lab import releases
from postcopy.lab.names import ALL_HOSTS, HOSTS
from postcopy.lab.openstack import packages as cloud


@pytest.mark.parametrize(
    ("text", "alpha", "beta"),
    [
        ("trixie", "trixie", "trixie"),
        (" bookworm ", "bookworm", "bookworm"),
        ("alpha=bookworm,beta=trixie", "bookworm", "trixie"),
        ("beta=sid, alpha=bookworm", "bookworm", "sid"),
        ("beta=bookworm", "trixie", "bookworm"),
    ],
)
def test_one_for_all_or_one_a_host(text: str, alpha: str, beta: str) -> None:
    assert releases.parse(text) == {"alpha": alpha, "beta": beta}


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("potato", NotFoundError, "no release 'potato'"),
        ("", NotFoundError, "no release ''"),
        ("alpha=potato", NotFoundError, "no release 'potato'"),
        ("gamma=trixie", UsageError, "no host 'gamma'"),
        ("alpha=trixie,alpha=sid", UsageError, "host alpha is named twice"),
        ("alpha=trixie,", UsageError, "is not HOST=RELEASE"),
        ("alpha=,beta=sid", UsageError, "is not HOST=RELEASE"),
        ("trixie,sid", UsageError, "is not HOST=RELEASE"),
        ("alpha=beta=sid", NotFoundError, "no release 'beta=sid'"),
    ],
)
def test_what_makes_no_sense_is_told(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        releases.parse(text)
    assert caught.value.hint  # type: ignore[attr-defined]


def test_what_is_not_said_is_the_default() -> None:
    assert releases.parse(None) == {"alpha": "trixie", "beta": "trixie"}
    assert releases.parse_for_cloud(None) == dict.fromkeys(ALL_HOSTS, "trixie-openstack")


@pytest.mark.parametrize("name", cloud.RELEASES)
def test_all_hosts_of_a_cloud_are_made_of_one_release(name: str) -> None:
    assert releases.parse_for_cloud(name) == dict.fromkeys(ALL_HOSTS, name)


@pytest.mark.parametrize(
    "text", ["trixie", "alpha=trixie-openstack", "alpha=bookworm-openstack", "sid"]
)
def test_hosts_of_a_cloud_have_openstack(text: str) -> None:
    with pytest.raises(UsageError, match=f"{text}: they want one release with") as caught:
        releases.parse_for_cloud(text)
    assert "leave --release out" in caught.value.hint


@given(st.tuples(*(st.sampled_from(list(releases.RELEASES)) for _ in HOSTS)))
def test_what_is_spelt_is_read_back(chosen: tuple[str, ...]) -> None:
    wanted = dict(zip(HOSTS, chosen, strict=True))
    assert releases.parse(releases.spell(wanted)) == wanted


def test_what_hosts_have_in_common_is_the_oldest() -> None:
    assert releases.oldest(["sid", "bookworm", "trixie"]) == "bookworm"
    bookworm, trixie = "1:10.0.2+ds-2+deb13u1~bpo12+1", "1:10.0.13+ds-0+deb13u1"
    assert releases.common_machine([bookworm, trixie]) == "pc"
    assert releases.common_machine([trixie, "1:11.1.0+ds-1"]) == "pc-i440fx-10.0"
    assert releases.common_machine(["1:9.2.0+ds-1", trixie]) == "pc-i440fx-9.2"
