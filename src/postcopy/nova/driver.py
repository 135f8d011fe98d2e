"""Moves a server through Nova's API."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from postcopy.clock import Clock, SystemClock
from postcopy.errors import OutcomeUnknownError, PostcopyError, RefusedError
from postcopy.migration.outcome import Figures
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Rescue
from postcopy.migration.sample import Sample
from postcopy.nova import guards
from postcopy.nova.api import NovaApi
from postcopy.nova.beneath import Beneath, MakeRescue, MakeWatcher, MakeWays, Places
from postcopy.nova.follow import Follower
from postcopy.nova.hypervisors import Hypervisors
from postcopy.nova.permission import NOT_KNOWN, Effect, Permission
from postcopy.nova.rescue import ServerRescue
from postcopy.nova.search import Search

__all__ = ["NovaDriver"]

_POLL_SECONDS = 1.0
_WATCH_SECONDS = 0.25
"""How often libvirt is asked, where it is asked at all; events come at once."""


class NovaDriver:
    """Moves one server of a cloud, with an administrator's rights.

    :param server: its name or uuid.
    :param host: where to, as Nova calls it; None leaves it to the scheduler.
    :param api: the cloud's Nova.
    :param permission: what a switch will do to the guest.
    :param allow_pause: whether it may stand still until it has moved.
    :param places: where libvirts are; without them, what is known is what Nova tells, and nothing
        is recovered.
    :param downtime_limit: how long the guest may stand still at a pre-copy switchover, in seconds.
        Nova has a limit of its own; this one is for policies to reckon with.
    """

    def __init__(
        self,
        server: str,
        host: str | None,
        api: NovaApi,
        *,
        permission: Permission = NOT_KNOWN,
        allow_pause: bool = False,
        places: Places | None = None,
        downtime_limit: float = 0.3,
        clock: Clock | None = None,
        watcher: MakeWatcher = Hypervisors,
        make_rescue: MakeRescue = ServerRescue,
    ) -> None:
        self.server = server
        self.host = host
        self.permission = permission
        self.notes: list[str] = []
        """What a user should know of how it is done."""
        self._api = api
        self._allow_pause = allow_pause
        self._places = places or Places()
        self._beneath = Beneath(self._places, self.notes, watcher=watcher, rescue=make_rescue)
        self._downtime_limit = downtime_limit
        self._clock = clock or SystemClock()
        self._search = Search(api, server, self._clock)
        self._fresh = False
        self._follower = Follower(api, server, self._clock, self.notes)

    @property
    def source(self) -> str:
        """The host that the server leaves; known once `check` or `attach` has looked."""
        return self._search.source

    @property
    def destination(self) -> str:
        """The host that it goes to; empty while the scheduler has not chosen."""
        return self.host or self._follower.destination

    @property
    def uuid(self) -> str:
        """The server's, and its domain's; known once `check` or `attach` has looked."""
        return self._search.uuid

    @property
    def migration(self) -> int | None:
        """The number of its migration; None while Nova has no record of it."""
        return self._follower.migration

    @property
    def rescue(self) -> Rescue | None:
        """What recovers it at the libvirts beneath; None where there are none.

        Nor is there any while libvirt is silent in post-copy: Nova's figures stand still then, and
        that must not be taken for a dead connection.
        """
        return None if self._follower.blind else self._beneath.rescue

    @property
    def advice(self) -> str:
        """What to do about the end that it came to."""
        return self._follower.advice

    def record(self) -> Mapping[str, Any]:
        """Return the cloud, the server, and what tells this migration from earlier ones."""
        return {
            "kind": "nova",
            "cloud": self._api.cloud,
            "clouds_file": self._api.clouds_file,
            "server": self.server,
            "uuid": self.uuid,
            "host": self.host,
            "source": self.source,
            "earlier": self._search.earlier,
            "migration": self._follower.migration,
            "permission": self.permission.record(),
            "allow_pause": self._allow_pause,
            "libvirt_uri": self._places.libvirt_uri,
            "peer_uri": self._places.peer_uri,
            "recover_uri": self._places.recover_uri,
            "options": {"downtime_limit": self._downtime_limit},
        }

    @classmethod
    def of_record(
        cls,
        record: Mapping[str, Any],
        ways: MakeWays | None = None,
        *,
        clock: Clock | None = None,
    ) -> "NovaDriver":
        """Read what `record` wrote."""
        made = cls(
            record["server"],
            record["host"],
            NovaApi(record["cloud"], record["clouds_file"]),
            permission=Permission.of_record(record["permission"]),
            allow_pause=record["allow_pause"],
            places=Places(
                libvirt_uri=record["libvirt_uri"],
                peer_uri=record.get("peer_uri"),
                recover_uri=record.get("recover_uri"),
                ways=ways,
            ),
            downtime_limit=record["options"]["downtime_limit"],
            clock=clock,
        )
        search = made._search
        search.uuid, search.source = record["uuid"], record["source"]
        search.earlier = record["earlier"]
        made._follower.migration = record["migration"]
        return made

    async def locate(self) -> str:
        """Return the host that the server is on now.

        :raises NotFoundError: when the cloud has no such server.
        :raises RefusedError: when it is on none.
        """
        await self._search.locate()
        return self._search.source

    async def check(self) -> None:
        """Look whether Nova would take it, reach libvirt where it is to be asked; move nothing.

        :raises PostcopyError: what stands in the way.
        """
        losses = await self._api.losses()
        await self.locate()
        found = await self._api.server(self.uuid)
        notes = guards.check(self.server, self.host, found)
        self._follower.paused_before = bool(guards.paused(found))
        await self._search.remember_earlier()
        if self._places.libvirt_uri is not None:
            await self._beneath.watch(self.uuid, self.source, self.host or "")
        else:
            losses.append(
                "no libvirt is asked (--source-uri): Nova's figures are five seconds old, passes"
                " are guessed from them, nothing proves that a switch took place, and a post-copy"
                " whose connection breaks is not recovered"
            )
        self.notes[:] = [*losses, *notes]

    def check_switch(self) -> None:
        """Refuse a switch that would pause the guest, or might, where nobody has allowed it.

        :raises RefusedError: when post-copy is not known to be permitted.
        """
        if self._allow_pause or self.permission.effect is Effect.POSTCOPY:
            return
        would = "would" if self.permission.effect is Effect.PAUSE else "may"
        raise RefusedError(
            f"Nova {would} pause server {self.server!r} instead of switching to post-copy"
            f" ({self.permission.because})",
            hint=guards.HOW_TO_KNOW,
        )

    async def start(self) -> None:
        """Check, then ask for the migration; returns when Nova has a record of it."""
        await self.check()
        lost: PostcopyError | None = None
        try:
            await self._api.live_migrate(self.uuid, self.host)
        except OutcomeUnknownError as error:
            lost = error  # it may have begun all the same
        self._follower.migration = await self._search.begun(lost)
        if self.permission.effect is not Effect.POSTCOPY:
            self.notes.append(f"a switch will be {self.permission}")
        await self._begin(fresh=True)

    async def attach(self) -> None:
        """Find a migration that goes on by itself, or has ended meanwhile.

        :raises NotFoundError: when Nova has none that is newer than what was there before.
        """
        if self._follower.migration is None:
            self._follower.migration = await self._search.again()
        await self._begin(fresh=False)

    async def adopt(self, *, over: bool = False) -> None:
        """Find the migration of the server that is under way, whoever began it.

        :param over: take the latest also if Nova says that it is over, which need not be so.
        :raises NotFoundError: when there is none.
        """
        self._follower.migration = await self._search.under_way(over=over)
        await self._begin(fresh=False)

    async def samples(self) -> AsyncIterator[Sample]:
        """Yield what Nova and libvirt say, every second, and at each event of libvirt's."""
        while True:
            samples = await self._follower.samples()
            if any(sample.phase is Phase.PRECOPY for sample in samples):
                await self._beneath.be_ready()  # before anybody switches
            if self._follower.lost:
                # At once: a domain that is seen shut off for 15 s is stopped by Nova, too.
                await self.put_records_right()
            if samples[-1].phase is Phase.PAUSED:
                # After a recovery past libvirt, it may take its time to see what QEMU does.
                ahead = await self._beneath.ahead(samples[-1].at)
                samples = [ahead] if ahead is not None else samples
            for sample in samples:
                yield sample
            if sample.phase.terminal or sample.phase is Phase.PAUSED or self._follower.given_up:
                return
            if (watcher := self._beneath.watcher) is not None:
                if self.destination != self._beneath.destination:
                    await self._reach_libvirt()  # the scheduler has chosen
                await watcher.wait(_WATCH_SECONDS)
            else:
                await self._clock.sleep(_POLL_SECONDS)

    async def switch(self) -> None:
        """Have Nova force the migration to its end.

        :raises RefusedError: when that might pause the guest, and nobody has allowed it.
        """
        self.check_switch()
        await self._follower.switch(self.permission.effect)

    async def cancel(self) -> None:
        """Call it off, unless the guest's memory is already on both hosts."""
        await self._follower.cancel()

    async def pause(self) -> None:
        """Stop the guest until it has moved, as far as there is a way to."""
        if self._beneath.watcher is not None:
            await self._beneath.watcher.suspend()
        elif self.permission.effect is Effect.PAUSE:
            await self._follower.switch(Effect.PAUSE)
        else:
            self.notes.append("the guest is not stopped: Nova has no call for that, and no libvirt"
                              " was named (--source-uri)")  # fmt: skip

    async def set_bandwidth(self, bytes_per_second: int) -> None:
        """Nova has no such call.

        :raises RefusedError: always.
        """
        raise RefusedError(
            f"Nova cannot bound one migration to {bytes_per_second} bytes a second",
            hint=guards.BANDWIDTH_HINT,
        )

    async def set_downtime_limit(self, seconds: float) -> None:
        """Set it by libvirt where that is asked; Nova raises a limit of its own step by step."""
        if self._beneath.watcher is not None:
            await self._beneath.watcher.set_downtime_limit(seconds)

    async def put_records_right(self) -> None:
        """Have the libvirts know where the domain is, once it has arrived."""
        if self._beneath.rescue is not None:
            self.notes += await self._beneath.rescue.put_records_right()

    async def figures(self) -> Figures:
        """Return libvirt's account where it was asked; Nova keeps none."""
        return await self._follower.figures()

    async def close(self) -> None:
        """Let go of both; whatever is under way goes on."""
        self._follower.close()
        await self._beneath.close()

    async def _begin(self, *, fresh: bool) -> None:
        """Follow the migration that was found."""
        self._follower.follow(self.uuid, self.source)
        self._fresh = fresh
        await self._follower.first()
        await self._reach_libvirt()

    async def _reach_libvirt(self) -> None:
        await self._beneath.reach(self.uuid, self.source, self.destination, fresh=self._fresh)
        self._follower.watcher = self._beneath.watcher
