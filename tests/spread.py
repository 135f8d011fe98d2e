"""How tests are spread over the processes that pytest-xdist starts for ``-n``.

A test goes to whichever process is free. Tests that share what is made once, a cloud above all,
go to one process together, and what takes longest is begun first: at the end, the short tests
fill up whichever processor has nothing to do.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ["TOGETHER", "Spread", "longest_first"]

TOGETHER = (
    "tests/lab/cloud/",
    "tests/lab/test_readiness.py",
    "tests/lab/test_releases.py",
    "tests/lab/test_bench.py",
)
"""Places whose tests share a lab of their own, or a root that one would build while others wait.

The longest first.
"""


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands tests out in the order in which they were collected, some of them together."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        if missing := [place for place in TOGETHER if not (config.rootpath / place).exists()]:
            raise pytest.UsageError(f"tests/spread.py names what is not there: {missing}")
        # Otherwise the most tests go first, which are not the longest.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests: those of `TOGETHER`, then the lab's, then the rest; else as they were."""

    def rank(item: pytest.Item) -> int:
        for number, place in enumerate((*TOGETHER, "tests/lab/")):
            if item.nodeid.startswith(place):
                return number
        return len(TOGETHER) + 1

    items.sort(key=rank)
