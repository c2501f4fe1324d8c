"""What got slowly worse: a line through the days that a few bad ones do not bend, and whether it is more than chance.

The line is the Theil-Sen estimator: the median of the slopes between all pairs of points (Theil 1950; Sen, J. Am. Stat. Assoc. 63, 1968).
Whether it is more than chance is the Mann-Kendall test, with the correction for ties (Mann, Econometrica 13, 1945; Kendall 1975).
A point is the mean of 24 hours, counted back from the end, so that the course of a day does not look like a trend.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import median

from model_watchdog.report.figures import Figures
from model_watchdog.report.period import Period
from model_watchdog.rollups import DAY, HOUR

LEAST_DAYS = 7
LEAST_OF_A_DAY = 0.5
"""So much of a day must have been measured for it to count."""
CHANCE = 0.01
"""A trend is told where chance alone would bring it about less often than that."""
LEAST_CHANGE = 0.05
"""And where it has changed the value by so much of itself over the period."""

_UP = re.compile(
    r".*(duration_seconds|latency|first_token_seconds|temperature_celsius|memory_bytes|memory_used_bytes|memory_percent|disk_percent"
    r"|swap_percent|load1|open_files|threads|stuck_tasks|_errors?_total|failures_total|preemptions_total|kv_cache_usage_perc|tick_lag_seconds)"
)
_DOWN = re.compile(r".*(tokens_per_second|memory_available_bytes|probe_success|answer_correct)")
_UP_FIELDS = re.compile(r".*(time|duration|latency|_ms|seconds|memory|queue).*")


@dataclass(frozen=True, slots=True)
class Trend:
    """`begin` and `end` are what the line says at both ends; `chance` is the probability of a line like that without a trend."""

    metric: str
    labels: dict[str, str]
    days: int
    per_day: float
    begin: float
    end: float
    chance: float
    full_in_days: float | None = None

    @property
    def change(self) -> float:
        """As a share of where it began."""
        return (self.end - self.begin) / abs(self.begin) if self.begin else math.inf


def which_is_worse(metric: str, labels: dict[str, str]) -> int:
    """1 where more is worse, -1 where less is, 0 where neither is known to be."""
    if _DOWN.fullmatch(metric):
        return -1
    is_field = metric == "log_field" and _UP_FIELDS.fullmatch(labels.get("field", ""))
    return 1 if is_field or _UP.fullmatch(metric) else 0


def find_trend(figures: Figures, period: Period) -> Trend | None:
    """The trend for the worse, or None: too few days, no direction, nothing that chance would not do, or too little of it."""
    worse = which_is_worse(figures.metric, figures.labels)
    days = mean_by_day(figures.means, period) if worse else []
    if len(days) < LEAST_DAYS:
        return None
    slope, start = fit_line(days)
    begin, end = start + slope * days[0][0], start + slope * days[-1][0]
    middle = median(value for _, value in days)
    if slope * worse <= 0 or abs(end - begin) < LEAST_CHANGE * abs(middle):
        return None
    chance = find_chance([value for _, value in days])
    if chance >= CHANCE:
        return None
    full = (100.0 - end) / slope if figures.metric.endswith("_percent") and slope > 0 and end < 100 else None
    return Trend(figures.metric, figures.labels, len(days), slope, begin, end, chance, full)


def mean_by_day(means: Sequence[tuple[float, float, int]], period: Period) -> list[tuple[float, float]]:
    """(days since the first, mean) of each 24 hours, counted back from the end of the period, oldest first."""
    days: dict[int, list[tuple[float, int]]] = {}
    for at, mean, count in means:
        days.setdefault(math.ceil((period.until - at) / DAY) - 1, []).append((mean, count))
    width = min((after[0] - before[0] for before, after in pairwise(means)), default=HOUR)
    whole = {day: found for day, found in days.items() if len(found) * width >= LEAST_OF_A_DAY * DAY}
    oldest = max(whole, default=0)
    return [
        (float(oldest - day), math.fsum(mean * count for mean, count in found) / sum(count for _, count in found))
        for day, found in sorted(whole.items(), reverse=True)
    ]


def fit_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope and start of the Theil-Sen line: the median slope, and the median of what is left of the values."""
    slope = median((after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(points, 2))
    return slope, median(value - slope * at for at, value in points)


def find_chance(values: Sequence[float]) -> float:
    """The two-sided probability of the Mann-Kendall test, by the normal approximation with its correction for continuity."""
    count = len(values)
    score = sum((after > before) - (after < before) for before, after in combinations(values, 2))
    ties = sum(alike * (alike - 1) * (2 * alike + 5) for alike in Counter(values).values())
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if score == 0 or variance <= 0:
        return 1.0
    return math.erfc((abs(score) - 1) / math.sqrt(variance) / math.sqrt(2))
