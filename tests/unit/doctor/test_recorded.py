"""What the checks make of hosts that were really asked, and of answers that were tampered with."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postcopy.doctor import all_checks, examine, select
from postcopy.readiness import Finding, Scope, Verdict
from postcopy.testing import FakeHost

from .recorded import NAMES, answer, subject

OURS = select(only=["host.*", "kernel.*", "qemu.*"])

WRONG = {
    "debian12-no-qemu": {"kernel.network.retries": "warn", "qemu.installed": "fail"},
    "debian12-qemu10-refused": {
        "kernel.userfaultfd.permitted": "fail",
        "kernel.network.retries": "warn",
        "qemu.kvm.boots": "warn",
        "qemu.issue.tcg-dirty-bitmap": "warn",
        "qemu.issue.device-state-loss": "warn",
    },
    "debian12-qemu7": {
        "kernel.network.retries": "warn",
        "qemu.kvm.boots": "warn",
        "qemu.issue.preempt-channel-order": "warn",
        "qemu.issue.tcg-memory-corruption": "warn",
        "qemu.issue.tcg-dirty-bitmap": "warn",
        "qemu.issue.device-state-loss": "warn",
        "qemu.postcopy.multifd": "warn",
    },
    "debian13-lab": {
        "kernel.kvm.present": "warn",
        "kernel.network.retries": "warn",
        "qemu.issue.tcg-dirty-bitmap": "warn",
        "qemu.issue.device-state-loss": "warn",
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_each_recorded_host_has_these_faults_and_no_others(name: str) -> None:
    host = subject(name)
    found = [check.apply(host) for check in OURS if check.scope is Scope.HOST]
    wrong = {f.id: str(f.verdict) for f in found if f.verdict in (Verdict.FAIL, Verdict.WARN)}
    assert wrong == WRONG[name]


def test_a_hung_kvm_is_told_from_one_that_is_not_there() -> None:
    def kvm(name: str) -> Finding:
        [check] = select(only=["qemu.kvm.boots"])
        return check.apply(subject(name))

    assert "not done within" in kvm("debian12-qemu7").saw
    assert "Permission denied" in kvm("debian12-qemu10-refused").saw
    assert kvm("debian13-lab").saw == "there is no /dev/kvm"


def test_what_qemu_says_of_a_refusal_is_told_once_and_where_it_comes_from() -> None:
    [check] = select(only=["qemu.postcopy.accepted"])
    found = check.apply(subject("debian12-qemu10-refused"))
    assert found.verdict is Verdict.SKIP
    assert "Userfaultfd not available" in found.saw
    assert found.saw.endswith("see kernel.userfaultfd.permitted")


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=150)
@given(st.data())
async def test_an_answer_that_was_tampered_with_stops_no_check(data: st.DataObject) -> None:
    said = answer(data.draw(st.sampled_from(NAMES)))
    for _ in range(data.draw(st.integers(1, 4))):
        node: Any = said["sections"]
        while True:
            key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict)
                                            else range(len(node))))  # fmt: skip
            deeper = isinstance(node[key], dict | list) and bool(node[key])
            if not deeper or data.draw(st.integers(0, 3)) == 0:
                break
            node = node[key]
        node[key] = data.draw(json_values)
    said.pop("now")
    hosts = [FakeHost("alpha", **said), FakeHost("beta", answer("debian13-lab")["sections"])]
    done = await examine(hosts, OURS)
    assert not [f for f in done.findings if "stumbled" in f.saw or "cannot be read" in f.saw]
    json.dumps([f.to_dict() for f in done.findings])


@given(st.text(max_size=200))
async def test_text_of_a_host_stays_text(text: str) -> None:
    said = answer("debian13-lab")
    said["sections"]["qemu"]["proofs"]["dialogue"] = {"error": text}
    host = FakeHost("alpha", said["sections"], host=text)
    for finding in (await examine([host], OURS)).findings:
        assert finding.saw.isprintable()


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
async def test_a_truncated_answer_is_a_host_that_did_not_answer(cut: float) -> None:
    text = f"<<<postcopy\n{json.dumps(answer('debian13-lab'))}\npostcopy>>>\n"
    done = await examine([FakeHost("alpha", said=text[: int(len(text) * cut)])], OURS)
    [down] = [f for f in done.findings if f.verdict is Verdict.FAIL]
    assert down.id == "host.reachable"


def test_every_check_says_what_it_looks_at_why_and_what_to_do() -> None:
    for check in all_checks():
        assert check.title, check.id
        assert check.why.endswith("."), check.id
        assert check.remedy, check.id
        assert check.id.count(".") in (1, 2), check.id
        assert check.id == check.id.lower()
