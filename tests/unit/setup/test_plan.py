"""From findings to a plan: the right order, one edit a file, no secrets shown."""

from collections.abc import Sequence

from postcopy.readiness import (
    Change,
    Command,
    FileChange,
    Finding,
    Fix,
    HostSubject,
    MissingFacts,
    Restart,
    Verdict,
)
from postcopy.setup import describe, diff, make_plan, wanted
from postcopy.setup.shown import mask

HOST = HostSubject("alpha")


def finding(id_: str, fix: str, verdict: Verdict = Verdict.FAIL) -> Finding:
    return Finding(
        id=id_, subject="alpha", layer="kernel", verdict=verdict, saw="", why="", fix=fix
    )


def fix(id_: str, *changes: Change, order: int = 50) -> Fix:
    return Fix(id=id_, title=id_, plan=lambda host: changes, order=order)


def edit(path: str, before: str | None, after: str | None, secret: bool = False) -> FileChange:
    return FileChange(path=path, before=before, after=after, why="so", secret=secret)


def planned(*fixes: Fix) -> Sequence[str]:
    plan = make_plan(
        HOST, [finding(f"x.{one.id}", one.id) for one in fixes], {one.id: one for one in fixes}
    )
    return list(describe(plan))


def test_files_come_first_then_commands_then_each_restart_once_nova_last() -> None:
    plan = make_plan(
        HOST,
        [finding("x.late", "late"), finding("x.early", "early")],
        {
            "late": fix(
                "late",
                Restart(service="nova-compute.service", why="a"),
                Restart(service="libvirtd.service", why="b"),
                Command(argv=("sync",), why="c"),
                edit("/b", None, "b\n"),
            ),
            "early": fix(
                "early",
                edit("/a", None, "a\n"),
                Restart(service="libvirtd.service", why="d"),
                order=1,
            ),
        },
    )
    assert [change.path for change in plan.files] == ["/a", "/b"]
    assert [(one.service, one.why) for one in plan.restarts] == [
        ("libvirtd.service", "d; b"),
        ("nova-compute.service", "a"),
    ]
    assert plan.fixes == ("early", "late")
    assert plan.mends == ("x.early", "x.late")


def test_fixes_of_one_file_are_one_edit() -> None:
    before = "a = 1\nb = 1\n"
    one = fix("one", edit("/etc/x", before, "a = 2\nb = 1\n"))
    other = fix("other", edit("/etc/x", before, "a = 1\nb = 2\n"))
    [line, *_] = [line for line in planned(one, other) if line.startswith("1.")]
    assert line == "1. write /etc/x: so"
    assert "   +b = 2" in planned(one, other)


def test_a_fix_that_would_undo_another_waits_for_the_next_time() -> None:
    one = fix("one", edit("/etc/x", "a = 1\n", "a = 2\n"))
    other = fix("other", edit("/etc/x", "a = 1\n", "a = 3\n"))
    assert planned(one, other)[-1].startswith("not done: other: /etc/x: two fixes want line 1")


def test_a_fix_that_lacks_facts_or_does_not_exist_is_said() -> None:
    def plan(host: HostSubject) -> Sequence[Change]:
        raise MissingFacts("no libvirt")

    made = make_plan(
        HOST,
        [finding("x.a", "a"), finding("x.b", "b")],
        {"a": Fix(id="a", title="a", plan=plan)},
    )
    assert made.empty
    assert made.mends == ()
    assert set(made.left) == {"a: no libvirt", "x.b: nothing here is called b, which would mend it"}


def test_only_what_is_wrong_and_asked_for_is_mended() -> None:
    findings = [
        finding("kernel.a", "sysctl"),
        finding("nova.b", "nova", Verdict.WARN),
        finding("nova.c", "nova", Verdict.PASS),
        finding("nova.d", ""),
    ]
    assert [one.id for one in wanted(findings)] == ["kernel.a", "nova.b"]
    assert [one.id for one in wanted(findings, ["sys*"])] == ["kernel.a"]
    assert [one.id for one in wanted(findings, ["nova.*"])] == ["nova.b"]


def test_secrets_are_shown_neither_as_files_nor_around_a_change() -> None:
    shown = diff(edit("/etc/pki/key.pem", None, "BEGIN KEY", secret=True))
    assert "BEGIN" not in shown
    before = (
        "[database]\nconnection = mysql://nova:hunter2@db/nova\n"
        "admin_password=hunter2\nurl = rabbit://u:hunter2@mq\n[libvirt]\nx = 1\n"
    )
    assert "hunter2" not in diff(edit("/etc/nova/nova.conf", before, before + "y = 2\n"))
    assert "+y = 2" in diff(edit("/etc/nova/nova.conf", before, before + "y = 2\n"))
    for line in ("# live_migration_timeout_action = abort", "+parallel_connections = 4"):
        assert mask(line) == line


def test_a_file_without_a_last_newline_is_shown_as_diff_does() -> None:
    assert "\\ No newline at end of file" in diff(edit("/x", "a", "a\n"))
