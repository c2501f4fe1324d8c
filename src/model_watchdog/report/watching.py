"""When a daemon watched, as the record tells: its starts and stops, and what it measured last where it was killed."""

from collections.abc import Iterable

from model_watchdog.record import Record
from model_watchdog.report.detection import SIGNS, find_end, find_gap
from model_watchdog.report.happened import OF_THE_DAEMON, Happened
from model_watchdog.report.period import Period
from model_watchdog.report.timeline import Span, find_watched

ALIVE_WITHIN = 60.0
"""A daemon writes of itself every 10 s: one that has not for so long does not watch."""


def find_watched_time(record: Record, happened: Happened, period: Period, series: Iterable[tuple[str, dict[str, str]]]) -> list[Span]:
    """When a daemon watched. One that was killed left no event: what it measured last tells when."""
    busiest = min((one for one in series if one[0] in SIGNS or one[0].startswith("host_")), key=lambda one: one[0], default=None)
    events = happened.select(None, OF_THE_DAEMON)
    gaps, last = list[tuple[float, float]](), period.since
    for row in events:
        if row["event"] == "daemon_died":
            end = find_end(record, busiest, row["at"]) if busiest else None
            gaps.append((max(end or last, last), row["at"]))
        elif row["event"] in ("host_slept", "held_up") and busiest and (gap := find_gap(record, busiest, row["at"])):
            gaps.append(gap)
        last = row["at"]
    sign = record.updated_at()
    if sign is not None and sign + ALIVE_WITHIN < period.until:
        gaps.append((max(sign, last), period.until))
    ran = busiest is not None if happened.ran is None else happened.ran  # what was measured, somebody watched
    return find_watched(events, ran, period.since, period.until, gaps)
