"""``postcopy lab``: real hosts on one machine."""

import click

from postcopy.cli.lab import hosts
from postcopy.cli.lab.guest import guest

__all__ = ["lab"]


@click.group()
def lab() -> None:
    """Two real hosts on this machine, with a link between them that can be shaped and cut.

    All of it needs root. What is up stays up until `postcopy lab down`.
    """


for command in (hosts.up, hosts.down, hosts.status, hosts.exec_, hosts.link, guest):
    lab.add_command(command)
