"""Proofs by booting: a tiny guest under KVM, and one that moves by post-copy from here to here.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.
"""

from __future__ import annotations

import base64
import contextlib
import json
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["IMAGE_BYTES", "PROGRAM", "Qmp", "boot_kvm", "image", "migrate_here"]

IMAGE_BYTES = 1 << 16
_KVM_SECONDS = 1.2
_MOST_SECONDS = 5.0
_PAGES = 4096
_MEMORY = "32M"
_KVM_PAGES, _KVM_ROUNDS = 512, 3
_DONE = 0x31 << 1 | 1
"""What isa-debug-exit makes of the byte that the program writes."""

# proof.S, assembled
PROGRAM = base64.b64decode(
    "AAAAAAAAAAD6LmYPARYg/w8gwAwBDyLAZuog/g8ACABmuBAAjtiOwL8AEAAAMcC5AAwAAPzzq8cFABAAAAMgAADH"
    "BQAgAAADMAAAvwAwAAC4gwAAALkAAgAAiQcFAAAgAIPHCOL0uAAQAAAPIti4IAAAAA8i4LmAAADADzINAAEAAA8w"
    "DyDADQAAAIAPIsDqlv4PABgARTHARIsMJQD+DwBEixQlBP4PAEn/wL8AACAARInJQYP4AXQTSY1EOP9IOQd1MEg5"
    "h/gPAAB1J0mNBDhIiQdIiYf4DwAASIHHABAAAOLQsC7m6UU5wnW8sDHm9PTr/bAh5unr0420AABmkAAAAAAAAAAA"
    "//8AAACazwD//wAAAJLPAP//AAAAmq8AHwAA/w8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAOkV/gAAAAAAAAAAAAAAAAA="
)


class QmpError(Exception):
    """QEMU said no, or no longer says anything."""


class Qmp:
    """A QEMU that this process starts, and the monitor on its standard streams."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [*argv, "-qmp", "stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.events: list[dict[str, Any]] = []
        try:
            self.greeting: dict[str, Any] = self._read()
            self("qmp_capabilities")
        except BaseException:
            self.quit()
            raise

    def __call__(self, command: str, **arguments: Any) -> Any:
        """Run a command and return its value.

        :raises QmpError: with QEMU's own words.
        """
        names = {name.replace("_", "-"): value for name, value in arguments.items()}
        assert self._process.stdin is not None
        request = json.dumps({"execute": command, "arguments": names}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # reading finds out why
            self._process.stdin.write(request.encode())
            self._process.stdin.flush()
        while True:
            answer = self._read()
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise QmpError(str(answer["error"].get("desc")))
            else:
                return answer.get("return")

    def quit(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._process.stderr.read().decode(errors="replace").strip()
            raise QmpError(said[-500:] or "it ended without a word")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise QmpError(f"it says {line[:80]!r}")
        return answer


def image(pages: int, rounds: int) -> bytes:
    """Return the BIOS image of a guest that writes and checks so many pages, so many times.

    :param rounds: 0 for ever.
    """
    numbers = struct.pack("<II", pages, rounds)
    return bytes(IMAGE_BYTES - len(PROGRAM)) + numbers + PROGRAM[len(numbers) :]


def boot_kvm(qemu: str, scratch: str) -> dict[str, Any]:
    """Boot the guest under KVM: how many ``seconds`` it took, and any ``error``."""
    bios = Path(scratch, "kvm.bin")
    bios.write_bytes(image(_KVM_PAGES, _KVM_ROUNDS))
    argv = [*_machine(qemu, "kvm", bios), "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    argv += ["-chardev", "null,id=words"]
    started = time.monotonic()
    told: dict[str, Any] = {}
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_KVM_SECONDS, check=False
        )
        if done.returncode != _DONE:
            said = done.stderr.decode(errors="replace").strip()
            told["error"] = said[-500:] or f"QEMU ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        told["error"] = f"the guest was not done within {_KVM_SECONDS} s"
        told["hung"] = True
    told["seconds"] = round(time.monotonic() - started, 3)
    return told


def migrate_here(qemu: str, scratch: str) -> dict[str, Any]:
    """Move a guest of 32 MiB by post-copy from one QEMU to another, both on this host.

    Returns ``seconds``, ``status``, whether it was in ``postcopy``, how many pages were
    ``requests``, and of the guest how many ``rounds`` it did afterwards and how many pages it then
    found ``wrong``; an ``error`` where it did not come so far.
    """
    bios = Path(scratch, "guest.bin")
    bios.write_bytes(image(_PAGES, 0))
    words = {side: Path(scratch, f"{side}.txt") for side in ("source", "destination")}
    started = time.monotonic()
    deadline = started + _MOST_SECONDS
    told: dict[str, Any] = {}
    sides: list[Qmp] = []
    try:
        for side, more in (("source", ()), ("destination", ("-incoming", "defer"))):
            argv = _machine(qemu, "tcg", bios)
            sides.append(Qmp([*argv, "-chardev", f"file,id=words,path={words[side]}", *more]))
        source, destination = sides
        wanted = [{"capability": name, "state": True} for name in ("postcopy-ram", "events")]
        for one in (destination, source):
            one("migrate-set-capabilities", capabilities=wanted)
        address = f"unix:{scratch}/migration"
        destination("migrate-incoming", uri=address)
        _wait(lambda: len(_said(words["source"])) > 1, deadline, "the guest did not boot")
        source("migrate", uri=address)
        source("migrate-start-postcopy")
        _wait(lambda: _status(source) in _ENDS, deadline, "the migration did not end")
        info = source("query-migrate")
        told["status"] = info.get("status")
        told["requests"] = info.get("ram", {}).get("postcopy-requests")
        told["downtime"] = info.get("downtime", 0) / 1000
        seen = [event["data"]["status"] for event in source.events if event["event"] == "MIGRATION"]
        told["postcopy"] = "postcopy-active" in seen
        if told["status"] == "completed":
            before = len(_said(words["destination"]))
            _wait(
                lambda: len(_said(words["destination"])) > before + 1,
                deadline,
                "the guest does not go on at the destination",
            )
        told["rounds"] = _said(words["destination"]).count(".")
        told["wrong"] = sum(_said(path).count("!") for path in words.values())
    except (QmpError, OSError, ValueError) as error:
        told["error"] = str(error)
    finally:
        for one in sides:
            one.quit()
    told["seconds"] = round(time.monotonic() - started, 3)
    return told


_ENDS = ("completed", "failed", "cancelled", "postcopy-paused")


def _machine(qemu: str, accelerator: str, bios: Path) -> list[str]:
    return [
        *(qemu, "-accel", accelerator, "-machine", "pc", "-cpu", "qemu64", "-m", _MEMORY),
        *("-nodefaults", "-no-user-config", "-display", "none", "-bios", str(bios)),
        *("-device", "isa-debugcon,chardev=words,iobase=0xe9"),
    ]


def _status(one: Qmp) -> str:
    return str(one("query-migrate").get("status"))


def _said(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _wait(met: Any, deadline: float, otherwise: str) -> None:
    while not met():
        if time.monotonic() > deadline:
            raise QmpError(otherwise)
        time.sleep(0.01)
