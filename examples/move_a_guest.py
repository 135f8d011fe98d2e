"""Move a libvirt guest and say what happens meanwhile.

python examples/move_a_guest.py web1 qemu:///system qemu+ssh://root@beta/system
"""

import asyncio
import sys

import postcopy
from postcopy.migration.event import SampleTaken


async def main(guest: str, source: str, destination: str) -> None:
    """Move it with the adaptive policy."""
    async with postcopy.connect(source) as host:
        migration = host.guest(guest).migrate(destination, policy="adaptive")
        async for event in migration:
            if not isinstance(event, SampleTaken):
                print(event.text)
        outcome = await migration
    print(f"{guest}: {outcome.fate} in {outcome.total_seconds:.2f} s")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
