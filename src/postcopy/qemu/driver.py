"""Moves a guest between two QEMUs over their monitors."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from qemu.qmp import EventListener, Message

from postcopy.clock import Clock, SystemClock
from postcopy.errors import OutcomeUnknownError, PostcopyError, RefusedError, UnavailableError
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Wire
from postcopy.migration.sample import Sample
from postcopy.qemu import capabilities
from postcopy.qemu.looking import Looking
from postcopy.qemu.monitor import CommandError, Monitor
from postcopy.qemu.options import Endpoint, MigrationOptions
from postcopy.qemu.rescue import Hasten, QemuHalf, QemuRescue
from postcopy.qemu.status import figures_of, phase_of, sample_of

__all__ = ["QemuDriver"]

_log = logging.getLogger(__name__)

# Pass ends and state changes come as events; polling only draws the curve between them.
_POLL_SECONDS = {Phase.POSTCOPY: 0.05}
_POLL_SECONDS_ELSE = 0.1

# 'max-bandwidth' has no word for "unbounded": this is a terabyte a second.
_UNBOUNDED = 10**12

# Between its source's "completed" and running, a destination loads what is left of the devices.
_ARRIVAL_SECONDS = 10.0


class QemuDriver:
    """Moves one guest from a running QEMU to one that waits with ``-incoming defer``.

    Out-of-band sessions on the rescue monitors are opened before anything moves: when a fault on a
    missing page blocks a QEMU, only a session that was there before still gets an answer.
    """

    def __init__(
        self,
        source: Endpoint,
        destination: Endpoint,
        options: MigrationOptions,
        *,
        wire: Wire | None = None,
        hasten: Hasten | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.options = options
        self.enabled: frozenset[str] = frozenset()
        """The capabilities that were switched on for this migration."""
        self._endpoints = (source, destination)
        self._clock = clock or SystemClock()
        self._source = Monitor(source.monitor, source.name)
        self._destination = Monitor(destination.monitor, destination.name)
        spare = [
            Monitor(end.rescue, f"{end.name} (rescue)") if end.rescue is not None else None
            for end in (source, destination)
        ]
        self._spare = [monitor for monitor in spare if monitor is not None]
        self.rescue = QemuRescue(
            QemuHalf(self._source, spare[0]),
            QemuHalf(self._destination, spare[1]),
            options.recover_uri or options.uri,
            wire,
            hasten,
        )
        """What brings both QEMUs together again after a cut."""
        self._looking = Looking(self._source, self._clock)
        self._phase = Phase.SETUP
        self._paused = False
        self._called_off = False

    def record(self) -> Mapping[str, Any]:
        """Return both endpoints and the options."""
        source, destination = self._endpoints
        return {
            "kind": "qemu",
            "source": source.record(),
            "destination": destination.record(),
            "options": {
                "uri": self.options.uri,
                "postcopy": self.options.postcopy,
                "preempt": self.options.preempt,
                "bandwidth": self.options.bandwidth,
                "downtime_limit": self.options.downtime_limit,
                "recover_uri": self.options.recover_uri,
            },
        }

    @classmethod
    def of_record(
        cls, record: Mapping[str, Any], wire: Wire | None = None, hasten: Hasten | None = None
    ) -> "QemuDriver":
        """Read what `record` wrote."""
        return cls(
            Endpoint.of_record(record["source"]),
            Endpoint.of_record(record["destination"]),
            MigrationOptions(**record["options"]),
            wire=wire,
            hasten=hasten,
        )

    @property
    def notes(self) -> Sequence[str]:
        """Nothing to add."""
        return ()

    @property
    def advice(self) -> str:
        """Nothing to add."""
        return ""

    async def check(self) -> None:
        """Open the sessions and ask both QEMUs whether they are fit for it.

        :raises RefusedError: when the guest does not run, or is already on the move.
        :raises UnavailableError: when a monitor does not answer.
        """
        await self._open(self._source, self._destination, *self._spare)
        await self._guard()

    async def start(self) -> None:
        """Arm both sides and begin.

        :raises RefusedError: when the guest does not run, is already on the move, or a side cannot
            do post-copy.
        :raises UnavailableError: when a monitor does not answer.
        """
        await self.check()
        if self.rescue.wire is not None:
            await self.rescue.wire.prepare()
        needed = ["postcopy-ram"] if self.options.postcopy else []
        wished, unwanted = ["events"], ["multifd", "x-ignore-shared", "background-snapshot"]
        if self.options.postcopy:
            wished.append("postcopy-blocktime")
            (wished if self.options.preempt else unwanted).append("postcopy-preempt")
        else:
            unwanted += ["postcopy-preempt", "postcopy-blocktime", "postcopy-ram"]
        self.enabled = await capabilities.arm(
            self._source, self._destination, needed=needed, wished=wished, unwanted=unwanted
        )
        await self.set_bandwidth(self.options.bandwidth or _UNBOUNDED)
        await self.set_downtime_limit(self.options.downtime_limit)
        await self._destination.execute("migrate-incoming", {"uri": self.options.uri})
        await self._source.execute("migrate", {"uri": self.options.uri})

    async def attach(self) -> None:
        """Open the sessions again.

        A destination that has gone is no obstacle: its absence may be what is to be found out.
        """
        await self._open(self._source)
        for monitor in (self._destination, *self._spare):
            try:
                await self._open(monitor)
            except UnavailableError as error:
                _log.info("%s", error.message)
        answer = await self._source.execute("query-migrate")
        self._phase = phase_of(answer.get("status", "none"))

    async def samples(self) -> AsyncIterator[Sample]:
        """Yield a sample on each event of the source, and between them by polling."""
        with self._source.events("MIGRATION", "MIGRATION_PASS") as events:
            event: Message | None = None
            while True:
                sample = await self._sample(event)
                self._phase = sample.phase
                if self._paused and sample.phase in (Phase.FAILED, Phase.CANCELLED):
                    await self._continue(self._source)
                yield replace(sample, looks=self._looking.take())
                if sample.phase.terminal or sample.phase is Phase.PAUSED:
                    return
                if self.options.postcopy:
                    # What is seen is for the next sample: no decision waits for a look.
                    await self._looking.go_on(sample)
                event = await self._next(events)

    async def switch(self) -> None:
        """Ask the source to go over to post-copy.

        :raises RefusedError: when post-copy was not armed at the start.
        """
        if not self.options.postcopy:
            raise RefusedError(
                "post-copy was not armed when this migration was started",
                hint="cancel it and start it again with a policy that may switch",
            )
        await self._source.execute("migrate-start-postcopy")

    async def cancel(self) -> None:
        """Call it off, unless the guest's memory is already on both hosts."""
        # Look before acting: the switch may have happened since the last sample.
        answer = await self._source.execute("query-migrate")
        status = answer.get("status", "none")
        if phase_of(status).spread:
            raise RefusedError(
                f"QEMU on {self._source.name} is in {status}: the guest's memory is on both hosts,"
                " and calling the migration off would destroy it",
                hint="let it finish",
            )
        await self._source.execute("migrate_cancel")
        self._called_off = True

    async def pause(self) -> None:
        """Stop the guest at the source; it goes on at whichever end it is found afterwards."""
        answer = await self._source.execute("query-migrate")
        if phase_of(answer.get("status", "none")) is Phase.PRECOPY:
            await self._source.execute("stop")
        self._paused = True

    async def set_bandwidth(self, bytes_per_second: int) -> None:
        """Bound what the source sends; post-copy is not bounded, or requested pages would wait."""
        await self._source.execute("migrate-set-parameters", {"max-bandwidth": bytes_per_second})

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set ``downtime-limit``."""
        milliseconds = max(1, round(seconds * 1000))
        await self._source.execute("migrate-set-parameters", {"downtime-limit": milliseconds})

    async def figures(self) -> Figures:
        """Return what both QEMUs counted."""
        source = await self._source.execute("query-migrate")
        destination: Mapping[str, Any] = {}
        if self._destination.connected:
            with contextlib.suppress(UnavailableError, OutcomeUnknownError, CommandError):
                destination = await self._destination.execute("query-migrate")
        return figures_of(source, destination)

    async def close(self) -> None:
        """End all sessions."""
        self.rescue.close()
        for monitor in (*self._spare, self._destination, self._source):
            await monitor.close()

    async def _open(self, *monitors: Monitor) -> None:
        for monitor in monitors:
            await monitor.connect()

    async def _guard(self) -> None:
        migration = await self._source.execute("query-migrate")
        status = migration.get("status", "none")
        phase = phase_of(status, Phase.PRECOPY)
        if not phase.terminal and status != "none":
            raise RefusedError(
                f"the guest on {self._source.name} is already migrating ({status})",
                hint="follow that migration: postcopy attach GUEST",
            )
        if blocked := migration.get("blocked-reasons"):
            raise RefusedError(
                f"QEMU on {self._source.name} cannot migrate this guest: {'; '.join(blocked)}",
                hint="detach what blocks it, or move the guest while it is shut down",
            )
        state = (await self._source.execute("query-status"))["status"]
        if state != "running":
            raise RefusedError(
                f"the guest on {self._source.name} is {state}, not running",
                hint="resume it first; a stopped guest needs no live migration",
            )
        state = (await self._destination.execute("query-status"))["status"]
        if state != "inmigrate":
            raise RefusedError(
                f"QEMU on {self._destination.name} is {state}, not waiting for a guest",
                hint="start it with -incoming defer and the same devices as the source",
            )

    async def _sample(self, event: Message | None) -> Sample:
        at = self._clock.now()
        try:
            answer = await self._source.execute("query-migrate", seconds=10.0)
        except PostcopyError as error:
            return await self._without_source(at, error)
        ended_at = _pass_ended_at(event)
        sample = sample_of(answer, at, before=self._phase, pass_ended_at=ended_at)
        if sample.phase is Phase.UNKNOWN:
            _log.warning("QEMU says %r, a state never heard of", sample.status)
        if sample.phase is Phase.COMPLETED:
            return await self._confirmed(sample)
        if self._called_off and sample.phase in (Phase.FAILED, Phase.CANCELLED):
            # QEMU calls it off by shutting its connection, and may take that for a failure of its
            # channel. It was not called off in post-copy: the guest is whole at the source.
            return replace(sample, phase=Phase.CANCELLED, error="")
        return sample

    async def _confirmed(self, sample: Sample) -> Sample:
        """Believe "completed" when the guest runs at the destination, not before."""
        deadline = self._clock.now() + _ARRIVAL_SECONDS
        state = "no answer"
        while self._destination.connected and self._clock.now() < deadline:
            try:
                state = (await self._destination.execute("query-status"))["status"]
            except PostcopyError as error:
                state = error.message
                break
            if state == "running":
                return sample
            if state == "paused" and self._paused:
                # A guest that was stopped when it left is stopped when it arrives.
                await self._continue(self._destination)
            await self._clock.sleep(0.01)
        return Sample(
            at=sample.at,
            phase=Phase.UNKNOWN,
            status=sample.status,
            error=f"the source has sent all, but the guest on {self._destination.name} is not"
            f" seen running ({state})",
        )

    async def _continue(self, monitor: Monitor) -> None:
        with contextlib.suppress(PostcopyError):
            if (await monitor.execute("query-status"))["status"] == "paused":
                await monitor.execute("cont")

    async def _without_source(self, at: float, error: PostcopyError) -> Sample:
        """Say what can be said when the source does not answer."""
        state = "no answer"
        if self._destination.connected:
            with contextlib.suppress(PostcopyError):
                state = (await self._destination.execute("query-status", seconds=5.0))["status"]
        if not self._source.connected:
            # Nothing more will come: whatever the guest is now, it is at the destination or lost.
            phase = Phase.COMPLETED if state == "running" and self._arrived else Phase.FAILED
        else:
            phase = Phase.UNKNOWN
        return Sample(
            at=at, phase=phase, error=f"{error.message}; the guest on the destination: {state}"
        )

    @property
    def _arrived(self) -> bool:
        # In post-copy the destination runs long before it has all of the memory.
        return not self._phase.spread

    async def _next(self, events: EventListener) -> Message | None:
        seconds = _POLL_SECONDS.get(self._phase, _POLL_SECONDS_ELSE)
        try:
            async with asyncio.timeout(seconds):
                return await events.get()
        except TimeoutError:
            return None


def _pass_ended_at(event: Message | None) -> float | None:
    """Return when a pass ended, if the event says that one did.

    ``MIGRATION_PASS`` announces a pass that begins; the first one ends nothing.
    """
    if (
        event is None
        or event["event"] != "MIGRATION_PASS"
        or cast(dict[str, int], event["data"])["pass"] < 2
    ):
        return None
    stamp = cast(dict[str, int], event["timestamp"])
    return float(stamp["seconds"] + stamp["microseconds"] / 1e6)
