"""Windows of maintenance: open when cron or the calendar says so, by the local clock; and when a digest is due."""

from datetime import datetime, timedelta, timezone

import pytest

from model_watchdog.config.model import Digest, Window
from model_watchdog.core.routes import TimeOfDay
from model_watchdog.core.units import Seconds
from model_watchdog.digest import is_due
from model_watchdog.maintenance import find_open, seconds_left
from model_watchdog.schedule import check_cron, find_start

EAST = timezone(timedelta(hours=8))
HOUR = 3600.0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=EAST)


@pytest.mark.parametrize(
    ("cron", "now", "start"),
    [
        ("0 3 * * 0", "2026-11-29 04:30", "2026-11-29 03:00"),  # a Sunday
        ("0 3 * * 7", "2026-11-29 04:30", "2026-11-29 03:00"),
        ("0 3 * * sun", "2026-11-29 04:30", "2026-11-29 03:00"),
        ("0 3 * * 0", "2026-11-30 04:30", None),
        ("0 3 * * 0", "2026-11-29 02:59", None),
        ("0 3 * * 0", "2026-11-29 05:00", None),
        ("0 3 * * 1-5", "2026-11-27 03:30", "2026-11-27 03:00"),  # a Friday
        ("0 3 * * 1-5", "2026-11-28 03:30", None),
        ("0 3 * * 1,3", "2026-11-25 03:30", "2026-11-25 03:00"),
        ("0 3 * * */3", "2026-11-28 03:30", "2026-11-28 03:00"),  # Sunday, Wednesday, Saturday
        ("0 3 1 * *", "2026-12-01 03:30", "2026-12-01 03:00"),
        ("*/30 * * * *", "2026-12-01 03:45", "2026-12-01 03:30"),
    ],
)
def test_cron_means_what_cron_means(cron: str, now: str, start: str | None) -> None:
    assert check_cron(cron) == ""
    assert find_start(cron, 2 * HOUR, at(now)) == (None if start is None else at(start))


@pytest.mark.parametrize("cron", ["", "0 3 * *", "0 3 * * 8", "0 25 * * *", "0 3 * * 5-1", "x 3 * * *", "0 3 * * */0"])
def test_what_is_no_cron_expression_is_told(cron: str) -> None:
    assert check_cron(cron)


def test_a_window_is_open_for_so_long() -> None:
    window = Window(("a",), "r", cron="0 3 * * *", for_=Seconds(2 * HOUR))
    assert [seconds_left(window, at(f"2026-11-29 {time}")) for time in ("02:59", "03:00", "04:00", "05:00")] == [0, 7200, 3600, 0]
    once = Window(("a",), "r", from_="2026-12-24 22:00", until="2026-12-26 08:00")
    zone = datetime(2026, 12, 25).astimezone().tzinfo
    local = datetime(2026, 12, 25, 8, 0, tzinfo=zone)
    assert seconds_left(once, local) == 24 * HOUR
    assert seconds_left(once, local - timedelta(days=1)) == seconds_left(once, local + timedelta(days=1)) == 0
    ((found, silence),) = find_open((once, window), local, 1000.0)
    assert found is once and (silence.services, silence.until, silence.reason) == (("a",), 1000.0 + 24 * HOUR, "r")


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        ("2026-11-27", "2026-11-28 09:00", True),
        ("2026-11-27", "2026-11-28 08:59", False),
        ("2026-11-28", "2026-11-28 23:00", False),
        ("2026-11-20", "2026-11-28 09:30", True),
    ],
)
def test_a_digest_is_due_once_a_day(last: str, now: str, due: bool) -> None:
    assert is_due(Digest(("ops",), TimeOfDay(9 * 3600)), last, datetime.fromisoformat(now)) == due
