"""Post-copy live migration of KVM guests: driven, watched, proven.

Start with `postcopy.migration.Supervisor`: it moves one guest through a driver
(`postcopy.qemu.QemuDriver`), asks a policy (`postcopy.policy`) when to switch to post-copy, and
writes what happens into a journal (`postcopy.migration.Journal`). ``docs/design.md`` says why the
house is built as it is.
"""

__version__ = "0.1.0"
