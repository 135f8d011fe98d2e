"""Records of a server that has moved without Nova's knowing: mended, what they were kept first."""

import json
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from postcopy.errors import RefusedError, UsageError
from postcopy.hosts.nova_database import Rows
from postcopy.nova.api import NovaApi
from postcopy.nova.records import Change, Facts, Means
from postcopy.setup.nova_records import mend, plan, read_facts
from postcopy.testing import FakeClock, FakeCloud, FakeNova


class FakeDatabase:
    """The database behind a `FakeCloud`: what is written there is what the API tells."""

    def __init__(self, cloud: FakeCloud, *, context: bool = False) -> None:
        self.cloud = cloud
        self.context = context
        self.written: list[Change] = []

    async def look(self, facts: Facts) -> Rows:
        server = self.cloud.server
        assert server is not None
        instance = {"uuid": facts.uuid, "host": server["OS-EXT-SRV-ATTR:host"], "compute_id": 2}
        migration = {"id": self.cloud.latest.id, "status": self.cloud.latest.status}
        return Rows(instance=instance, migration=migration, compute_id=3, context=self.context)

    async def write(self, facts: Facts, changes: Sequence[Change]) -> Rows:
        self.written += changes
        assert self.cloud.server is not None
        for change in changes:
            if change.table == "instances":
                self.cloud.server |= {
                    "OS-EXT-SRV-ATTR:host": change.values["host"],
                    "OS-EXT-SRV-ATTR:hypervisor_hostname": change.values["node"],
                }
                if "vm_state" in change.values:
                    self.cloud.server["status"] = "ACTIVE"
            else:
                self.cloud.latest.status = str(change.values["status"])
        return await self.look(facts)


class Astray:
    """A cloud whose source's nova-compute was started again in post-copy; the guest has arrived."""

    def __init__(self, nova: FakeNova, directory: Path) -> None:
        self.cloud = nova.cloud
        self.cloud.begin("beta")
        self.cloud.latest.status = "running (post-copy)"
        self.cloud.restart_compute()
        self.api = NovaApi("fake", str(nova.write_clouds(directory / "clouds.yaml")))

    async def facts(self) -> Facts:
        assert self.cloud.server is not None
        return await read_facts(self.api, str(self.cloud.server["id"]), self.cloud.latest.id)


@pytest.fixture
def nova() -> FakeNova:
    return FakeNova(FakeCloud(FakeClock()))


async def test_everything_is_mended_and_what_was_is_kept(nova: FakeNova, tmp_path: Path) -> None:
    told: list[str] = []
    with nova:
        astray = Astray(nova, tmp_path)
        database = FakeDatabase(astray.cloud)
        repair = await plan(await astray.facts(), database)
        assert len(repair.wrong) == 4
        dump = await mend(repair, astray.api, database, tmp_path / "records", told.append)
        again = await plan(await astray.facts(), database)
    assert (again.wrong, again.changes) == ((), ())
    assert astray.cloud.allocations == {repair.facts.uuid: "beta"}
    assert database.written[0].values["compute_id"] == 3
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600
    kept = json.loads(dump.read_text())
    assert kept["rows"]["instances"]["host"] == "alpha"
    assert kept["allocations"][repair.facts.consumer] == {"alpha": {"VCPU": 1, "MEMORY_MB": 1024}}
    assert kept["undo"][0].startswith("UPDATE instances SET host = 'alpha'")
    assert str(dump) in told[0]


async def test_where_nova_gave_up_the_room_moves_too(nova: FakeNova, tmp_path: Path) -> None:
    """Nova has given the server its old room back, and calls it broken."""
    with nova:
        astray = Astray(nova, tmp_path)
        astray.cloud.roll_back("libvirt was gone")
        assert astray.cloud.server is not None
        astray.cloud.server["status"] = "ERROR"
        database = FakeDatabase(astray.cloud)
        repair = await plan(await astray.facts(), database)
        assert {one.means for one in repair.wrong} == {Means.DATABASE, Means.PLACEMENT}
        await mend(repair, astray.api, database, tmp_path / "records")
        assert (await plan(await astray.facts(), database)).wrong == ()
    assert astray.cloud.allocations == {repair.facts.uuid: "beta"}


async def test_a_status_alone_is_mended_by_novas_api(nova: FakeNova, tmp_path: Path) -> None:
    with nova:
        astray = Astray(nova, tmp_path)
        database = FakeDatabase(astray.cloud)
        repair = await plan(await astray.facts(), database)
        await mend(repair, astray.api, database, tmp_path / "records")
        assert astray.cloud.server is not None
        astray.cloud.server["status"] = "SHUTOFF"
        repair = await plan(await astray.facts(), None)
        assert [one.means for one in repair.wrong] == [Means.NOVA]
        await mend(repair, astray.api, None, tmp_path / "records")
        assert astray.cloud.server["status"] == "ACTIVE"


async def test_without_the_database_it_is_only_told(nova: FakeNova, tmp_path: Path) -> None:
    with nova:
        astray = Astray(nova, tmp_path)
        repair = await plan(await astray.facts(), None)
        assert len(repair.statements) == 2
        with pytest.raises(UsageError, match="nobody said how to reach it"):
            await mend(repair, astray.api, None, tmp_path / "records")
        assert len((await plan(await astray.facts(), None)).wrong) == 4
    assert not (tmp_path / "records").exists()


async def test_a_server_with_room_of_its_own_is_refused(nova: FakeNova, tmp_path: Path) -> None:
    with nova:
        astray = Astray(nova, tmp_path)
        with pytest.raises(RefusedError, match="migration context"):
            await plan(await astray.facts(), FakeDatabase(astray.cloud, context=True))


async def test_killed_between_two_steps_it_is_begun_anew(nova: FakeNova, tmp_path: Path) -> None:
    with nova:
        astray = Astray(nova, tmp_path)
        database = FakeDatabase(astray.cloud)
        repair = await plan(await astray.facts(), database)
        await database.write(repair.facts, repair.changes)
        rest = await plan(await astray.facts(), database)
        assert [one.means for one in rest.wrong] == [Means.PLACEMENT]
        await mend(rest, astray.api, None, tmp_path / "records")
        assert (await plan(await astray.facts(), database)).wrong == ()
