"""What is found wrong is mended where it counts, and nothing else in the file changes."""

import difflib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postcopy.errors import RefusedError
from postcopy.nova import edit
from postcopy.nova.checks import CHECKS
from postcopy.nova.configuration import Configuration
from postcopy.nova.fixes import FIXES
from postcopy.readiness import (
    Change,
    Facts,
    FileChange,
    Files,
    HostSubject,
    MissingFacts,
    Restart,
    Scope,
    Verdict,
)
from tests.unit.nova.hosts import (
    COMPUTE,
    COMPUTE_CONF,
    COMPUTE_D,
    GUEST,
    NOVA,
    NOVA_CONF,
    NOVA_D,
    PLAIN,
    debian,
    host,
    sound,
)
from tests.unit.nova.test_checks import FAULTS

BY_ID = {fix.id: fix for fix in FIXES}
SWITCH = f"{COMPUTE_D}/90-postcopy-switch.conf"


def plan(subject: HostSubject, *ids: str) -> list[Change]:
    return [change for id_ in ids or BY_ID for change in BY_ID[id_].plan(subject)]


def files(changes: Sequence[Change]) -> dict[str, FileChange]:
    return {change.path: change for change in changes if isinstance(change, FileChange)}


def changed_lines(change: FileChange) -> list[str]:
    lines = difflib.ndiff((change.before or "").splitlines(), (change.after or "").splitlines())
    return [line for line in lines if line[0] in "+-"]


def apply(subject: HostSubject, changes: Sequence[Change], layout: list[list[str]]) -> HostSubject:
    texts = dict(subject.facts.of(Files).texts)
    for path, change in files(changes).items():
        assert change.before == texts.get(path)
        texts[path] = change.after
    return host({path: text for path, text in texts.items() if text is not None}, layout)


def fixable(subject: HostSubject) -> dict[str, str]:
    findings = [check.apply(subject) for check in CHECKS if check.scope is Scope.HOST]
    return {f.id: f.fix for f in findings if f.verdict in (Verdict.FAIL, Verdict.WARN) and f.fix}


@pytest.mark.parametrize("layout", [PLAIN, [*PLAIN[2:], *PLAIN[:2]]])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "live_migration_permit_post_copy=false\nlive_migration_timeout_action : abort\n",
        "live_migration_completion_timeout = 0\nlive_migration_permit_auto_converge = true\n",
        "live_migration_uri = qemu+ssh://%s/system\nlive_migration_inbound_addr = 10.9.9.9\n",
        "live_migration_flag = VIR_MIGRATE_LIVE,\n   VIR_MIGRATE_ENABLE_POSTCOPY\nvirt_type=kvm\n",
        "block_migration_flag = VIR_MIGRATE_LIVE\n",
    ],
)
def test_what_can_be_mended_is_and_the_second_time_nothing_changes(
    text: str, layout: list[list[str]]
) -> None:
    subject = debian(text, layout=layout)
    wrong = fixable(subject)
    assert wrong
    for id_ in sorted(set(wrong.values())):
        changes = plan(subject, id_)
        assert changes
        subject = apply(subject, changes, layout)
        assert plan(subject, id_) == []
    assert fixable(subject) == {}


MENDABLE = [broken for broken, _ in FAULTS if fixable(broken)]


@pytest.mark.parametrize("broken", MENDABLE)
def test_every_fix_that_a_finding_names_changes_something_or_says_why_not(
    broken: HostSubject,
) -> None:
    for id_ in set(fixable(broken).values()):
        assert plan(broken, id_)


def test_a_drop_in_sets_what_is_set_nowhere() -> None:
    changes = plan(debian(), "nova.switch")
    [(path, change)] = files(changes).items()
    assert (path, change.before, change.mode) == (SWITCH, None, 0o644)
    assert change.after
    read = Configuration.read([(path, change.after)])
    assert read.value("live_migration_permit_post_copy") is True
    assert read.value("live_migration_timeout_action") == "force_complete"
    assert read.value("live_migration_completion_timeout") == 15
    assert [c.service for c in changes if isinstance(c, Restart)] == ["nova-compute.service"]


def test_what_a_later_file_sets_is_changed_in_that_file_and_nothing_else_is() -> None:
    text = (
        "# keep me\nlive_migration_permit_post_copy=true\nlive_migration_permit_post_copy:  False\n"
    )
    changes = files(plan(debian(text), "nova.switch"))
    assert set(changes) == {NOVA, SWITCH}
    assert changed_lines(changes[NOVA]) == [
        "- live_migration_permit_post_copy:  False",
        "+ live_migration_permit_post_copy:  true",
    ]


def test_where_directories_are_read_last_no_file_is_touched() -> None:
    broken = debian("live_migration_permit_post_copy=false\n", layout=PLAIN)
    assert set(files(plan(broken, "nova.switch"))) == {SWITCH}


def test_a_drop_in_of_somebody_else_that_comes_later_is_not_at_hand_and_the_plan_says_so() -> None:
    later = f"{COMPUTE_D}/99-own.conf"
    texts = {NOVA: NOVA_CONF, COMPUTE: COMPUTE_CONF,
             later: "[libvirt]\nlive_migration_permit_post_copy = false\n"}  # fmt: skip
    subject = host(texts, PLAIN)
    known = subject.facts.with_(Files({NOVA: NOVA_CONF, COMPUTE: COMPUTE_CONF}))
    with pytest.raises(MissingFacts, match=r"99-own\.conf"):
        plan(HostSubject("alpha", known), "nova.switch")
    assert set(files(plan(subject, "nova.switch"))) == {later, SWITCH}


def test_an_earlier_drop_in_is_left_alone() -> None:
    earlier = f"{NOVA_D}/50-own.conf"
    subject = host({NOVA: NOVA_CONF, COMPUTE: COMPUTE_CONF,
                    earlier: "[libvirt]\nlive_migration_permit_post_copy = false\n"})  # fmt: skip
    assert set(files(plan(subject, "nova.switch"))) == {SWITCH}


def test_old_flags_become_comments_and_nothing_is_restarted() -> None:
    text = "live_migration_flag = VIR_MIGRATE_LIVE,\n  VIR_MIGRATE_ENABLE_POSTCOPY\n"
    [change] = plan(debian(text), "nova.leftovers")
    assert isinstance(change, FileChange)
    assert [line for line in changed_lines(change) if line[0] == "+"] == [
        "+ # Nova has ignored it since release 15:",
        "+ #live_migration_flag = VIR_MIGRATE_LIVE,",
        "+ #  VIR_MIGRATE_ENABLE_POSTCOPY",
    ]


@pytest.mark.parametrize(
    "guest",
    [
        {**GUEST, "state": "paused", "reason": "post-copy failed"},
        {**GUEST, "job": "migration out"},
    ],
)
def test_nova_compute_is_not_restarted_while_a_guest_is_between_two_hosts(
    guest: dict[str, object],
) -> None:
    with pytest.raises(RefusedError, match="web1") as refused:
        plan(debian(guests=[guest]), "nova.switch")
    assert "recover" in refused.value.hint


def test_nor_where_nobody_knows_whether_one_is() -> None:
    with pytest.raises(MissingFacts, match="not known"):
        plan(debian(guests=None), "nova.switch")


def test_one_that_does_not_run_needs_no_restart() -> None:
    changes = plan(debian(process=None, guests=None), "nova.switch")
    assert changes
    assert not [change for change in changes if isinstance(change, Restart)]


def test_what_the_environment_sets_cannot_be_mended_by_a_file() -> None:
    process = {"environment": {"OS_LIBVIRT__LIVE_MIGRATION_PERMIT_POST_COPY": "false"}}
    with pytest.raises(MissingFacts, match="environment"):
        plan(sound(process=process), "nova.switch")


def test_a_file_that_has_changed_since_is_not_edited() -> None:
    subject = debian("live_migration_permit_post_copy = false\n")
    other = subject.facts.with_(Files({NOVA: "[libvirt]\n", COMPUTE: COMPUTE_CONF}))
    with pytest.raises(MissingFacts, match="has changed"):
        plan(HostSubject("alpha", other), "nova.switch")


def test_without_its_whole_text_no_file_is_edited() -> None:
    subject = debian("live_migration_permit_post_copy = false\n")
    facts = Facts([f for f in subject.facts._known.values() if not isinstance(f, Files)])
    with pytest.raises(MissingFacts, match="not at hand"):
        plan(HostSubject("alpha", facts), "nova.switch")


def test_passwords_are_kept_where_they_are() -> None:
    text = NOVA_CONF.replace("[libvirt]\n", "[libvirt]\nlive_migration_uri = qemu+tcp://x/system\n")
    text = text.replace("[DEFAULT]\n", "[DEFAULT]\ntransport_url = rabbit://u:hunter2@mq/\n")
    change = files(plan(host({NOVA: text, COMPUTE: COMPUTE_CONF}), "nova.address"))[NOVA]
    assert change.after
    assert "rabbit://u:hunter2@mq/" in change.after
    assert not any("hunter2" in line for line in changed_lines(change))


def test_on_kolla_the_file_that_its_container_copies_is_edited() -> None:
    path = "/etc/kolla/nova-compute/nova.conf"
    subject = host({path: COMPUTE_CONF}, [["file", path]], kolla=True,
                   unit={"name": "kolla-nova_compute-container.service"})  # fmt: skip
    changes = plan(subject, "nova.switch")
    assert set(files(changes)) == {path}
    [restart] = [change for change in changes if isinstance(change, Restart)]
    assert "--emit kolla" in restart.why


def test_a_host_with_several_addresses_is_not_guessed_at() -> None:
    several = [["10.0.0.1", "24", "a"], ["10.1.0.1", "24", "b"]]
    with pytest.raises(MissingFacts, match="several addresses"):
        plan(debian(addresses=several), "nova.address")


lines = st.lists(
    st.sampled_from(
        ["[libvirt]", "[DEFAULT]", "virt_type = kvm", "virt_type=qemu", "# c", "", "x: 1", " y",
         "live_migration_permit_post_copy = false", "live_migration_downtime\t=  9000  "]
    ),
    max_size=14,
)  # fmt: skip


@given(lines, st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(deadline=None)
def test_an_edit_changes_the_line_that_counts_and_keeps_every_other_byte(
    body: list[str], end: str, ended: bool
) -> None:
    text = "[libvirt]" + end + end.join(body) + (end if ended else "")
    places = Configuration.read([("/f", text)]).all("virt_type")
    if not places:
        return
    after = edit.apply(text, [edit.assign(text, places[-1], "lxc")])
    at = places[-1].line - 1
    old, new = text.split("\n"), after.split("\n")
    assert Configuration.read([("/f", after)]).value("virt_type") == "lxc"
    assert new[:at] == old[:at]
    rest = "\n".join(old[at + places[-1].lines :])
    assert "\n".join(new[at + 1 :]).removesuffix("\n") == rest.removesuffix("\n")


@given(lines, st.booleans())
@settings(deadline=None)
def test_an_insertion_keeps_every_other_line(body: list[str], ended: bool) -> None:
    text = "\n".join(body) + ("\n" if ended else "")
    if Configuration.read([("/f", text)]).problems:
        return
    made = edit.insert(text, "libvirt", ["virt_type = lxc"])
    after = edit.apply(text, [made])
    kept = [line for line in after.split("\n") if line not in made.made]
    assert kept == [line for line in f"{text}".split("\n") if line not in made.made] or not ended
    assert "lxc" in [one.text for one in Configuration.read([("/f", after)]).all("virt_type")]
