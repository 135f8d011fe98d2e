"""Runs the sections of a probe side by side and prints what they found.

Runs on the hosts that are looked at, with their Python (3.9 or newer) and nothing else.

The answer is one JSON object between two marks, because a login may print before and after it::

    <<<postcopy
    {"probe": 1, "host": "alpha", "identity": "...", "uid": 0, "python": "3.11.2",
     "now": 1.5, "seconds": 0.4, "sections": {"kernel": {...}}}
    postcopy>>>

``identity`` is the same for two ways into one host; ``now`` is Unix time when ``seconds`` had
passed.

A section is what its floor's `collect` returned: ``files``, ``commands`` and ``proofs``, which
`postcopy.readiness.evidence.Evidence` reads, or ``{"error": ...}``.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "FORMAT", "main"]

FORMAT = 1
BEGIN, END = "<<<postcopy", "postcopy>>>"

Collect = Callable[[Mapping[str, Any]], "dict[str, Any]"]


def main(sections: Mapping[str, Collect], request: Mapping[str, Any]) -> None:
    """Collect the sections and print them.

    :param request: what each section wants to know, by its name; only those named run.
        ``seconds`` is how long all of it may take: what is not there by then is left out.
    """
    started = time.monotonic()
    deadline = started + float(request.get("seconds", 20.0))
    found: dict[str, Any] = {}
    threads = []
    for name, collect in sections.items():
        if name in request:
            thread = threading.Thread(
                target=_collect, args=(name, collect, request[name], found), daemon=True
            )
            thread.start()
            threads.append((name, thread))
    for name, thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            found[name] = {"error": "timed out"}
    answer = {
        "probe": FORMAT,
        "host": platform.node(),
        "identity": _identity(),
        "uid": os.getuid(),
        "python": platform.python_version(),
        "now": round(time.time(), 3),
        "seconds": round(time.monotonic() - started, 3),
        "sections": dict(found),
    }
    print(BEGIN, json.dumps(answer), END, sep="\n", flush=True)
    # Threads that hang are left behind, with whatever they wait for.
    sys.stdout.flush()
    os._exit(0)


def _identity() -> str:
    try:
        # A boot of a kernel, and the host name's namespace: hosts may share a kernel.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/uts').stat().st_ino}"
    except OSError:
        return ""


def _collect(
    name: str, collect: Collect, request: Mapping[str, Any], found: dict[str, Any]
) -> None:
    try:
        found[name] = collect(request)
    except Exception as error:  # noqa: BLE001 - whatever this host holds, the rest is still told
        found[name] = {"error": f"{type(error).__name__}: {error}"}
