"""How a lab is, as `postcopy.lab.lab.Lab.status` tells it."""

from dataclasses import dataclass
from enum import StrEnum

from postcopy.lab.link import LinkStatus
from postcopy.lab.openstack.cloud import CloudStatus

__all__ = ["HostStatus", "LabState", "LabStatus"]


class LabState(StrEnum):
    """How much of a lab there is."""

    ABSENT = "absent"
    HALF = "half"
    UP = "up"


@dataclass(frozen=True)
class HostStatus:
    """A host of a lab that has one.

    :ivar release: the Debian that it is made of.
    :ivar alive: whether its first process is.
    :ivar data_address: empty for a host without a data link.
    :ivar uris: how its libvirtd is reached, by kind (`postcopy.lab.libvirtd.uris`).
    """

    name: str
    release: str
    pid: int
    alive: bool
    data_address: str
    control_address: str
    uris: dict[str, str]


@dataclass(frozen=True)
class LabStatus:
    """A lab as it is now.

    :ivar release: as `postcopy.lab.releases.spell` writes those of the hosts.
    :ivar link: None unless the lab is up.
    :ivar cloud: None unless the lab is up and has one.
    """

    name: str
    state: LabState
    release: str | None = None
    hosts: tuple[HostStatus, ...] = ()
    link: LinkStatus | None = None
    cloud: CloudStatus | None = None
