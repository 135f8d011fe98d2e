"""What every command that watches a migration does: claim, record, show, settle, report."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from postcopy import policy as policies
from postcopy.cli.display import display_for
from postcopy.cli.forecasts import Forecasts
from postcopy.cli.output import print_data, print_table
from postcopy.cli.request import Request
from postcopy.errors import MigrationError
from postcopy.migration.claim import claim, holder
from postcopy.migration.conduct import Move, carry_out, hold_requests
from postcopy.migration.decision import Policy
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.supervisor import Supervisor
from postcopy.paths import state_dir
from postcopy.units import format_bytes, format_seconds

__all__ = [
    "begin",
    "claimed",
    "complain",
    "conclude",
    "open_journal",
    "summary",
    "supervisor_of",
    "watch",
]


def open_journal() -> Journal:
    """Open the user's journal."""
    return Journal(state_dir() / "journal.sqlite")


@contextlib.contextmanager
def claimed(guest: str, of: str | None = None) -> Iterator[None]:
    """Hold the right to supervise a guest; refused when another process has it.

    :param of: which guest of that name; None for all of them.
    """
    hold_requests()  # they may come as soon as the claim is seen
    with claim(state_dir() / "locks", guest, of):
        yield


def begin(journal: Journal, request: Request, move: Move, of: str | None = None) -> Run:
    """Put a run on record, which must be done before anything is begun or touched.

    :param of: which guest of its name it is about, as it was claimed; None for all of them.
    """
    return journal.begin(
        guest=request.guest,
        source=move.source,
        destination=move.destination,
        policy=policies.spec_of(request.policy),
        driver={**move.record(), "claim": of},
        started_at=time.time(),
    )


def supervisor_of(guest: str, of: str | None = None) -> int | None:
    """Return the number of the process that supervises a guest, or None."""
    return holder(state_dir() / "locks", guest, of)


async def watch(
    move: Move,
    policy: Policy,
    journal: Journal,
    run: Run,
    *,
    downtime_limit: float,
    attach: bool,
    format_: str,
    recover: bool = True,
    recover_seconds: float | None = None,
    request: Callable[[Supervisor], None] | None = None,
) -> Outcome:
    """Drive or follow a migration to its end, shown as it goes; then score its forecasts."""
    display = display_for(
        run.guest,
        run.destination,
        format_,
        downtime_limit=downtime_limit,
        may_switch=policy.uses_postcopy,
    )
    forecasts = Forecasts(journal, run, policy, downtime_limit, tell=display)
    looks = forecasts.adopt() if not attach else []
    with display:
        outcome = await carry_out(
            move,
            policy,
            journal,
            run,
            downtime_limit=downtime_limit,
            looks=looks,
            recover=recover,
            recover_seconds=recover_seconds,
            attach=attach,
            request=request,
            observe=display if attach else forecasts.watching(display, looks),
            complain=lambda error: click.echo(f"note: {error.message}", err=True),
        )
    forecasts.rate(outcome)
    return outcome


def conclude(run: Run, outcome: Outcome, format_: str) -> None:
    """Print how it ended.

    :raises MigrationError: when the guest is not, all of it, at the destination.
    """
    print_data(summary(run, outcome), format_, lambda: print_table(("", ""), _rows(run, outcome)))
    complain(run, outcome)


def summary(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Return a run and its end as plain values."""
    return {
        "run": run.id,
        "guest": run.guest,
        "source": run.source,
        "destination": run.destination,
        "policy": run.policy,
        **outcome.to_dict(),
    }


def complain(run: Run, outcome: Outcome) -> None:
    """Say what is wrong with how it ended, if anything.

    :raises MigrationError: when the guest is not, all of it, at the destination.
    """
    if outcome.fate is Fate.COMPLETED:
        return
    pick_up = f"postcopy attach {run.guest}"
    why = f" ({outcome.error})" if outcome.error else ""
    if outcome.fate is Fate.ASTRAY:
        raise MigrationError(
            f"guest {run.guest!r} has gone astray: it runs at {run.destination}, and what manages"
            f" it takes it to be at {run.source}{why}",
            hint=outcome.hint,
        )
    hints = {
        Fate.INTERRUPTED: f"its memory is on both hosts: mend the link, then {pick_up}",
        Fate.UNKNOWN: f"look at both hosts before doing anything else, then {pick_up}",
        Fate.DETACHED: f"follow it: {pick_up}",
    }
    raise MigrationError(
        f"guest {run.guest!r} was not moved to {run.destination}: {outcome.fate}{why}",
        hint=outcome.hint or hints.get(outcome.fate, f"the guest goes on at {run.source}"),
    )


def _rows(run: Run, outcome: Outcome) -> list[tuple[str, Any]]:
    figures = outcome.figures
    rows: list[tuple[str, Any]] = [
        ("run", run.id),
        ("guest", f"{run.guest}: {run.source} -> {run.destination}"),
        ("outcome", outcome.fate),
        ("policy", run.policy),
        ("total time", format_seconds(outcome.total_seconds)),
    ]
    if figures.downtime_seconds is not None:
        rows.append(("downtime (QEMU)", format_seconds(figures.downtime_seconds)))
    if figures.transferred_bytes is not None:
        rows.append(("sent", format_bytes(figures.transferred_bytes)))
    if figures.passes is not None:
        rows.append(("passes", figures.passes))
    if outcome.recoveries:
        times = "once" if outcome.recoveries == 1 else f"{outcome.recoveries} times"
        seconds = format_seconds(outcome.interrupted_seconds)
        rows.append(("recovered", f"{times}, interrupted for {seconds} in all"))
    if outcome.switch_latency_seconds is not None:
        rows.append(("switched", f"{format_seconds(outcome.switch_latency_seconds)} after a pass"))
    if figures.postcopy_requests is not None:
        rows.append(("pages requested", figures.postcopy_requests))
    return rows
