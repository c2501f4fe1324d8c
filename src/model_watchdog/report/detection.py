"""How soon an outage was noticed, counted from its first bad sign; and when nobody watched who could have noticed one."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median

from model_watchdog.record import Record
from model_watchdog.rollups import MINUTE

SIGNS = ("probe_success", "unit_active")
"""Metrics that are 1 where all is well."""
SIGNS_LOOKED_BACK = 1800.0
LOOKED_BACK = 86_400.0
INSTANT = 0.01
LEAST_GAP, NEAR = 10.0, 300.0
"""Seconds: what is shorter is none, and what ended longer ago than that is another one."""


def find_first_sign(record: Record, series: Iterable[tuple[str, dict[str, str]]], at: float) -> float:
    """When the first of the bad signs came that went on up to `at` (unix seconds); `at` itself where there was none before.

    From the samples, as long as they are kept; later to the minute, and within it by the share of its samples that were bad.
    """
    first = at
    for metric, labels in series:
        begin = at - SIGNS_LOOKED_BACK
        samples = record.samples(metric, labels, begin, at)
        if samples:
            first = min(first, _find_run([(when, when, value) for when, value in samples], at))
        else:
            buckets = record.buckets(metric, labels, begin // MINUTE * MINUTE, at)
            spans = [(float(one.at), one.at + MINUTE * min(max(one.mean, 0.0), 1.0), one.least) for one in buckets]
            first = min(first, _find_run(spans, at))
    return first


def _find_run(signs: Sequence[tuple[float, float, float]], at: float) -> float:
    """(when it begins, when it is bad if it is, value), oldest first: when the unbroken run of bad ones began that leads up to `at`."""
    first = at
    for _, bad_from, value in reversed(signs):
        if value >= 1:
            break
        first = min(first, bad_from)
    return first


def find_end(record: Record, series: tuple[str, dict[str, str]], at: float) -> float | None:
    """When a series was last measured in the day before `at`, later to the minute; None where it was not."""
    samples = record.samples(*series, at - LOOKED_BACK, at - INSTANT)
    if samples:
        return samples[-1][0]
    buckets = [bucket for bucket in record.buckets(*series, at - LOOKED_BACK, at) if bucket.at + MINUTE <= at]
    return float(buckets[-1].at + MINUTE) if buckets else None


def find_gap(record: Record, series: tuple[str, dict[str, str]], at: float) -> tuple[float, float] | None:
    """The last stretch before `at` in which a series was not measured as often as it is: the watcher slept. None where there is none."""
    times = [when for when, _ in record.samples(*series, at - LOOKED_BACK, at)]
    times = times or [float(bucket.at) for bucket in record.buckets(*series, at - LOOKED_BACK, at)]
    steps = [after - before for before, after in pairwise(times)]
    if not steps:
        return None
    least = max(3 * median(steps), LEAST_GAP)
    for before, after in reversed([*pairwise(times), (times[-1], at)]):
        if after - before >= least:
            return before, after
        if at - before > NEAR:
            break
    return None
