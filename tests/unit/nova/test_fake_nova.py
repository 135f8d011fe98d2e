"""The fake Nova says what real ones said: the same words, shapes and status codes."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from .answers.play import FOLDERS, play
from .answers.tape import Exchange
from .moves import World, world

folders = pytest.mark.parametrize("folder", FOLDERS)
RELEASES = {"nova-26": 26, "nova-31": 31}

SCENARIOS = ("post-copy", "automatic", "pre-copy", "pause", "cancelled", "failed", "no-host")

IN_PROGRESS = ("accepted", "queued", "preparing", "running", "running (post-copy)")


class Asker:
    """Asks a fake what was asked of a real one."""

    def __init__(self, w: World) -> None:
        self.world = w
        self.compute = w.api()._connected().compute
        assert w.cloud.server is not None
        self.uuid = w.cloud.server["id"]

    def __call__(self, like: Exchange) -> Any:
        """Ask the same of the fake's own server, and its latest migration."""
        number = self.world.cloud.latest.id if self.world.cloud.migrations else 0
        path = re.sub(r"/servers/[0-9a-f-]{36}", f"/servers/{self.uuid}", like.path)
        path = re.sub(r"instance_uuid=[0-9a-f-]{36}", f"instance_uuid={self.uuid}", path)
        path = re.sub(r"/migrations/\d+", f"/migrations/{number}", path)
        path = re.sub(r"/req-[0-9a-f-]+$", "/req-1", path)
        path = path.replace("busy", "web1")
        return self.compute.request(path, like.method, microversion=like.version, json=like.body)

    async def until(self, status: str) -> None:
        """Let time pass until the migration has come to this."""
        for _ in range(400):
            self.world.cloud.live()
            if self.world.cloud.latest.status == status:
                return
            await self.world.clock.sleep(0.25)
        raise AssertionError(f"it never was {status}")


def recorded(folder: str, *scenarios: str) -> Iterator[Exchange]:
    for scenario in scenarios:
        yield from play(folder, scenario).tape.exchanges


def table(answer: Any) -> Mapping[str, Any]:
    """Return the one thing that an answer is about; of a list, its first entry."""
    (inner,) = answer.values()
    while isinstance(inner, list):
        inner = inner[0]
    assert isinstance(inner, Mapping)
    return inner


def kinds(answer: Mapping[str, Any]) -> dict[str, type]:
    """Return of what type each value is; null may be of any."""
    return {key: type(value) for key, value in answer.items() if value is not None}


def assert_alike(fake: Mapping[str, Any], real: Mapping[str, Any], *, whole: bool) -> None:
    """Compare keys, and types where neither is null.

    :param whole: whether the fake is to show everything; it may otherwise leave things out.
    """
    assert fake.keys() <= real.keys()
    if whole:
        assert fake.keys() == real.keys()
        assert {k for k in fake if fake[k] is None} == {k for k in real if real[k] is None}
    shown = kinds(real)
    assert {k: shown[k] for k in kinds(fake).keys() & shown.keys()} == {
        k: v for k, v in kinds(fake).items() if k in shown
    }


def normal(text: str) -> str:
    """Return a message without what differs from cloud to cloud."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", text)
    return re.sub(r"(?<=igration )\d+", "N", text)


@folders
@pytest.mark.parametrize("version", ["2.59", "2.24", "2.23", "2.1"])
@pytest.mark.parametrize("status", ["running", "running (post-copy)"])
async def test_migrations_look_alike_wherever_and_however_they_are_asked_for(
    tmp_path: Path, folder: str, version: str, status: str
) -> None:
    hides = status == "running (post-copy)"
    told = {
        re.sub(r"\d+$", "N", one.path.partition("?")[0]): one
        for one in recorded(folder, "post-copy")
        if one.method == "GET" and one.version == version and "igrations" in one.path
        and says(one) in ((status, None) if hides else (status,))
    }  # fmt: skip
    spread = [one for one in told.values() if one.status == 404]
    assert bool(spread) == (hides and version != "2.1")
    with world(tmp_path, release=RELEASES[folder]) as w:
        ask = Asker(w)
        await w.api().live_migrate(ask.uuid, "beta")
        await ask.until("running")
        await w.clock.sleep(11.0)  # figures are there
        if hides:
            await w.api().force_complete(ask.uuid, w.cloud.latest.id)
            await ask.until(status)
        for real in told.values():
            fake = ask(real)
            assert fake.status_code == real.status
            if not real.answer.get("migrations", [0]):
                assert fake.json() == real.answer  # empty
            else:
                assert_alike(table(fake.json()), table(real.answer), whole=True)


def says(one: Exchange) -> str | None:
    """Return the word for the migration; None where the answer shows none."""
    if one.status != 200 or one.answer == {"migrations": []}:
        return None
    return str(table(one.answer)["status"])


@folders
async def test_servers_and_versions_look_alike(tmp_path: Path, folder: str) -> None:
    with world(tmp_path, release=RELEASES[folder]) as w:
        ask = Asker(w)
        for real in recorded(folder, "post-copy"):
            elsewhere = "igrations" in real.path or "/v3" in real.url
            if real.method == "GET" and not elsewhere:
                assert_alike(table(ask(real).json()), table(real.answer), whole=False)
        (document,) = [one for one in recorded(folder, "post-copy") if one.path == ""]
        assert w.cloud.newest == document.answer["version"]["version"]


@folders
@pytest.mark.parametrize("scenario", ["failed", "no-host"])
async def test_what_went_wrong_is_told_alike(tmp_path: Path, folder: str, scenario: str) -> None:
    actions = [one for one in recorded(folder, scenario) if "instance-actions" in one.path]
    assert len(actions) == 2
    with world(tmp_path, release=RELEASES[folder]) as w:
        ask = Asker(w)
        for real in actions:
            assert_alike(table(ask(real).json()), table(real.answer), whole=False)
        fake, real = (a["instanceAction"]["events"][0] for a in (ask(real).json(), real.answer))
        assert_alike(fake, real, whole=False)


@folders
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_statuses_come_in_the_fakes_order(folder: str, scenario: str) -> None:
    """A recording may have missed one that was short, and the record is behind at the end."""
    lists = [
        one.answer["migrations"]
        for one in recorded(folder, scenario)
        if one.path.startswith("/os-migrations") and one.version == "2.59"
    ]
    number = max(migration["id"] for migration in lists[-1])
    said = [one["status"] for listed in lists for one in listed if one["id"] == number]
    ends = {"no-host": "error", "failed": "failed", "cancelled": "cancelled"}
    order = [*IN_PROGRESS, ends.get(scenario, "completed")]
    places = [order.index(word) for word in said]
    assert places == sorted(places)
    assert said[-1] in (order[-1], *IN_PROGRESS[-2:])


REFUSED = {
    "second: at once": "accepted",
    "second: in pre-copy": "running",
    "second: in post-copy": "running (post-copy)",
    "switch: at once": "accepted",
    "switch: in post-copy": "running (post-copy)",
    "switch: at the end": "completed",
    "abort: at once": "accepted",
    "abort: in post-copy": "running (post-copy)",
    "abort: at the end": "completed",
}


@folders
@pytest.mark.parametrize("what", REFUSED)
async def test_orders_are_refused_alike(tmp_path: Path, folder: str, what: str) -> None:
    (real,) = [one for one in recorded(folder, "refusals") if one.what == what]
    with world(tmp_path, release=RELEASES[folder]) as w:
        ask = Asker(w)
        await w.api().live_migrate(ask.uuid, "beta")
        if "in " in what or "end" in what:
            await ask.until("running")
            await w.clock.sleep(11.0)
        if "post-copy" in what or "end" in what:
            await w.api().force_complete(ask.uuid, w.cloud.latest.id)
            await ask.until(REFUSED[what])
        assert_refused_alike(ask(real), real)


@folders
@pytest.mark.parametrize("what", ["no such host", "no such server"])
async def test_what_is_not_there_is_refused_alike(tmp_path: Path, folder: str, what: str) -> None:
    (real,) = [one for one in recorded(folder, "refusals") if one.what == what and one.acts]
    with world(tmp_path, release=RELEASES[folder]) as w:
        ask = Asker(w)
        if what == "no such server":
            ask.uuid = real.path.split("/")[2]
        assert_refused_alike(ask(real), real)


@folders
@pytest.mark.parametrize("what", ["switch", "abort"])
async def test_another_migration_is_refused_alike(tmp_path: Path, folder: str, what: str) -> None:
    name = f"{what}: no such migration"
    (real,) = [one for one in recorded(folder, "refusals") if one.what == name]
    with world(tmp_path, release=RELEASES[folder]) as w:
        ask = Asker(w)
        await w.api().live_migrate(ask.uuid, "beta")
        w.cloud.latest.id += 1
        shown = re.sub(r"/migrations/\d+", "/migrations/4711", real.path)
        path = shown.replace(shown.split("/")[2], ask.uuid)
        fake = ask.compute.request(path, real.method, microversion=real.version, json=real.body)
        assert_refused_alike(fake, real)


def assert_refused_alike(fake: Any, real: Exchange) -> None:
    assert fake.status_code == real.status
    assert fake.json().keys() == real.answer.keys()
    (told,), (said,) = fake.json().values(), real.answer.values()
    assert told["code"] == said["code"]
    assert normal(told["message"]) == normal(said["message"])


@folders
def test_a_guest_is_said_to_run_until_it_has_moved(folder: str) -> None:
    """The fake's server never changes its power state either."""
    for one in recorded(folder, *SCENARIOS):
        if one.status == 200 and re.fullmatch(r"/servers/[0-9a-f-]+", one.path):
            assert table(one.answer)["OS-EXT-STS:power_state"] == 1


@folders
async def test_figures_come_in_the_same_steps(tmp_path: Path, folder: str) -> None:
    """Null, then zero, then what there is: in total, processed and remaining alike."""
    parts = [f"memory_{part}_bytes" for part in ("total", "processed", "remaining")]

    def steps(shown: list[Mapping[str, Any]]) -> list[list[bool | None]]:
        told = [[one[p] if one[p] is None else one[p] > 0 for p in parts] for one in shown]
        return [step for i, step in enumerate(told) if i == 0 or told[i - 1] != step]

    lists = [
        one.answer["migrations"]
        for one in recorded(folder, "post-copy")
        if re.fullmatch(r"/servers/[0-9a-f-]+/migrations", one.path) and one.version == "2.59"
    ]
    real = steps([listed[0] for listed in lists if listed])
    with world(tmp_path, release=RELEASES[folder]) as w:
        await w.api().live_migrate(Asker(w).uuid, "beta")
        seen = []
        for _ in range(60):
            look = await w.api().look(Asker(w).uuid, w.cloud.latest.id)
            seen += [look.own] if look.own is not None else []
            await w.clock.sleep(0.25)
    assert steps(seen) == real == [[None] * 3, [False] * 3, [True] * 3]
