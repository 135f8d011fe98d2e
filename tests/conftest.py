"""What all tests share: where state goes, what a lab test needs, and how hypothesis behaves."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from .spread import Spread, longest_first

LAB_TEST_SECONDS = 600
"""How long one lab test may take; the first of them may have to build the lab's root."""

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def lab_is_required() -> bool:
    """Return whether a test that cannot run here must fail instead of being skipped."""
    return os.environ.get("POSTCOPY_REQUIRE_LAB") == "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give lab tests their longer time limit, unless they set one."""
    for item in items:
        if item.get_closest_marker("lab") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LAB_TEST_SECONDS))
    if hasattr(config, "workerinput"):  # it is one of several processes
        longest_first(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Spread:
    """Have tests that share a lab run in one process."""
    return Spread(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip lab tests for those who are not root, or fail where `make test` promised to run them."""
    if item.get_closest_marker("lab") and os.geteuid() != 0:
        _cannot_run("needs root and the lab: run `make test` as root")


@pytest.fixture(scope="session", autouse=True)
def _session_state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep fixtures that outlive a test away from the user's own journal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSTCOPY_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a journal and reports of its own, and return their directory."""
    path = tmp_path / "state"
    monkeypatch.setenv("POSTCOPY_STATE_DIR", str(path))
    return path


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Return Debian's Chromium, for Playwright's ``executable_path``."""
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if found is None:
        _cannot_run("needs Chromium: apt-get install chromium-headless-shell, or run `make test`")
    return Path(found)


def _cannot_run(reason: str) -> NoReturn:
    if lab_is_required():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
