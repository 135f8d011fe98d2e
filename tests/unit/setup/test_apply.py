"""Doing and taking back: exact, guarded, and killed at every step."""

import os
import pwd
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from postcopy.errors import RefusedError, RetryableError, UnavailableError
from postcopy.hosts import HostAccess, LocalHost
from postcopy.processes import Completed
from postcopy.readiness import Command, FileChange
from postcopy.setup import Begun, LostSecretError, Plan, Record, alone, begin, go_on, undo

from .hosts import HostInHere, KilledHere

ME = pwd.getpwuid(os.geteuid()).pw_name
SECRET = "-----BEGIN PRIVATE KEY-----\nhunter2\n"
OLD_SECRET = "-----BEGIN PRIVATE KEY-----\nold\n"


class Site:
    """Files to be set up, a command's trace among them, and what they were."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "edited.conf").write_text("password = p\nport = 1\n# end")
        (root / "edited.conf").chmod(0o640)
        (root / "gone.conf").write_text("old\n")
        (root / "old.key").write_text(OLD_SECRET)
        (root / "old.key").chmod(0o600)
        self.before = self.state()

    def state(self) -> dict[str, tuple[str, int]]:
        return {
            str(path.relative_to(self.root)): (path.read_text(), path.stat().st_mode)
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def command(self, argv: Sequence[str]) -> Completed:
        trace = self.root / "trace"
        trace.touch() if argv == ("touch",) else trace.unlink(missing_ok=True)
        return Completed(0, "", "")

    def plan(self) -> Plan:
        def change(name: str, before: str | None, after: str | None, **more: bool) -> FileChange:
            return FileChange(
                path=str(self.root / name),
                before=before,
                after=after,
                why="so",
                mode=0o600,
                owner=ME,
                group=_group(),
                **more,
            )

        return Plan(
            host="alpha",
            files=(
                change("edited.conf", "password = p\nport = 1\n# end", "password = p\nport = 2\n"),
                change("new/deep/made.conf", None, "made\n"),
                change("gone.conf", "old\n", None),
                change("new.key", None, SECRET, secret=True),
                change("old.key", None, SECRET, secret=True),
            ),
            commands=(Command(argv=("touch",), why="so", undo=("untouch",)),),
            mends=("x.y",),
        )


def _group() -> str:
    import grp

    return grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = tmp_path / "site"
    root.mkdir()
    return Site(root)


async def run(site: Site, host: HostAccess) -> Begun:
    begun = await begin([site.plan()], {"alpha": host}, now=1e9)
    await go_on(begun, {"alpha": host})
    return begun


def done(site: Site) -> bool:
    state = site.state()
    return (
        state["edited.conf"] == ("password = p\nport = 2\n", 0o100640)
        and state["new/deep/made.conf"] == ("made\n", 0o100600)
        and "gone.conf" not in state
        and state["new.key"] == (SECRET, 0o100600)
        and state["old.key"] == (SECRET, 0o100600)
        and "trace" in state
    )


async def test_what_is_done_is_taken_back_to_the_very_bytes_and_modes(site: Site) -> None:
    host = HostInHere(command=site.command)
    record = (await run(site, host)).record
    assert done(site)
    assert record.state == "applied"
    assert await undo(Record.load("last"), {"alpha": host}) == []
    assert site.state() == site.before
    assert not (site.root / "new").exists()
    assert Record.load(record.id).state == "undone"


async def test_the_same_through_a_python_of_its_own(site: Site) -> None:
    plan = site.plan()
    hosts = {"alpha": LocalHost("alpha")}
    begun = await begin([Plan(host="alpha", files=plan.files)], hosts, now=1e9)
    await go_on(begun, hosts)
    assert site.state()["new/deep/made.conf"] == ("made\n", 0o100600)
    await undo(begun.record, hosts)
    assert site.state() == site.before


async def test_the_record_is_private_and_holds_no_secret(site: Site) -> None:
    record = (await run(site, HostInHere(command=site.command))).record
    assert record.path.stat().st_mode & 0o777 == 0o600
    text = record.path.read_text()
    assert "hunter2" not in text
    assert "password" not in text
    assert "BEGIN" not in text


CALLS = 14
"""How often the host is asked for all of it; `test_every_call_is_killed` sees to that."""


async def test_every_call_is_killed(site: Site) -> None:
    host = HostInHere(command=site.command)
    await run(site, host)
    assert host.calls == CALLS


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(CALLS))
async def test_killed_anywhere_it_can_be_taken_back(site: Site, call: int, after: bool) -> None:
    await killed(site, call, after)
    if Record.every():
        await undo(Record.load("last"), {"alpha": HostInHere(command=site.command)})
    assert site.state() == site.before


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(CALLS))
async def test_killed_anywhere_it_goes_on_unless_a_secret_died_with_it(
    site: Site, call: int, after: bool
) -> None:
    await killed(site, call, after)
    host = HostInHere(command=site.command)
    if not Record.every():
        assert site.state() == site.before  # before anything was on record, nothing was done
        return
    try:
        await go_on(Begun(Record.load("last")), {"alpha": host})
    except LostSecretError:
        assert site.state().get("old.key", ("", 0))[0] in (SECRET, OLD_SECRET)
    else:
        assert done(site)
    await undo(Record.load("last"), {"alpha": host})
    assert site.state() == site.before


@pytest.mark.parametrize("call", range(12))
async def test_an_undo_that_is_killed_is_run_again(site: Site, call: int) -> None:
    record = (await run(site, HostInHere(command=site.command))).record
    with pytest.raises(KilledHere):
        await undo(
            record, {"alpha": HostInHere(command=site.command, die_at=call % 6, after=call > 5)}
        )
    await undo(Record.load("last"), {"alpha": HostInHere(command=site.command)})
    assert site.state() == site.before


async def killed(site: Site, call: int, after: bool) -> None:
    with pytest.raises(KilledHere):
        await run(site, HostInHere(command=site.command, die_at=call, after=after))


async def test_a_file_that_changed_before_is_not_touched_and_nothing_else_is(site: Site) -> None:
    plan = site.plan()
    (site.root / "edited.conf").write_text("somebody was here\n")
    before = site.state()
    with pytest.raises(RefusedError, match=r"edited\.conf of host alpha has changed"):
        await begin([plan], {"alpha": HostInHere()}, now=1e9)
    assert site.state() == before
    assert Record.every() == []


async def test_a_file_that_changes_in_between_is_not_touched(site: Site) -> None:
    host = HostInHere(command=site.command)
    begun = await begin([site.plan()], {"alpha": host}, now=1e9)
    (site.root / "edited.conf").write_text("somebody was here\n")
    with pytest.raises(RefusedError, match="changed by somebody else") as raised:
        await go_on(begun, {"alpha": host})
    assert begun.record.id in raised.value.hint
    assert (site.root / "edited.conf").read_text() == "somebody was here\n"


async def test_undo_leaves_what_was_changed_since_and_says_so(site: Site) -> None:
    host = HostInHere(command=site.command)
    record = (await run(site, host)).record
    (site.root / "edited.conf").write_text("mine\n")
    (site.root / "new.key").write_text("mine too\n")
    left = await undo(record, {"alpha": host})
    assert [line.split()[0] for line in left] == [
        str(site.root / name) for name in ("new.key", "edited.conf")
    ]
    assert site.state()["edited.conf"][0] == "mine\n"
    assert site.state()["gone.conf"] == site.before["gone.conf"]


async def test_a_command_that_fails_stops_there_and_says_where(site: Site) -> None:
    def fails(argv: Sequence[str]) -> Completed:
        return Completed(3, "", "no such table\n")

    host = HostInHere(command=fails)
    with pytest.raises(UnavailableError, match="status 3: no such table"):
        await run(site, host)
    record = Record.load("last")
    assert record.state == "stopped"
    assert str(record.steps[record.stopped_at or 0]) == "running touch"


async def test_bytes_that_are_no_text_are_not_edited(site: Site) -> None:
    (site.root / "edited.conf").write_bytes(b"\xff\xfe\n")
    with pytest.raises(RefusedError, match="no UTF-8"):
        await begin([site.plan()], {"alpha": HostInHere()}, now=1e9)


async def test_another_machine_under_that_name_is_not_touched(site: Site) -> None:
    host = HostInHere(command=site.command)
    record = (await run(site, host)).record
    record.hosts["alpha"]["machine"] = "another"
    with pytest.raises(RefusedError, match="host alpha was"):
        await undo(record, {"alpha": host})
    assert done(site)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "sh: python3: not found",
        "<<<postcopy-setup\n{tru",
        "<<<postcopy-setup\n[]\npostcopy-setup>>>",
        '<<<postcopy-setup\n{"files": 3}\npostcopy-setup>>>',
    ],
)
async def test_answers_that_make_no_sense_change_nothing(
    site: Site, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = HostInHere()
    answer: Callable[[str], Completed] = lambda program: Completed(0, said, "")  # noqa: E731
    monkeypatch.setattr(host, "_helper", answer)
    with pytest.raises(UnavailableError):
        await run(site, host)
    assert site.state() == site.before


async def test_links_are_followed_and_stay_links(site: Site) -> None:
    (site.root / "real.conf").write_text("a\n")
    (site.root / "link.conf").symlink_to("real.conf")
    plan = Plan(
        host="alpha",
        files=(FileChange(path=str(site.root / "link.conf"), before="a\n", after="b\n", why="so"),),
    )
    hosts = {"alpha": HostInHere()}
    begun = await begin([plan], hosts, now=1e9)
    await go_on(begun, hosts)
    assert (site.root / "link.conf").is_symlink()
    assert (site.root / "real.conf").read_text() == "b\n"


def test_two_at_once_are_one_too_many() -> None:
    with alone(), pytest.raises(RetryableError, match="at work"), alone():
        pass
    with alone():
        pass
