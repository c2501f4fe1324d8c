"""When an outage began, and when nobody watched: from the samples, and later, when they are gone, from the minutes."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_watchdog import writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE, Record
from model_watchdog.report.detection import find_end, find_first_sign, find_gap
from model_watchdog.report.gather import gather
from model_watchdog.report.period import Period
from model_watchdog.rollups import DAY, HOUR, Kept
from model_watchdog.transactions import transact, work

WALL = 1_764_000_000.0 // DAY * DAY
SUCCESS = ("probe_success", {"service": "chat", "probe": "health"})
DEFAULT = Kept()


def write(directory: Path, seconds: float, value: Callable[[float], float | None], *rows: writes.Write, kept: Kept = DEFAULT) -> Record:
    """A record of one probe every 10 s; None is no sample."""
    connection, _ = connect(directory / FILE, WALL)
    history, now = History(connection), WALL
    while now < WALL + seconds:
        if (measured := value(now - WALL)) is not None:
            transact(connection, history, [writes.samples("boot", WALL, [Sample(SeriesId.of(*SUCCESS), measured, now - WALL)])])
        while history.has_work(now):
            work(connection, history, now, kept)
        now += 10
    transact(connection, history, [*rows, writes.daemon_info("{}", WALL + seconds)])
    connection.close()
    return Record.open(directory)


@pytest.mark.parametrize(("raw", "within"), [(DAY, 0.0), (HOUR, 10.0)], ids=["samples", "minutes"])
def test_an_outage_began_with_the_first_bad_sign_of_those_that_led_to_it(tmp_path: Path, raw: float, within: float) -> None:
    bad_from = 2000.0
    with write(tmp_path, 6 * HOUR, lambda at: float(not (1500 <= at < 1520 or bad_from <= at < 3000)), kept=Kept(raw=raw)) as record:
        assert bool(record.samples(*SUCCESS, WALL, WALL + HOUR)) == (raw == DAY)
        found = find_first_sign(record, [SUCCESS], WALL + 2500)
        assert found - WALL == pytest.approx(bad_from, abs=within)
        assert find_first_sign(record, [SUCCESS], WALL + 1800) == WALL + 1800, "the last sign before it was good"
        assert find_first_sign(record, [], WALL + 2500) == WALL + 2500


@pytest.mark.parametrize(("raw", "within"), [(DAY, 10.0), (HOUR, 70.0)], ids=["samples", "minutes"])
def test_one_that_was_killed_watched_until_its_last_sample(tmp_path: Path, raw: float, within: float) -> None:
    rows = [
        writes.event(WALL, None, "daemon_started", None, "r"),
        writes.event(WALL, "chat", "healthy", None, "r"),
        writes.event(WALL + 5000, None, "daemon_died", None, "r"),
        writes.event(WALL + 5000, None, "daemon_started", None, "r"),
    ]
    with write(tmp_path, 6 * HOUR, lambda at: None if 2000 <= at < 5000 else 1.0, *rows, kept=Kept(raw=raw)) as record:
        end = find_end(record, SUCCESS, WALL + 5000)
        assert end is not None and end - WALL == pytest.approx(2000, abs=within)
    doc = gather(tmp_path, Period(WALL, WALL + 6 * HOUR), WALL + 6 * HOUR)
    assert doc["watched"]["seconds"] == pytest.approx(6 * HOUR - 3000, abs=within)
    assert (doc["watched"]["starts"], doc["watched"]["deaths"]) == (2, 1)
    (service,) = doc["services"]
    assert service["seconds"]["not_watched"] == pytest.approx(3000, abs=within)
    assert service["availability"] == 1


def test_a_service_that_was_taken_out_long_before_changes_nothing(tmp_path: Path) -> None:
    rows = [
        writes.event(WALL, None, "daemon_started", None, "r"),
        writes.event(WALL, "chat", "healthy", None, "r"),
        writes.event(WALL + 5000, None, "daemon_died", None, "r"),
        writes.event(WALL + 5000, None, "daemon_started", None, "r"),
    ]
    connection, _ = connect(tmp_path / FILE, WALL)
    gone = SeriesId.of("probe_success", {"service": "a-old", "probe": "health"})
    transact(connection, History(connection), [writes.samples("boot", WALL, [Sample(gone, 1.0, 10.0 * number) for number in range(10)])])
    connection.close()
    write(tmp_path, 2 * HOUR, lambda at: None if 4990 <= at < 5000 else 1.0, *rows).close()
    doc = gather(tmp_path, Period(WALL, WALL + 2 * HOUR), WALL + 2 * HOUR)
    assert doc["watched"]["seconds"] == pytest.approx(2 * HOUR, abs=30)


def test_a_host_that_slept_was_not_watched(tmp_path: Path) -> None:
    rows = [
        writes.event(WALL, None, "daemon_started", None, "r"),
        writes.event(WALL, "chat", "healthy", None, "r"),
        writes.event(WALL + 5001, None, "host_slept", None, "r"),
    ]
    with write(tmp_path, 3 * HOUR, lambda at: None if 2000 <= at < 5000 else 1.0, *rows) as record:
        assert find_gap(record, SUCCESS, WALL + 5001) == (WALL + 1990, WALL + 5000)
        assert find_gap(record, SUCCESS, WALL + 1500) is None
    doc = gather(tmp_path, Period(WALL, WALL + 3 * HOUR), WALL + 3 * HOUR)
    assert doc["services"][0]["seconds"]["not_watched"] == 3010


def test_a_daemon_that_is_dead_now_watched_until_it_last_wrote(tmp_path: Path) -> None:
    rows = [writes.event(WALL, None, "daemon_started", None, "r"), writes.event(WALL, "chat", "healthy", None, "r")]
    write(tmp_path, HOUR, lambda at: 1.0, *rows).close()
    doc = gather(tmp_path, Period(WALL, WALL + 3 * HOUR), WALL + 3 * HOUR)
    assert (doc["watched"]["seconds"], doc["services"][0]["availability"]) == (HOUR, 1)


def outage(*events: tuple[float, str], seconds: float = 3 * HOUR) -> Callable[[Path], dict[str, object]]:
    def find(directory: Path) -> dict[str, object]:
        rows = [writes.event(WALL, None, "daemon_started", None, "r"), writes.event(WALL, "chat", "healthy", None, "r")]
        rows += [writes.event(WALL + at, "chat", name, None, "r") for at, name in events]
        write(directory, seconds, lambda at: float(not 1000 <= at < 2000), *rows).close()
        service: dict[str, object] = gather(directory, Period(WALL, WALL + seconds), WALL + seconds)["services"][0]
        return service

    return find


def test_an_outage_is_detected_when_something_is_done_and_recovered_when_it_is_up_again(tmp_path: Path) -> None:
    service = outage((1000, "unhealthy"), (1090, "incident_opened"), (1090, "restart_started"), (1100, "loading"), (1300, "healthy"))(
        tmp_path
    )
    assert service["detect_seconds"] == {"count": 1, "median": 90, "max": 90}
    assert service["recover_seconds"] == {"count": 1, "median": 210, "max": 210}


def test_one_that_was_over_before_anything_was_done_is_neither(tmp_path: Path) -> None:
    service = outage((1000, "unhealthy"), (1010, "healthy"), (2000, "alert_fired"))(tmp_path)
    assert (service["detect_seconds"], service["recover_seconds"]) == (None, None)
    assert service["availability"] == 1 - 10 / (3 * HOUR)


def test_a_service_that_has_been_well_for_longer_than_events_are_kept_is_known_by_how_it_stands(tmp_path: Path) -> None:
    status = {"name": "chat", "state": "healthy", "cause": None, "since": "2025-01-01T00:00:00Z"}
    write(tmp_path, HOUR, lambda at: 1.0, writes.service_status("chat", json.dumps(status), WALL + HOUR)).close()
    (service,) = gather(tmp_path, Period(WALL, WALL + HOUR), WALL + HOUR)["services"]
    assert (service["availability"], service["seconds"]["up"]) == (1, HOUR)


def test_a_service_that_is_new_counts_from_its_state_on(tmp_path: Path) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(WALL + 600))
    status = {"name": "chat", "state": "unhealthy", "cause": "health_refused", "since": since}
    rows = [writes.event(WALL, None, "daemon_started", None, "r"), writes.service_status("chat", json.dumps(status), WALL + HOUR)]
    write(tmp_path, HOUR, lambda at: 1.0, *rows).close()
    (service,) = gather(tmp_path, Period(WALL, WALL + HOUR), WALL + HOUR)["services"]
    assert (service["seconds"]["not_watched"], service["seconds"]["down"]) == (600, 3000)
