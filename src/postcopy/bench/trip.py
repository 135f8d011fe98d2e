"""One move between the hosts of a lab: under our supervision, or by virsh itself."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from postcopy.bench.method import Method
from postcopy.bench.moment import Bounded
from postcopy.bench.scenario import Scenario
from postcopy.bench.stand import BenchGuest
from postcopy.errors import UnavailableError
from postcopy.lab import libvirtd, names
from postcopy.lab.domain import LabDomain
from postcopy.lab.domain_move import DomainMove
from postcopy.lab.move import LabMove
from postcopy.libvirt.options import LibvirtOptions
from postcopy.migration.conduct import Move, carry_out
from postcopy.migration.decision import Action, Policy
from postcopy.migration.event import Acted
from postcopy.migration.journal import Journal
from postcopy.migration.outcome import Fate
from postcopy.processes import CommandError

__all__ = ["Trip", "travel"]

# What virsh may take longer than the patience of a suite, before it is called off.
_VIRSH_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """How a move went, as those saw it who made it. Unix time, seconds, bytes."""

    fate: Fate
    started_at: float
    ended_at: float
    total_seconds: float
    downtime_seconds: float | None = None
    switched_after_seconds: float | None = None
    transferred_bytes: int | None = None
    passes: int | None = None
    run_id: int | None = None
    error: str = ""


async def travel(
    guest: BenchGuest,
    scenario: Scenario,
    method: Method,
    journal: Journal,
    patience: float,
) -> Trip:
    """Move the guest to the other host.

    :param patience: seconds after which it is called off.
    :raises PostcopyError: when it could not be begun.
    """
    source = await guest.where()
    [destination] = [name for name in names.HOSTS if name != source]
    if isinstance(guest, LabDomain) and method.policy is None:
        return await _by_virsh(guest, source, destination, method, patience)
    assert method.policy is not None  # `Method.refusal`: virsh moves domains only
    move = await _prepare(guest, destination, scenario, method, method.policy)
    whole = isinstance(guest, LabDomain)
    return await _supervised(move, guest, scenario, method, method.policy, journal, patience, whole)


async def _prepare(
    guest: BenchGuest,
    destination: str,
    scenario: Scenario,
    method: Method,
    policy: Policy,
) -> Move:
    if isinstance(guest, LabDomain):
        options = LibvirtOptions(
            postcopy=policy.uses_postcopy,
            auto_converge=method.auto_converge,
            downtime_limit=scenario.downtime_limit,
        )
        return await DomainMove.prepare(guest, destination, options)
    return await LabMove.prepare(
        guest.lab,
        guest.spec.name,
        destination,
        postcopy=policy.uses_postcopy,
        preempt=method.preempt,
        downtime_limit=scenario.downtime_limit,
    )


async def _supervised(
    move: Move,
    guest: BenchGuest,
    scenario: Scenario,
    method: Method,
    policy: Policy,
    journal: Journal,
    patience: float,
    whole: bool,
) -> Trip:
    """Move it under supervision.

    :param whole: the time is that of the whole call, connections included, as virsh's is; else
        that from QEMU's start to its end.
    """
    run = journal.begin(
        guest=guest.spec.name,
        source=move.source,
        destination=move.destination,
        policy=method.text,
        driver=move.record(),
        started_at=time.time(),
    )
    outcome = await carry_out(
        move, Bounded(policy, patience), journal, run, downtime_limit=scenario.downtime_limit
    )
    fate = outcome.fate
    if fate is Fate.FAILED and await _was_called_off(guest, move.source, journal, run.id):
        fate = Fate.CANCELLED
    samples = [sample for sample in journal.samples(run.id) if sample.total_bytes]
    begun = next((one.at for one in samples), outcome.started_at)
    switched = outcome.switched_at
    return Trip(
        fate=fate,
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
        total_seconds=outcome.ended_at - outcome.started_at if whole else outcome.total_seconds,
        downtime_seconds=outcome.figures.downtime_seconds,
        switched_after_seconds=None if switched is None else max(0.0, switched - begun),
        transferred_bytes=max((one.transferred_bytes for one in samples), default=None),
        passes=max((one.pass_number for one in samples), default=None),
        run_id=run.id,
        error=outcome.error,
    )


async def _was_called_off(guest: BenchGuest, source: str, journal: Journal, run_id: int) -> bool:
    """Tell whether a migration only failed because it was called off.

    QEMU then closes the connection, and may find that broken before it has noted why.
    """
    asked = any(
        kind == Acted.__name__ and text.startswith(Action.CANCEL)
        for _, kind, text in journal.events(run_id)
    )
    with contextlib.suppress(UnavailableError):
        return asked and await guest.where() == source
    return False


async def _by_virsh(
    domain: LabDomain, source: str, destination: str, method: Method, patience: float
) -> Trip:
    """Have virsh move it, in its source host, as somebody there would."""
    host, peer = domain.hosts[source], domain.hosts[destination]
    command = [
        *("virsh", "migrate", "--live", "--p2p", "--persistent", "--undefinesource"),
        *(*method.virsh, domain.uuid, libvirtd.uris(peer)["peer"]),
    ]
    started, since = time.time(), time.monotonic()
    error = ""
    try:
        done = await host.run(*command, check=False, timeout=patience + _VIRSH_SECONDS)
        error = "" if done.returncode == 0 else done.stderr.strip()
    except CommandError as problem:
        error = problem.message
    except asyncio.CancelledError:
        await asyncio.shield(host.run("virsh", "domjobabort", domain.uuid, check=False))
        raise
    seconds = time.monotonic() - since
    arrived = False
    with contextlib.suppress(UnavailableError):
        arrived = await domain.where() == destination
    return Trip(
        fate=Fate.COMPLETED if arrived and not error else Fate.FAILED,
        started_at=started,
        ended_at=started + seconds,
        total_seconds=seconds,
        error=error,
    )
