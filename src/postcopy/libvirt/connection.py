"""One connection to one libvirt daemon, for asyncio, its errors in this project's words."""

import asyncio
import contextlib
import functools
import threading
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import libvirt

from postcopy.clock import SystemClock
from postcopy.errors import (
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PostcopyError,
    RefusedError,
    RetryableError,
    UnavailableError,
)
from postcopy.libvirt.loop import in_thread, start_events
from postcopy.libvirt.refusals import explain

__all__ = ["Connection", "DomainEvent", "LibvirtCallError", "Version", "translate"]

P = ParamSpec("P")
R = TypeVar("R")

# A daemon that does not answer for this long is given up; the same as libvirt's own default.
_KEEPALIVE_SECONDS, _KEEPALIVE_COUNT = 5, 5
_CLOSE_SECONDS = 0.5

Version = tuple[int, int, int]


class LibvirtCallError(PostcopyError):
    """libvirt understood a call and answered with an error: nothing happened."""

    exit_code = 1

    def __init__(self, message: str, *, code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Something that libvirt said of a domain.

    :param kind: ``lifecycle``, ``iteration``, ``job-completed`` or ``closed``.
    :param at: when it was heard, in Unix time.
    :param event: of a lifecycle event, ``VIR_DOMAIN_EVENT_*``.
    :param detail: of a lifecycle event, what goes with it; of an iteration, its number.
    :param figures: of a completed job, its statistics.
    :param uuid: the domain's; empty where the connection itself is meant.
    """

    kind: str
    at: float
    event: int = -1
    detail: int = -1
    figures: dict[str, Any] | None = None
    uuid: str = ""


class Connection:
    """A connection to a libvirt daemon. Make it with `open`.

    Calls are made one after the other: before 10.2, the client library may sleep through the answer
    to a call that is made while another waits, until the daemon's next keepalive 5 s later. A call
    that takes long, such as a migration, wants a connection of its own.

    :ivar uri: as the user gave it.
    """

    def __init__(self, uri: str, handle: libvirt.virConnect) -> None:
        self.uri = uri
        self._handle = handle
        self._clock = SystemClock()
        self._turn = threading.Lock()

    @classmethod
    async def open(cls, uri: str, seconds: float = 20.0) -> "Connection":
        """Connect.

        :raises UnavailableError: when the daemon does not answer, or refuses.
        """
        start_events()
        try:
            async with asyncio.timeout(seconds):
                handle = await in_thread(libvirt.open, uri)
        except TimeoutError:
            raise UnavailableError(
                f"no libvirt answers at {uri} within {seconds:.0f} s",
                hint=f"try it: virsh -c '{uri}' version",
            ) from None
        except libvirt.libvirtError as error:
            raise UnavailableError(
                f"cannot connect to {uri}: {error.get_error_message()}",
                hint=f"does libvirtd run there and take this kind of connection? try:"
                f" virsh -c '{uri}' version",
            ) from error
        connection = cls(uri, handle)
        # Some transports have no keepalive; then a dead peer is noticed by TCP, later.
        with contextlib.suppress(libvirt.libvirtError):
            await in_thread(handle.setKeepAlive, _KEEPALIVE_SECONDS, _KEEPALIVE_COUNT)
        return connection

    @property
    def handle(self) -> libvirt.virConnect:
        """libvirt's own object, for calls that are made in another thread."""
        return self._handle

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a blocking libvirt call in a thread; errors become those of `postcopy.errors`."""
        try:
            return await self._call(function, *args, **kwargs)
        except libvirt.libvirtError as error:
            raise translate(error, self.uri) from error

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def in_turn() -> R:
            with self._turn:
                return function(*args, **kwargs)

        return await in_thread(in_turn)

    async def alive(self) -> bool:
        """Return whether the daemon still answers."""
        try:
            async with asyncio.timeout(5.0):
                await self._call(self._handle.getLibVersion)
        except (TimeoutError, libvirt.libvirtError):
            return False
        return True

    async def host_uuid(self) -> str:
        """Return the host's UUID: the same for every name of the same host."""
        tree = ET.fromstring(await self.call(self._handle.getCapabilities))
        return tree.findtext("host/uuid", "")

    async def host_name(self) -> str:
        """Return what the host calls itself."""
        return str(await self.call(self._handle.getHostname))

    async def versions(self) -> tuple[Version, Version]:
        """Return the versions of libvirt and of QEMU there."""
        own = await self.call(self._handle.getLibVersion)
        hypervisor = await self.call(self._handle.getVersion)
        return _version(own), _version(hypervisor)

    async def domain(self, name: str) -> libvirt.virDomain:
        """Return a domain by name.

        :raises NotFoundError: when the host has none of that name.
        """
        try:
            return await self._call(self._handle.lookupByName, name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise translate(error, self.uri) from error
        known = await self.domain_names()
        raise NotFoundError(
            f"there is no domain {name!r} at {self.uri}",
            hint=f"it has: {', '.join(known) or 'none'}",
        )

    async def domain_names(self) -> list[str]:
        """Return the names of all domains, running or not."""
        domains = await self.call(self._handle.listAllDomains)
        return sorted(domain.name() for domain in domains)

    async def find(self, uuid: str) -> libvirt.virDomain | None:
        """Return a domain by UUID, or None."""
        try:
            return await self._call(self._handle.lookupByUUIDString, uuid)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise translate(error, self.uri) from error

    @contextlib.asynccontextmanager
    async def events(self, uuid: str | None = None) -> AsyncIterator["asyncio.Queue[DomainEvent]"]:
        """Queue what libvirt says while the block runs.

        Registered for all domains and filtered here: the object of a domain that is undefined and
        comes back is not the same one.

        :param uuid: of the domain; None for the lifecycle of all, and nothing else of them.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[DomainEvent] = asyncio.Queue()

        def hear(event: DomainEvent) -> None:
            # The loop may have closed while libvirt's thread was on its way here.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(queue.put_nowait, event)

        def about(domain: libvirt.virDomain) -> str:
            of = str(domain.UUIDString())
            return of if uuid in (None, of) else ""

        def lifecycle(_: Any, domain: libvirt.virDomain, event: int, detail: int, __: Any) -> None:
            if of := about(domain):
                hear(DomainEvent("lifecycle", self._clock.now(), event, detail, uuid=of))

        def iteration(_: Any, domain: libvirt.virDomain, number: int, __: Any) -> None:
            if of := about(domain):
                hear(DomainEvent("iteration", self._clock.now(), detail=number, uuid=of))

        def completed(_: Any, domain: libvirt.virDomain, figures: Any, __: Any) -> None:
            if of := about(domain):
                told = dict(figures)
                hear(DomainEvent("job-completed", self._clock.now(), figures=told, uuid=of))

        def closed(_: Any, reason: int, __: Any) -> None:
            hear(DomainEvent("closed", self._clock.now(), detail=reason))

        handle, ids = self._handle, []
        kinds = [
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, iteration),
            (libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, completed),
        ]
        try:
            for kind, callback in kinds[: 1 if uuid is None else None]:
                register = functools.partial(handle.domainEventRegisterAny, None, kind, callback)
                ids.append(await self.call(register, None))
            await self.call(handle.registerCloseCallback, closed, None)
            yield queue
        finally:
            # Each by itself, also of a daemon that is gone: what stays registered keeps its
            # connection in memory for as long as the process lives.
            with contextlib.suppress(libvirt.libvirtError):
                await self._call(handle.unregisterCloseCallback)
            for number in ids:
                with contextlib.suppress(libvirt.libvirtError):
                    await self._call(handle.domainEventDeregisterAny, number)

    async def close(self) -> None:
        """Let go of the daemon; one that has stopped answering is not waited for."""
        with contextlib.suppress(libvirt.libvirtError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._call(self._handle.close)


def translate(error: libvirt.libvirtError, where: str) -> PostcopyError:
    """Return a libvirt error as one of the fates of `postcopy.errors`."""
    code, domain, text = error.get_error_code(), error.get_error_domain(), error.get_error_message()
    message = f"{where}: {text}"
    if (refusal := explain(error, where)) is not None:
        return refusal
    if code in (libvirt.VIR_ERR_AUTH_FAILED, libvirt.VIR_ERR_ACCESS_DENIED):
        return PermissionDeniedError(message, hint="libvirt there refuses this user")
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return NotFoundError(message, hint="has it been moved or undefined meanwhile?")
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        # "cannot acquire state change lock": somebody else has a job on the domain.
        return RetryableError(message, hint="another job holds the domain; try again later")
    if domain == libvirt.VIR_FROM_RPC or (
        code
        in (
            libvirt.VIR_ERR_INTERNAL_ERROR,
            libvirt.VIR_ERR_INVALID_CONN,
        )
        and ("closed" in text or "end of file" in text.lower() or "reset" in text)
    ):
        return OutcomeUnknownError(
            message, hint="the connection was lost in the middle of a call: look at both hosts"
        )
    if code in (libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_CONFIG_UNSUPPORTED):
        return RefusedError(message, hint="this libvirt or QEMU cannot do that")
    return LibvirtCallError(message, code=code)


def _version(number: int) -> Version:
    return number // 1_000_000, number // 1000 % 1000, number % 1000
