"""The time that a report is about, as it is written on the command line."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from model_watchdog.report.period import NoPeriod, Period, read_period
from model_watchdog.rollups import DAY, HOUR


@pytest.fixture(autouse=True)
def berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


NOW = "2026-11-10 12:34:56"


@pytest.mark.parametrize(
    ("since", "until", "begin", "end"),
    [
        ("7d", None, "2026-11-03 12:00", NOW),
        ("30d", None, "2026-10-11 13:00", NOW),  # an hour of summer time in between
        ("10m", None, "2026-11-10 12:24", NOW),
        ("7d", "2026-11-02", "2026-10-26 00:00", "2026-11-02 00:00"),
        ("2026-10", None, "2026-10-01 00:00", "2026-11-01 00:00"),
        ("2026-11", None, "2026-11-01 00:00", NOW),
        ("2026-09", "2026-11", "2026-09-01 00:00", "2026-11-01 00:00"),
        ("2026-10-05", "2026-10-12", "2026-10-05 00:00", "2026-10-12 00:00"),
        ("2026-10-05", None, "2026-10-05 00:00", NOW),
        ("2025-12", None, "2025-12-01 00:00", "2026-01-01 00:00"),
        ("2026-11-09", "2027-01", "2026-11-09 00:00", NOW),
    ],
)
def test_what_is_meant(since: str, until: str | None, begin: str, end: str) -> None:
    assert read_period(since, until, at(NOW)) == Period(at(begin), at(end))


def test_a_month_in_which_the_clock_is_set_has_an_hour_more() -> None:
    assert read_period("2026-10", None, at(NOW)).seconds == 31 * DAY + HOUR


@pytest.mark.parametrize(
    ("since", "until", "fault"),
    [
        ("yesterday", None, "--since yesterday: write it like 7d, 2026-10 or 2026-10-05"),
        ("7", None, "--since 7: write it like 7d, 2026-10 or 2026-10-05"),
        ("2026-13", None, "--since 2026-13: write it like 7d, 2026-10 or 2026-10-05"),
        ("2026-02-30", None, "--since 2026-02-30: write it like 7d, 2026-10 or 2026-10-05"),
        *[(text, None, f"--since {text}: write it like 7d, 2026-10 or 2026-10-05") for text in ("9999-12", "0001-01", "0001-01-01")],
        ("5s", None, "--since 5s: one minute (1m) is the least"),
        ("2026-12", None, "--since 2026-12: it has not begun yet"),
        ("7d", "soon", "--until soon: write it like 2026-10-05, or 2026-10 for the first of a month"),
        ("2026-10-12", "2026-10-05", "--until 2026-10-05: it lies before --since 2026-10-12"),
        ("500d", None, "--since 500d: 400 days are the most that the record keeps"),
        ("2020-01", "2026-01", "--since 2020-01: 400 days are the most that the record keeps"),
    ],
)
def test_what_is_none(since: str, until: str | None, fault: str) -> None:
    with pytest.raises(NoPeriod) as caught:
        read_period(since, until, at(NOW))
    assert str(caught.value) == fault
