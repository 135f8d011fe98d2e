"""What both demonstrations have in common: a lab made ready for a guest, and one move of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from postcopy.demo.attempt import SETTLE_SECONDS, Watch
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.openstack.server import LabServer
from postcopy.migration.claim import claim
from postcopy.migration.conduct import Move, carry_out
from postcopy.migration.decision import Policy
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Outcome
from postcopy.paths import state_dir
from postcopy.policy import spec_of

__all__ = ["carry", "prepared"]

Guest = TypeVar("Guest", LabGuest, LabServer)


@asynccontextmanager
async def prepared(
    lab: Lab,
    kind: type[Guest],
    spec: GuestSpec,
    rate: int,
    stage: Callable[[str], None],
    boots: str,
) -> AsyncIterator[Guest]:
    """Have a link of some rate and a new guest on alpha; afterwards the lab is as it was.

    :param rate: of the data link, in bytes a second.
    :param stage: told what is being done, in words.
    :param boots: what starting the guest is called.
    """
    link = lab.link()
    rate_before = (await link.status()).rate
    with claim(state_dir() / "locks", spec.name):
        await link.up()
        await link.set_rate(rate)
        if spec.name in kind.names(lab):
            stage(f"ending {spec.name!r} of an earlier demonstration")
            await kind.load(lab, spec.name).stop()
        stage(boots)
        guest = await kind.start(lab, spec, "alpha")
        try:
            yield guest
        finally:
            await asyncio.shield(guest.stop())
            if rate_before is not None:
                await asyncio.shield(link.set_rate(rate_before))


async def carry(
    guest: str, move: Move, policy: Policy, journal: Journal, *, downtime_limit: float, watch: Watch
) -> tuple[Run, Outcome]:
    """Carry a move out, on record, and return when the guest has settled.

    :param watch: makes what is called with each event of it.
    """
    run = journal.begin(
        guest=guest,
        source=move.source,
        destination=move.destination,
        policy=spec_of(policy),
        driver=move.record(),
        started_at=time.time(),
    )
    with watch(run.guest, run.destination) as observe:
        outcome = await carry_out(
            move, policy, journal, run, downtime_limit=downtime_limit, observe=observe
        )
    await asyncio.sleep(SETTLE_SECONDS)
    return run, outcome
