"""A guest of the lab: starts, is found wherever it runs, tells whether its memory is intact."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from postcopy.errors import NotFoundError, OutcomeUnknownError, RefusedError, UnavailableError
from postcopy.lab import names, witness
from postcopy.lab.initramfs import build_initramfs
from postcopy.lab.lab import Lab
from postcopy.lab.machine import GuestSpec
from postcopy.lab.observer import Observation, observe
from postcopy.lab.records import Failure, Ready, Record, Text, Verdict, merge, read_log
from postcopy.lab.side import Side, SideState
from postcopy.paths import cache_dir

__all__ = ["LabGuest"]

_BOOT_SECONDS = 60.0
_ANSWER_SECONDS = 120.0

T = TypeVar("T")


class LabGuest:
    """One guest of one lab. Where it runs is looked up each time, never remembered.

    :param lab: a lab that is up.
    :param spec: the guest.
    """

    def __init__(self, lab: Lab, spec: GuestSpec) -> None:
        self.lab = lab
        self.spec = spec
        self.sides = {name: Side(lab.host(name), spec) for name in names.HOSTS}

    @classmethod
    def load(cls, lab: Lab, name: str) -> "LabGuest":
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
    async def start(cls, lab: Lab, spec: GuestSpec, host: str) -> "LabGuest":
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
            await guest._wait_ready(guest.sides[host])
        except BaseException:
            await guest.stop()
            raise
        return guest

    async def start_side(self, host: str, *, incoming: bool) -> Side:
        """Start this guest's QEMU on a host."""
        side = self.sides[host]
        await side.start(self.lab.root().kernel, await _initramfs(), incoming=incoming)
        return side

    async def look(self) -> dict[str, SideState]:
        """Return what each QEMU of the guest says of itself, by host."""
        states = await asyncio.gather(*(side.look() for side in self.sides.values()))
        return {
            name: state for name, state in zip(self.sides, states, strict=True) if state is not None
        }

    async def where(self) -> str:
        """Return the host on which the guest runs now.

        :raises UnavailableError: when it runs nowhere.
        """
        states = await self.look()
        for name, state in states.items():
            if state.run_state == "running":
                return name
        seen = ", ".join(f"{state.run_state} on {name}" for name, state in states.items())
        raise UnavailableError(
            f"guest {self.spec.name!r} runs on no host ({seen or 'its QEMU has ended'})",
            hint=f"if it was being migrated: postcopy attach {self.spec.name};"
            f" to give it up: postcopy lab guest {self.spec.name} --stop",
        )

    async def tidy(self) -> None:
        """End each QEMU of this guest that is surely not needed: it looks before it acts.

        Kept is whatever runs, and every side of a migration that is under way or interrupted.
        """
        states = await self.look()
        if any(state.migrating for state in states.values()):
            return
        running = [name for name, state in states.items() if state.run_state == "running"]
        if len(running) != 1:
            return
        for name, state in states.items():
            moved_away = state.run_state == "postmigrate" and state.migration == "completed"
            if moved_away or state.run_state == "inmigrate":
                await self.sides[name].quit()

    async def verify(self) -> Verdict:
        """Have the guest check every page of its memory and return what it found.

        :raises UnavailableError: when the guest does not answer.
        """
        return await self._ask("verify", lambda r: r if isinstance(r, Verdict) else None)

    async def command(self, text: str) -> str:
        """Have the guest obey a command of its witness, such as ``rate 500``; return its answer.

        :raises UnavailableError: when the guest does not answer.
        """
        return await self._ask(
            text, lambda r: r.text if isinstance(r, Text) and r.text[:2] in ("A ", "N ") else None
        )

    async def _ask(self, text: str, answer: Callable[[Record], T | None]) -> T:
        side = self.sides[await self.where()]
        asked_at = time.time()
        async with _line_to(side.commands) as writer:
            writer.write(text.encode() + b"\n")
            deadline = time.monotonic() + _ANSWER_SECONDS
            while time.monotonic() < deadline:
                for record in read_log(side.console_log):
                    if record.at >= asked_at and (found := answer(record)) is not None:
                        return found
                await asyncio.sleep(0.05)
        raise UnavailableError(
            f"guest {self.spec.name!r} has not answered {text!r} within {_ANSWER_SECONDS:.0f} s",
            hint=f"see what it last said in {side.console_log}",
        )

    def console(self) -> list[Record]:
        """Return what the guest said on either host, in the order of arrival."""
        return merge(*(read_log(side.console_log) for side in self.sides.values()))

    def observe(self, started_at: float, ended_at: float) -> Observation:
        """Return what the guest went through between two moments of Unix time."""
        return observe(self.console(), started_at, ended_at)

    async def stop(self) -> None:
        """End the guest, wherever it is, and forget it."""
        for side in self.sides.values():
            with contextlib.suppress(UnavailableError, OutcomeUnknownError):
                await side.quit()
        (self.lab.runtime_dir / "guests" / f"{self.spec.name}.json").unlink(missing_ok=True)

    async def _wait_ready(self, side: Side) -> None:
        hint = f"see what it said in {side.console_log}"
        deadline = time.monotonic() + _BOOT_SECONDS
        while time.monotonic() < deadline:
            for record in read_log(side.console_log):
                if isinstance(record, Ready):
                    return
                if isinstance(record, Failure):
                    raise UnavailableError(
                        f"guest {self.spec.name!r} cannot work: {record.reason}", hint=hint
                    )
            await asyncio.sleep(0.05)
        raise UnavailableError(
            f"guest {self.spec.name!r} did not come up within {_BOOT_SECONDS:.0f} s", hint=hint
        )


@contextlib.asynccontextmanager
async def _line_to(socket: Path) -> AsyncIterator[asyncio.StreamWriter]:
    """Open a serial line, for as long as the answer takes.

    Closed at once, it would lose what the guest has not read yet: a few bytes fit into its port.
    """
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError as error:
        raise UnavailableError(
            f"the guest takes no commands at {socket}: {error.strerror}",
            hint="is it still running? postcopy lab status",
        ) from error
    try:
        yield writer
    finally:
        writer.close()


async def _initramfs() -> Path:
    """Return an initramfs with today's witness, making it if there is none."""
    program = await witness.build(cache_dir() / "guest")
    image = program.with_suffix(".cpio")
    if not image.exists():
        part = image.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(build_initramfs(program))
        part.replace(image)
    return image
