"""Chooses what happens in each run of a campaign: a pure function of the seed.

Kinds, and the moments of each, are dealt like cards and not drawn anew each time: so many runs as
there are kinds have each of them once, and none is left out by chance. Everything else is random.
"""

import random
from collections.abc import Collection
from dataclasses import replace

from postcopy.bench.faults.model import CUTS, Fault, Kind, Moment, RunPlan, Side
from postcopy.lab.workload import Workload

__all__ = ["LONGEST_SECONDS", "MOST_FAULTS", "plan_run"]

MOST_FAULTS = 3
LONGEST_SECONDS = 8.0
"""No fault lasts longer."""

_MEGABYTE = 1_000_000
_PRECOPY_SECONDS = 2.0
"""How long memory is sent before the switch, where a fault is to come before that."""

_MOMENTS = (
    Moment.POSTCOPY,
    Moment.EARLY,
    Moment.SWITCH,
    Moment.POSTCOPY,
    Moment.PRECOPY,
    Moment.RECOVERY,
)
"""One deal of them: post-copy is longer than all else together."""

_ONE_SIDED = frozenset({Kind.ONE_WAY, Kind.HALF_OPEN, Kind.DAEMON, Kind.MONITOR})


def plan_run(seed: int, number: int, floor: str, kinds: Collection[Kind] = tuple(Kind)) -> RunPlan:
    """Return one run of a campaign.

    :param number: of the run, from 1.
    :param kinds: what the floor can break.
    """
    chance = random.Random(f"{seed}/{floor}/{number}")
    leading = _dealt(seed, floor, number, [kind for kind in Kind if kind in kinds])
    moment = _moment_of(leading, seed, floor, number, len(kinds))
    faults = _faults(chance, leading, moment, kinds)
    early = any(fault.moment is Moment.PRECOPY for fault in faults)
    return RunPlan(
        floor=floor,
        seed=seed,
        number=number,
        workload=_workload(chance),
        rate=chance.randrange(25, 51) * _MEGABYTE,
        switch_after=_PRECOPY_SECONDS if early else 0.0,
        faults=faults,
    )


def _dealt(seed: int, floor: str, number: int, kinds: list[Kind]) -> Kind:
    deal, place = divmod(number - 1, len(kinds))
    cards = list(kinds)
    random.Random(f"{seed}/{floor}/kinds/{deal}").shuffle(cards)
    return cards[place]


def _moment_of(kind: Kind, seed: int, floor: str, number: int, kinds: int) -> Moment:
    """Return the leading fault's moment: over the deals, each kind meets all of them."""
    deal = (number - 1) // kinds
    round_, place = divmod(deal, len(_MOMENTS))
    cards = list(_MOMENTS)
    random.Random(f"{seed}/{floor}/{kind}/{round_}").shuffle(cards)
    return cards[place]


def _workload(chance: random.Random) -> Workload:
    pattern = chance.choice(("random", "random", "sequential", "bursts:40:400"))
    return Workload(
        cold_mib=chance.randrange(24, 57, 8),
        hot_mib=chance.randrange(8, 41, 8),
        # As fast as it can, or as a guest that has something else to do.
        rate=chance.choice((0, 500, 2_000, 8_000)),
        pattern=pattern,
        seed=chance.randrange(1, 1 << 31),
    )


def _faults(
    chance: random.Random, leading: Kind, moment: Moment, kinds: Collection[Kind]
) -> tuple[Fault, ...]:
    first = _fault(chance, leading, moment)
    chosen = [first]
    if moment is Moment.RECOVERY:
        # There is nothing to recover without a cut before.
        chosen.insert(0, _fault(chance, _cut(chance, kinds), Moment.POSTCOPY))
    while len(chosen) < MOST_FAULTS and chance.random() < 0.4:
        broken = any(fault.kind in CUTS and fault.moment is not Moment.PRECOPY for fault in chosen)
        moments = [Moment.POSTCOPY, *([Moment.RECOVERY, Moment.AGAIN] if broken else [])]
        kind = chance.choice([kind for kind in Kind if kind in kinds])
        chosen.append(_fault(chance, kind, chance.choice(moments)))
    order = list(Moment)
    return tuple(sorted(chosen, key=lambda fault: (order.index(fault.moment), fault.after)))


def _cut(chance: random.Random, kinds: Collection[Kind]) -> Kind:
    return chance.choice([kind for kind in Kind if kind in CUTS and kind in kinds])


def _fault(chance: random.Random, kind: Kind, moment: Moment) -> Fault:
    side = chance.choice((Side.SOURCE, Side.DESTINATION)) if kind in _ONE_SIDED else Side.BOTH
    fault = Fault(kind=kind, moment=moment, after=round(_delay(chance, moment), 3), side=side)
    return replace(fault, seconds=round(_duration(chance, kind), 2))


def _delay(chance: random.Random, moment: Moment) -> float:
    match moment:
        case Moment.SWITCH:
            return chance.uniform(0.0, 0.03)
        case Moment.EARLY:
            return chance.uniform(0.0, 0.5)
        case Moment.RECOVERY:
            return chance.uniform(0.0, 0.3)
        case Moment.AGAIN:
            return chance.uniform(0.0, 1.0)
        case Moment.PRECOPY:
            return chance.uniform(0.0, _PRECOPY_SECONDS)
        case Moment.POSTCOPY:
            return chance.uniform(0.5, 2.0)


def _duration(chance: random.Random, kind: Kind) -> float:
    match kind:
        case Kind.RESET:
            return 0.0
        case Kind.SLOW | Kind.DELAY:
            return chance.uniform(2.0, 4.0)
        case Kind.CLIENT:
            return chance.uniform(0.0, 2.0)
        case Kind.DAEMON:
            # systemd waits for 0.1 s before it starts a service again; a busy host takes longer.
            return chance.uniform(0.1, 2.0)
        case Kind.MONITOR:
            return chance.uniform(0.5, 4.0)
    # Now and then longer than anybody's patience.
    return chance.uniform(5.0, LONGEST_SECONDS) if chance.random() < 0.1 else chance.uniform(1, 4)
