"""Whether the configuration can be read at all, and whether what it says is heeded."""

import re

from postcopy.nova.checks.catalogue import CHECKS, compute, configured, release_name
from postcopy.nova.configuration import Setting
from postcopy.nova.facts import FIRST_RELEASE, NovaFacts
from postcopy.nova.options import OPTIONS
from postcopy.readiness import HostSubject, Result, failed, passed, skipped, warned

__all__: list[str] = []

_REPLACED = {
    "VIR_MIGRATE_ENABLE_POSTCOPY": "live_migration_permit_post_copy = true",
    "VIR_MIGRATE_POSTCOPY": "live_migration_permit_post_copy = true",
    "VIR_MIGRATE_POSTCOPY_AFTER_PRECOPY": "live_migration_timeout_action = force_complete",
    "VIR_MIGRATE_AUTO_CONVERGE": "live_migration_permit_auto_converge",
    "VIR_MIGRATE_TUNNELLED": "live_migration_with_native_tls = true",
    "VIR_MIGRATE_TLS": "live_migration_with_native_tls = true",
    "VIR_MIGRATE_PARALLEL": "live_migration_parallel_connections",
}
"""What stands for a flag today; all others are Nova's own business."""

_FLAGS = ("live_migration_flag", "block_migration_flag")


@CHECKS.host(
    "nova.release.postcopy",
    title="this Nova knows post-copy",
    why="Releases before 19 (Stein) switch when progress looks slow, which a sawtooth feigns, and"
    " those before 14 (Newton) do not switch at all.",
    remedy="upgrade Nova to 19 (Stein) or newer",
    since="Nova 14 (Newton); live_migration_timeout_action Nova 19 (Stein)",
)
def release(host: HostSubject) -> Result:
    facts = compute(host)
    if facts.release is None:
        return skipped("the version of Nova could not be found out")
    saw = f"Nova {facts.version}"
    if facts.release < FIRST_RELEASE:
        return failed(f"{saw} has no post-copy")
    if facts.release < 19:
        return warned(f"{saw} has no live_migration_timeout_action")
    return passed(saw)


@CHECKS.host(
    "nova.config.parsable",
    title="the configuration of nova-compute can be read",
    why="nova-compute does not start with a file that it cannot parse, at the next restart at the"
    " latest.",
    remedy="mend the line that is named",
)
def parsable(host: HostSubject) -> Result:
    facts = compute(host)
    broken = [problem for problem in facts.configuration.problems if not problem.option]
    if broken:
        return failed("; ".join(map(str, broken)))
    absent = [path for path, reason in facts.unreadable.items() if reason == "ENOENT"]
    if absent:
        return failed(f"{absent[0]} is on its command line, and is not there")
    if facts.unreadable:
        path, reason = next(iter(facts.unreadable.items()))
        return skipped(f"{path} could not be read: {reason}")
    if not facts.files:
        return failed("nova-compute has no configuration here", "write /etc/nova/nova.conf")
    return passed(", ".join(facts.files))


@CHECKS.host(
    "nova.config.valid",
    title="every option has a value that nova-compute accepts",
    why="nova-compute does not start with a value that it cannot read, at the next restart at the"
    " latest.",
    remedy="mend the line that is named",
)
def valid(host: HostSubject) -> Result:
    facts = configured(host)
    wrong = [problem for problem in facts.configuration.problems if problem.option]
    if wrong:
        return failed("; ".join(map(str, wrong)))
    return passed(f"{len(facts.configuration.settings)} settings that matter to live migration")


@CHECKS.host(
    "nova.config.heeded",
    title="every option that is set is one that this Nova knows",
    why="Nova ignores an option that it does not know, without a word.",
    remedy="take the option out, or upgrade Nova to a release that knows it",
)
def heeded(host: HostSubject) -> Result:
    facts = configured(host)
    if facts.release is None:
        return skipped("the version of Nova could not be found out")
    ignored = [
        f"{one.option.name} ({one}) {_lifetime(one)}"
        for one in facts.configuration.settings
        if one.option.name not in _FLAGS and not _known(one, facts.release)
    ]
    if ignored:
        return warned(f"Nova {facts.version} ignores " + ", ".join(ignored))
    return passed(f"Nova {facts.version} knows all of them")


def _known(setting: Setting, release: int) -> bool:
    option = setting.option
    return option.since <= release and not (option.until and release >= option.until)


def _lifetime(setting: Setting) -> str:
    if setting.option.until:
        return f"which was taken out in {release_name(setting.option.until)}"
    return f"which came with {release_name(setting.option.since)}"


@CHECKS.host(
    "nova.config.shadowed",
    title="no drop-in is outdone by the file that it should override",
    why="Files on nova-compute's command line are read after the directories that it finds by"
    " itself, so they outdo every drop-in there.",
    remedy="set the option in the file that is read last, or take it out there",
    since="as oslo.config reads files; Debian's unit names its files",
)
def shadowed(host: HostSubject) -> Result:
    facts = configured(host)
    lost = [text for option in OPTIONS for text in _lost(facts, option.section, option.name)]
    if lost:
        return warned("; ".join(lost))
    return passed("what drop-ins set counts")


def _lost(facts: NovaFacts, section: str, name: str) -> list[str]:
    places = facts.configuration.all(name, section)
    if not places or places[-1].option.kind == "multi":
        return []
    winner = places[-1]
    return [
        f"{name} = {one.text} ({one}) is outdone by {winner.text} ({winner})"
        for one in places[:-1]
        if re.search(r"\.d/[^/]+$", one.path)
        and not re.search(r"\.d/[^/]+$", winner.path)
        and one.text != winner.text
    ]


@CHECKS.host(
    "nova.flags.removed",
    title="no migration flags of old are set",
    why="Nova has ignored live_migration_flag and block_migration_flag since release 15 (Ocata), so"
    " recipes of 2014 that switch post-copy on by them switch nothing on.",
    remedy="take them out, and set what replaces them",
    fix="nova.leftovers",
    since="Nova 15 (Ocata)",
)
def flags(host: HostSubject) -> Result:
    facts = configured(host)
    places = [one for name in _FLAGS for one in facts.configuration.all(name)]
    if not places:
        return passed("neither live_migration_flag nor block_migration_flag is set")
    if facts.release is not None and facts.release < 15:
        return skipped(f"Nova {facts.version} still heeds them")
    words = [word.strip() for one in places for word in re.split(r"[,\s]+", one.text)]
    instead = dict.fromkeys(_REPLACED[word] for word in words if word in _REPLACED)
    saw = "ignored: " + ", ".join(f"{one.option.name} ({one})" for one in places)
    advice = f"set instead: {', '.join(instead)}" if instead else "nothing needs to replace them"
    off = not facts.configuration.value("live_migration_permit_post_copy")
    if off and any("POSTCOPY" in word for word in words):
        return failed(f"{saw}; post-copy is asked for there, and is not on", advice)
    return warned(saw, advice)
