"""A lab: `Lab` brings two hosts up and down, says how they are, and hands them out."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from postcopy import pids
from postcopy.errors import (
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
    UnavailableError,
)
from postcopy.lab import (
    creation,
    libvirtd,
    lock,
    names,
    releases,
    root,
    state,
    teardown,
)
from postcopy.lab.host import Host
from postcopy.lab.link import DataLink
from postcopy.lab.openstack import cloud
from postcopy.lab.root import Root
from postcopy.lab.state import LabRecord
from postcopy.lab.status import HostStatus, LabState, LabStatus

__all__ = ["DEFAULT_RATE", "Lab"]

DEFAULT_RATE = 125_000_000
"""Of the data link, bytes a second: 1 Gb/s."""

_LOCK_SECONDS = 5.0

_DOWN_SECONDS = 1.6
"""How long `Lab.down` may take for the sake of looks alone."""


class Lab:
    """Two hosts, ``alpha`` and ``beta``, and the link between them; ``controller`` with a cloud.

    The hosts outlive the process that brought them up. Labs of different names are strangers to
    each other.

    :raises UsageError: when the name may not be a lab's.
    """

    def __init__(self, name: str = names.DEFAULT_LAB) -> None:
        self.name = names.validate_lab(name)

    @classmethod
    def list(cls) -> "list[Lab]":
        """Return all labs of which there is something on this machine, by name."""
        return [cls(name) for name in sorted(state.known_labs())]

    @property
    def runtime_dir(self) -> Path:
        """Where the lab keeps what is running; a directory for each host is in it."""
        return state.directory(self.name)

    async def up(
        self,
        *,
        rate: int | None = None,
        release: str | None = None,
        kvm: bool = False,
        openstack: bool = False,
        shared: bool | None = None,
        nova: Mapping[str, str] | None = None,
        progress: Callable[[str], None] = lambda stage: None,
    ) -> None:
        """Bring the lab up. One that is up already stays, and gets the rate if one is given.

        :param rate: of the data link, bytes a second; `DEFAULT_RATE` for a new lab.
        :param release: what the hosts are made of, as `postcopy.lab.releases.parse` reads it;
            those of a cloud can be made of one that has OpenStack alone.
        :param kvm: whether the hosts have a ``/dev/kvm``.
        :param openstack: whether there is a third host, and a cloud (`postcopy.lab.openstack`).
        :param shared: whether Nova keeps instances in a directory that both hosts see; None is
            no in a new lab, and as it is in one that is up.
        :param nova: options of nova.conf's ``[libvirt]`` in place of the lab's own; None as above.
        :param progress: told what is being done, in words.
        :raises PermissionDeniedError: when not root, or without the capabilities.
        :raises RefusedError: when it is up with another release, or without a cloud.
        :raises RetryableError: when somebody else is changing it.
        :raises UnavailableError: when the machine cannot.
        """
        read = releases.parse_for_cloud if openstack else releases.parse
        wanted = read(release)
        async with self._changing(progress):
            record = self._complete_record()
            if record is not None:
                if not wanted.keys() <= record.releases.keys():
                    raise RefusedError(
                        f"lab {self.name} is up without a cloud",
                        hint=f"`{self._command('down')}` first",
                    )
                if release is not None and not wanted.items() <= record.releases.items():
                    raise RefusedError(
                        f"lab {self.name} is up with {releases.spell(record.releases)},"
                        f" not {releases.spell(wanted)}",
                        hint=f"`{self._command('down')}` first",
                    )
                progress(f"lab {self.name} is up already")
                await creation.ensure_daemons(record, progress)
                await self._ensure_cloud(record, shared, nova, progress)
                if rate is not None:
                    await DataLink(self.name).set_rate(rate)
                return
            if await teardown.remains(self.name):
                progress(f"lab {self.name} is half there: taking that away first")
                await teardown.take_away(self.name)
            try:
                record = await creation.create(
                    self.name, wanted, rate or DEFAULT_RATE, kvm, progress
                )
                await self._ensure_cloud(record, shared, nova, progress)
                progress(f"lab {self.name} is up")
            except BaseException:
                progress("taking away what was made so far")
                await teardown.take_away(self.name)
                raise

    async def down(self, *, progress: Callable[[str], None] = lambda stage: None) -> None:
        """Take away whatever there is of the lab; the cached roots stay.

        :raises PermissionDeniedError: when not root.
        :raises RetryableError: when somebody else is changing it.
        """
        time = asyncio.get_running_loop().time
        deadline = time() + _DOWN_SECONDS
        async with self._changing(progress):
            ended = await teardown.take_away(self.name)
        await pids.wait_until_reaped(ended, deadline - time())

    async def status(self) -> LabStatus:
        """Return how the lab is. Needs root only for a lab of which there is something."""
        if os.geteuid() != 0 and not state.directory(self.name).exists():
            return LabStatus(self.name, LabState.ABSENT)
        _require_root()
        if not await teardown.remains(self.name):
            return LabStatus(self.name, LabState.ABSENT)
        try:
            record = LabRecord.load(self.name)
        except UnavailableError:
            record = None
        if record is None:
            return LabStatus(self.name, LabState.HALF)
        found = tuple(
            HostStatus(
                name,
                record.releases[name],
                host.pid,
                host.alive,
                names.data_address(record.slot, name),
                names.control_address(record.slot, name),
                self._uris(name, record),
            )
            for name, host in record.hosts.items()
        )
        release = releases.spell(record.releases)
        if self._complete_record() is None:
            return LabStatus(self.name, LabState.HALF, release, found)
        link = await DataLink(self.name).status()
        with_cloud = names.CONTROLLER in record.hosts
        seen = cloud.status(self._hosts(record), self.runtime_dir) if with_cloud else None
        return LabStatus(self.name, LabState.UP, release, found, link, seen)

    def host(self, name: str) -> Host:
        """Return a host of the lab.

        :raises NotFoundError: when no host has that name.
        :raises UnavailableError: when the lab is not up.
        """
        if name not in names.ALL_HOSTS:
            raise NotFoundError(
                f"there is no host {name!r}",
                hint=f"a lab has {' and '.join(names.HOSTS)}, and {names.CONTROLLER} with a cloud",
            )
        record = self._up_record()
        if name not in record.hosts:
            raise NotFoundError(
                f"lab {self.name} has no {name}: it is up without a cloud",
                hint=f"`{self._command('down')}`, then `{self._command('up')} --openstack`",
            )
        return creation.host_of(record, name)

    def guest_host(self, name: str) -> Host:
        """Return a host of the lab that can run guests.

        :raises NotFoundError: when no such host has that name.
        :raises UnavailableError: when the lab is not up.
        """
        found = self.host(name)
        if name not in names.HOSTS:
            raise NotFoundError(f"{name} runs no guests", hint=f"choose {' or '.join(names.HOSTS)}")
        return found

    def _hosts(self, record: LabRecord) -> dict[str, Host]:
        return {name: creation.host_of(record, name) for name in record.hosts}

    def _uris(self, name: str, record: LabRecord) -> dict[str, str]:
        if name not in names.HOSTS:
            return {}
        return libvirtd.uris(creation.host_of(record, name))

    def link(self) -> DataLink:
        """Return the link between the hosts.

        :raises UnavailableError: when the lab is not up.
        """
        self._up_record()
        return DataLink(self.name)

    def roots(self) -> dict[str, Root]:
        """Return what each host is made of.

        :raises UnavailableError: when the lab is not up, or the cache was emptied meanwhile.
        """
        found = {}
        for host, name in self._up_record().releases.items():
            one = root.find(releases.release(name))
            if one is None:
                raise UnavailableError(
                    f"the root of {name} is no longer in the cache, and lab {self.name} needs it",
                    hint=f"`{self._command('down')}`, then `{self._command('up')}`",
                )
            found[host] = one
        return found

    async def _ensure_cloud(
        self,
        record: LabRecord,
        shared: bool | None,
        nova: Mapping[str, str] | None,
        progress: Callable[[str], None],
    ) -> None:
        if names.CONTROLLER in record.hosts:
            await cloud.ensure(
                self._hosts(record),
                self.runtime_dir,
                self.roots()[names.CONTROLLER],
                shared=shared,
                nova=nova,
                progress=progress,
            )

    @asynccontextmanager
    async def _changing(self, progress: Callable[[str], None]) -> AsyncIterator[None]:
        _require_root()
        path = state.lock_path(self.name)
        try:
            async with lock.hold(
                path, f"lab {self.name}", patience=_LOCK_SECONDS, on_wait=progress
            ):
                yield
        finally:
            state.remove_empty_directories()

    def _up_record(self) -> LabRecord:
        record = self._complete_record()
        if record is not None:
            return record
        if state.directory(self.name).exists():
            raise UnavailableError(
                f"lab {self.name} is half there",
                hint=f"`{self._command('up')}` mends it, `{self._command('down')}` takes it away",
            )
        raise UnavailableError(
            f"lab {self.name} is not up", hint=f"`{self._command('up')}` brings it up"
        )

    def _complete_record(self) -> LabRecord | None:
        try:
            record = LabRecord.load(self.name)
        except UnavailableError:
            return None
        if record is None or not set(record.hosts) >= set(names.HOSTS):
            return None
        return record if all(host.alive for host in record.hosts.values()) else None

    def _command(self, verb: str) -> str:
        return names.command(self.name, verb)


def _require_root() -> None:
    if os.geteuid() != 0:
        raise PermissionDeniedError(
            "a lab needs root: it makes namespaces, mounts and links",
            hint="run it as root, for example with sudo",
        )
