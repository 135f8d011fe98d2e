"""A guest of the lab: starts, is found wherever it runs, tells whether its memory is intact."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from postcopy.errors import NotFoundError, OutcomeUnknownError, RefusedError, UnavailableError
from postcopy.lab import names, talk
from postcopy.lab.boot import provide_boot_files
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.records import Verdict
from postcopy.lab.side import Side, SideState
from postcopy.lab.whereabouts import running_on
from postcopy.lab.witnessed import Witnessed

__all__ = ["LabGuest", "not_needed"]

_LEAVING = frozenset({"finish-migrate", "postmigrate", "paused"})


class LabGuest(Witnessed):
    """One guest of one lab. Where it runs is looked up each time, never remembered.

    :param lab: a lab that is up.
    :param spec: the guest.
    """

    kind = "bare"

    def __init__(self, lab: Lab, spec: GuestSpec) -> None:
        self.lab = lab
        self.spec = spec
        self.sides = {name: Side(lab.host(name), spec) for name in names.HOSTS}

    @classmethod
    def load(cls, lab: Lab, name: str) -> Self:
        """Return a guest that was started earlier.

        :raises NotFoundError: when the lab has none of that name.
        :raises UnavailableError: when the lab is not up.
        """
        lab.host(names.HOSTS[0])  # a lab that is not up is told before a guest that is not there
        path = lab.runtime_dir / "guests" / f"{name}.json"
        known = cls.names(lab)
        if name not in known:
            raise NotFoundError(
                f"lab {lab.name!r} has no guest {name!r}"
                f" (it has: {', '.join(known) if known else 'none'})",
                hint=f"start one: postcopy lab guest {name} --host alpha",
            )
        return cls(lab, GuestSpec.from_dict(json.loads(path.read_text())))

    @staticmethod
    def names(lab: Lab) -> list[str]:
        """Return the names of all guests of a lab."""
        return sorted(path.stem for path in (lab.runtime_dir / "guests").glob("*.json"))

    @classmethod
    async def start(cls, lab: Lab, spec: GuestSpec, host: str) -> Self:
        """Boot a new guest on a host and wait until its workload runs.

        :raises RefusedError: when a guest of that name exists.
        :raises UnavailableError: when it does not boot.
        """
        if spec.name in cls.names(lab):
            raise RefusedError(
                f"lab {lab.name!r} has a guest {spec.name!r} already",
                hint=f"stop it first: postcopy lab guest {spec.name} --stop",
            )
        guest = cls(lab, spec)
        path = lab.runtime_dir / "guests" / f"{spec.name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(spec.to_dict()))
        try:
            await guest.start_side(host, incoming=False)
            await talk.wait_ready(spec.name, guest.sides[host].console_log)
        except BaseException:
            await guest.stop()
            raise
        return guest

    async def start_side(self, host: str, *, incoming: bool) -> Side:
        """Start this guest's QEMU on a host."""
        side = self.sides[host]
        files = await provide_boot_files(self.lab, side.host, self.spec.service)
        await side.start(files, incoming=incoming)
        return side

    async def look(self) -> dict[str, SideState]:
        """Return what each QEMU of the guest says of itself, by host."""
        states = await asyncio.gather(*(side.look() for side in self.sides.values()))
        return {
            name: state for name, state in zip(self.sides, states, strict=True) if state is not None
        }

    async def states(self) -> dict[str, str]:
        """Return what each QEMU calls its own state, by host."""
        return {name: state.run_state for name, state in (await self.look()).items()}

    async def where(self) -> str:
        """Return the host on which the guest runs now.

        :raises UnavailableError: when it runs nowhere.
        """
        return running_on(
            await self.states(),
            f"guest {self.spec.name!r}",
            absent="its QEMU has ended",
            hint=f"if it was being migrated: postcopy attach {self.spec.name};"
            f" to give it up: postcopy lab guest {self.spec.name} --stop",
        )

    async def ends(self) -> tuple[str, str]:
        """Return source and destination of the migration that is under way, or interrupted.

        :raises NotFoundError: when none is.
        """
        states = await self.look()
        moving = [name for name, state in states.items() if state.migrating]
        # The destination's QEMU takes the guest for running, or for still on its way.
        leaving = [name for name in moving if states[name].run_state in _LEAVING]
        if len(moving) == 2 and len(leaving) == 1:
            [source] = leaving
            [destination] = [name for name in moving if name != source]
            return source, destination
        seen = ", ".join(f"{s.run_state} on {n} ({s.migration})" for n, s in states.items())
        raise NotFoundError(
            f"guest {self.spec.name!r} is in no post-copy that could be recovered"
            f" ({seen or 'its QEMU has ended'})",
            hint="postcopy lab status",
        )

    async def tidy(self) -> None:
        """End each QEMU of this guest that is surely not needed: it looks before it acts."""
        for name in not_needed(await self.look()):
            await self.sides[name].quit()

    async def verify(self) -> Verdict:
        """Have the guest check every page of its memory and return what it found.

        :raises UnavailableError: when the guest does not answer.
        """
        side = self.sides[await self.where()]
        return await talk.verify(self.spec.name, side.commands, side.console_log)

    async def command(self, text: str) -> str:
        """Have the guest obey a command of its witness, such as ``rate 500``; return its answer.

        :raises UnavailableError: when the guest does not answer.
        """
        side = self.sides[await self.where()]
        return await talk.command(self.spec.name, side.commands, side.console_log, text)

    def console_log(self, host: str) -> Path:
        """Return the file of what the guest said on a host."""
        return self.sides[host].console_log

    async def stop(self) -> None:
        """End the guest, wherever it is, and forget it."""
        for side in self.sides.values():
            with contextlib.suppress(UnavailableError, OutcomeUnknownError):
                await side.quit()
        (self.lab.runtime_dir / "guests" / f"{self.spec.name}.json").unlink(missing_ok=True)


def not_needed(states: Mapping[str, SideState]) -> list[str]:
    """Return the hosts whose QEMU of a guest is surely not needed any more.

    Kept is whatever runs, and every side of a migration that is under way or interrupted. A side
    may take for that what is over, if it never heard the other one say so: the source of a guest
    that has arrived whole, the destination of one that goes on at its source.
    """
    running = [name for name, state in states.items() if state.run_state == "running"]
    if len(running) != 1:
        return []
    [home] = running
    arrived = states[home].migration == "completed"
    others = {name: state for name, state in states.items() if name != home}
    mistaken = [
        name
        for name, state in others.items()
        if (arrived and state.migration == "postcopy-paused" and state.run_state in _LEAVING)
        or (not states[home].migrating and state.run_state == "inmigrate" and state.migrating)
    ]
    if any(state.migrating for name, state in states.items() if name not in mistaken):
        return []
    return mistaken + [
        name
        for name, state in others.items()
        if (state.run_state == "postmigrate" and state.migration == "completed")
        or (state.run_state == "inmigrate" and name not in mistaken)
    ]
