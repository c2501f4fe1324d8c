"""Functions over the samples of one series in a window of time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from model_watchdog.promql.arithmetic import divide
from model_watchdog.promql.summing import add, add_up, take_largest, take_mean, take_quantile, take_smallest, take_variance

_NEAR = 1.1
"""A window's edge is near where it is no farther from the outermost sample than 1.1 times the mean distance of samples."""
_FEWEST_EARLIER = 3
"""A deviation of fewer samples says nothing."""


@dataclass(slots=True)
class Window:
    """What a range function sees: samples (at least one), the window's edges and the moment of the evaluation in milliseconds,
    and the function's second argument where it has one."""

    times: list[int]
    values: list[float]
    begin: int
    end: int
    now: int
    parameter: float = math.nan


def _rate(window: Window) -> float | None:
    return _extrapolate(window, is_counter=True, per_second=True)


def _increase(window: Window) -> float | None:
    return _extrapolate(window, is_counter=True, per_second=False)


def _delta(window: Window) -> float | None:
    return _extrapolate(window, is_counter=False, per_second=False)


def _extrapolate(window: Window, is_counter: bool, per_second: bool) -> float | None:
    """What was gained between the first and the last sample, drawn out to the edges of the window where they are near.

    As in Prometheus 3: an edge that is not near is taken to be half a distance of samples away, and a counter is not drawn out to before
    it was 0.
    """
    times, values = window.times, window.values
    count = len(times)
    if count < 2:
        return None
    gained = values[-1] - values[0]
    if is_counter:
        before = values[0]
        for value in values:
            if value < before:
                gained += before
            before = value
    sampled = (times[-1] - times[0]) / 1000
    distance = sampled / (count - 1)
    to_begin, to_end = (times[0] - window.begin) / 1000, (window.end - times[-1]) / 1000
    near = distance * _NEAR
    if to_begin >= near:
        to_begin = distance / 2
    if is_counter and gained > 0 and values[0] >= 0:
        to_begin = min(to_begin, sampled * (values[0] / gained))
    if to_end >= near:
        to_end = distance / 2
    factor = (sampled + to_begin + to_end) / sampled
    if per_second:
        factor /= (window.end - window.begin) / 1000
    return gained * factor


def _irate(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    before, last = window.values[-2:]
    gained = last if last < before else last - before
    return gained / ((window.times[-1] - window.times[-2]) / 1000)


def _idelta(window: Window) -> float | None:
    return window.values[-1] - window.values[-2] if len(window.times) > 1 else None


def _derive(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    return _fit_line(window.times, window.values, window.times[0])[0]


def _predict_linear(window: Window) -> float | None:
    if len(window.times) < 2:
        return None
    slope, level = _fit_line(window.times, window.values, window.now)
    return slope * window.parameter + level


def _fit_line(times: Sequence[int], values: Sequence[float], origin: int) -> tuple[float, float]:
    """The slope a second and the level at the origin, by least squares."""
    first = values[0]
    if all(value == first for value in values[1:]):
        return (math.nan, math.nan) if math.isinf(first) else (0.0, first)
    sums = [(0.0, 0.0)] * 4
    for time, value in zip(times, values, strict=True):
        x = (time - origin) / 1000
        sums = [add(part, *before) for part, before in zip((x, value, x * value, x * x), sums, strict=True)]
    sum_x, sum_y, sum_xy, sum_xx = (total + lost for total, lost in sums)
    count = float(len(times))
    slope = divide(sum_xy - sum_x * sum_y / count, sum_xx - sum_x * sum_x / count)
    return slope, sum_y / count - slope * sum_x / count


def _count_resets(window: Window) -> float:
    values = window.values
    return float(sum(after < before for before, after in pairwise(values)))


def _count_changes(window: Window) -> float:
    values = window.values
    pairs = pairwise(values)
    return float(sum(after != before and not (after != after and before != before) for before, after in pairs))


def _rolling_sigma(window: Window) -> float | None:
    """By how many deviations the last sample lies off the mean of the earlier ones in the window.

    The deviation is that of a population. No result with fewer than three earlier samples, or where they do not deviate at all.
    """
    earlier = window.values[:-1]
    if len(earlier) < _FEWEST_EARLIER:
        return None
    deviation = math.sqrt(take_variance(earlier))
    return (window.values[-1] - take_mean(earlier)) / deviation if deviation else None


RangeFunction = Callable[[Window], float | None]

RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "avg_over_time": lambda window: take_mean(window.values),
    "changes": _count_changes,
    "count_over_time": lambda window: float(len(window.values)),
    "delta": _delta,
    "deriv": _derive,
    "idelta": _idelta,
    "increase": _increase,
    "irate": _irate,
    "last_over_time": lambda window: window.values[-1],
    "max_over_time": lambda window: take_largest(window.values),
    "min_over_time": lambda window: take_smallest(window.values),
    "predict_linear": _predict_linear,
    "present_over_time": lambda window: 1.0,
    "quantile_over_time": lambda window: take_quantile(window.parameter, window.values),
    "rate": _rate,
    "resets": _count_resets,
    "rolling_sigma": _rolling_sigma,
    "stddev_over_time": lambda window: math.sqrt(take_variance(window.values)),
    "stdvar_over_time": lambda window: take_variance(window.values),
    "sum_over_time": lambda window: add_up(window.values),
}
COUNTERS_ONLY = frozenset({"rate", "increase"})
KEEPS_NAME = frozenset({"last_over_time"})
