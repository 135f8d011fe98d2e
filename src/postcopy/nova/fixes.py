"""What mends nova.conf: a drop-in where it counts, and where it does not, the line that does.

nova-compute reads the files on its command line after the directories that it finds by itself. So
a drop-in sets what is set nowhere else; an option that a later file sets is changed in that file.
Each plan is read back as nova-compute would read it, and is none if it did not have its effect.
"""

import functools
from collections.abc import Mapping, Sequence

from postcopy.errors import RefusedError
from postcopy.nova import edit
from postcopy.nova.checks.catalogue import configured
from postcopy.nova.configuration import ENVIRONMENT
from postcopy.nova.facts import NovaFacts
from postcopy.nova.options import blank
from postcopy.nova.overrides import TOPICS, Override, address_is_wrong, wanted
from postcopy.readiness import (
    Change,
    FileChange,
    Files,
    Fix,
    HostSubject,
    MissingFacts,
    Restart,
)

__all__ = ["FIXES"]

_TITLES = {
    "nova.switch": "Nova ends migrations by post-copy",
    "nova.address": "other hosts are told where to send guests to",
    "nova.leftovers": "options that Nova has long ignored are taken out",
    "nova.service": "nova-compute watches its migrations",
}

_HEAD = "# By `postcopy setup`: {title}. `postcopy check --explain` tells why."


def _name(topic: str) -> str:
    return f"90-postcopy-{topic.removeprefix('nova.')}.conf"


def _plan(topic: str, host: HostSubject) -> Sequence[Change]:
    facts = configured(host)
    overrides = wanted(facts, topic)
    if not overrides:
        if topic == "nova.address" and address_is_wrong(facts):
            raise MissingFacts(
                "this host has several addresses, or none: set live_migration_inbound_addr by hand"
            )
        return []
    before = _Texts(host, facts)
    edits: dict[str, list[edit.Edit]] = {}
    new: dict[tuple[str, str], list[str]] = {}
    why: dict[str, list[str]] = {}
    for override in overrides:
        for path, one in _edits(facts, override, before):
            edits.setdefault(path, []).append(one)
            why.setdefault(path, []).append(override.why)
        if (home := _home(facts, override, topic)) is not None:
            line = f"{override.option} = {override.value}"
            new.setdefault((home, override.section), []).extend((f"# {override.why}", line))
            why.setdefault(home, []).append(override.why)
    for (path, section), lines in new.items():
        edits.setdefault(path, []).append(edit.insert(before[path] or "", section, lines))
    changes: list[Change] = [
        _change(path, before[path], some, topic, why[path]) for path, some in edits.items()
    ]
    _verify(facts, changes, overrides)
    if facts.running and topic != "nova.leftovers":
        _may_restart(host, facts)
        why_restart = "nova-compute reads its configuration when it starts"
        if facts.kolla:
            why_restart += "; Kolla-Ansible writes it anew at its next deployment: --emit kolla"
        changes.append(Restart(service=facts.service, why=why_restart))
    return changes


class _Texts:
    """The whole text of files, which checks never see: asked for only where one is edited."""

    def __init__(self, host: HostSubject, facts: NovaFacts) -> None:
        files = host.facts.find(Files)
        self._whole: Mapping[str, str | None] = files.texts if files else {}
        self._known = facts.files

    def __getitem__(self, path: str) -> str | None:
        text = self._whole.get(path)
        if text is None and path not in self._known:
            return None
        if text is None:
            raise MissingFacts(f"{path} has to be edited, and its text is not at hand")
        if blank(text) != self._known.get(path):
            raise MissingFacts(f"{path} has changed since it was looked at: run it again")
        if "\r" in text.replace("\r\n", "\n"):
            raise MissingFacts(f"{path} has carriage returns amid its lines: mend that by hand")
        return text


def _edits(facts: NovaFacts, override: Override, before: _Texts) -> list[tuple[str, edit.Edit]]:
    """Return the edits of lines that set the option now; none where a drop-in outdoes them."""
    places = facts.configuration.all(override.option, override.section)
    if any(place.path == ENVIRONMENT for place in places):
        raise MissingFacts(
            f"{override.option} is set in the environment of nova-compute, which outdoes every"
            " file: mend its unit"
        )
    if override.value is None:
        return [
            (place.path, edit.remove(before[place.path] or "", place, override.why))
            for place in places
        ]
    if not places or _outdone_by_drop_in(facts, places[-1].path):
        return []
    winner = places[-1]
    return [(winner.path, edit.assign(before[winner.path] or "", winner, override.value))]


def _home(facts: NovaFacts, override: Override, topic: str) -> str | None:
    """Return the file to set an option in anew; None where the line that sets it is edited."""
    places = facts.configuration.all(override.option, override.section)
    if override.value is None:
        return None
    directory = _directory(facts)
    if directory is not None and (not places or _outdone_by_drop_in(facts, places[-1].path)):
        return f"{directory}/{_name(topic)}"
    return None if places else facts.layout[-1].path


def _directory(facts: NovaFacts) -> str | None:
    directories = [place.path for place in facts.layout if place.directory]
    return directories[-1] if directories else None


def _outdone_by_drop_in(facts: NovaFacts, path: str) -> bool:
    directory = _directory(facts)
    if directory is None:
        return False
    if path.rpartition("/")[0] == directory and facts.rank(path) == facts.rank(
        f"{directory}/x.conf"
    ):
        return path < f"{directory}/90-postcopy-"
    return facts.rank(path) < facts.rank(f"{directory}/x.conf")


def _change(
    path: str, before: str | None, edits: Sequence[edit.Edit], topic: str, why: Sequence[str]
) -> FileChange:
    text = edit.apply(before or "", edits)
    if before is None:
        text = _HEAD.format(title=_TITLES[topic]) + "\n" + text
    return FileChange(path=path, before=before, after=text, why="; ".join(dict.fromkeys(why)))


def _verify(facts: NovaFacts, changes: Sequence[Change], overrides: Sequence[Override]) -> None:
    files = dict(facts.files)
    for change in changes:
        if isinstance(change, FileChange) and change.after is not None:
            files[change.path] = blank(change.after)
    after = facts.read(files)
    for override in overrides:
        places = after.all(override.option, override.section)
        got = places[-1].text if places else None
        if got != override.value:
            raise MissingFacts(
                f"{override.option} = {override.value} would have no effect: it is {got}"
                f" ({after.where(override.option, override.section)})"
            )


def _may_restart(host: HostSubject, facts: NovaFacts) -> None:
    """Return if nova-compute may be restarted.

    :raises MissingFacts: when it is not known whether that would hurt a guest.
    :raises RefusedError: when it would.
    """
    if not facts.service:
        raise MissingFacts("nova-compute runs, and no unit of systemd is known to restart it by")
    if spread := facts.spread_guests:
        guests = ", ".join(f"{g.name} ({g.state} {g.reason}, {g.job})" for g in spread)
        raise RefusedError(
            f"nova-compute on {host.name} must not be restarted: it would take guests for its own"
            f" that are between two hosts: {guests}",
            hint="wait for the migration, or recover it (postcopy recover GUEST); then run this"
            " again",
        )


def _reads(topic: str) -> tuple[str, ...]:
    return (
        "/etc/nova/nova.conf",
        "/etc/nova/nova-compute.conf",
        "/etc/nova/nova-cpu.conf",
        "/etc/kolla/nova-compute/nova.conf",
        f"/etc/nova/nova.conf.d/{_name(topic)}",
        f"/etc/nova/nova-compute.conf.d/{_name(topic)}",
    )


FIXES = tuple(
    Fix(
        id=topic,
        title=_TITLES[topic],
        plan=functools.partial(_plan, topic),
        order=60,
        reads=_reads(topic),
    )
    for topic in TOPICS
)
