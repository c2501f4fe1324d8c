"""When a record was written, from what it says: zones, summer time, numbers, and lines that say nothing."""

import json
from datetime import UTC, datetime

import pytest

from model_watchdog.logtimes import LOOKED_AT, find_newest, find_zone, read_time

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("written", "zone", "after_noon"),
    [
        ("2026-07-01T12:00:00Z", "Asia/Shanghai", 0),
        ("2026-07-01T12:00:00+08:00", None, -8 * 3600),
        ("2026-07-01 20:00:01,500", "Asia/Shanghai", 1.5),
        ("2026-07-01 14:00:00.25", "Europe/Berlin", 0.25),
        (NOON + 3, None, 3),
        ((NOON + 3) * 1e3, None, 3),
        ((NOON + 3) * 1e9, "Asia/Shanghai", 3),
    ],
)
def test_a_time_is_of_its_own_zone_or_of_the_one_stated(written: str | float, zone: str | None, after_noon: float) -> None:
    assert read_time(written, find_zone(zone), NOON) == pytest.approx(NOON + after_noon, abs=1e-3)


def test_without_a_zone_it_is_the_machines() -> None:
    assert read_time("2026-07-01 12:00:00", None, NOON) == datetime(2026, 7, 1, 12).timestamp()


def test_the_hour_that_comes_twice_is_the_one_that_has_been() -> None:
    berlin, early = find_zone("Europe/Berlin"), datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    assert read_time("2026-10-25 02:30:00", berlin, early + 60) == early
    assert read_time("2026-10-25 02:30:00", berlin, early + 3660) == early + 3600


@pytest.mark.parametrize("written", ["yesterday", "", "2026-13-01 00:00:00", 12.5, float("nan"), float("inf"), "0001-01-01 00:00:00"])
def test_what_is_no_time_is_none(written: str | float) -> None:
    assert read_time(written, find_zone("Asia/Shanghai"), NOON) is None or written == "0001-01-01 00:00:00"


def test_a_zone_that_there_is_not_is_named() -> None:
    for name in ("Mars/Olympus", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="no time zone"):
            find_zone(name)


def test_the_newest_line_that_says_a_time_counts() -> None:
    shanghai = find_zone("Asia/Shanghai")
    text = b"2026-07-01 19:00:00 [INFO] a\n[2026-07-01 20:00:00] [ERROR] b\nTraceback (most recent call last):\n  File x\n"
    assert find_newest(text, is_json=False, zone=shanghai, now=NOON) == NOON
    records = [{"asctime": "2026-07-01 19:59:00"}, {"ts": NOON, "level": "INFO"}, {"level": "INFO"}, {"time": True}, ["x"]]
    lines = "\n".join([*map(json.dumps, records), '{"ts": 17829']).encode()
    assert find_newest(lines, is_json=True, zone=shanghai, now=NOON) == NOON
    assert find_newest(text + b"at line\n" * LOOKED_AT, is_json=False, zone=shanghai, now=NOON) is None
