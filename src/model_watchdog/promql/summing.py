"""Sums and means that keep their small digits beside large ones: Neumaier's form of Kahan's summation, step by step as Prometheus does it.

An alert may compare the result for equality, so the order of the steps is part of what is computed.
"""

import math
from collections.abc import Iterable, Sequence

_INFINITE = math.inf


def add(value: float, total: float, lost: float) -> tuple[float, float]:
    """The sum and what rounding has lost of it, with one more value."""
    raised = total + value
    if raised in (_INFINITE, -_INFINITE):
        return raised, 0.0
    if abs(total) >= abs(value):
        return raised, lost + ((total - raised) + value)
    return raised, lost + ((value - raised) + total)


def add_up(values: Iterable[float]) -> float:
    """The sum; 0.0 of nothing."""
    total = lost = 0.0
    for value in values:
        raised = total + value
        if raised in (_INFINITE, -_INFINITE):
            lost = 0.0
        elif abs(total) >= abs(value):
            lost += (total - raised) + value
        else:
            lost += (value - raised) + total
        total = raised
    return total + lost


def take_mean(values: Sequence[float]) -> float:
    """The mean of at least one value: sum by count, and where the sum is too large for a number, step by step."""
    total, lost = values[0], 0.0
    for seen in range(1, len(values)):
        raised = total + values[seen]
        if raised in (_INFINITE, -_INFINITE):
            return _mean_by_steps(values, seen, total / seen, lost / seen)
        if abs(total) >= abs(values[seen]):
            lost += (total - raised) + values[seen]
        else:
            lost += (values[seen] - raised) + total
        total = raised
    return total / len(values) + lost / len(values)


def _mean_by_steps(values: Sequence[float], seen: int, mean: float, lost: float) -> float:
    for value in values[seen:]:
        seen += 1
        share = (seen - 1) / seen
        mean, lost = add(value / seen, share * mean, share * lost)
    return mean + lost


def take_variance(values: Iterable[float]) -> float:
    """Of all values (by their count, not one less), by Welford's steps; of at least one."""
    count = 0
    mean = mean_lost = squares = squares_lost = 0.0
    for value in values:
        count += 1
        delta = value - (mean + mean_lost)
        mean, mean_lost = add(delta / count, mean, mean_lost)
        squares, squares_lost = add(delta * (value - (mean + mean_lost)), squares, squares_lost)
    return (squares + squares_lost) / count


def take_quantile(share: float, values: Iterable[float]) -> float:
    """By straight lines between the values; NaN is the smallest of them. Shares beyond 0 and 1 give infinities."""
    ordered = sorted(values, key=lambda value: (value == value, value))
    if not ordered or share != share:
        return math.nan
    if share < 0 or share > 1:
        return math.copysign(_INFINITE, share)
    last = len(ordered) - 1
    rank = share * last
    lower = max(0, math.floor(rank))
    upper = min(last, lower + 1)
    weight = rank - math.floor(rank)
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


def take_largest(values: Iterable[float]) -> float:
    """NaN only where there is nothing else."""
    largest = math.nan
    for value in values:
        if value > largest or largest != largest:
            largest = value
    return largest


def take_smallest(values: Iterable[float]) -> float:
    """NaN only where there is nothing else."""
    smallest = math.nan
    for value in values:
        if value < smallest or smallest != smallest:
            smallest = value
    return smallest
