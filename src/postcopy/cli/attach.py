"""``postcopy attach``, ``switch``, ``cancel``: commands about a migration that is under way."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from signal import Signals

import click

from postcopy import policy as policies
from postcopy.cli import moves, session
from postcopy.cli.output import format_option, print_data, runs_async
from postcopy.cli.request import recovery_options
from postcopy.errors import (
    MigrationError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    UsageError,
)
from postcopy.migration.conduct import CANCEL_SIGNAL, SWITCH_SIGNAL
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.supervisor import Supervisor

__all__ = ["attach", "cancel", "switch", "cancel_now", "switch_now", "unfinished"]

_ANSWER_SECONDS = 15.0
_CLOUD_SECONDS = 60.0
"""The same where Nova does it: one part tells the next, and each looks now and then."""


_from_option = click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="Where GUEST leaves, as postcopy history has it: where guests of one name leave several.",
)


@click.command()
@click.argument("guest")
@_from_option
@click.option(
    "--source-uri",
    "libvirt_uri",
    metavar="URI",
    help="Nova: have libvirt tell what Nova cannot: qemu+ssh://{host}/system.",
)
@recovery_options
@format_option
@runs_async
async def attach(
    guest: str,
    source: str | None,
    libvirt_uri: str | None,
    recover: bool,
    recover_for: float | None,
    format_: str,
) -> None:
    """Pick up the running migration of GUEST, by the policy it was started with.

    One that is interrupted in post-copy is recovered.
    """
    with session.open_journal() as journal, _claimed(journal, guest, source) as run:
        if libvirt_uri is not None:
            run = _watched(run, libvirt_uri)
        outcome = await _watch(journal, run, format_, recover=recover, recover_seconds=recover_for)
        session.conclude(run, outcome, format_)


@contextlib.contextmanager
def _claimed(journal: Journal, guest: str, source: str | None) -> Iterator[Run]:
    """Hold the right to supervise the migration that is meant, and return its run."""
    with session.claimed(guest, _of(unfinished(journal, guest, source))):
        # It may have ended while somebody else still had it.
        yield unfinished(journal, guest, source)


@click.command()
@click.argument("guest")
@_from_option
@format_option
@runs_async
async def switch(guest: str, source: str | None, format_: str) -> None:
    """Switch the running migration of GUEST to post-copy now, whatever its policy says."""
    await switch_now(guest, format_, source)


async def switch_now(guest: str, format_: str, source: str | None = None) -> None:
    """Have the supervising process switch, or supervise and switch."""
    with session.open_journal() as journal:
        run = unfinished(journal, guest, source)
        pid = session.supervisor_of(guest, _of(run))
        if pid is not None:
            if _phase(journal, run) is Phase.SETUP:
                os.kill(pid, SWITCH_SIGNAL)
                text = f"guest {guest!r} will go over to post-copy as soon as its memory moves"
                _print(guest, run, "setup", text, format_)
                return
            phase = await _ask(pid, SWITCH_SIGNAL, journal, run, _switched)
            if phase in (Phase.FAILED, Phase.CANCELLED):
                raise MigrationError(
                    f"the migration of guest {guest!r} has ended before it could switch: {phase}",
                    hint=f"the guest goes on at {run.source}; see postcopy history --run {run.id}",
                )
            done = f"is at {run.destination}" if phase.terminal else "goes on in post-copy"
            _print(guest, run, phase, f"guest {guest!r} {done}", format_)
            return
        with _claimed(journal, guest, source) as run:
            outcome = await _watch(journal, run, format_, Supervisor.ask_to_switch)
            session.conclude(run, outcome, format_)


@click.command()
@click.argument("guest")
@_from_option
@format_option
@runs_async
async def cancel(guest: str, source: str | None, format_: str) -> None:
    """Call the migration of GUEST off; the guest goes on where it was.

    Refused once in post-copy, where it would destroy the guest.
    """
    await cancel_now(guest, format_, source)


async def cancel_now(guest: str, format_: str, source: str | None = None) -> None:
    """Have the supervising process call it off, or supervise and call it off."""
    with session.open_journal() as journal:
        run = unfinished(journal, guest, source)
        pid = session.supervisor_of(guest, _of(run))
        if _phase(journal, run).spread:
            raise RefusedError(
                f"guest {guest!r} is in post-copy: its memory is on both hosts, and calling the"
                " migration off now would destroy it",
                hint=f"let it finish: postcopy attach {guest}",
            )
        if pid is not None:
            phase = await _ask(pid, CANCEL_SIGNAL, journal, run, lambda phase: phase.terminal)
            if phase is Phase.COMPLETED:
                raise MigrationError(
                    f"guest {guest!r} has arrived at {run.destination}: too late to cancel",
                    hint=f"move it back, if that is what you want: from {run.destination}",
                )
        else:
            with _claimed(journal, guest, source) as run:
                outcome = await _watch(journal, run, format_, Supervisor.ask_to_cancel)
                if outcome.fate is not Fate.CANCELLED:
                    session.conclude(run, outcome, format_)
    _print(guest, run, "cancelled", f"cancelled; guest {guest!r} goes on at {run.source}", format_)


def _print(guest: str, run: Run, phase: str, text: str, format_: str) -> None:
    print_data({"guest": guest, "run": run.id, "phase": phase}, format_, lambda: click.echo(text))


async def _watch(
    journal: Journal,
    run: Run,
    format_: str,
    request: Callable[[Supervisor], None] | None = None,
    *,
    recover: bool = True,
    recover_seconds: float | None = None,
) -> Outcome:
    return await session.watch(
        await moves.resume(run.driver, run.guest),
        policies.find(run.policy),
        journal,
        run,
        downtime_limit=run.driver["options"]["downtime_limit"],
        attach=True,
        format_=format_,
        recover=recover,
        recover_seconds=recover_seconds,
        request=request,
    )


async def _ask(
    pid: int, request: Signals, journal: Journal, run: Run, done: Callable[[Phase], bool]
) -> Phase:
    """Have the supervising process do it, and return the phase in which the journal shows it.

    :raises RefusedError: when a guard there refuses.
    """
    seconds = _CLOUD_SECONDS if run.driver.get("kind") == "nova" else _ANSWER_SECONDS
    before = len(journal.events(run.id))
    os.kill(pid, request)
    try:
        async with asyncio.timeout(seconds):
            phase = _phase(journal, run)
            while not done(phase):
                await asyncio.sleep(0.05)  # another process does it
                for _, kind, text in journal.events(run.id)[before:]:
                    if kind == "Noted" and " was refused: " in text:
                        raise RefusedError(text.partition(" was refused: ")[2])
                phase = _phase(journal, run)
            return phase
    except TimeoutError:
        raise OutcomeUnknownError(
            f"process {pid}, which supervises guest {run.guest!r}, has not done it within"
            f" {seconds:.0f} s",
            hint=f"what it is doing: postcopy history --run {run.id}",
        ) from None


def _switched(phase: Phase) -> bool:
    return phase.spread or phase.terminal


def _phase(journal: Journal, run: Run) -> Phase:
    samples = journal.samples(run.id)
    return samples[-1].phase if samples else Phase.SETUP


def _watched(run: Run, libvirt_uri: str) -> Run:
    """Return a run of Nova's with libvirt to be asked, too."""
    if run.driver["kind"] != "nova":
        raise UsageError(
            "--source-uri is for migrations by Nova", hint="leave it out: the run knows its hosts"
        )
    return replace(run, driver={**run.driver, "libvirt_uri": libvirt_uri})


def unfinished(journal: Journal, guest: str, source: str | None = None) -> Run:
    """Return the run of a guest's migration whose end is not on record.

    :param source: where it leaves, where guests of one name leave several hosts.
    :raises NotFoundError: when there is none.
    :raises UsageError: when there are several, of different guests.
    """
    latest: dict[str | None, Run] = {}
    for run in journal.runs(guest):
        if source in (None, run.source):
            latest.setdefault(_of(run), run)  # newest first: a guest's last run counts
    under_way = [
        run for run in latest.values() if run.outcome is None or run.outcome.fate not in _ENDED
    ]
    if len(under_way) == 1:
        return under_way[0]
    if under_way:
        sources = ", ".join(run.source for run in under_way)
        raise UsageError(
            f"guests called {guest!r} leave several hosts: {sources}",
            hint="say which: --from SOURCE",
        )
    raise NotFoundError(
        f"no migration of guest {guest!r} is under way",
        hint=f"what was: postcopy history {guest}",
    )


def _of(run: Run) -> str | None:
    """Return which guest of its name a run is about, as it was claimed; None if that is not known.

    Runs on record from before claims knew are about every guest of their names.
    """
    of = run.driver.get("claim")
    return str(of) if of is not None else None


_ENDED = frozenset({Fate.COMPLETED, Fate.FAILED, Fate.CANCELLED, Fate.ASTRAY})
