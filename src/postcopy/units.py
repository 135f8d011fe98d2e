"""Quantities as people write and read them.

Inside the project a size is a number of bytes, a rate is bytes a second and a duration is seconds
as a float; this module is where text turns into those and back.
"""

import re

from postcopy.errors import UsageError

__all__ = ["format_bytes", "format_rate", "format_seconds", "parse_bytes", "parse_rate"]

_BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_BYTES = {"bps": 1, "kbps": 10**3, "mbps": 10**6, "gbps": 10**9}
_RATE = re.compile(
    r"(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>[a-z]+)", re.ASCII | re.IGNORECASE
)

_SIZES = {
    prefix + unit: base**power
    for power, prefix in enumerate(("", "k", "m", "g", "t"))
    for unit, base in (("b", 1000), ("ib", 1024))
    if prefix or unit == "b"
}
_SIZE = re.compile(
    r"(?P<number>\d{1,15}(?:\.\d{1,9})?)\s*(?P<unit>[a-z]+)", re.ASCII | re.IGNORECASE
)


def parse_bytes(text: str) -> int:
    """Read a size and return bytes: ``64GiB`` counts in powers of 1024, ``64GB`` of 1000.

    :raises UsageError: when the text is not a size above zero.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _SIZES.get(match["unit"].lower()) if match else None
    size = int(float(match["number"]) * factor) if match and factor else 0
    if size < 1:
        raise UsageError(f"{text!r} is not a size", hint="write a number and a unit: 64GiB, 512MB")
    return size


def parse_rate(text: str) -> int:
    """Read a link rate as ``tc`` writes it and return bytes a second.

    ``1gbit`` and ``100mbit`` count bits, ``10mbps`` counts bytes, all in powers of ten (tc(8),
    "UNITS"). A bare number is refused: nobody remembers which of the two it would mean.

    :raises UsageError: when the text is not a positive rate.
    """
    match = _RATE.fullmatch(text.strip())
    factor = None
    if match:
        unit = match["unit"].lower()
        factor = _BITS[unit] / 8 if unit in _BITS else _BYTES.get(unit)
    if match is None or factor is None:
        raise UsageError(
            f"{text!r} is not a rate",
            hint="write a number and a unit: 100mbit, 1gbit, 2.5gbit (bits), 50mbps (bytes)",
        )
    rate = int(float(match["number"]) * factor)
    if rate < 1:
        raise UsageError(f"{text!r} is not above zero", hint="to cut a link, use --down or --drop")
    return rate


def format_bytes(count: float) -> str:
    """Return a size in powers of ten with three figures: ``4.66 GB``, ``96.0 MB``, ``12 B``."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= size:
            number = count / size
            digits = 2 if number < 10 else 1 if number < 100 else 0
            return f"{number:.{digits}f} {unit}"
    return f"{count:.0f} B"


def format_rate(bytes_per_second: float) -> str:
    """Return a rate as :func:`format_bytes` a second."""
    return f"{format_bytes(bytes_per_second)}/s"


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it: ``84 ms``, ``3.91 s``, ``2 min 05 s``, ``1 h 12 min``."""
    if seconds < 0:
        return f"-{format_seconds(-seconds)}"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
