"""``postcopy lab guest``: guests that know what their memory must hold."""

from dataclasses import asdict

import click

from postcopy.cli.lab.hosts import name_option
from postcopy.cli.output import format_option, print_data, progress, runs_async
from postcopy.errors import MigrationError, RefusedError, UsageError
from postcopy.lab import names
from postcopy.lab.disk import Disk
from postcopy.lab.domain import LabDomain
from postcopy.lab.find import all_guests, find_guest
from postcopy.lab.guest import LabGuest
from postcopy.lab.lab import Lab
from postcopy.lab.machine import ACCELERATORS, GuestSpec
from postcopy.lab.openstack.server import LabServer
from postcopy.lab.workload import Workload

__all__ = ["guest"]


@click.command()
@click.argument("guest_name", metavar="NAME")
@name_option
@click.option("--host", default=names.HOSTS[0], show_default=True, help="Where to start it.")
@click.option("--cold", default=256, show_default=True, metavar="MIB", help="Memory written once.")
@click.option("--hot", default=64, show_default=True, metavar="MIB", help="Memory rewritten.")
@click.option("--rate", default=0, metavar="PAGES", help="Writes a second; 0 is flat out.")
@click.option(
    "--pattern",
    default="random",
    show_default=True,
    help="random, sequential, reads, or bursts:PERCENT:MILLISECONDS.",
)
@click.option("--seed", default=1, show_default=True, help="Of what the pages hold.")
@click.option("--vcpus", default=1, show_default=True, help="Each has a writer of its own.")
@click.option("--accelerator", default="tcg", show_default=True, type=click.Choice(ACCELERATORS))
@click.option("--bare", is_flag=True, help="A QEMU of its own, without libvirt.")
@click.option("--server", is_flag=True, help="A server of the lab's cloud, which Nova runs.")
@click.option(
    "--second-monitor/--no-second-monitor",
    default=True,
    show_default=True,
    help="Whether a domain has the monitor that recovery past libvirt takes.",
)
@click.option(
    "--disk",
    type=int,
    is_flag=False,
    flag_value=64,
    metavar="[MIB]",
    help="Give it a disk that it rewrites, too; of 64 MiB if not said.",
)
@click.option("--shared", is_flag=True, help="The disk is where both hosts see it.")
@click.option("--verify", is_flag=True, help="Have it check its memory and its disk.")
@click.option("--stop", is_flag=True, help="End it.")
@format_option
@runs_async
async def guest(
    guest_name: str,
    name: str,
    host: str,
    cold: int,
    hot: int,
    rate: int,
    pattern: str,
    seed: int,
    vcpus: int,
    accelerator: str,
    bare: bool,
    server: bool,
    second_monitor: bool,
    disk: int | None,
    shared: bool,
    verify: bool,
    stop: bool,
    format_: str,
) -> None:
    """Start the guest NAME as a libvirt domain, have it verify its memory, or stop it.

    In a lab with a cloud, --server has Nova start it instead.

    Its only process, the witness, rewrites its hot memory and its disk, knows what every page and
    every block must hold, and says every 20 ms that it lives.
    """
    if verify and stop:
        raise UsageError("--verify and --stop exclude each other", hint="verify first, then stop")
    if bare and server:
        raise UsageError("--bare and --server exclude each other", hint="choose who runs it")
    if shared and disk is None:
        raise UsageError("--shared says where the disk is, and there is none", hint="add --disk")
    if disk is not None and (bare or server):
        kind = "--bare guest" if bare else "--server"
        raise UsageError(f"a {kind} has no disk of its own", hint="leave --disk out")
    if server and vcpus != 1:
        raise UsageError("a --server has one vCPU", hint="leave --vcpus out")
    one = Lab(name)
    if verify:
        await _verify(find_guest(one, guest_name), format_)
    elif stop:
        await find_guest(one, guest_name).stop()
    else:
        one.guest_host(host)  # an unknown host, before anything is started
        workload = Workload(cold, hot, rate, pattern, seed, writers=vcpus)
        spec = GuestSpec(
            name=guest_name,
            workload=workload,
            accelerator=accelerator,
            disk=Disk(disk, shared) if disk is not None else None,
            vcpus=vcpus,
            second_monitor=second_monitor,
        )
        with progress() as show:
            more = f" and {disk} MiB of disk" if disk else ""
            show(f"booting guest {guest_name}; it fills {cold + hot} MiB of memory{more}")
            if guest_name in (known.spec.name for known in all_guests(one)):
                raise RefusedError(
                    f"lab {name!r} has a guest {guest_name!r} already",
                    hint=f"stop it first: postcopy lab guest {guest_name} --stop",
                )
            await (LabGuest if bare else LabServer if server else LabDomain).start(one, spec, host)
        data = {**asdict(spec), "host": host}
        print_data(data, format_, lambda: click.echo(f"guest {guest_name} runs on {host}"))


async def _verify(one: LabGuest | LabDomain | LabServer, format_: str) -> None:
    verdict = await one.verify()
    data = asdict(verdict)
    wrong = verdict.pages_wrong
    text = f"guest {one.spec.name}: {verdict.pages_checked} pages checked, {wrong} wrong"
    if verdict.disk_blocks_checked is not None:
        text += f"; {verdict.disk_blocks_checked} blocks of its disk checked,"
        text += f" {verdict.disk_blocks_wrong} wrong"
    print_data(data, format_, lambda: click.echo(text))
    if wrong:
        raise MigrationError(
            f"{wrong} of {verdict.pages_checked} pages of guest {one.spec.name!r} are wrong",
            hint="its memory was corrupted: which QEMU moved it? see postcopy history",
        )
    if verdict.disk_blocks_wrong:
        raise MigrationError(
            f"{verdict.disk_blocks_wrong} of {verdict.disk_blocks_checked} blocks of the disk of"
            f" guest {one.spec.name!r} were found wrong",
            hint="its storage was not moved whole: how was it moved? see postcopy history",
        )
