"""The examination of hosts that answer, that do not, and that answer anything."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.doctor import Progress, examine, select
from postcopy.doctor.floors import FLOORS, Floor
from postcopy.errors import NotFoundError, UnavailableError
from postcopy.hosts import HostAccess
from postcopy.readiness import (
    Catalogue,
    Evidence,
    Finding,
    GuestSubject,
    HostSubject,
    PairSubject,
    Result,
    Verdict,
    failed,
    passed,
)
from postcopy.testing import FakeClock, FakeHost


@dataclass(frozen=True)
class Weather:
    rain: bool

    @classmethod
    def of(cls, evidence: Evidence) -> "Weather":
        return cls(rain=evidence.text("/sky") == "rain")


@dataclass(frozen=True)
class Distance:
    metres: int


CHECKS = Catalogue()


@CHECKS.host("weather.dry", title="it is dry", why="Because.", fix="umbrella")
def dry(host: HostSubject) -> Result:
    return failed("it rains") if host.facts.of(Weather).rain else passed("it is dry")


@CHECKS.host("weather.proven", title="it feels dry", why="Because.", proof="hand")
def proven(host: HostSubject) -> Result:
    return passed("a hand was held out")


@CHECKS.pair("weather.near", title="it is near", why="Because.")
def near(pair: PairSubject) -> Result:
    return passed(f"{pair.facts.of(Distance).metres} m")


@CHECKS.guest("weather.guest", title="it may go out", why="Because.")
def guest_dry(guest: GuestSubject) -> Result:
    return passed(guest.name) if guest.facts.of(Weather).rain else failed("no")


async def measure(source: HostAccess, destination: HostAccess, pair: PairSubject) -> list[Distance]:
    return [Distance(7)]


FLOOR = Floor(name="weather", checks=CHECKS, facts=Weather, guest=Weather, measure=measure)
RAIN = {"weather": {"files": {"/sky": {"mode": 0o444, "text": "rain"}}}}
SUN = {"weather": {"files": {"/sky": {"mode": 0o444, "text": "sun"}}}}
ALL = (*FLOORS[:1], FLOOR)


async def check(*hosts: FakeHost, **more: object) -> dict[tuple[str, str], Finding]:
    chosen = [check for floor in ALL for check in floor.checks]
    done = await examine(hosts, chosen, floors=ALL, **more)  # type: ignore[arg-type]
    return {(f.id, f.subject): f for f in done.findings}


async def test_each_host_and_each_ordered_pair_is_judged() -> None:
    found = await check(FakeHost("alpha", RAIN), FakeHost("beta", SUN))
    assert found["weather.dry", "alpha"].verdict is Verdict.FAIL
    assert found["weather.dry", "alpha"].fix == "umbrella"
    assert found["weather.dry", "beta"].verdict is Verdict.PASS
    assert found["weather.near", "alpha -> beta"].saw == "7 m"
    assert found["weather.near", "beta -> alpha"].saw == "7 m"
    assert found["host.distinct", "alpha -> beta"].verdict is Verdict.PASS


async def test_a_guest_is_judged_on_the_way_it_may_go() -> None:
    found = await check(FakeHost("alpha", RAIN), FakeHost("beta", SUN), guest="web1")
    assert found["weather.guest", "web1: alpha -> beta"].verdict is Verdict.PASS
    assert ("weather.near", "beta -> alpha") not in found


async def test_without_proofs_those_checks_say_so() -> None:
    found = await check(FakeHost("alpha", SUN), proofs=False)
    assert found["weather.proven", "alpha"].saw == "proofs were left out"
    assert found["weather.dry", "alpha"].verdict is Verdict.PASS


async def test_a_host_that_does_not_answer_is_a_finding_and_the_others_are_judged() -> None:
    found = await check(FakeHost("alpha", error="no route"), FakeHost("beta", SUN))
    down = found["host.reachable", "alpha"]
    assert (down.verdict, down.remedy) == (Verdict.FAIL, "is it up?")
    assert "no route" in down.saw
    assert found["weather.dry", "alpha"].saw == "the host did not answer"
    assert found["weather.near", "alpha -> beta"].verdict is Verdict.SKIP
    assert found["weather.dry", "beta"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    "said", ["", "\x00\xff\x1b[2J", '<<<postcopy\n{"probe": 1, "sections', "Segmentation fault"]
)
async def test_a_host_that_answers_nonsense_is_a_finding(said: str) -> None:
    found = await check(FakeHost("alpha", said=said))
    assert found["host.reachable", "alpha"].verdict is Verdict.FAIL
    assert found["host.reachable", "alpha"].remedy


async def test_a_section_that_broke_is_told_and_its_checks_are_skipped() -> None:
    found = await check(FakeHost("alpha", {"weather": {"error": "timed out"}}))
    assert found["host.complete", "alpha"].verdict is Verdict.FAIL
    assert found["weather.dry", "alpha"].verdict is Verdict.SKIP
    assert "timed out" in found["weather.dry", "alpha"].saw


async def test_a_host_that_goes_by_another_name_is_told() -> None:
    found = await check(FakeHost("ssh://root@alpha.example", SUN, host="beta"))
    liar = found["host.name", "ssh://root@alpha.example"]
    assert liar.verdict is Verdict.WARN
    assert "calls itself beta" in liar.saw


async def test_two_names_of_one_host_are_no_pair() -> None:
    found = await check(FakeHost("a", SUN, identity="x"), FakeHost("b", SUN, identity="x"))
    assert found["host.distinct", "a -> b"].verdict is Verdict.FAIL


@pytest.mark.parametrize(("ahead", "verdict"), [(0.5, Verdict.PASS), (90.0, Verdict.WARN)])
async def test_clocks_are_compared_as_well_as_the_distance_allows(
    ahead: float, verdict: Verdict
) -> None:
    clock = FakeClock()
    slow = FakeHost("a", SUN, latency_seconds=0.1, clock=clock)
    fast = FakeHost("b", SUN, latency_seconds=0.1, clock=clock, now=clock.now() + 0.9 + ahead)
    found = await check(slow, fast, clock=clock)
    assert found["host.clocks", "a -> b"].verdict is verdict


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["weather", "kernel"]), json_values), json_values)
async def test_no_answer_is_too_strange(sections: dict[str, object], odd: object) -> None:
    host = FakeHost("a", sections, host=odd, uid=odd, now=odd, identity=odd, seconds=odd)
    found = await check(host, FakeHost("b"))
    assert found["host.reachable", "a"].verdict is Verdict.PASS


async def test_a_floor_that_cannot_read_an_answer_stops_nobody() -> None:
    class Broken(Weather):
        @classmethod
        def of(cls, evidence: Evidence) -> "Broken":
            raise ZeroDivisionError

    floors = (FLOORS[0], Floor(name="weather", checks=CHECKS, facts=Broken))
    done = await examine([FakeHost("a", SUN), FakeHost("b", SUN)], CHECKS, floors=floors)
    assert {f.verdict for f in done.findings if f.id == "weather.dry"} == {Verdict.SKIP}


async def test_without_proofs_nothing_is_measured() -> None:
    found = await check(FakeHost("alpha", SUN), FakeHost("beta", SUN), proofs=False)
    assert found["weather.near", "alpha -> beta"].verdict is Verdict.SKIP


async def test_a_measurement_that_fails_says_why() -> None:
    async def broken(source: HostAccess, destination: HostAccess, pair: PairSubject) -> list[int]:
        raise UnavailableError("the link is down")

    floors = (FLOORS[0], Floor(name="weather", checks=CHECKS, facts=Weather, measure=broken))
    done = await examine([FakeHost("a", SUN), FakeHost("b", SUN)], CHECKS, floors=floors)
    found = {(f.verdict, f.saw) for f in done.findings if f.id == "weather.near"}
    assert found == {(Verdict.SKIP, "it could not be measured: the link is down")}


async def test_of_many_hosts_each_is_measured_to_the_next_and_none_twice_at_once() -> None:
    busy: set[HostAccess] = set()
    measured = []
    clock = FakeClock()

    async def careful(
        source: HostAccess, destination: HostAccess, pair: PairSubject
    ) -> list[Distance]:
        assert not busy & {source, destination}
        busy.update((source, destination))
        await clock.sleep(1.0)
        busy.difference_update((source, destination))
        measured.append(str(pair))
        return [Distance(1)]

    floors = (FLOORS[0], Floor(name="weather", checks=CHECKS, facts=Weather, measure=careful))
    hosts = [FakeHost(f"h{n}", SUN) for n in range(10)]
    done = await examine(hosts, CHECKS, floors=floors)
    assert sorted(measured) == sorted(f"h{n} -> h{(n + 1) % 10}" for n in range(10))
    near_ = [f for f in done.findings if f.id == "weather.near"]
    assert len(near_) == 90
    assert sum(f.verdict is Verdict.PASS for f in near_) == 10
    measured.clear()
    await examine(hosts[:3], CHECKS, floors=floors)
    assert len(measured) == 6


async def test_progress_is_told_host_by_host() -> None:
    told: list[Progress] = []
    hosts = [FakeHost(f"h{n}", SUN, error="down" if n == 3 else "") for n in range(100)]
    await examine(hosts, ALL[0].checks, progress=told.append)
    assert [p.done for p in told] == list(range(1, 101))
    assert {p.total for p in told} == {100}
    assert [p.subject for p in told if not p.reached] == ["h3"]


def test_checks_are_chosen_by_patterns() -> None:
    assert [c.id for c in select(only=["host.c*"], skip=["*.clocks"])] == ["host.complete"]
    with pytest.raises(NotFoundError, match=r"no check matches 'host\.reachabel'") as caught:
        select(only=["host.reachabel"])
    assert "did you mean host.reachable?" in caught.value.hint
