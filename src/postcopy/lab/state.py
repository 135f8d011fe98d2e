"""What a lab is, on disk: ``RUNTIME/lab/NAME/lab.json``, written before anything else is made."""

import contextlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from postcopy import paths, pids
from postcopy.errors import UnavailableError
from postcopy.lab import names

__all__ = [
    "HostRecord",
    "LabRecord",
    "directory",
    "known_labs",
    "layers_directory",
    "lock_path",
    "remove_empty_directories",
]

_FORMAT = 2
_ONE_RELEASE = 1
"""The format of records in which both hosts were of one release."""


def directory(lab: str) -> Path:
    """Return the runtime directory of a lab."""
    return _all_labs() / lab


def lock_path(lab: str) -> Path:
    """Return the file that whoever changes a lab locks."""
    return _all_labs() / f"{lab}.lock"


def layers_directory(lab: str) -> Path:
    """Return where the writable layers of a lab's hosts are."""
    return paths.cache_dir() / "labs" / lab


def remove_empty_directories() -> None:
    """Remove the directories above those of labs when no lab is left."""
    for path in (_all_labs(), paths.runtime_dir()):
        with contextlib.suppress(OSError):  # not empty, or not there
            path.rmdir()


def known_labs() -> set[str]:
    """Return the names of all labs of which there is a directory or a network namespace."""
    try:
        entries = list(_all_labs().iterdir())
    except FileNotFoundError:
        entries = []
    directories = {entry.name for entry in entries if names.is_lab(entry.name) and entry.is_dir()}
    return directories | names.labs_with_namespaces()


@dataclass(frozen=True)
class HostRecord:
    """A host's first process, named for good by its id and its start."""

    pid: int
    start_time: int

    @property
    def alive(self) -> bool:
        """Whether that very process is still there."""
        return pids.start_time(self.pid) == self.start_time


@dataclass(frozen=True)
class LabRecord:
    """What is written down about a lab.

    :ivar releases: the Debian of each host.
    :ivar rate: of the data link, bytes a second.
    :ivar layers: the directory of the hosts' writable layers.
    :ivar hosts: empty until the lab is complete.
    """

    name: str
    slot: int
    releases: dict[str, str]
    rate: int
    layers: str
    hosts: dict[str, HostRecord] = field(default_factory=dict)

    def save(self) -> None:
        """Write the record, whole or not at all."""
        path = directory(self.name) / "lab.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n")
        temporary.replace(path)

    def with_hosts(self, hosts: dict[str, HostRecord]) -> "LabRecord":
        """Return the record of the lab when its hosts are there."""
        return replace(self, hosts=hosts)

    @classmethod
    def load(cls, lab: str) -> "LabRecord | None":
        """Read a lab's record, None if there is none.

        :raises UnavailableError: when there is one that makes no sense.
        """
        path = directory(lab) / "lab.json"
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        try:
            fields = json.loads(text)
            if (found := fields.pop("format")) == _ONE_RELEASE:
                fields["releases"] = dict.fromkeys(names.HOSTS, fields.pop("release"))
            elif found != _FORMAT:
                raise ValueError(f"format {found!r}, and not {_FORMAT}")
            hosts = {name: HostRecord(**host) for name, host in fields.pop("hosts").items()}
            return cls(**fields, hosts=hosts)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnavailableError(
                f"{path} is not a record of a lab: {error}",
                hint=f"`{names.command(lab, 'down')}` takes away what is there of it",
            ) from error


def _all_labs() -> Path:
    return paths.runtime_dir() / "lab"
