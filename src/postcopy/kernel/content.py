"""How much of a process's memory holds anything, told from a sample of its pages.

A migration sends a page of zeros in a few bytes, whether the guest has it or not, so it is not the
resident memory that counts. Pages are looked at through ``/proc``: only those that are there, so
that none comes to be by being looked at, and of none is anything kept.
"""

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from random import Random

__all__ = ["Content", "sample"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ZEROS = bytes(_PAGE)
# proc_pid_pagemap(5): bit 63 of a page's eight bytes says that it is in memory, bit 62 in swap.
_ENTRY_BYTES, _PRESENT, _SWAPPED = 8, 1 << 63, 1 << 62
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw", re.MULTILINE)
_PAGES, _COMPRESSED_PAGES = 8192, 256


@dataclass(frozen=True, slots=True)
class Content:
    """What a sample says of some memory.

    :param share: of its pages, those that hold anything but zeros; from 0 to 1.
    :param error: the standard error of that.
    :param compressed: to what part of its size such a page can be compressed (zlib, fastest).
    """

    share: float
    error: float
    compressed: float


def sample(pid: int, size_bytes: int, pages: int = _PAGES) -> Content | None:
    """Look at some pages of a process's largest mapping of about a size; a guest's memory has one.

    None if there is no such mapping, or it may not be looked at.
    """
    try:
        begin = _find(Path(f"/proc/{pid}/maps").read_text(), size_bytes)
        if begin is None:
            return None
        with (
            Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as places,
            Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory,
        ):
            return _sample(places.fileno(), memory.fileno(), begin, size_bytes // _PAGE, pages)
    except (OSError, OverflowError):
        return None


def _find(maps: str, size_bytes: int) -> int | None:
    found: tuple[int, int] | None = None
    for low, high in _MAPPING.findall(maps):
        begin, size = int(low, 16), int(high, 16) - int(low, 16)
        if abs(size - size_bytes) <= size_bytes // 100 and (found is None or size > found[0]):
            found = size, begin
    return None if found is None else found[1]


def _sample(places: int, memory: int, begin: int, count: int, pages: int) -> Content | None:
    random = Random(count)
    pages = min(pages, count)
    holding = 0
    compressed: list[float] = []
    for number in range(pages):
        # One of each stretch: a guest's memory comes in stretches, and none is to be missed.
        page = int((number + random.random()) * count / pages)
        at = begin + page * _PAGE
        entry = os.pread(places, _ENTRY_BYTES, at // _PAGE * _ENTRY_BYTES)
        if len(entry) < _ENTRY_BYTES:
            return None
        bits = int.from_bytes(entry, "little")
        if bits & _SWAPPED:
            holding += 1  # zeros are not worth swapping out; bringing it back would do harm
        elif bits & _PRESENT:
            data = os.pread(memory, _PAGE, at)
            if data != _ZEROS:
                holding += 1
                if len(compressed) < _COMPRESSED_PAGES and random.random() < 0.1:
                    compressed.append(min(1.0, len(zlib.compress(data, 1)) / _PAGE))
    share = holding / pages
    # Never sure to be all or nothing: a sample of n has not seen what is one in n.
    sure = min(max(share, 1 / pages), 1 - 1 / pages)
    error = (sure * (1 - sure) / pages) ** 0.5
    mean = sum(compressed) / len(compressed) if compressed else 1.0
    return Content(share, error, mean)
