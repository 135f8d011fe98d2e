"""A server that Nova moves, as the demonstration looks at it."""

from postcopy.demo.server import span
from postcopy.migration.outcome import Fate, Figures, Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample

SAMPLES = [
    Sample(at=100.0, phase=Phase.SETUP),
    Sample(at=112.0, phase=Phase.PRECOPY),
    Sample(at=118.0, phase=Phase.POSTCOPY),
    Sample(at=129.0, phase=Phase.COMPLETED),
]


def ended(fate: Fate, total_seconds: float | None) -> Outcome:
    return Outcome(
        fate=fate,
        phase=Phase.COMPLETED if fate is Fate.COMPLETED else Phase.CANCELLED,
        started_at=100.0,
        ended_at=129.0,
        figures=Figures(total_seconds=total_seconds),
    )


def test_what_nova_does_before_and_after_is_none_of_the_migrations_cost() -> None:
    assert span(SAMPLES, ended(Fate.COMPLETED, 9.5)) == (112.0, 121.5)


def test_without_qemus_word_it_lasts_until_the_end_was_seen() -> None:
    assert span(SAMPLES, ended(Fate.CANCELLED, None)) == (112.0, 129.0)
    assert span(SAMPLES[:1], ended(Fate.CANCELLED, None)) == (100.0, 129.0)
