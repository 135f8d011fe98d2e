"""QEMU's sampling of pages: how much of its memory a guest dirties in a time."""

from postcopy.qemu.monitor import Monitor

__all__ = ["GIB", "begin_sampling", "samples_a_gib", "takes_milliseconds"]

GIB = 1 << 30
# 'sample-pages' of qapi/migration.json, for each GiB; fewer of a large guest, whose pages take
# time to read and are many enough.
_SAMPLES_LEAST, _SAMPLES_MOST, _SAMPLES_IN_ALL = 128, 16_384, 16_384


def samples_a_gib(memory_bytes: float) -> int:
    """Return how many pages of each GiB to look at."""
    samples = int(_SAMPLES_IN_ALL * GIB / memory_bytes) if memory_bytes > 0 else _SAMPLES_LEAST
    return max(_SAMPLES_LEAST, min(_SAMPLES_MOST, samples))


async def takes_milliseconds(monitor: Monitor) -> bool:
    """Whether this QEMU measures for less than a second (since 8.2)."""
    answer = await monitor.execute("query-dirty-rate")
    return "calc-time-unit" in answer


async def begin_sampling(monitor: Monitor, seconds: float, samples: int, *, fine: bool) -> None:
    """Have QEMU sample pages for a time; ``query-dirty-rate`` tells afterwards what it found.

    :param fine: whether it `takes_milliseconds`; else these are whole seconds.
    """
    arguments: dict[str, object] = {
        "calc-time": round(seconds * 1000) if fine else round(seconds),
        "mode": "page-sampling",
        "sample-pages": samples,
    }
    if fine:
        arguments["calc-time-unit"] = "millisecond"
    await monitor.execute("calc-dirty-rate", arguments)
