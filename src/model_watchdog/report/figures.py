"""What a series was like over the period, in figures.

Counts, extremes, sums and so means are those of the samples themselves; a quantile comes out of a sketch, and is right to 1 % of itself
(see `rollups`). A counter is told by how much it grew.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from model_watchdog.report.measured import Measured
from model_watchdog.report.period import Period
from model_watchdog.rollups import Bucket, add_bins
from model_watchdog.sketch import find_middle, find_quantiles

SHARES = (0.01, 0.5, 0.95, 0.99)
MOST_POINTS = 240
"""So many points a series has at most; more are put together."""
MOST_BARS = 24
MOST_FALLS = 800
"""So many falls of a counter are looked at by the minute, more than one each hour of a month: one that falls all the time is none."""
COUNTERS = re.compile(r".*_(total|count|sum|bucket)")

Point = tuple[float, float, float, float]
"""When it begins (unix seconds), and the least, mean and greatest value in it; of a counter those of its growth a second."""
Minutes = Callable[[Measured, Bucket], Sequence[Bucket]]
"""Gives what a bucket was like by the minute; nothing where that is not known."""


@dataclass(slots=True)
class Figures:
    """Of one series. `quantiles` and `bars` are of a gauge, `increase` and `per_second` of a counter; what is not there is None or empty.

    `means` are (begin of a bucket, mean, count), of a counter (begin, growth a second, 1): what trends are looked for in.
    """

    metric: str
    labels: dict[str, str]
    count: int
    least: float
    mean: float
    most: float
    last: float
    quantiles: tuple[float, ...] = ()
    bars: list[tuple[float, float, int]] = field(default_factory=list)
    increase: float | None = None
    per_second: float | None = None
    points: list[Point] = field(default_factory=list)
    means: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def is_counter(self) -> bool:
        return self.increase is not None

    @property
    def service(self) -> str | None:
        return self.labels.get("service")


def find_figures(measured: Measured, period: Period, minutes: Minutes | None = None) -> Figures | None:
    """The figures of a series; None where no value of it can be added up. `minutes` tells of a series by the minute."""
    buckets = [bucket for bucket in measured.buckets if math.isfinite(bucket.total)]
    if not buckets:
        return None
    count, total = sum(bucket.count for bucket in buckets), math.fsum(bucket.total for bucket in buckets)
    least, most = min(bucket.least for bucket in buckets), max(bucket.most for bucket in buckets)
    figures = Figures(measured.metric, measured.labels, count, least, total / count, most, buckets[-1].last)
    if COUNTERS.fullmatch(measured.metric):
        grown = find_growth(buckets, lambda bucket: minutes(measured, bucket) if minutes else [])
        ends = [min(bucket.at + measured.width, period.until) for bucket in buckets]
        figures.increase = math.fsum(grown)
        figures.per_second = figures.increase / (ends[-1] - buckets[0].at)
        figures.means = list(_per_second(buckets, grown, ends))
        figures.points = _thin_rates(figures.means)
    else:
        bins = add_bins(buckets)
        is_whole = all(value == round(value) for value in (total, least, most, figures.last))  # a state, or a count
        found = [round(value) if is_whole else value for value in find_quantiles(bins, SHARES)]
        figures.quantiles = tuple(float(min(max(value, least), most)) for value in found)
        figures.bars = draw_bars(bins)
        figures.means = [(float(bucket.at), bucket.mean, bucket.count) for bucket in buckets]
        figures.points = _thin(buckets)
    return figures


def find_growth(buckets: Sequence[Bucket], by_the_minute: Callable[[Bucket], Sequence[Bucket]]) -> list[float]:
    """By how much a counter grew in each bucket, from its last sample before. One that falls has begun anew at 0, as Prometheus has it.

    The first bucket counts from its own first sample, which is its least unless it fell in it. Of a bucket in which it fell the minutes
    tell how; where there are none, or it fell twice within one of them, what it had grown before the second fall is not known.
    """
    grown: list[float] = []
    before: float | None = None
    falls = 0
    for bucket in buckets:
        fell = bucket.last < bucket.most or (before is not None and bucket.least < before)
        falls += fell
        inside = by_the_minute(bucket) if fell and falls <= MOST_FALLS else ()
        parts = inside if len(inside) > 1 else (bucket,)
        gain = 0.0
        for part in parts:
            gain += _grow(before, part)
            before = part.last
        grown.append(gain)
    return grown


def _grow(before: float | None, bucket: Bucket) -> float:
    fell_inside = bucket.last < bucket.most
    if before is None:
        return bucket.last if fell_inside else bucket.last - bucket.least
    if fell_inside:
        return max(0.0, bucket.most - before) + bucket.last
    return bucket.last - before if bucket.least >= before else bucket.last


def _per_second(buckets: Sequence[Bucket], grown: Sequence[float], ends: Sequence[float]) -> Iterable[tuple[float, float, int]]:
    """Growth a second; what grew while nothing was measured counts for all that time."""
    begin = float(buckets[0].at)
    for bucket, gain, end in zip(buckets, grown, ends, strict=True):
        yield float(bucket.at), gain / (end - begin), 1
        begin = end


def _thin(buckets: Sequence[Bucket]) -> list[Point]:
    step = math.ceil(len(buckets) / MOST_POINTS)
    groups = [buckets[place : place + step] for place in range(0, len(buckets), step)]
    return [(float(group[0].at), min(b.least for b in group), _mean(group), max(b.most for b in group)) for group in groups]


def _mean(group: Sequence[Bucket]) -> float:
    return math.fsum(bucket.total for bucket in group) / sum(bucket.count for bucket in group)


def _thin_rates(rates: Sequence[tuple[float, float, int]]) -> list[Point]:
    step = math.ceil(len(rates) / MOST_POINTS)
    groups = [rates[place : place + step] for place in range(0, len(rates), step)]
    return [
        (group[0][0], min(one for _, one, _ in group), math.fsum(one for _, one, _ in group) / len(group), max(one for _, one, _ in group))
        for group in groups
    ]


def draw_bars(bins: dict[int, int]) -> list[tuple[float, float, int]]:
    """At most so many bars of equal width: from which value to which, and how many samples. The last has the half percent beyond, too."""
    values = sorted((find_middle(number), count) for number, count in bins.items())
    total, seen, high = sum(count for _, count in values), 0, values[-1][0]
    for value, count in values:
        seen += count
        if seen >= 0.995 * total:
            high = value
            break
    low = values[0][0]
    width = (high - low) / MOST_BARS
    if not math.isfinite(width) or width <= 0:
        return [(low, values[-1][0], total)]
    counts = [0] * MOST_BARS
    for value, count in values:
        counts[min(int((value - low) / width), MOST_BARS - 1)] += count
    return [(low + place * width, low + (place + 1) * width, count) for place, count in enumerate(counts)]
