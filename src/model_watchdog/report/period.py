"""The time that a report is about."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from model_watchdog.config.values import Wrong, read_seconds
from model_watchdog.errors import WatchdogError
from model_watchdog.language import phrase
from model_watchdog.rollups import DAY, HOUR, MINUTE

MOMENTS_UP_TO, MINUTES_UP_TO = 20 * MINUTE, 12 * HOUR
"""What is shorter is told in steps of a few seconds, or by the minute; what is longer by the hour."""
MOMENT = 5
"""Seconds of the smallest step."""
LONGEST = 400 * DAY
FIRST_YEAR, LAST_YEAR = 1971, 9998  # what a time stamp can say everywhere, with a day to spare


class NoPeriod(WatchdogError):
    """It is not written as a time is."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` to before `until`, both unix seconds."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        return self.until - self.since


def read_period(since: str, until: str | None, now: float) -> Period:
    """`7d` up to `until`; a month `2026-10` or a day `2026-10-05` (local time) up to its end, or up to `until`, a day or a month too.

    Nothing reaches beyond `now` (unix seconds). A duration begins with a whole hour, a short one with a whole minute. Raises `NoPeriod`.
    """
    end = None if until is None else _read_day(until)
    if until is not None and end is None:
        raise NoPeriod(phrase("--until {text}: write it like 2026-10-05, or 2026-10 for the first of a month", text=until))
    stop = now if end is None else min(_midnight(end), now)
    begin = _read_day(since)
    if begin is None:
        period = _read_duration(since, stop)
    else:
        whole = _next_month(begin) if re.fullmatch(r"\d{4}-\d{2}", since) else None
        period = Period(_midnight(begin), stop if end is not None or whole is None else min(_midnight(whole), now))
    if period.since >= now:
        raise NoPeriod(phrase("--since {text}: it has not begun yet", text=since))
    if period.seconds <= 0:
        raise NoPeriod(phrase("--until {text}: it lies before --since {since}", text=until, since=since))
    if period.seconds > LONGEST + DAY:
        raise NoPeriod(phrase("--since {text}: 400 days are the most that the record keeps", text=since))
    return period


def _read_duration(text: str, stop: float) -> Period:
    try:
        seconds = float(read_seconds(text))
    except Wrong:
        raise NoPeriod(phrase("--since {text}: write it like 7d, 2026-10 or 2026-10-05", text=text)) from None
    if seconds < MINUTE:
        raise NoPeriod(phrase("--since {text}: one minute (1m) is the least", text=text))
    width = MINUTE if seconds <= MINUTES_UP_TO else HOUR
    return Period((stop - seconds) // width * width, stop)


def _read_day(text: str) -> date | None:
    """A day, or the first of a month; None where it is neither."""
    if not re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", text):
        return None
    try:
        day = date.fromisoformat(text if len(text) == 10 else f"{text}-01")
    except ValueError:
        return None
    return day if FIRST_YEAR <= day.year < LAST_YEAR else None


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date) -> float:
    """With which the day begins here, also where the clock is set in it."""
    return datetime.combine(day, time()).timestamp()
