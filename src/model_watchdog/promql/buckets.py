"""`histogram_quantile` over classic buckets: counts of what was at most so large, one series for each bound."""

import math
from bisect import bisect_left
from collections.abc import Iterable

from model_watchdog.promql.arithmetic import divide, is_close

_TOLERANCE = 1e-12
"""Counts that differ by less than this share are the same: rates of equal counts differ in their last digits."""


def read_bound(text: str) -> float | None:
    """The value of a label `le`; None where it is no number."""
    try:
        return float(text) if "_" not in text and text == text.strip() else None
    except ValueError:
        return None


def find_quantile(share: float, buckets: Iterable[tuple[float, float]]) -> tuple[float, bool]:
    """The quantile of (upper bound, count) pairs, and whether a count had to be raised because it was below that of a smaller bound.

    Inside a bucket by a straight line, as if what it counted were spread evenly; NaN without a bucket up to infinity, or with one only.
    """
    if share != share:
        return math.nan, False
    if share < 0 or share > 1:
        return math.copysign(math.inf, share), False
    bounds, counts = _merge(buckets)
    if not bounds or bounds[-1] != math.inf:
        return math.nan, False
    raised = _make_monotonic(counts)
    if len(bounds) < 2 or counts[-1] == 0:
        return math.nan, raised
    return _interpolate(share * counts[-1], bounds, counts), raised


def _interpolate(rank: float, bounds: list[float], counts: list[float]) -> float:
    last = len(counts) - 1
    place = bisect_left(counts, rank, 0, last) if rank == rank else last
    if place == last:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    begin, below = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
    return begin + (bounds[place] - begin) * divide(rank - below, counts[place] - below)


def _merge(buckets: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """In the order of their bounds; the same bound twice ("1" and "1.0") counts together."""
    bounds, counts = list[float](), list[float]()
    for bound, count in sorted(buckets, key=lambda bucket: bucket[0]):
        if bounds and bounds[-1] == bound:
            counts[-1] += count
        else:
            bounds.append(bound)
            counts.append(count)
    return bounds, counts


def _make_monotonic(counts: list[float]) -> bool:
    raised = False
    before = counts[0]
    for place in range(1, len(counts)):
        count = counts[place]
        if count == before:
            continue
        if is_close(before, count, _TOLERANCE):
            counts[place] = before
        elif count < before:
            counts[place] = before
            raised = True
        else:
            before = count
    return raised
