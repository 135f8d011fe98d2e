"""Checks of the way to a host: whether what the floors are told can be relied upon."""

import ipaddress
from urllib.parse import urlsplit

from postcopy.doctor.access import AccessFacts
from postcopy.readiness import (
    Catalogue,
    HostSubject,
    PairSubject,
    Result,
    failed,
    passed,
    skipped,
    warned,
)
from postcopy.units import format_seconds

__all__ = ["CHECKS"]

CHECKS = Catalogue()

_MOST_SKEW_SECONDS = 1.0


def _answered(host: HostSubject) -> AccessFacts | None:
    facts = host.facts.find(AccessFacts)
    return None if facts is None or facts.error else facts


@CHECKS.host(
    "host.reachable",
    title="the host answers the probe",
    why="Nothing can be said of a host that does not answer.",
    remedy="ssh HOST python3 -V",
)
def reachable(host: HostSubject) -> Result:
    facts = host.facts.of(AccessFacts)
    if facts.error:
        return failed(facts.error, facts.hint)
    return passed(f"Python {facts.python} answered as user {facts.uid}")


@CHECKS.host(
    "host.privileged",
    title="the host is looked at as root",
    why="As anybody else, the probe cannot see who may use userfaultfd, nor try as QEMU's user.",
    remedy="log in as root, or let the user run `sudo -n true`",
)
def privileged(host: HostSubject) -> Result:
    facts = _answered(host)
    if facts is None or facts.uid is None:
        return skipped("the host did not answer")
    if facts.uid != 0:
        return warned(f"the probe ran as user {facts.uid}, and `sudo -n` does not work there")
    return passed("the probe ran as root")


@CHECKS.host(
    "host.complete",
    title="every part of the probe came to its end",
    why="What a host does not tell, no check can find fault with.",
    remedy="run it again; if it stays so, look at the load of the host",
)
def complete(host: HostSubject) -> Result:
    facts = _answered(host)
    if facts is None:
        return skipped("the host did not answer")
    if facts.broken:
        return failed("; ".join(f"{name}: {error}" for name, error in facts.broken))
    return passed("no part failed or ran out of time")


@CHECKS.host(
    "host.name",
    title="the host goes by the name that it is called by",
    why="A host that is taken for another is set up, drained or blamed in its place.",
    remedy="hostnamectl set-hostname NAME, or correct the inventory",
)
def name(host: HostSubject) -> Result:
    facts = _answered(host)
    if facts is None:
        return skipped("the host did not answer")
    called = _host_part(facts.asked)
    if called in ("", "local", "localhost") or _is_address(called):
        return skipped(f"it is called {facts.asked}, which says no name to compare")
    if called.split(".")[0].lower() != facts.told.split(".")[0].lower():
        return warned(f"it is called {called}, and calls itself {facts.told or 'nothing'}")
    return passed(f"it calls itself {facts.told}")


@CHECKS.pair(
    "host.distinct",
    title="source and destination are two hosts",
    why="Between two names of one host nothing can move.",
    remedy="name two hosts; compare `hostname` and /etc/machine-id on both",
)
def distinct(pair: PairSubject) -> Result:
    source, destination = _answered(pair.source), _answered(pair.destination)
    if source is None or destination is None:
        return skipped("one of them did not answer")
    if not source.identity or not destination.identity:
        return skipped("one of them does not tell which host it is")
    if source.identity == destination.identity:
        return failed(f"both are the host that calls itself {source.told}")
    return passed(f"they are {source.told} and {destination.told}")


@CHECKS.pair(
    "host.clocks",
    title="the clocks of both hosts agree",
    why="The guest's clock jumps by their difference at the switch, and their logs cannot be"
    " compared.",
    remedy="timedatectl set-ntp true, on both hosts",
)
def clocks(pair: PairSubject) -> Result:
    source, destination = _answered(pair.source), _answered(pair.destination)
    if source is None or destination is None:
        return skipped("one of them did not answer")
    if source.clock_seconds is None or destination.clock_seconds is None:
        return skipped("one of them did not tell its time")
    ahead = destination.clock_seconds - source.clock_seconds
    error = destination.clock_error_seconds + source.clock_error_seconds
    later = pair.destination if ahead > 0 else pair.source
    if abs(ahead) - error > _MOST_SKEW_SECONDS:
        return warned(f"that of {later} is {format_seconds(abs(ahead))} ahead")
    return passed(f"they agree to {format_seconds(max(abs(ahead), error))}")


def _host_part(asked: str) -> str:
    if "://" not in asked:
        return asked
    try:
        return urlsplit(asked).hostname or ""
    except ValueError:
        return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
