"""Names: whatever a lab is called, its things can be told from everybody else's."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import UsageError
from postcopy.lab import names

LABS = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
SLOTS = st.integers(min_value=0, max_value=names.SLOTS - 1)
LONGEST_INTERFACE_NAME = 15


@pytest.mark.parametrize("name", ["", "Default", "1st", "-a", "a_b", "a/b", "a" * 32, "a\n", "é"])
def test_a_bad_lab_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError):
        names.validate_lab(name)


@given(LABS, SLOTS)
def test_every_link_name_fits_and_says_whose_it_is(lab: str, slot: int) -> None:
    links = [names.bridge(lab, slot), *(names.port(lab, slot, host) for host in names.HOSTS)]
    assert len(set(links)) == len(links)
    for link in links:
        assert len(link) <= LONGEST_INTERFACE_NAME
        assert names.owned_link(link, lab)
        assert not names.owned_link(link, lab + "x")
        assert names.slot_of_link(link) == slot


@pytest.mark.parametrize("link", ["eth0", "docker0", "pc0br", "pcbr-123456", "lo"])
def test_links_of_others_are_nobodys(link: str) -> None:
    assert names.slot_of_link(link) is None
    assert not names.owned_link(link, "default")


@given(SLOTS, SLOTS)
def test_no_two_slots_share_an_address(first: int, second: int) -> None:
    def addresses(slot: int) -> set[str]:
        hosts = names.HOSTS
        return {
            names.machine_address(slot),
            *(names.data_address(slot, host) for host in hosts),
            *(names.control_address(slot, host) for host in hosts),
        }

    assert len(addresses(first)) == 5
    assert first == second or not addresses(first) & addresses(second)


def test_a_namespace_tells_its_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "NAMESPACES", tmp_path)
    for entry in ("postcopy-a-b-alpha", "postcopy-c-beta", "postcopy-c-gamma", "other", "alpha"):
        (tmp_path / entry).touch()
    assert names.labs_with_namespaces() == {"a-b", "c"}


def test_no_directory_of_namespaces_is_no_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "NAMESPACES", tmp_path / "none")
    assert names.labs_with_namespaces() == set()


def test_hints_name_the_lab_only_when_it_is_not_the_default() -> None:
    assert names.command("default", "down") == "postcopy lab down"
    assert names.command("mine", "down") == "postcopy lab down --lab mine"
