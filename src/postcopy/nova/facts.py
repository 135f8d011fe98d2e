"""What is so on a compute host, read from what the probe brought back."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from postcopy.nova.configuration import ENVIRONMENT, Configuration
from postcopy.readiness import Evidence, MissingFacts

__all__ = ["NovaFacts", "Guest", "Place", "FIRST_RELEASE", "NAMES"]

FIRST_RELEASE = 14
"""The first release with ``live_migration_permit_post_copy``: Newton."""

NAMES = {
    14: "Newton", 15: "Ocata", 16: "Pike", 17: "Queens", 18: "Rocky", 19: "Stein", 20: "Train",
    21: "Ussuri", 22: "Victoria", 23: "Wallaby", 24: "Xena", 25: "Yoga", 26: "Zed",
    27: "2023.1", 28: "2023.2", 29: "2024.1", 30: "2024.2", 31: "2025.1", 32: "2025.2",
    33: "2026.1", 34: "2026.2",
}  # fmt: skip
"""What the releases are called."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A guest that runs here, or is on its way from or to here.

    :ivar state: libvirt's word: ``running``, ``paused``.
    :ivar reason: libvirt's word: ``booted``, ``post-copy failed``.
    :ivar job: ``none``, ``migration out``, ``migration in``.
    """

    name: str
    state: str = ""
    reason: str = ""
    job: str = ""
    memory_bytes: int | None = None

    @property
    def spread(self) -> bool:
        """Whether part of it may be on another host: it migrates, or post-copy was interrupted."""
        return (
            not self.state
            or self.reason.startswith("post-copy")
            or self.job.startswith("migration")
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A file that nova-compute reads, or a directory whose ``*.conf`` it reads."""

    path: str
    directory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NovaFacts:
    """A host as the Nova floor sees it.

    :ivar compute: whether nova-compute runs, or would run, here.
    :ivar release: of Nova: 31 for 31.0.0; None where it is not known.
    :ivar layout: files and directories in the order in which nova-compute reads them.
    :ivar files: what each file holds that could be read, by path, in the same order; blanked.
    :ivar unreadable: files that could not be read, and why.
    :ivar environment: variables that outdo every file.
    :ivar running: whether nova-compute runs.
    :ivar stale: files that have changed since it started.
    :ivar service: its systemd unit; empty where there is none.
    :ivar kolla: whether Kolla-Ansible brought it here: it writes the files anew at each deployment.
    :ivar addresses: of this host, with prefix lengths.
    :ivar names: what this host makes of names.
    :ivar guests: None where nobody could look.
    :ivar user: that nova-compute runs as.
    :ivar libvirt_error: why that user cannot open libvirt's socket; empty if it can, None where it
        was not tried.
    :ivar qemu: QEMU's version, which its own floor finds out; None where it is not known.
    """

    compute: bool
    version: str = ""
    release: int | None = None
    layout: tuple[Place, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    configuration: Configuration = field(default_factory=Configuration)
    running: bool = False
    stale: tuple[str, ...] = ()
    service: str = ""
    kolla: bool = False
    addresses: tuple[ipaddress.IPv4Interface | ipaddress.IPv6Interface, ...] = ()
    names: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    hostname: str = ""
    guests: tuple[Guest, ...] | None = None
    user: str = ""
    libvirt_error: str | None = None
    qemu: tuple[int, int, int] | None = None

    @classmethod
    def of(cls, evidence: Evidence) -> "NovaFacts":
        """Read what the probe brought back; what makes no sense is as if it were not there."""
        process, unit = _table(evidence.value("process")), _table(evidence.value("unit"))
        version = _word(evidence.value("release"))
        release = int(match[0]) if (match := re.match(r"\d{1,4}(?=\.)", version)) else None
        layout = tuple(_layout(evidence.value("layout")))
        files, unreadable = _files(layout, evidence)
        environment = {
            str(name): value
            for name, value in _table(process.get("environment")).items()
            if isinstance(value, str)
        }
        defaults = {
            "my_ip": _word(evidence.value("my_ip")) or "127.0.0.1",
            "host": _word(evidence.value("hostname")),
        }
        proof = evidence.proof("libvirt") or {}
        error = proof.get("error")
        return cls(
            compute=bool(evidence.value("compute")),
            version=version,
            release=release,
            layout=layout,
            files=files,
            unreadable=unreadable,
            environment=environment,
            defaults=defaults,
            configuration=Configuration.read(files.items(), environment, defaults, release),
            running=bool(process),
            stale=_stale(process, evidence.value("changed")),
            service=_word(unit.get("name")),
            kolla=bool(evidence.value("kolla")),
            addresses=tuple(_addresses(evidence.value("addresses"))),
            names=_names(evidence.value("names")),
            hostname=defaults["host"],
            guests=_guests(evidence.value("guests")),
            user=_word(proof.get("user")),
            libvirt_error=error if isinstance(error, str) else None,
        )

    def read(self, files: Mapping[str, str]) -> Configuration:
        """Return the configuration that nova-compute would see if the files held this.

        :param files: by path; those that are in none of its places are not read.
        """
        ordered: dict[str, str] = {}
        for place in self.layout:
            for path in _inside(place, files):
                # Read again, it counts where it is read last.
                ordered.pop(path, None)
                ordered[path] = files[path]
        return Configuration.read(ordered.items(), self.environment, self.defaults, self.release)

    def rank(self, path: str) -> int:
        """Return when a path is read: of two, the one with the higher rank outdoes the other."""
        if path == ENVIRONMENT:
            return len(self.layout)
        ranks = [i for i, place in enumerate(self.layout) if _belongs(place, path)]
        return ranks[-1] if ranks else -1

    def address(self) -> tuple[str, tuple[Address, ...]]:
        """Return what other hosts are told to reach this one at, and what that is here.

        :returns: the option's value, empty where it is not set; and addresses, none where it is a
            name that means nothing here.
        """
        value = self.configuration.value("live_migration_inbound_addr") or ""
        if (address := _address(value)) is not None:
            return value, (address,)
        return value, tuple(self.names.get(value, ()))

    @property
    def spread_guests(self) -> tuple[Guest, ...]:
        """Guests that a restart of nova-compute would hurt.

        :raises MissingFacts: when nobody could look.
        """
        if self.guests is None:
            raise MissingFacts(
                "it is not known whether a guest is amid a migration here: /run/libvirt/qemu"
                " could not be read"
            )
        return tuple(guest for guest in self.guests if guest.spread)


def _layout(raw: object) -> Iterator[Place]:
    for entry in raw if isinstance(raw, list) else []:
        if isinstance(entry, list) and len(entry) == 2 and all(isinstance(e, str) for e in entry):
            kind, path = entry
            if path.startswith("/"):
                yield Place(path.rstrip("/") or "/", directory=kind == "directory")


def _files(layout: tuple[Place, ...], evidence: Evidence) -> tuple[dict[str, str], dict[str, str]]:
    found = list(evidence.files())
    texts = {file.path: file.text for file in found if file.text is not None}
    files: dict[str, str] = {}
    unreadable = {
        file.path: file.error or "it is no file"
        for file in found
        if file.text is None and any(_belongs(place, file.path) for place in layout)
    }
    for place in layout:
        for path in _inside(place, texts):
            files.pop(path, None)
            files[path] = texts[path]
        if not place.directory and place.path not in texts:
            unreadable[place.path] = evidence.file(place.path).error or "it is no file"
    return files, unreadable


def _inside(place: Place, files: Mapping[str, str]) -> list[str]:
    if not place.directory:
        return [place.path] if place.path in files else []
    return sorted(path for path in files if _belongs(place, path))


def _belongs(place: Place, path: str) -> bool:
    if not place.directory:
        return path == place.path
    name = path.removeprefix(f"{place.path}/")
    return name != path and "/" not in name and name.endswith(".conf") and name[0] != "."


def _stale(process: Mapping[str, Any], raw: object) -> tuple[str, ...]:
    started = process.get("started")
    if not isinstance(started, int | float):
        return ()
    changed = _table(raw)
    return tuple(
        path
        for path, when in sorted(changed.items())
        # Processes are dated from a boot time in whole seconds.
        if isinstance(when, int | float) and when > started + 2
    )


def _addresses(raw: object) -> Iterator[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
    for entry in raw if isinstance(raw, list) else []:
        if isinstance(entry, list) and len(entry) == 3:
            try:
                yield ipaddress.ip_interface(f"{entry[0]}/{entry[1]}")
            except ValueError:
                continue


def _names(raw: object) -> dict[str, tuple[Address, ...]]:
    return {
        str(name): tuple(
            address for one in found if (address := _address(str(one).partition("%")[0]))
        )
        for name, found in _table(raw).items()
        if isinstance(found, list)
    }


def _guests(raw: object) -> tuple[Guest, ...] | None:
    if not isinstance(raw, list):
        return None
    guests = []
    for entry in map(_table, raw):
        memory = entry.get("memory_bytes")
        guests.append(
            Guest(
                name=_word(entry.get("name")),
                state=_word(entry.get("state")),
                reason=_word(entry.get("reason")),
                job=_word(entry.get("job")),
                memory_bytes=memory if isinstance(memory, int) and memory > 0 else None,
            )
        )
    return tuple(guests)


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _table(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _word(raw: object) -> str:
    return raw[:253] if isinstance(raw, str) else ""
