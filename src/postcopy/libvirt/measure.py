"""How a domain dirties its memory, asked of libvirt by page sampling.

The mode is always page sampling: the others can kill or misread an emulated guest
(`postcopy.known_issues`), and switch dirty logging on in any.
"""

from collections.abc import Callable
from typing import Any

import libvirt

from postcopy.clock import Clock, SystemClock
from postcopy.errors import RefusedError, UnavailableError
from postcopy.forecast.curve import Observation
from postcopy.forecast.inputs import Known
from postcopy.libvirt import guards
from postcopy.libvirt.connection import Connection, LibvirtCallError
from postcopy.plan.measured import WATCH_SECONDS, Measured, look, sampled, windows
from postcopy.plan.methods import Offers

__all__ = ["measure"]

_GIB, _MIB, _KIB = 1 << 30, 1 << 20, 1 << 10
# libvirt takes QEMU's default of 'sample-pages', for each GiB (qapi/migration.json).
_SAMPLES = 512
_ANSWER_SECONDS, _LOOK_SECONDS = 10.0, 0.1
_CONTENT_SHARE, _CONTENT_FACTOR = 0.75, 1.35
# Of what is resident, some is QEMU's own, and some of the guest's is zeros.
_RESIDENT_SHARE, _RESIDENT_FACTOR = 0.9, 1.15


async def measure(
    uri: str,
    name: str,
    progress: Callable[[str], None] = lambda text: None,
    *,
    watch_seconds: float = WATCH_SECONDS,
    clock: Clock | None = None,
) -> Measured:
    """Measure a domain.

    :raises NotFoundError: when there is none of that name.
    :raises RefusedError: when it does not run, is on the move, or libvirt is too old.
    :raises UnavailableError: when the host does not answer.
    """
    connection = await Connection.open(uri)
    try:
        return await _measure(connection, name, progress, watch_seconds, clock or SystemClock())
    finally:
        await connection.close()


async def _measure(
    connection: Connection, name: str, progress: Callable[[str], None], watch: float, clock: Clock
) -> Measured:
    domain = await connection.domain(name)
    facts = await guards.facts_of_domain(connection, domain)
    if not facts.running:
        raise RefusedError(
            f"domain {name!r} is not running", hint="a stopped guest dirties nothing"
        )
    if facts.job:
        raise RefusedError(
            f"domain {name!r} is being migrated, or has another job",
            hint=f"follow it: postcopy attach {name}",
        )
    memory = int((await connection.call(domain.info))[1]) * _KIB

    async def once(seconds: float) -> Observation:
        return await _once(connection, domain, round(seconds), clock)

    seen = await look(name, windows(watch, whole=True), once, progress, clock, watch)
    content, notes = await _content(connection, domain, memory)
    return Measured(
        memory_bytes=memory,
        content=content,
        seen=seen,
        resolution_bytes=max(_MIB, _GIB / _SAMPLES),
        # Whether there will be a second monitor to look through is not known yet.
        offers=Offers(postcopy=not facts.vfio, preempt_optional=False, looks=False),
        notes=notes,
    )


async def _once(
    connection: Connection, domain: libvirt.virDomain, seconds: int, clock: Clock
) -> Observation:
    if not hasattr(domain, "startDirtyRateCalc"):
        raise RefusedError(
            "this machine's libvirt library cannot measure dirty rates",
            hint="it came with libvirt 7.2; or give the figures: postcopy plan --help",
        )
    mode = getattr(libvirt, "VIR_DOMAIN_DIRTYRATE_MODE_PAGE_SAMPLING", 0)
    await connection.call(domain.startDirtyRateCalc, seconds, mode)
    await clock.sleep(seconds)
    deadline = clock.now() + _ANSWER_SECONDS
    while clock.now() < deadline:
        figures = await _figures(connection, domain)
        if figures.get("dirtyrate.calc_status") == libvirt.VIR_DOMAIN_DIRTYRATE_MEASURED:
            return sampled(
                float(seconds), figures["dirtyrate.megabytes_per_second"], _GIB / _SAMPLES
            )
        await clock.sleep(_LOOK_SECONDS)
    raise UnavailableError(
        f"{connection.uri} has not measured the dirty rate in {_ANSWER_SECONDS:.0f} s",
        hint="is the host overloaded? try again",
    )


async def _figures(connection: Connection, domain: libvirt.virDomain) -> dict[str, Any]:
    answer = await connection.call(
        connection.handle.domainListGetStats, [domain], libvirt.VIR_DOMAIN_STATS_DIRTYRATE
    )
    return dict(answer[0][1]) if answer else {}


async def _content(
    connection: Connection, domain: libvirt.virDomain, memory: int
) -> tuple[Known, tuple[str, ...]]:
    """Return the memory in use: at most what QEMU's process has, which has a little more."""
    try:
        resident = int((await connection.call(domain.memoryStats)).get("rss", 0)) * _KIB
    except LibvirtCallError:
        resident = 0
    if resident > 0:
        return Known(_RESIDENT_SHARE * min(resident, memory), _RESIDENT_FACTOR), ()
    unknown = "how much of its memory is in use is not known"
    return Known(_CONTENT_SHARE * memory, _CONTENT_FACTOR), (unknown,)
