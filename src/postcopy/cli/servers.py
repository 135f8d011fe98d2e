"""``postcopy recover`` for a cloud's server: at the libvirts beneath, then in Nova's records."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from postcopy.cli import clouds, session
from postcopy.cli.compute_hosts import ComputeHosts
from postcopy.cli.output import print_data, print_table
from postcopy.cli.request import Request
from postcopy.errors import MigrationError, NotFoundError, UnavailableError, UsageError
from postcopy.migration.journal import Journal, Run
from postcopy.migration.outcome import Fate, Outcome
from postcopy.migration.phase import Phase
from postcopy.migration.recovery import Half, Look, next_step
from postcopy.nova import advice
from postcopy.nova.api import NovaApi
from postcopy.nova.driver import NovaDriver
from postcopy.nova.records import notes
from postcopy.paths import state_dir
from postcopy.setup.nova_records import Repair, mend, plan, read_facts

if TYPE_CHECKING:
    from postcopy.hosts import HostAccess
    from postcopy.hosts.nova_database import NovaDatabase

__all__ = ["RecordOptions", "recover_server"]

_UNDER_WAY = frozenset({Half.ACTIVE, Half.PAUSED, Half.CONNECTING, Half.HUNG})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions:
    """What is to be done about Nova's records, where they are wrong.

    :ivar repair: whether to mend them.
    :ivar host: a way into a host whose nova.conf names Nova's database.
    :ivar conf: the path of that nova.conf.
    """

    repair: bool = False
    host: str | None = None
    conf: str = "/etc/nova/nova.conf"


async def recover_server(
    request: Request,
    options: RecordOptions,
    *,
    recover_seconds: float | None,
    dry_run: bool,
    format_: str,
) -> None:
    """Bring a server's interrupted post-copy to its end, and see Nova through.

    :raises MigrationError: when the guest is not whole at its destination, or Nova does not know.
    """
    api = None
    if request.os_cloud is None:
        request, api = clouds.in_lab(request)
    if request.libvirt_uri is None:
        raise UsageError(
            "a server is recovered at the libvirts beneath it, and nobody said where they are",
            hint="--source-uri 'qemu+ssh://{host}/system', where {host} stands for Nova's names",
        )
    with session.claimed(request.guest), session.open_journal() as journal:
        await _Recovery(request, options, api, journal, format_).run(recover_seconds, dry_run)


class _Recovery:
    """One server, from finding it to the last word about it."""

    def __init__(
        self,
        request: Request,
        options: RecordOptions,
        api: NovaApi | None,
        journal: Journal,
        format_: str,
    ) -> None:
        self._request = request
        self._options = options
        self._api = api or NovaApi(request.os_cloud)
        self._journal = journal
        self._format = format_
        self._hosts = ComputeHosts.of_request(request)
        self._database_host = self._reach_database()
        self._driver = NovaDriver(
            request.guest, None, self._api, places=self._hosts.places(request)
        )

    async def run(self, seconds: float | None, dry_run: bool) -> None:
        """Look, recover what is interrupted, and mend the records that are wrong then."""
        try:
            await self._driver.adopt(over=True)
            look = await self._look()
            interrupted = look.source in _UNDER_WAY and look.destination is not Half.GONE
            if dry_run:
                await self._show_plan(look, interrupted)
                return
            told: dict[str, Any] = {}
            if interrupted:
                run, outcome = await self._recover(seconds)
                if outcome.fate is not Fate.ASTRAY:
                    session.conclude(run, outcome, self._format)
                    return
                told = session.summary(run, outcome)
            elif not await self._astray(look):
                raise NotFoundError(
                    f"server {self._request.guest!r} is in no post-copy that could be recovered:"
                    f" {look}",
                    hint=f"openstack server migration list --server {self._request.guest}",
                )
            await self._settle_records(told)
        finally:
            await self._driver.close()
            await self._hosts.close()
            if self._database_host is not None:
                await self._database_host.close()

    async def _look(self) -> Look:
        rescue = self._driver.rescue
        if rescue is None:
            raise UnavailableError(
                f"the libvirts beneath server {self._request.guest!r} cannot be asked:"
                f" {'; '.join(self._driver.notes)}",
                hint="--source-uri needs {host} in it, for source and destination",
            )
        return await rescue.look()

    async def _astray(self, look: Look) -> bool:
        """Return whether the guest has arrived, and Nova takes it to be where it was."""
        arrived = (look.source, look.destination) == (Half.DONE, Half.DONE)
        return arrived and await self._driver.locate() != self._driver.destination

    async def _recover(self, seconds: float | None) -> tuple[Run, Outcome]:
        move = clouds.CloudMove(self._driver, self._hosts)
        run = session.begin(self._journal, self._request, move)
        outcome = await session.watch(
            move,
            self._request.policy,
            self._journal,
            run,
            downtime_limit=self._request.downtime_limit,
            attach=True,
            format_=self._format,
            recover_seconds=seconds,
        )
        return run, outcome

    async def _repair(self) -> Repair:
        migration = self._driver.migration
        assert migration is not None  # it was adopted
        facts = await read_facts(self._api, self._driver.uuid, migration)
        return await plan(facts, self._database)

    async def _show_plan(self, look: Look, interrupted: bool) -> None:
        """Say what there is, and what would be done; change nothing."""
        repair = None if interrupted else await self._repair()
        told: dict[str, Any] = {
            **self._who(),
            "seen": str(look),
            "next": str(next_step(look, cut=False)),
            **(_records(repair, repair) if repair is not None else {}),
        }
        print_data(told, self._format, lambda: _print(told))

    async def _settle_records(self, told: dict[str, Any]) -> None:
        """The guest has arrived, and Nova does not know: say what is wrong, or mend it."""
        await self._put_libvirt_right()
        repair = left = await self._repair()
        told = {**self._who(), "fate": Fate.ASTRAY, **told}
        if self._options.repair and repair.wrong:
            directory = state_dir() / "records"
            dump = await mend(repair, self._api, self._database, directory, _say)
            left = await self._repair()
            told["dump"] = str(dump)
            if not left.wrong:
                told |= {"fate": Fate.COMPLETED, "error": "", "hint": ""}
                self._end_well(told.get("run"))
        told |= _records(repair, left)
        print_data(told, self._format, lambda: _print(told))
        if left.wrong:
            guest, facts = self._request.guest, left.facts
            raise MigrationError(
                f"guest {guest!r} runs at {facts.destination}, and what is known of it is wrong:"
                f" {', '.join(one.record for one in left.wrong)}",
                hint="add --repair-records --nova-database HOST to have that mended, or mend it by"
                f" hand; {advice.astray(guest, facts.source, facts.destination)}",
            )

    def _who(self) -> dict[str, Any]:
        driver = self._driver
        return {
            "guest": self._request.guest,
            "source": driver.source,
            "destination": driver.destination,
        }

    async def _put_libvirt_right(self) -> None:
        # A session of its own: what watched the recovery has let go of both hosts by now.
        await self._driver.adopt(over=True)
        before = len(self._driver.notes)
        await self._driver.put_records_right()
        for note in self._driver.notes[before:]:
            _say(note)

    def _end_well(self, number: int | None) -> None:
        """Have the journal know that a run which went astray has come to a good end."""
        outcome = self._journal.run(number).outcome if number is not None else None
        if number is not None and outcome is not None:
            self._journal.end(
                number,
                replace(outcome, fate=Fate.COMPLETED, phase=Phase.COMPLETED, error="", hint=""),
            )

    def _reach_database(self) -> "HostAccess | None":
        from postcopy.cli.reach import lab_host
        from postcopy.hosts import connect

        if self._options.host is None:
            return None
        return connect(self._options.host, lambda name: lab_host(self._request.lab, name))

    @property
    def _database(self) -> "NovaDatabase | None":
        from postcopy.hosts.nova_database import NovaDatabase

        host = self._database_host
        return None if host is None else NovaDatabase(host, self._options.conf)


def _records(repair: Repair, left: Repair) -> dict[str, Any]:
    """Return what was wrong, and which of that is right by now."""
    still = {one.record for one in left.wrong}
    return {
        "records": [
            {
                "record": one.record,
                "says": one.says,
                "truth": one.truth,
                "means": str(one.means),
                "mended": one.record not in still,
            }
            for one in repair.wrong
        ],
        "statements": repair.statements,
        "left_behind": list(notes(repair.facts)) if repair.wrong else [],
    }


def _print(told: dict[str, Any]) -> None:
    shown = ("run", "guest", "source", "destination", "fate", "seen", "next", "dump")
    print_table(("", ""), [(name, told[name]) for name in shown if name in told])
    if told.get("records"):
        print_table(
            ("record", "says", "should say", "changed through", "mended"),
            [(*list(one.values())[:-1], "yes" if one["mended"] else "no")
             for one in told["records"]],
        )  # fmt: skip
    for statement in told.get("statements", []):
        click.echo(statement)
    for note in told.get("left_behind", []):
        _say(f"note: {note}")


def _say(line: str) -> None:
    click.echo(line, err=True)
