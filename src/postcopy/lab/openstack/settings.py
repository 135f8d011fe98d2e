"""What can be chosen of a lab's cloud: where instances are, and how its Nova migrates."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from postcopy.errors import UsageError
from postcopy.nova.options import OPTIONS

__all__ = ["Settings", "parse_options"]

_FILE = "cloud.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """A cloud as it was asked for; it stays so until something else is asked for.

    :ivar shared: whether instances are in a directory that both compute hosts see.
    :ivar nova: options of nova.conf's ``[libvirt]`` on the compute hosts, in place of the lab's.
    """

    shared: bool = False
    nova: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: Path) -> "Settings":
        """Return those of the lab with that runtime directory; the defaults for a new one."""
        path = directory / _FILE
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def save(self, directory: Path) -> None:
        """Keep them for as long as the lab is there."""
        (directory / _FILE).write_text(json.dumps(asdict(self)))

    def changed(self, shared: bool | None, nova: Mapping[str, str] | None) -> "Settings":
        """Return them with what was asked for; None leaves a thing as it is."""
        return Settings(
            self.shared if shared is None else shared,
            self.nova if nova is None else dict(nova),
        )


def parse_options(texts: Iterable[str]) -> dict[str, str]:
    """Read ``NAME=VALUE``, as a user writes options of nova.conf's ``[libvirt]``.

    :raises UsageError: for what is no such option of a live migration.
    """
    known = [option.name for option in OPTIONS if option.section == "libvirt" and not option.until]
    found = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or name not in known:
            raise UsageError(
                f"{text!r} sets no option of nova.conf's [libvirt] that matters to live migration",
                hint=f"write NAME=VALUE; the names are {', '.join(known)}",
            )
        found[name] = value
    return found
