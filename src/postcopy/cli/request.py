"""What ``postcopy migrate`` was asked for, and the options that say it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from postcopy import policy as policies
from postcopy.errors import UsageError
from postcopy.migration.decision import Policy
from postcopy.units import parse_rate

__all__ = [
    "Request",
    "adaptive_options",
    "find_policy",
    "hosts_options",
    "libvirt_given",
    "libvirt_options",
    "nova_options",
    "parse_bandwidth",
    "qemu_options",
    "recover_uri_option",
    "recovery_options",
]

F = TypeVar("F", bound=Callable[..., Any])

_MIB = 1 << 20
_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A migration that a user wants.

    :param preempt: None if it was not said.
    :param hosts: ways into source and destination, as ``postcopy check`` takes hosts.
    :param libvirt: virsh's options, by the names of `postcopy.libvirt.LibvirtOptions`; only those
        that were given.
    """

    guest: str
    destination: str
    policy: Policy
    lab: str
    bandwidth: int | None = None
    downtime_limit: float = 0.3
    preempt: bool | None = None
    monitors: tuple[Path | None, Path | None] = (None, None)
    rescues: tuple[Path | None, Path | None] = (None, None)
    uri: str | None = None
    recover_uri: str | None = None
    hosts: tuple[str | None, str | None] = (None, None)
    source_uri: str | None = None
    peer_uri: str | None = None
    libvirt: Mapping[str, Any] = field(default_factory=dict)
    os_cloud: str | None = None
    libvirt_uri: str | None = None
    check_host: str | None = None
    postcopy_permitted: bool = False
    allow_pause: bool = False

    @property
    def nova_names(self) -> list[str]:
        """The options that were given and mean something to Nova alone."""
        given = {
            "--os-cloud": self.os_cloud,
            "--source-uri": self.libvirt_uri,
            "--check-host": self.check_host,
            "--postcopy-permitted": self.postcopy_permitted,
            "--allow-pause": self.allow_pause,
        }
        return [name for name, value in given.items() if value]

    @property
    def libvirt_names(self) -> list[str]:
        """The options that were given and mean something to libvirt alone."""
        more = {
            "peer_uri": self.peer_uri,
            "source_host": self.hosts[0],
            "dest_host": self.hosts[1],
        }
        named = {**self.libvirt, **{name: value for name, value in more.items() if value}}
        if kind := named.pop("copy_storage", None):
            named[f"copy_storage_{kind}"] = True
        return [f"--{name.replace('_', '-')}" for name in named]

    @property
    def qemu_names(self) -> list[str]:
        """The options that were given and mean something to bare QEMUs alone."""
        given = {
            "--qmp": self.monitors[0],
            "--dest-qmp": self.monitors[1],
            "--rescue-qmp": self.rescues[0],
            "--dest-rescue-qmp": self.rescues[1],
            "--uri": self.uri,
            "--preempt": self.preempt,
            "--no-preempt": None if self.preempt is None else not self.preempt,
        }
        return [name for name, value in given.items() if value]


def qemu_options(command: F) -> F:
    """Add the options that name two bare QEMUs."""
    for decorate in reversed(
        (
            click.option("--qmp", type=_PATH, help="QEMU: the QMP socket of the source."),
            click.option(
                "--dest-qmp",
                type=_PATH,
                help="QEMU: the QMP socket of one that waits with -incoming defer.",
            ),
            click.option(
                "--rescue-qmp",
                type=_PATH,
                help="QEMU: a second QMP socket of the source, for when the first hangs.",
            ),
            click.option(
                "--dest-rescue-qmp", type=_PATH, help="QEMU: the same of the destination."
            ),
            click.option("--uri", help="QEMU: where the destination listens, tcp:HOST:PORT."),
        )
    ):
        command = decorate(command)
    return command


def nova_options(command: F) -> F:
    """Add the options that name a cloud, and say what Nova does not tell."""
    for decorate in reversed(
        (
            click.option(
                "--os-cloud",
                metavar="NAME",
                help="Nova: the cloud, as clouds.yaml calls it; OS_CLOUD where nothing else says"
                " what GUEST is.",
            ),
            click.option(
                "--source-uri",
                "libvirt_uri",
                metavar="URI",
                help="Nova: have libvirt tell what Nova cannot: qemu+ssh://{host}/system.",
            ),
            click.option(
                "--check-host",
                metavar="HOST",
                help="Nova: look whether nova.conf where GUEST is permits post-copy: ssh://{host}.",
            ),
            click.option(
                "--postcopy-permitted",
                is_flag=True,
                help="Nova: say that it does (live_migration_permit_post_copy).",
            ),
            click.option(
                "--allow-pause",
                is_flag=True,
                help="Nova: GUEST may be paused until it has moved, where post-copy is not"
                " permitted.",
            ),
        )
    ):
        command = decorate(command)
    return command


def libvirt_options(command: F) -> F:
    """Add virsh's options, with virsh's names and meaning."""
    flags = {
        "--copy-storage-all": "copy the disks whole",
        "--copy-storage-inc": "copy the topmost images, onto backing ones that are there",
        "--copy-storage-synchronous-writes": "have the guest wait until writes are copied",
        "--parallel": "send over several connections",
        "--tls": "encrypt what goes between the QEMUs",
        "--tunnelled": "send through libvirtd (excludes post-copy)",
        "--auto-converge": "slow the guest down in pre-copy until it converges",
        "--compressed": "compress memory (excludes post-copy)",
        "--unsafe": "do without libvirt's check that both hosts see the same disks",
    }
    texts = {
        "--migrate-disks": ("DISKS", "copy only these disks: vda,vdb"),
        "--postcopy-bandwidth": ("RATE", "the most to send in post-copy"),
        "--migrateuri": ("URI", "where the destination's QEMU listens: tcp://HOST:PORT"),
        "--listen-address": ("ADDRESS", "what it binds there"),
        "--dname": ("NAME", "the domain's name at the destination"),
        "--peer-uri": ("URI", "DEST as the source reaches it, if that differs"),
    }
    definitions = {
        "--xml": "the domain's definition at DEST, while it runs",
        "--persistent-xml": "the same for its next start",
    }
    options = [
        click.option("--from", "source_uri", metavar="URI", help="libvirt: where GUEST is now."),
        click.option(
            "--persistent/--no-persistent",
            default=None,
            help="libvirt: define it at DEST; as it is at the source if not said.",
        ),
        click.option(
            "--undefinesource/--no-undefinesource",
            default=None,
            help="libvirt: undefine it at the source; as it is there if not said.",
        ),
        *(
            click.option(name, is_flag=True, help=f"libvirt: {text}.")
            for name, text in flags.items()
        ),
        *(
            click.option(name, metavar=metavar, help=f"libvirt: {text}.")
            for name, (metavar, text) in texts.items()
        ),
        *(
            click.option(name, type=click.File(), metavar="FILE", help=f"libvirt: {text}.")
            for name, text in definitions.items()
        ),
    ]
    for decorate in reversed(options):
        command = decorate(command)
    return command


recover_uri_option = click.option(
    "--recover-uri",
    metavar="URI",
    help="Another path to recover over: tcp:HOST:PORT for QEMU, tcp://HOST[:PORT] for libvirt.",
)


def recovery_options(command: F) -> F:
    """Add what is to be done when the connection breaks in post-copy."""
    for decorate in reversed(
        (
            click.option(
                "--recover/--no-recover",
                default=True,
                show_default=True,
                help="Whether to recover a post-copy whose connection broke.",
            ),
            click.option(
                "--recover-for",
                type=click.FloatRange(min=0, min_open=True),
                metavar="SECONDS",
                help="How long to try, each time; for ever if not said: giving up loses the guest.",
            ),
        )
    ):
        command = decorate(command)
    return command


def hosts_options(command: F) -> F:
    """Add ways into both hosts, past libvirt."""
    for name, whose in (("--dest-host", "DEST"), ("--source-host", "the source")):
        command = click.option(
            name,
            metavar="HOST",
            help=f"libvirt, Nova: a way into the host of {whose}, for recovery: ssh://root@h1,"
            " local; that of a qemu+ssh URI if not said.",
        )(command)
    return command


def adaptive_options(command: F) -> F:
    """Add the price and the bounds of the adaptive policy, which are its parameters too."""
    texts = {
        "--price": ("GUEST-SECONDS", "what a second of migration is worth; 0.1 if not said"),
        "--deadline": ("SECONDS", "by when it must have ended"),
        "--max-freeze": ("SECONDS", "that the guest may freeze at most"),
        "--max-risk": ("SECONDS", "of post-copy at most"),
    }
    for name, (metavar, text) in reversed(texts.items()):
        command = click.option(name, type=float, metavar=metavar, help=f"adaptive: {text}.")(
            command
        )
    return command


def find_policy(spec: str, bounds: dict[str, float | None]) -> Policy:
    """Return the policy that was asked for, with the bounds that were given as options.

    :param bounds: by parameter; None where not given.
    :raises UsageError: when it has no such parameter.
    """
    given = [f"{name}={value}" for name, value in bounds.items() if value is not None]
    if not given:
        return policies.find(spec)
    return policies.find(f"{spec}{',' if ':' in spec else ':'}{','.join(given)}")


def libvirt_given(given: dict[str, Any]) -> dict[str, Any]:
    """Turn the values that click collected into those of `LibvirtOptions`; drop what was not given.

    :raises UsageError: when two of them exclude each other.
    """
    kept = {name: value for name, value in given.items() if value not in (None, False)}
    for name in ("persistent", "undefinesource"):
        if given[name] is False:
            kept[name] = False
    whole, increment = kept.pop("copy_storage_all", False), kept.pop("copy_storage_inc", False)
    if whole and increment:
        raise UsageError(
            "--copy-storage-all and --copy-storage-inc exclude each other",
            hint="'all' copies whole disks, 'inc' what differs from disks that are there",
        )
    if whole or increment:
        kept["copy_storage"] = "all" if whole else "inc"
    if disks := kept.get("migrate_disks"):
        kept["migrate_disks"] = tuple(disks.split(","))
    if bandwidth := kept.get("postcopy_bandwidth"):
        kept["postcopy_bandwidth"] = parse_bandwidth(bandwidth)
    for name in kept.keys() & {"xml", "persistent_xml"}:
        kept[name] = kept[name].read()
    return kept


def parse_bandwidth(text: str) -> int:
    """Read a rate (500mbit), or MiB a second as virsh takes them; return bytes a second."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        if int(text) == 0:
            raise UsageError("a bandwidth of 0 moves nothing", hint="leave it out for no bound")
        return int(text) * _MIB
    return parse_rate(text)
