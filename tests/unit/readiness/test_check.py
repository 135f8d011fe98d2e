"""Checks, and evidence that may hold anything."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.readiness import (
    Catalogue,
    Evidence,
    Facts,
    HostSubject,
    Result,
    Verdict,
    exit_code,
    failed,
    passed,
    warned,
)

ABOUT = {"title": "it is so", "why": "Because.", "remedy": "mend it", "fix": "mend"}


@dataclass(frozen=True)
class Weather:
    rain: bool


def catalogue() -> Catalogue:
    checks = Catalogue()

    @checks.host("kernel.weather.dry", **ABOUT)
    def dry(host: HostSubject) -> Result:
        return failed("it rains") if host.facts.of(Weather).rain else passed("it is dry")

    return checks


def test_a_finding_says_what_mends_it_only_where_something_is_wrong() -> None:
    [check] = catalogue()
    wet = check.apply(HostSubject("alpha", Facts([Weather(rain=True)])))
    assert (wet.verdict, wet.remedy, wet.fix) == (Verdict.FAIL, "mend it", "mend")
    dry = check.apply(HostSubject("alpha", Facts([Weather(rain=False)])))
    assert (dry.verdict, dry.remedy, dry.fix) == (Verdict.PASS, "", "")
    assert (dry.subject, dry.layer) == ("alpha", "kernel")


def test_a_check_whose_facts_are_missing_is_skipped_and_says_why() -> None:
    [check] = catalogue()
    found = check.apply(HostSubject("alpha", Facts(missing={Weather: "no window"})))
    assert (found.verdict, found.saw) == (Verdict.SKIP, "no window")


def test_two_checks_of_one_name_are_a_mistake() -> None:
    checks = catalogue()
    with pytest.raises(ValueError, match=r"kernel\.weather\.dry"):
        checks.host("kernel.weather.dry", **ABOUT)(lambda host: warned(""))


@pytest.mark.parametrize(("rain", "code"), [(True, 2), (False, 0)])
def test_the_exit_code_is_that_of_the_worst(rain: bool, code: int) -> None:
    [check] = catalogue()
    assert exit_code([check.apply(HostSubject("a", Facts([Weather(rain)])))]) == code


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(st.sampled_from(["files", "commands", "proofs"]), json_values)
    | st.fixed_dictionaries({"files": st.fixed_dictionaries({"/x": json_values})})
    | st.fixed_dictionaries({"commands": st.fixed_dictionaries({"/x": json_values})})
    | json_values
)
def test_no_evidence_is_too_strange_to_be_read(raw: object) -> None:
    evidence = Evidence(raw)
    assert isinstance(evidence.text("/x"), str)
    assert isinstance(evidence.ran("/x").out, str)
    evidence.proof("/x")
    list(evidence.files())
