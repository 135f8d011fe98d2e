"""Hosts as they were recorded, and the same with something changed."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

from postcopy.libvirt.readiness import CHECKS, GuestFacts, LibvirtFacts
from postcopy.readiness import Evidence, Facts, Finding, HostSubject

__all__ = ["answer", "facts", "host", "judge", "recorded"]

Section = dict[str, Any]

_RECORDED = Path(__file__).parent / "recorded"
_CHECKS = {check.id: check for check in CHECKS}


@functools.cache
def _load(name: str) -> str:
    return (_RECORDED / f"{name}.json").read_text()


def recorded(
    name: str = "trixie",
    *,
    conf: dict[str, str] | None = None,
    files: Section | None = None,
    commands: dict[str, str] | None = None,
    **values: Any,
) -> Section:
    """Return what a host's probe told, with changes.

    :param name: ``trixie`` and ``bookworm`` are hosts of a lab, with libvirt 11.3 and 9.0;
        ``none`` has no libvirt; ``guest`` is what was told of a guest of the first.
    :param conf: text of ``qemu`` or ``libvirtd``, the configuration files.
    :param files: what is told of other files, by path.
    :param commands: what commands printed, by name.
    """
    section: Section = copy.deepcopy(json.loads(_load(name)))
    for which, text in (conf or {}).items():
        section["files"][f"/etc/libvirt/{which}.conf"] = {"mode": 0o600, "text": text}
    section["files"].update(files or {})
    for which, out in (commands or {}).items():
        section["commands"][which] = answer(out)
    section.update(values)
    return section


def answer(out: str = "", code: int = 0, err: str = "") -> Section:
    """Return what a probe tells of a command that ended."""
    return {"argv": [], "code": code, "out": out, "err": err}


def facts(section: Section) -> LibvirtFacts:
    return LibvirtFacts.of(Evidence(section))


def host(section: Section, name: str = "alpha") -> HostSubject:
    return HostSubject(name, Facts([facts(section)]))


def judge(id_: str, subject: object) -> Finding:
    """Return what a check finds."""
    return _CHECKS[id_].apply(subject)


def guest_facts(section: Section) -> GuestFacts:
    return GuestFacts.of(Evidence(section))
