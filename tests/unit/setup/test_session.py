"""From hosts to a proposal: only what is wrong, only on whom it concerns, and never on nonsense."""

import contextlib
from collections.abc import Mapping
from typing import Any

import pytest

from postcopy.errors import NotFoundError, UnavailableError
from postcopy.readiness import Finding, Fix, Verdict
from postcopy.setup.fixes import all_fixes
from postcopy.setup.material import Material
from postcopy.setup.session import Proposal, chosen_checks, concerning, propose
from postcopy.testing import FakeHost

FIXES = all_fixes()


def test_every_fix_that_a_check_names_is_there() -> None:
    named = {check.fix for check in chosen_checks()} - {""}
    assert named == named & set(FIXES)


def test_no_fix_is_there_for_nothing() -> None:
    assert set(FIXES) == {check.fix for check in chosen_checks()} - {""}


def test_a_misspelt_pattern_is_not_a_host_without_fault() -> None:
    with pytest.raises(NotFoundError, match="nonsens"):
        chosen_checks(["nonsens.*"])


def finding(subject: str, fix: str) -> Finding:
    return Finding(
        id="x.y", subject=subject, layer="x", verdict=Verdict.FAIL, saw="", why="", fix=fix
    )


def test_a_finding_about_a_pair_is_mended_on_the_side_that_it_concerns() -> None:
    fixes: Mapping[str, Fix] = {
        side: Fix(id=side, title=side, plan=lambda host: (), side=side)
        for side in ("source", "destination", "both")
    }
    found = [finding("a -> b", side) for side in fixes]
    assert [one.fix for one in concerning(found, "a", fixes)] == ["source", "both"]
    assert [one.fix for one in concerning(found, "b", fixes)] == ["destination", "both"]
    assert concerning([finding("a", "both")], "b", fixes) == []


async def look(host: FakeHost) -> Proposal:
    return await propose([host], FIXES, material=Material().for_hosts)


HOSTILE = {
    "truncated": '<<<postcopy\n{"probe": 1, "sections": {"kern',
    "binary": "\x7fELF\x00\x01\ufffd\ufffd<<<postcopy\n\x00\x00\npostcopy>>>\n",
    "another program": "Password: \n",
    "a list": "<<<postcopy\n[1, 2]\npostcopy>>>\n",
    "nothing": "",
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=list(HOSTILE))
async def test_nonsense_is_a_finding_and_no_plan(said: str) -> None:
    proposal = await look(FakeHost("alpha", said=said))
    assert [one.subject for one in proposal.unreachable] == ["alpha"]
    assert proposal.plans == ()


async def test_a_probe_that_hangs_is_a_finding_and_no_plan() -> None:
    host = FakeHost("alpha", error="a command did not end within 25 s")
    proposal = await look(host)
    assert proposal.unreachable[0].saw.endswith("did not end within 25 s")
    assert proposal.empty


SECTIONS: list[Any] = [
    {},
    {"kernel": None, "libvirt": 7, "nova": []},
    {"kernel": {"files": {"/etc/os-release": {"text": 'ID="plan9"\nPRETTY_NAME="?"'}}}},
    {"libvirt": {"error": "timed out"}, "nova": {"error": "RecursionError"}},
    {"nova": {"compute": True, "files": {"/etc/nova/nova.conf": {"text": "[libvirt\n=\n"}}}},
]


@pytest.mark.parametrize("sections", SECTIONS)
async def test_an_unknown_or_odd_host_is_not_changed(sections: Any) -> None:
    host = FakeHost("alpha", sections)
    with contextlib.suppress(UnavailableError):  # this host knows no other answer than a probe's
        assert (await look(host)).empty
    assert {argv[0] for argv in host.commands} <= {"python3"}


async def test_a_host_that_lies_about_its_name_keeps_the_one_that_it_was_asked_by() -> None:
    host = FakeHost("alpha", {}, host="../../etc/passwd\x1b[2J")
    proposal = await look(host)
    assert {one.subject for one in proposal.findings} == {"alpha"}


def test_an_authority_is_only_written_down_when_it_is_used(tmp_path: Any) -> None:
    material = Material(tmp_path / "ca")
    material.keep()
    assert not (tmp_path / "ca").exists()


async def test_an_own_authority_is_private(state_dir: Any) -> None:
    material = Material()
    material._issue("alpha", ["alpha"], [])
    material.keep()
    key = state_dir / "setup" / "authority" / "cakey.pem"
    assert key.stat().st_mode & 0o777 == 0o600
