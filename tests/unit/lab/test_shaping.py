"""The arithmetic of the data link's rate."""

from hypothesis import given
from hypothesis import strategies as st

from postcopy.lab.shaping import burst_bytes

LARGEST_OFFLOADED_PACKET = 65536
FRAME = 1514


@given(st.integers(min_value=6_250_000, max_value=12_500_000_000))
def test_a_burst_takes_the_largest_packet_and_two_milliseconds(rate: int) -> None:
    burst = burst_bytes(rate)
    assert burst >= LARGEST_OFFLOADED_PACKET
    assert burst >= rate // 500


@given(st.integers(min_value=1, max_value=6_249_999))
def test_on_a_slow_link_a_burst_stands_in_nobody_s_way(rate: int) -> None:
    burst = burst_bytes(rate)
    assert burst >= FRAME
    assert burst <= max(2 * 2 * FRAME, rate // 50)
