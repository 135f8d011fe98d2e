"""Migrations that take no time: the model of `model`, and any policy, deciding as in earnest.

`course` is what happens to a guest; here it has its link to itself. `together` moves many guests
over links that they share.
"""

from postcopy.forecast.course import Course
from postcopy.forecast.scenario import End, Result, Scenario
from postcopy.migration.decision import Policy

__all__ = ["MOST_SECONDS", "End", "Result", "Scenario", "simulate"]

MOST_SECONDS = 3e7
"""What has not ended in a year never does."""


def simulate(
    scenario: Scenario,
    policy: Policy,
    *,
    poll_seconds: float | None = None,
    samples_a_pass: int = 8,
    most_seconds: float = MOST_SECONDS,
) -> Result:
    """Move the guest.

    :param poll_seconds: time between samples within a pass. A policy that polls by itself is only
        true to life if this is no longer than its own interval.
    :param samples_a_pass: how many there are if `poll_seconds` is None, the pass's end included. A
        policy without a clock needs no others.
    :param most_seconds: what has not ended by then never does.
    """
    link = scenario.link
    course = Course(
        scenario,
        policy,
        link,
        poll_seconds=poll_seconds,
        samples_a_pass=samples_a_pass,
        most_seconds=most_seconds,
    )
    steps = course.steps()
    try:
        leg = next(steps)
        while True:
            gone = max(link.arrival(leg.begin, leg.size_bytes), leg.earliest)
            leg = steps.send((gone, True) if gone <= leg.moment else (leg.moment, False))
    except StopIteration as stop:
        result: Result = stop.value
        return result
