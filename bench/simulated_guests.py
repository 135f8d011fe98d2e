"""Guests and links for `policies_simulated.py`: a fixed table of them, and fresh draws."""

import math
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from postcopy.forecast import Bursts, Curve, Guest, HotSet, Link, Scenario
from postcopy.forecast.model import PAYLOAD, Harm

GIB, GBIT = 1 << 30, 1e9 / 8
SIZES = {"64GiB": 64 * GIB, "1TiB": 1024 * GIB}
LINKS_GBIT = (1, 10, 100)


def workloads(memory: float, bandwidth: float) -> Iterator[tuple[str, Guest]]:
    """Return guests of a size; a rate of 1 is what the link carries."""
    used = 0.75 * memory

    def guest(*sets: HotSet, bursts: Bursts | None = None) -> Guest:
        background = HotSet(0.1 * GIB, 2e6)
        return Guest(
            memory_bytes=memory, content_bytes=used, dirty=Curve((background, *sets)), bursts=bursts
        )

    def hot(share: float, rate: float, sequential: bool = False) -> HotSet:
        return HotSet(share * used, rate * bandwidth, sequential)

    yield "idle", guest()
    yield "trickle", guest(hot(0.5, 0.05))
    yield "converging writer", guest(hot(0.08, 0.5))
    yield "converges slowly", guest(hot(0.08, 0.85))
    for share in (0.25, 0.5, 0.75, 0.95):
        yield f"hot {share:.0%} flat out", guest(hot(share, 8))
    yield "hot 5% flat out", guest(hot(0.05, 8))
    yield "two hot sets", guest(hot(0.01, 2), hot(0.3, 0.4))
    yield "sweep", guest(hot(0.25, 1.3, sequential=True))
    yield "slow sweep", guest(hot(0.25, 0.4, sequential=True))
    cycle = 0.05 * used / bandwidth
    yield "bursts", guest(hot(0.08, 8), bursts=Bursts(0.5, 8 * cycle))
    yield "short bursts", guest(hot(0.08, 8), bursts=Bursts(0.4, 0.5))


def scenarios() -> Iterator[tuple[str, Scenario]]:
    """Return all that is to be moved."""
    for size, memory in SIZES.items():
        for gbit in LINKS_GBIT:
            link = Link(bandwidth=gbit * GBIT * PAYLOAD)
            for name, guest in workloads(memory, link.bandwidth):
                for preempt in (True, False):
                    more = "" if preempt else ", no preempt"
                    yield (
                        f"{size}, {gbit} Gb/s, {name}{more}",
                        Scenario(guest=guest, link=link, harm=Harm(preempt=preempt)),
                    )
            once = 0.75 * memory / link.bandwidth
            halves = replace(link, changes=((0.6 * once, link.bandwidth / 2),))
            for name, guest in workloads(memory, link.bandwidth):
                if name in ("converging writer", "hot 25% flat out"):
                    yield f"{size}, {gbit} Gb/s halved, {name}", Scenario(guest=guest, link=halves)
            [calm] = [g for n, g in workloads(memory, link.bandwidth) if n == "converging writer"]
            disk = replace(calm, disk_bytes=2 * memory)
            yield f"{size}, {gbit} Gb/s, disks, converging writer", Scenario(guest=disk, link=link)


def drawn(seed: int, count: int) -> Iterator[tuple[str, Scenario]]:
    """Return guests and links drawn at random: sizes, shares, rates, turns, harm.

    Each kind of guest comes as often as the others; bursts are two kinds, as they are the hardest.
    """
    random = Random(seed)

    def between(least: float, most: float) -> float:
        return math.exp(random.uniform(math.log(least), math.log(most)))

    kinds = ("idle", "slow", "converging", "flat out", "two sets", "sweep", "bursts", "bursts slow")
    for number in range(count):
        kind = kinds[number % len(kinds)]
        memory = between(8, 2048) * GIB
        used = random.uniform(0.4, 0.9) * memory
        bandwidth = between(1, 200) * GBIT * PAYLOAD
        once = used / bandwidth
        background = HotSet(between(0.02, 0.5) * GIB, between(0.3e6, 10e6))
        bursts = None

        def hot(
            share: float, rate: float, sequential: bool = False,
            used: float = used, bandwidth: float = bandwidth,
        ) -> HotSet:  # fmt: skip
            return HotSet(share * used, rate * bandwidth, sequential)

        match kind:
            case "idle":
                sets: tuple[HotSet, ...] = ()
            case "slow":
                sets = (hot(between(0.02, 0.9), between(0.02, 0.3)),)
            case "converging":
                sets = (hot(between(0.02, 0.3), random.uniform(0.3, 1.2)),)
            case "flat out":
                sets = (hot(between(0.02, 0.97), between(1.5, 20)),)
            case "two sets":
                sets = (
                    hot(between(0.003, 0.05), between(0.5, 10)),
                    hot(between(0.1, 0.6), between(0.1, 1.0)),
                )
            case "sweep":
                sets = (hot(between(0.05, 0.9), between(0.2, 3), sequential=True),)
            case _:
                rate = between(2, 20) if kind == "bursts" else between(0.5, 2)
                sets = (hot(between(0.02, 0.6), rate),)
                bursts = Bursts(random.uniform(0.15, 0.85), max(0.2, between(0.02, 2) * once))
        link = Link(bandwidth=bandwidth, round_trip=between(5e-5, 2e-3))
        disk = 0.0
        extra = random.random()
        if extra < 0.1:
            change = (random.uniform(0.1, 1.5) * once, bandwidth * random.uniform(0.3, 2))
            link = replace(link, changes=(change,))
            kind += ", link changes"
        elif extra < 0.2:
            disk, kind = between(0.2, 4) * memory, f"{kind}, disks"
        yield (
            f"{number}: {memory / GIB:.0f} GiB, {bandwidth / PAYLOAD / GBIT:.1f} Gb/s, {kind}",
            Scenario(
                guest=Guest(
                    memory_bytes=memory,
                    content_bytes=used,
                    dirty=Curve((background, *sets)),
                    bursts=bursts,
                    disk_bytes=disk,
                ),
                link=link,
                harm=Harm(preempt=random.random() < 0.6),
            ),
        )
