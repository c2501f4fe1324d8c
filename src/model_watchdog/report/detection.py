"""How soon an outage was seen: from its first bad sign to the moment in which the service was held to be bad."""

from collections.abc import Iterable, Sequence

from model_watchdog.record import Record
from model_watchdog.rollups import MINUTE

SIGNS = ("probe_success", "unit_active")
"""Metrics that are 1 where all is well."""
EVIDENCE_LOOKED_BACK = 1800.0
AT_ONCE = 0.0


def find_first_sign(record: Record, series: Iterable[tuple[str, dict[str, str]]], at: float) -> float:
    """When the first of the bad signs came that went on up to `at` (unix seconds); `at` itself where there was none before.

    From the samples, as long as they are kept; later to the minute, and within it by the share of its samples that were bad.
    """
    first = at
    for metric, labels in series:
        begin = at - EVIDENCE_LOOKED_BACK
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


def find_gap(record: Record, series: tuple[str, dict[str, str]] | None, at: float, fallback: float) -> tuple[float, float]:
    """The last stretch of at least two minutes before `at` in which a series has no sample: nobody watched.

    To the minute. Where the series has nothing in the day before, it begins at `fallback`.
    """
    if series is None:
        return fallback, at
    buckets = record.buckets(*series, at - 86_400.0, at)
    if not buckets:
        return fallback, at
    after = at
    for bucket in reversed(buckets):
        end = bucket.at + MINUTE
        if after - end >= 2 * MINUTE:
            return end, after
        after = float(bucket.at)
    return at, at
