"""One look at a running migration."""

from dataclasses import dataclass

from postcopy.migration.phase import Phase

__all__ = ["Look", "Sample"]


@dataclass(frozen=True, slots=True)
class Look:
    """How much memory the guest was seen to dirty in a short time, by sampling its pages.

    :param at: when it ended: Unix time in seconds.
    :param seconds: how long it took.
    :param dirtied_bytes: each page counted once.
    """

    at: float
    seconds: float
    dirtied_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a hypervisor said of a migration at one moment. Sizes in bytes, rates in bytes a second.

    Figures that an interface does not offer, or not yet, are 0.
    """

    at: float
    """When it was taken: Unix time in seconds."""
    phase: Phase
    status: str = ""
    """The hypervisor's own word for the state."""
    pass_number: int = 0
    """The pass being sent: 1 is the first, over all of the memory."""
    pass_ended_at: float | None = None
    """Set on the one sample taken because a pass has just ended: when it did, in Unix time."""
    total_bytes: int = 0
    """The size of the guest's memory."""
    remaining_bytes: int = 0
    """What is known to be still unsent; right after a pass has ended, all of the next pass."""
    disk_total_bytes: int = 0
    """The size of the disks that are copied along, which comes on top."""
    disk_remaining_bytes: int = 0
    """What is known to be still unsent of them."""
    transferred_bytes: int = 0
    """What has gone over the wire so far."""
    bandwidth: float = 0.0
    """What the hypervisor measured over the last moments, in bytes a second."""
    dirty_rate: float = 0.0
    """Unique memory dirtied during the last pass, in bytes a second."""
    requests: int = 0
    """Pages that the destination has asked for by name since the switch."""
    looks: tuple[Look, ...] = ()
    """What was seen of the guest since the sample before, by who looks at it meanwhile."""
    error: str = ""
    """The hypervisor's own explanation, where something failed."""

    @property
    def data_remaining_bytes(self) -> int:
        """What is known to be still unsent of memory and disks together."""
        return self.remaining_bytes + self.disk_remaining_bytes

    @property
    def pass_ended(self) -> bool:
        """Whether this sample marks the end of a pass."""
        return self.pass_ended_at is not None
