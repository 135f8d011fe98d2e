"""``openstack postcopy migrate | show | list | switch | cancel``."""

import argparse
import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from osc_lib.command import command
from osc_lib.exceptions import CommandError

from postcopy import policy as policies
from postcopy.cli import attach, clouds, session
from postcopy.cli.migrate import carry
from postcopy.cli.openstack.plugin import make_client
from postcopy.cli.request import Request
from postcopy.errors import MigrationError, NotFoundError, PostcopyError
from postcopy.migration.phase import Phase
from postcopy.migration.sample import Sample
from postcopy.nova.api import NovaApi
from postcopy.nova.beneath import Places
from postcopy.nova.driver import NovaDriver
from postcopy.nova.look import OVER
from postcopy.units import format_bytes

__all__ = ["Migrate", "Show", "List", "Switch", "Cancel"]

T = TypeVar("T")

_FIGURES = ("total_seconds", "switched_at", "error", "hint")
_OFTEN = 60
"""How many looks a switch or an abort may take to show, at one a second."""


class _Command(command.Command):
    """What all of them have in common."""

    @functools.cached_property
    def api(self) -> NovaApi:
        """The cloud that OpenStackClient was told."""
        return make_client(self.app.client_manager)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine; its errors become OpenStackClient's."""
        try:
            return asyncio.run(work)
        except PostcopyError as error:
            raise CommandError(_words(error)) from error

    def say(self, text: str) -> None:
        """Tell a person something."""
        self.app.stdout.write(f"{text}\n")


class Migrate(_Command, command.ShowOne):
    """Move a server, and switch to post-copy when the policy says so."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="<server>", help="Server to move (name or ID)")
        parser.add_argument(
            "--host", metavar="<host>", help="Compute host to move it to; the scheduler's if left"
        )
        parser.add_argument(
            "--policy",
            metavar="<policy>",
            default="adaptive",
            help="When to switch (default: adaptive); see postcopy policies",
        )
        parser.add_argument(
            "--downtime",
            metavar="<seconds>",
            type=float,
            default=0.3,
            help="How long it may stand still at a pre-copy switchover (default: 0.3)",
        )
        return _switch_options(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        self._failed: PostcopyError | None = None
        request = _request(self.api, parsed_args, parsed_args.policy)
        shown = "table" if parsed_args.formatter == "table" else "json"  # programs want no progress
        run, outcome = self.wait_for(
            carry(request, shown, lambda r, journal: clouds.prepare(r, journal, self.api))
        )
        try:
            session.complain(run, outcome)
        except MigrationError as error:
            self._failed = error
        told = session.summary(run, outcome)
        names = ("run", "guest", "source", "destination", "policy", "fate", *_FIGURES)
        return names, tuple(told[name] for name in names)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Show how it ended, and fail if it is not at the destination."""
        code = int(super().run(parsed_args))
        if self._failed is not None:
            raise CommandError(_words(self._failed))
        return code


class Show(_Command, command.ShowOne):
    """Show how far the migration of a server is."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        return _server(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        driver = self._driver(parsed_args)
        sample = self.wait_for(_first(driver))
        people = parsed_args.formatter == "table"
        known = bool(sample.total_bytes)  # Nova tells nothing at first, and nothing in post-copy
        told = {
            "server": parsed_args.server,
            "source": driver.source,
            "destination": driver.destination,
            "phase": str(sample.phase),
            "status": sample.status,
            "memory_bytes": _bytes(sample.total_bytes, people) if known else None,
            "remaining_bytes": _bytes(sample.remaining_bytes, people) if known else None,
            "sent_bytes": _bytes(sample.transferred_bytes, people) if known else None,
            "error": sample.error,
            "hint": driver.advice,
        }
        return tuple(told), tuple(told.values())

    def _driver(self, parsed_args: argparse.Namespace) -> NovaDriver:
        places = Places(libvirt_uri=parsed_args.source_uri)
        return NovaDriver(parsed_args.server, None, self.api, places=places)


class List(_Command, command.Lister):
    """List the live migrations of the cloud that are under way."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            "--all", action="store_true", help="Those that have ended too, as far as Nova knows"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        found = self.wait_for(self.api.migrations())
        names = ("id", "instance_uuid", "status", "source_compute", "dest_compute", "created_at")
        shown = [one for one in found if parsed_args.all or one.get("status") not in OVER]
        return (
            ("ID", "Server UUID", "Status", "Source", "Destination", "Created At"),
            (tuple(one.get(name) for name in names) for one in shown),
        )


class Switch(_Command):
    """Switch the running migration of a server to post-copy now."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="<server>", help="Server that moves (name or ID)")
        return _switch_options(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if _on_record(parsed_args.server):
            self.wait_for(attach.switch_now(parsed_args.server, "table"))
            return
        sample = self.wait_for(self._directly(parsed_args))
        self.say(f"server {parsed_args.server}: {sample.phase} ({sample.status})")

    async def _directly(self, parsed_args: argparse.Namespace) -> Sample:
        """Switch one that was not begun here."""
        request = _request(self.api, parsed_args, "immediate")
        with session.open_journal() as journal:
            driver = await clouds.driver_of(request, journal, self.api)
        try:
            await driver.adopt()
            await driver.switch()
            return await _until(driver, lambda phase: phase.spread or phase.terminal)
        finally:
            await driver.close()


class Cancel(_Command):
    """Call the migration of a server off; refused once in post-copy."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        return _server(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        if _on_record(parsed_args.server):
            self.wait_for(attach.cancel_now(parsed_args.server, "table"))
            return
        sample = self.wait_for(self._directly(parsed_args))
        self.say(f"server {parsed_args.server}: {sample.phase} ({sample.status})")

    async def _directly(self, parsed_args: argparse.Namespace) -> Sample:
        """Call one off that was not begun here."""
        places = Places(libvirt_uri=parsed_args.source_uri)
        driver = NovaDriver(parsed_args.server, None, self.api, places=places)
        try:
            await driver.adopt()
            await driver.cancel()
            return await _until(driver, lambda phase: phase.terminal)
        finally:
            await driver.close()


def _server(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("server", metavar="<server>", help="Server that moves (name or ID)")
    return _libvirt_option(parser)


def _libvirt_option(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--source-uri",
        metavar="<uri>",
        help="Have libvirt tell what Nova cannot: qemu+ssh://{host}/system",
    )
    return parser


def _switch_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--check-host",
        metavar="<host>",
        help="Look whether nova.conf where the server is permits post-copy: ssh://{host}",
    )
    parser.add_argument(
        "--postcopy-permitted",
        action="store_true",
        help="Say that it does (live_migration_permit_post_copy)",
    )
    parser.add_argument(
        "--allow-pause",
        action="store_true",
        help="The server may be paused until it has moved, where post-copy is not permitted",
    )
    return _libvirt_option(parser)


def _request(api: NovaApi, parsed_args: argparse.Namespace, policy: str) -> Request:
    return Request(
        guest=parsed_args.server,
        destination=getattr(parsed_args, "host", None) or "",
        policy=policies.find(policy),
        lab="",
        downtime_limit=getattr(parsed_args, "downtime", 0.3),
        os_cloud=api.cloud,
        libvirt_uri=parsed_args.source_uri,
        check_host=parsed_args.check_host,
        postcopy_permitted=parsed_args.postcopy_permitted,
        allow_pause=parsed_args.allow_pause,
    )


def _on_record(server: str) -> bool:
    """Return whether the migration was begun here, so that a process may be at it."""
    if session.supervisor_of(server) is not None:
        return True
    with session.open_journal() as journal:
        try:
            attach.unfinished(journal, server)
        except NotFoundError:
            return False
    return True


async def _first(driver: NovaDriver) -> Sample:
    try:
        await driver.adopt()
        async for sample in driver.samples():
            return sample
    finally:
        await driver.close()
    raise AssertionError("a driver has one sample at least")


async def _until(driver: NovaDriver, done: Callable[[Phase], bool]) -> Sample:
    looks = 0
    async for sample in driver.samples():
        looks += 1
        if done(sample.phase) or looks >= _OFTEN:
            break
    return sample


def _bytes(count: int, people: bool) -> object:
    return format_bytes(count) if people else count


def _words(error: PostcopyError) -> str:
    return f"{error.message}\nhint: {error.hint}" if error.hint else error.message
