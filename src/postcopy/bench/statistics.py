"""Figures of many measurements."""

from collections.abc import Sequence

__all__ = ["quantile"]


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value that `share` of all values are at or below, interpolated between two.

    :param share: 0.5 for the median.
    :returns: None for no values.
    """
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
