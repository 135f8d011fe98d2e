"""Post-copy live migration of KVM guests: driven, watched, proven.

Start with `connect`: it names a libvirt host, whose guests can be moved and watched. Below it,
`postcopy.migration.Supervisor` moves one guest through any driver (`postcopy.libvirt`,
`postcopy.qemu`), asks a policy (`postcopy.policy`) when to switch to post-copy, and writes what
happens into a journal (`postcopy.migration.Journal`). ``docs/design.md`` says why the house is as
it is.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postcopy.api import connect

__all__ = ["__version__", "connect"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported when it is used: the command, and the first process of a lab host, need none of it.
    if name == "connect":
        from postcopy.api import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
