import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postcopy.errors import UsageError
from postcopy.units import format_bytes, format_seconds, parse_bytes, parse_rate


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [("1gbit", 125_000_000), ("100mbit", 12_500_000), ("2.5gbit", 312_500_000), ("8bit", 1),
     ("10mbps", 10_000_000), ("1 GBit", 125_000_000)],
)  # fmt: skip
def test_rates_are_tcs(text: str, bytes_per_second: int) -> None:
    assert parse_rate(text) == bytes_per_second


@pytest.mark.parametrize(
    "text", ["", "fast", "1000", "-1gbit", "1 parsec", "0mbit", "1gbitx", "²gbit"]
)
def test_nonsense_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rate(text)
    assert repr(text) in caught.value.message
    assert caught.value.hint


@given(st.text(max_size=20))
def test_any_text_is_a_rate_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_rate(text) >= 1


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (96_000_000, "96.0 MB"), (4_660_000_000, "4.66 GB"),
     (456_100_000, "456 MB"), (-5_000, "-5.00 kB")],
)  # fmt: skip
def test_sizes(count: float, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.084, "84 ms"), (0.9999, "1.00 s"), (3.912, "3.91 s"), (59.999, "1 min 00 s"),
     (125, "2 min 05 s"), (4320, "1 h 12 min"), (-0.5, "-500 ms")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"), [("64GiB", 64 << 30), ("512MB", 512_000_000), ("1.5 kb", 1500), ("7B", 7)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["64", "GiB", "-1GB", "1 mile", "0MB", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_bytes(text)
