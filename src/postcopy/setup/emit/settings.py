"""What a change of a file sets, for tools that want settings and not files."""

import configparser
import re
from dataclasses import dataclass

from postcopy.libvirt.readiness.conf import Conf
from postcopy.readiness import FileChange

__all__ = ["Settings", "settings_of"]

_NOVA = re.compile(r"/etc/(?:nova|kolla/nova-compute)/")
_LIBVIRT = re.compile(r"/etc/libvirt/[a-z]+\.conf$")
_SYSCTL = re.compile(r"/etc/sysctl\.(?:conf|d/)")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a file sets after a change that it did not set before.

    :ivar kind: ``libvirt``, ``nova``, ``sysctl``; empty for a file that holds no settings.
    :ivar values: by key, for Nova by ``section/option``; a None is no longer set.
    :ivar folded: the keys whose old value goes on in further lines.
    """

    kind: str
    values: dict[str, int | str | tuple[str, ...] | None]
    folded: frozenset[str] = frozenset()


def settings_of(change: FileChange) -> Settings:
    """Return what a change sets; nothing for one that is secret, or of a file that is no such."""
    readers = (
        ("libvirt", _LIBVIRT, _libvirt),
        ("nova", _NOVA, _nova),
        ("sysctl", _SYSCTL, _sysctl),
    )
    for kind, path, read in readers:
        if path.match(change.path) and not change.secret:
            before, after = read(change.before or ""), read(change.after or "")
            changed = {key: value for key, value in after.items() if before.get(key) != value}
            gone = {key: None for key in before if key not in after}
            folded = {key for key, value in before.items() if "\n" in str(value)}
            return Settings(kind, {**changed, **gone}, frozenset(folded))
    return Settings("", {})


def _libvirt(text: str) -> dict[str, int | str | tuple[str, ...] | None]:
    return {**Conf.parse(text).values}


def _nova(text: str) -> dict[str, int | str | tuple[str, ...] | None]:
    parser = configparser.RawConfigParser(
        strict=False, allow_no_value=True, default_section="", comment_prefixes=("#", ";")
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # options keep their case
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {
        f"{section}/{option}": value
        for section in parser.sections()
        for option, value in parser.items(section)
    }


def _sysctl(text: str) -> dict[str, int | str | tuple[str, ...] | None]:
    lines = (line.split("#")[0].split(";")[0] for line in text.splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}
