"""When a report is due, and which time it is about: whole weeks and months by the clock on the wall."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_watchdog.config.model import Day, Report
from model_watchdog.core.routes import TimeOfDay
from model_watchdog.reporting import find_before, find_due


def weekly(day: str | None = None, at: float = 8.0) -> Report:
    return Report("week", ("ops",), TimeOfDay(at * 3600), Day(day) if day else None)


def monthly(day: int | None = None, at: float = 8.0) -> Report:
    return Report("month", ("ops",), TimeOfDay(at * 3600), Day(day) if day else None)


@pytest.mark.parametrize(
    ("report", "now", "due", "before"),
    [
        (weekly(), "2026-10-12 08:00", "2026-10-12", "2026-10-05"),  # a Monday
        (weekly(), "2026-10-12 07:59", "2026-10-05", "2026-09-28"),
        (weekly(), "2026-10-18 23:59", "2026-10-12", "2026-10-05"),
        (weekly("sun", 0), "2026-10-18 00:00", "2026-10-18", "2026-10-11"),
        (weekly("sat"), "2027-01-01 09:00", "2026-12-26", "2026-12-19"),
        (monthly(), "2026-11-01 08:00", "2026-11-01", "2026-10-01"),
        (monthly(), "2026-11-01 07:59", "2026-10-01", "2026-09-01"),
        (monthly(), "2026-12-31 23:00", "2026-12-01", "2026-11-01"),
        (monthly(), "2027-01-01 08:00", "2027-01-01", "2026-12-01"),
        (monthly(31), "2026-02-28 08:00", "2026-02-28", "2026-01-31"),
        (monthly(31), "2026-03-30 08:00", "2026-02-28", "2026-01-31"),
        (monthly(31), "2026-03-31 08:00", "2026-03-31", "2026-02-28"),
        (monthly(30), "2028-02-29 08:00", "2028-02-29", "2028-01-30"),  # a leap year
        (monthly(15), "2026-01-02 08:00", "2025-12-15", "2025-11-15"),
    ],
)
def test_what_is_due_and_what_it_is_about(report: Report, now: str, due: str, before: str) -> None:
    found = find_due(report, datetime.fromisoformat(now))
    assert (found.isoformat(), find_before(report, found).isoformat()) == (due, before)


def send_all(report: Report, moments: list[datetime]) -> list[tuple[datetime, date]]:
    """What would be sent to whom looks at these moments of the wall clock, as `Reports` does."""
    last, sent = find_due(report, moments[0]), []
    for now in moments:
        due = find_due(report, now)
        if due > last:
            last = due
            sent.append((now, due))
    return sent


def every_minute(begin: str, end: str) -> list[datetime]:
    now, stop, moments = datetime.fromisoformat(begin), datetime.fromisoformat(end), []
    while now < stop:
        moments.append(now)
        now += timedelta(minutes=1)
    return moments


def test_a_year_of_weeks_is_fifty_two_reports_each_at_its_time() -> None:
    sent = send_all(weekly(), every_minute("2026-01-01 00:00", "2026-12-31 00:00"))
    assert len(sent) == 52
    assert all(now == datetime.combine(due, datetime.min.time()) + timedelta(hours=8) for now, due in sent)


def test_a_time_that_the_clock_skips_is_come_with_the_next_and_one_that_comes_twice_with_the_first() -> None:
    before, after = every_minute("2026-03-29 00:00", "2026-03-29 02:00"), every_minute("2026-03-29 03:00", "2026-03-29 06:00")
    assert send_all(weekly("sun", 2.5), [*before, *after]) == [(datetime(2026, 3, 29, 3, 0), date(2026, 3, 29))]
    twice = every_minute("2026-10-25 02:00", "2026-10-25 03:00")
    told = send_all(weekly("sun", 2.5), [datetime(2026, 10, 25, 1, 59), *twice, *twice, datetime(2026, 10, 25, 3, 0)])
    assert told == [(datetime(2026, 10, 25, 2, 30), date(2026, 10, 25))]


def test_what_was_missed_is_sent_once_and_late_and_only_the_last_of_several() -> None:
    moments = [datetime(2026, 10, 4), *every_minute("2026-10-29 14:03", "2026-10-29 15:00")]
    assert send_all(weekly(), moments) == [(datetime(2026, 10, 29, 14, 3), date(2026, 10, 26))]


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), st.integers(1, 31), st.integers(0, 86_399))
def test_months_follow_one_another_without_a_gap_or_an_overlap(now: datetime, day: int, second: int) -> None:
    report = Report("month", ("ops",), TimeOfDay(second), Day(day))
    due = find_due(report, now)
    come = datetime.combine(due, datetime.min.time()) + timedelta(seconds=second)
    assert come <= now
    before = find_before(report, due)
    assert find_due(report, come) == due
    assert find_due(report, come - timedelta(seconds=1)) == before < due
    assert timedelta(days=28) <= due - before <= timedelta(days=31)
