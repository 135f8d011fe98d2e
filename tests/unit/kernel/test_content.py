"""What a process's memory holds, sampled from the memory of this very process."""

import mmap
import os
from collections.abc import Iterator

import pytest

from postcopy.kernel.content import sample

SIZE = 96 << 20
PAGE = mmap.PAGESIZE


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    # Shared, for the kernel makes one mapping of private ones that come to lie side by side.
    with mmap.mmap(-1, SIZE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) as mapped:
        yield mapped


def test_pages_of_zeros_and_pages_that_are_not_there_do_not_count(memory: mmap.mmap) -> None:
    noise = os.urandom(PAGE)
    for at in range(0, SIZE // 2, PAGE):
        memory[at : at + PAGE] = noise
    for at in range(SIZE // 2, 3 * SIZE // 4, PAGE):
        memory[at] = 0  # there, and all zeros
    found = sample(os.getpid(), SIZE)
    assert found is not None
    assert found.share == pytest.approx(0.5, abs=4 * found.error)
    assert 0 < found.error < 0.02
    assert found.compressed > 0.9  # noise


def test_it_tells_how_far_content_can_be_compressed(memory: mmap.mmap) -> None:
    for at in range(0, SIZE, PAGE):
        memory[at : at + 8] = at.to_bytes(8, "little")
    found = sample(os.getpid(), SIZE)
    assert found is not None
    assert found.share > 0.98
    assert found.compressed < 0.1


def test_looking_does_not_bring_memory_into_being(memory: mmap.mmap) -> None:
    memory[0] = 1
    found = sample(os.getpid(), SIZE)
    assert found is not None
    assert found.share < 0.01
    assert found.error > 0
    again = sample(os.getpid(), SIZE)
    assert again == found


def test_what_may_not_be_looked_at_is_not_known() -> None:
    assert sample(2**22 + 1, SIZE) is None
    assert sample(os.getpid(), 1 << 46) is None
