"""What a probe brought back, believed where it makes sense."""

import contextlib
import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postcopy.nova.checks import CHECKS
from postcopy.nova.facts import NovaFacts
from postcopy.nova.fixes import FIXES
from postcopy.readiness import (
    Evidence,
    Facts,
    HostSubject,
    MissingFacts,
    PairSubject,
    Scope,
    Verdict,
)
from tests.unit.nova.hosts import COMPUTE, COMPUTE_D, GUEST, NOVA, NOVA_D, PLAIN, evidence

KEYS = (
    "compute", "release", "process", "unit", "kolla", "layout", "files", "changed", "addresses",
    "names", "my_ip", "hostname", "guests", "proofs", "commands",
)  # fmt: skip

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["file", "directory", "/a", "/d", "text", "name", "state", "started"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text(max_size=4) | st.sampled_from(["/a", "/d/x.conf", "text", "libvirt"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, json_values)) | json_values)
@settings(max_examples=60, deadline=None)
def test_no_answer_is_too_strange_for_the_facts_the_checks_and_the_fixes(raw: Any) -> None:
    if isinstance(raw, dict):
        raw["compute"] = True
    host = HostSubject("alpha", Facts([NovaFacts.of(Evidence(raw))]))
    for check in CHECKS:
        subject = host if check.scope is Scope.HOST else PairSubject(host, host)
        assert check.apply(subject).saw
    for fix in FIXES:
        with contextlib.suppress(MissingFacts):
            fix.plan(host)


def test_files_are_read_in_the_order_of_their_places() -> None:
    files = {NOVA: "[a]\n", f"{NOVA_D}/2.conf": "", f"{NOVA_D}/1.conf": "", COMPUTE: "[a]\n"}
    debian = NovaFacts.of(evidence(files))
    assert list(debian.files) == [f"{NOVA_D}/1.conf", f"{NOVA_D}/2.conf", NOVA, COMPUTE]
    plain = NovaFacts.of(evidence(files, PLAIN))
    assert list(plain.files) == [NOVA, COMPUTE, f"{NOVA_D}/1.conf", f"{NOVA_D}/2.conf"]
    assert plain.rank(f"{COMPUTE_D}/x.conf") > plain.rank(f"{NOVA_D}/x.conf") > plain.rank(COMPUTE)
    assert debian.rank(f"{COMPUTE_D}/x.conf") < debian.rank(NOVA)


def test_a_file_that_is_named_and_not_there_is_known() -> None:
    assert NovaFacts.of(evidence({NOVA: "[a]\n"})).unreadable == {COMPUTE: "ENOENT"}


def test_a_drop_in_that_could_not_be_read_is_not_passed_over() -> None:
    secret = {f"{NOVA_D}/x.conf": {"mode": 0o600, "error": "EACCES"}}
    texts = {path: {"text": "[a]\n", "mode": 0o644} for path in (NOVA, COMPUTE)}
    facts = NovaFacts.of(evidence({}, files={**texts, **secret}))
    assert facts.unreadable == {f"{NOVA_D}/x.conf": "EACCES"}
    host = HostSubject("alpha", Facts([facts]))
    verdicts = {check.apply(host).verdict for check in CHECKS if "postcopy.permitted" in check.id}
    assert verdicts == {Verdict.SKIP}


@pytest.mark.parametrize(
    ("guest", "spread"),
    [
        (GUEST, False),
        ({**GUEST, "job": "backup"}, False),
        ({**GUEST, "state": "paused", "reason": "user"}, False),
        ({**GUEST, "state": "paused", "reason": "post-copy failed"}, True),
        ({**GUEST, "reason": "post-copy"}, True),
        ({**GUEST, "job": "migration out"}, True),
        ({**GUEST, "job": "migration in"}, True),
        ({"name": "unheard-of"}, True),
    ],
)
def test_a_guest_between_two_hosts_is_told_from_others(guest: Any, spread: bool) -> None:
    assert bool(NovaFacts.of(evidence({}, guests=[guest])).spread_guests) is spread


def test_where_nobody_could_look_for_guests_nobody_knows() -> None:
    with pytest.raises(MissingFacts, match="not known"):
        _ = NovaFacts.of(evidence({}, guests=None)).spread_guests


def test_versions_and_addresses() -> None:
    text = "[libvirt]\nlive_migration_inbound_addr = alpha-mig\n"
    names = {"alpha-mig": ["10.0.0.1", "fe80::1%data", 3]}
    facts = NovaFacts.of(evidence({NOVA: text}, names=names))
    assert facts.release == 31
    own, link_local = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("fe80::1")
    assert facts.address() == ("alpha-mig", (own, link_local))
