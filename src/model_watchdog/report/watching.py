"""When a daemon watched, as the record tells: its starts and stops, and what it measured last where it was killed."""

from collections.abc import Iterable

from model_watchdog.record import Record
from model_watchdog.report.detection import SIGNS, find_end, find_gap
from model_watchdog.report.happened import OF_THE_DAEMON, Happened
from model_watchdog.report.period import Period
from model_watchdog.report.timeline import Span, find_watched

MOST_SIGNS = 5
"""Of so many owners a series is looked at, each time."""
ALIVE_WITHIN = 60.0
"""A daemon writes of itself every 10 s: one that has not for so long does not watch."""


def find_watched_time(record: Record, happened: Happened, period: Period, series: Iterable[tuple[str, dict[str, str]]]) -> list[Span]:
    """When a daemon watched. One that was killed left no event: what it measured last tells when."""
    signs = _choose_signs(record, series)
    events = happened.select(None, OF_THE_DAEMON)
    gaps, last = list[tuple[float, float]](), period.since
    for row in events:
        if row["event"] == "daemon_died":
            ends = [end for one in signs if (end := find_end(record, one, row["at"])) is not None]
            gaps.append((max([*ends, last]), row["at"]))
        elif row["event"] in ("host_slept", "held_up"):
            found = [gap for one in signs if (gap := find_gap(record, one, row["at"]))]
            gaps += sorted(found, key=lambda gap: gap[1] - gap[0])[:1]  # what one service was not asked for is no gap of the daemon's
        last = row["at"]
    sign = record.updated_at()
    if sign is not None and sign + ALIVE_WITHIN < period.until:
        gaps.append((max(sign, last), period.until))
    ran = bool(signs) if happened.ran is None else happened.ran  # what was measured, somebody watched
    return find_watched(events, ran, period.since, period.until, gaps)


def _choose_signs(record: Record, series: Iterable[tuple[str, dict[str, str]]]) -> list[tuple[str, dict[str, str]]]:
    """A series of the host and of some services, first those that are still watched: one that was taken out says nothing from then on."""
    found: dict[str | None, tuple[str, dict[str, str]]] = {}
    for one in sorted((one for one in series if one[0] in SIGNS or one[0].startswith("host_")), key=lambda one: one[0]):
        found.setdefault(one[1].get("service"), one)
    known = [None, *(service["name"] for service in record.services())]
    return sorted(found.values(), key=lambda one: one[1].get("service") not in known)[:MOST_SIGNS]
