"""What the page draws, from the record: a series over a time with its distribution, and a timeline of what happened."""

import json
import math
from typing import Any

from model_watchdog.core.sample import SeriesId
from model_watchdog.core.series import RollingWindow
from model_watchdog.levels import is_over
from model_watchdog.record import Record
from model_watchdog.rollups import DAY, HOUR, MINUTE, Bucket, add_bins, merge, roll_up
from model_watchdog.sketch import find_middle, find_quantiles

Doc = dict[str, Any]

SCHEMA = 1
MOST_POINTS = 800
MOST_BARS = 24
SHARES = (0.5, 0.9, 0.95, 0.99)
RAW_SPAN, MINUTE_SPAN = 2 * HOUR, 3 * DAY
"""Up to so long every sample is read, and every minute; of what is longer, every hour."""
BAND_POINTS = 30
"""Of a rule that has no window of its own."""


def find_trend(record: Record, metric: str, labels: dict[str, str], since: float, until: float) -> Doc:
    """Lists of equal length: `at`, and the least, mean, greatest and last value around it; quantiles and bars of all of it."""
    buckets, step = _read(record, metric, labels, since, until)
    buckets = [bucket for bucket in buckets if math.isfinite(bucket.total)]
    bins = add_bins(buckets)
    quantiles = dict(zip((f"{share:g}" for share in SHARES), find_quantiles(bins, SHARES) if bins else (), strict=False))
    doc: Doc = {"schema": SCHEMA, "metric": metric, "labels": labels, "step_seconds": step, "at": [bucket.at for bucket in buckets]}
    doc |= {"least": [bucket.least for bucket in buckets], "mean": [bucket.mean for bucket in buckets]}
    doc |= {"most": [bucket.most for bucket in buckets], "last": [bucket.last for bucket in buckets]}
    doc |= {"count": sum(bucket.count for bucket in buckets), "quantiles": quantiles, "bars": _draw_bars(bins)}
    doc["levels"] = _find_levels(record, metric, labels)
    doc["expected"] = _draw_band(doc["mean"], doc["levels"])
    doc["anomalies"] = [
        {"at": event["at"], "reason": event["reason"]} for event in record.firings(str(SeriesId.of(metric, labels)), since, until)
    ]
    return doc


def _draw_band(values: list[float], levels: list[Doc]) -> Doc | None:
    """What a rule with `sigma` takes for usual, by the points drawn: their rolling mean and so many deviations to both sides.

    The rule itself judges samples; where points are minutes or hours the band shows its width, not its verdicts.
    """
    level = next((level for level in levels if level["sigma"] is not None), None)
    if level is None:
        return None
    window, low, high = RollingWindow(max(2, min(level["window"] or BAND_POINTS, MOST_POINTS))), list[float | None](), list[float | None]()
    for value in values:
        reach = level["sigma"] * window.deviation
        low.append(window.mean - reach if window.is_full else None)
        high.append(window.mean + reach if window.is_full else None)
        window.push(value)
    return {"rule": level["rule"], "low": low, "high": high}


def _read(record: Record, metric: str, labels: dict[str, str], since: float, until: float) -> tuple[list[Bucket], int]:
    """In steps of so many seconds; 0 for each sample."""
    span = until - since
    if span <= RAW_SPAN:
        samples = record.samples(metric, labels, since, until)
        if samples:
            return (roll_up(samples, 1), 0) if len(samples) <= MOST_POINTS else (roll_up(samples, 10), 10)
    by_hour = span > MINUTE_SPAN
    step = HOUR if by_hour else MINUTE
    buckets = record.buckets(metric, labels, since, until, by_hour=by_hour, with_bins=True)
    if len(buckets) > MOST_POINTS:
        step *= math.ceil(len(buckets) / MOST_POINTS)
        buckets = merge(buckets, step)
    return buckets, step


def _draw_bars(bins: dict[int, int]) -> list[list[float]]:
    """At most so many bars of neighbouring bins, each with the values that it reaches from and to, and how many there are."""
    values = sorted((find_middle(number), count) for number, count in bins.items())
    if not values:
        return []
    low, high = values[0][0], values[-1][0]
    width = (high - low) / MOST_BARS
    if not math.isfinite(width) or width == 0:
        return [[low, high, sum(count for _, count in values)]]
    counts = [0] * MOST_BARS
    for value, count in values:
        counts[min(int((value - low) / width), MOST_BARS - 1)] += count
    return [[low + place * width, low + (place + 1) * width, count] for place, count in enumerate(counts)]


def _find_levels(record: Record, metric: str, labels: dict[str, str]) -> list[Doc]:
    """The levels at which rules fire over this series, as the daemon has written them down."""
    rules = json.loads(record.setting("levels") or "[]")
    keys = ("rule", "severity", "above", "below", "sigma", "window")
    return [{key: rule[key] for key in keys} for rule in rules if is_over(rule, metric, labels)]
