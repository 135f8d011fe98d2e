"""What is so about a host's QEMU."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from postcopy.known_issues import Version
from postcopy.readiness import Evidence

__all__ = ["KvmProof", "Moved", "QemuFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KvmProof:
    """What came of booting a tiny guest under KVM.

    :ivar error: why it did not end well; empty where it did.
    :ivar hung: whether it began and never ended.
    """

    error: str
    hung: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What came of moving a guest of 32 MiB from this host to itself.

    :ivar error: why it did not come to its end; empty where it did.
    :ivar status: what the source's QEMU said of the migration at last.
    :ivar postcopy: whether it was in post-copy.
    :ivar requests: how many pages the destination asked for.
    :ivar rounds: how often the guest wrote and checked all of its memory at the destination.
    :ivar wrong: how many pages did not hold what they should.
    :ivar downtime_seconds: as QEMU counts it.
    """

    error: str
    status: str
    postcopy: bool
    requests: int
    rounds: int
    wrong: int
    downtime_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuFacts:
    """What the QEMU floor knows of a host; what could not be found out is None or empty.

    :ivar binary: the program; None where no QEMU for this machine is installed.
    :ivar version: None where it could not be asked.
    :ivar package: what the distribution adds to the version.
    :ivar account: whom it was asked as: a name.
    :ivar error: why it could not be asked; empty where it could.
    :ivar sandbox_error: why it does not start in libvirt's sandbox; empty where it does.
    :ivar capabilities: migration capabilities that it knows.
    :ivar accepts: what it said when a capability was switched on; empty text is yes.
    :ivar commands: its commands about migration.
    :ivar machines: machine types and what they are aliases of: ``{"pc": "pc-i440fx-10.0"}``.
    :ivar default_machine: the one that a new guest gets.
    :ivar oob: whether its monitor runs commands out of band.
    :ivar firmware: names of the firmware descriptors.
    """

    machine: str
    binary: str | None
    version: Version | None
    package: str
    account: str
    error: str
    sandbox_error: str
    capabilities: frozenset[str]
    accepts: Mapping[str, str]
    commands: frozenset[str]
    machines: frozenset[str]
    aliases: Mapping[str, str]
    default_machine: str
    oob: bool
    firmware: frozenset[str]
    kvm: KvmProof | None
    moved: Moved | None

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version)) if self.version else "of an unknown version"

    @classmethod
    def of(cls, evidence: Evidence) -> "QemuFacts":
        """Read what the probe brought back."""
        talk = evidence.proof("dialogue") or {}
        machines = [entry for entry in _list(talk.get("machines")) if isinstance(entry, Mapping)]
        binary = evidence.value("binary")
        said = evidence.ran("version").out
        numbers = _mapping(_mapping(talk.get("version")).get("qemu"))
        account = _mapping(evidence.value("account"))
        return cls(
            machine=_text(evidence.value("machine")),
            binary=binary if isinstance(binary, str) else None,
            version=_version(numbers) or _version_of_text(said),
            package=_text(_mapping(talk.get("version")).get("package")),
            account=_text(account.get("name")),
            error=_text(talk.get("error")) or ("" if talk else "it was not asked"),
            sandbox_error=_text(talk.get("sandbox_error")),
            capabilities=_texts(talk.get("capabilities")),
            accepts={
                str(name): _text(error) for name, error in _mapping(talk.get("accepts")).items()
            },
            commands=_texts(talk.get("commands")),
            machines=_texts([entry.get("name") for entry in machines]),
            aliases={
                _text(entry.get("alias")): _text(entry.get("name"))
                for entry in machines
                if entry.get("alias")
            },
            default_machine=next(
                (_text(entry.get("name")) for entry in machines if entry.get("is-default")), ""
            ),
            oob=talk.get("oob") is True,
            firmware=frozenset(
                PurePosixPath(file.path).name
                for file in evidence.files("/")
                if "/firmware/" in file.path
            ),
            kvm=_kvm(evidence.proof("kvm")),
            moved=_moved(evidence.proof("self-migration")),
        )


def _kvm(raw: Mapping[str, Any] | None) -> KvmProof | None:
    if raw is None:
        return None
    return KvmProof(
        error=_text(raw.get("error")),
        hung=raw.get("hung") is True,
        seconds=_number(raw.get("seconds")),
    )


def _moved(raw: Mapping[str, Any] | None) -> Moved | None:
    if raw is None:
        return None
    return Moved(
        error=_text(raw.get("error")),
        status=_text(raw.get("status")),
        postcopy=raw.get("postcopy") is True,
        requests=int(_number(raw.get("requests"))),
        rounds=int(_number(raw.get("rounds"))),
        wrong=int(_number(raw.get("wrong"))),
        downtime_seconds=_number(raw.get("downtime")),
        seconds=_number(raw.get("seconds")),
    )


def _version(numbers: Mapping[str, Any]) -> Version | None:
    major, minor, micro = (numbers.get(name) for name in ("major", "minor", "micro"))
    if isinstance(major, int) and isinstance(minor, int) and isinstance(micro, int):
        return (major, minor, micro)
    return None


def _version_of_text(text: str) -> Version | None:
    match = re.search(r"version (\d{1,4})\.(\d{1,4})\.(\d{1,4})", text, re.ASCII)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _mapping(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _list(raw: object) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _text(raw: object) -> str:
    return raw if isinstance(raw, str) else ""


def _texts(raw: object) -> frozenset[str]:
    return frozenset(entry for entry in _list(raw) if isinstance(entry, str))


def _number(raw: object) -> float:
    return float(raw) if isinstance(raw, int | float) and 0 <= raw < 1e12 else 0.0
