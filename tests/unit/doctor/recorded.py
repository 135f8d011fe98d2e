"""Answers that real hosts gave to the probe, and what is made of them."""

import copy
import json
from pathlib import Path
from typing import Any

from postcopy.doctor.access import AccessFacts
from postcopy.kernel.facts import KernelFacts
from postcopy.qemu.facts import QemuFacts
from postcopy.readiness import Evidence, Facts, HostSubject

_PLACE = Path(__file__).parent / "answers"
NAMES = sorted(path.stem for path in _PLACE.glob("*.json"))
_ANSWERS: dict[str, dict[str, Any]] = {
    name: json.loads((_PLACE / f"{name}.json").read_text()) for name in NAMES
}


def answer(name: str) -> dict[str, Any]:
    """Return a copy of what a host said."""
    return copy.deepcopy(_ANSWERS[name])


def subject(name: str, called: str = "") -> HostSubject:
    """Return that host with its facts.

    :param called: what the user calls it; what it calls itself if empty.
    """
    said = answer(name)
    called = called or said["host"]
    sections = {key: Evidence(raw) for key, raw in said["sections"].items()}
    return HostSubject(
        called,
        Facts(
            [
                AccessFacts.of_answer(called, said, said["now"] - said["seconds"], said["now"]),
                KernelFacts.of(sections["kernel"]),
                QemuFacts.of(sections["qemu"]),
            ]
        ),
    )
