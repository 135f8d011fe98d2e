"""A cloud for commands to talk to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from postcopy import clock as clocks
from postcopy.testing import FakeClock, FakeCloud, FakeNova


@pytest.fixture
def nova(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNova]:
    clock = FakeClock()
    monkeypatch.setattr(clocks.SystemClock, "now", lambda self: clock.now())
    monkeypatch.setattr(clocks.SystemClock, "sleep", lambda self, seconds: clock.sleep(seconds))
    with FakeNova(FakeCloud(clock)) as fake:
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(fake.write_clouds(tmp_path / "c.yaml")))
        monkeypatch.delenv("OS_CLOUD", raising=False)
        yield fake
