"""Fakes to test against, for this project and for anybody who builds on it.

`FakeDriver` moves a guest that exists only as arithmetic, on a `FakeClock` that never waits;
`ScriptedQmp` is a QMP server on a real socket that answers what it was told to; `FakeHost` answers
what is asked of a host; `FakeRescue` is a link that breaks as it is told; `FakeWindow` is a
host that a guard looks at; `FakeNova` serves a `FakeCloud`, whose one server moves as Nova moves
one.
"""

from postcopy.testing.clock import FakeClock
from postcopy.testing.cloud import FakeCloud
from postcopy.testing.driver import FakeDriver, FakeGuest
from postcopy.testing.host import FakeHost
from postcopy.testing.nova import FakeNova
from postcopy.testing.qmp import ScriptedError, ScriptedQmp
from postcopy.testing.rescue import FakeRescue
from postcopy.testing.window import FakeWindow

__all__ = [
    "FakeDriver",
    "FakeGuest",
    "FakeClock",
    "FakeHost",
    "FakeNova",
    "FakeCloud",
    "FakeRescue",
    "FakeWindow",
    "ScriptedQmp",
    "ScriptedError",
]
