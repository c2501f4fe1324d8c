"""Samples in the record: every one at full rate, with its times, found again, taken out when it is old, and the first to be lost."""

import asyncio
import math
import random
import sqlite3
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_watchdog import chunks as chunks_module
from model_watchdog import history, rolling, writes
from model_watchdog import store as store_module
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import MIGRATIONS
from model_watchdog.errors import WatchdogError
from model_watchdog.record import SCHEMA, Record
from model_watchdog.rollups import Kept
from model_watchdog.store import Pending, Store
from tests.rig.waiting import wait_until

DATA = Path(__file__).with_name("data")
WALL, STEADY = 1_764_000_000.0, 5_000.0
DIFFERENCE = WALL - STEADY
TEMPERATURE = SeriesId.of("gpu_temperature_celsius", {"uuid": "GPU-1", "gpu": "0"})
SUCCESS = SeriesId.of("probe_success", {"service": '模型 "a"', "probe": "health"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "watchdog.db"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds soon, takes little out at a time, and has short hours: samples stay until their hour is rolled up."""
    monkeypatch.setattr(rolling, "HOUR", 60)
    monkeypatch.setattr(history, "FOLD_ROWS", 10)
    monkeypatch.setattr(history, "LEAST_PRUNED", 4)


def commit(store: Store, *rows: writes.Write | writes.SampleBatch) -> bool:
    return asyncio.run(store.commit(*rows))


def batch(number: int, *series: SeriesId, boot: str = "boot a", difference: float = DIFFERENCE, every: float = 10.0) -> writes.SampleBatch:
    """The samples of one moment: `number` × `every` seconds after the first, each a little later than the one before."""
    at = STEADY + number * every
    return writes.samples(boot, difference, [Sample(one, number + place / 10, at + place / 1000) for place, one in enumerate(series)])


def chunks(path: Path) -> list[tuple[int, float, float, float, str]]:
    with sqlite3.connect(path) as connection:
        query = "SELECT series, at, until, mono, boot_id FROM sample_chunk JOIN boot ON boot = boot.id ORDER BY sample_chunk.id"
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_every_sample_is_found_again_folded_or_not(path: Path) -> None:
    store = Store.open(path, wall=lambda: WALL)
    for number in range(25):
        assert commit(store, batch(number, TEMPERATURE, SUCCESS))
    with Record.open(path.parent) as record:
        assert record.series() == [
            {"metric": "gpu_temperature_celsius", "labels": {"gpu": "0", "uuid": "GPU-1"}},
            {"metric": "probe_success", "labels": {"probe": "health", "service": '模型 "a"'}},
        ]
        found = record.samples("gpu_temperature_celsius", {"uuid": "GPU-1", "gpu": "0"})
        assert [value for _, value in found] == [float(number) for number in range(25)]
        assert [at for at, _ in found] == pytest.approx([WALL + number * 10 for number in range(25)], abs=0.001)
        found = record.samples("probe_success", dict(SUCCESS.labels), since=WALL + 50, until=WALL + 80)
        assert [value for _, value in found] == pytest.approx([5.1, 6.1, 7.1]), "from 50 s on, and 80.001 is after 80"
        assert record.samples("probe_success", {"probe": "health"}) == [], "other labels are another series"
        assert record.samples("nothing", {}) == []
    assert store.close()
    assert len(chunks(path)) == 4, "twice ten rows, two series"
    with Record.open(path.parent) as record:
        assert len(record.samples(TEMPERATURE.metric, dict(TEMPERATURE.labels))) == 25


def test_a_label_that_is_no_unicode_costs_no_other_series_its_samples(path: Path) -> None:
    store = Store.open(path, wall=lambda: WALL)
    commit(store, batch(1, SeriesId.of("odd", {"name": "a\ud800b"}), TEMPERATURE))
    with Record.open(path.parent) as record:
        assert len(record.samples("gpu_temperature_celsius", {"uuid": "GPU-1", "gpu": "0"})) == 1
        assert len(record.samples("odd", {"name": "a?b"})) == 1
    store.close()


def test_it_goes_on_after_a_restart(path: Path) -> None:
    """The head of the run before is folded with what comes, and a series keeps its number."""
    for run in range(3):
        store = Store.open(path, wall=lambda: WALL)
        for number in range(7):
            assert commit(store, batch(run * 7 + number, TEMPERATURE))
        assert store.close()
    with Record.open(path.parent) as record:
        assert [value for _, value in record.samples(TEMPERATURE.metric, dict(TEMPERATURE.labels))] == [float(n) for n in range(21)]
        assert len(record.series()) == 1
    assert len(chunks(path)) == 2


def test_fault_47_a_row_keeps_wall_time_steady_time_and_boot(path: Path) -> None:
    """The wall clock is set by an hour, then the host boots: no chunk holds samples of both sides."""
    store = Store.open(path, wall=lambda: WALL)
    for number in range(4):
        assert commit(store, batch(number, TEMPERATURE))
    for number in range(4, 7):
        assert commit(store, batch(number, TEMPERATURE, difference=DIFFERENCE - 3600))
    for number in range(3):
        assert commit(store, batch(number, TEMPERATURE, boot="boot b", difference=DIFFERENCE + 10_000))
    assert store.close()
    assert chunks(path) == [
        (1, WALL, WALL + 30, STEADY, "boot a"),
        (1, WALL + 40 - 3600, WALL + 60 - 3600, STEADY + 40, "boot a"),
        (1, WALL + 10_000, WALL + 10_020, STEADY, "boot b"),
    ]
    with Record.open(path.parent) as record:
        found = record.samples(TEMPERATURE.metric, dict(TEMPERATURE.labels))
    assert found == sorted(found) and len(found) == 10
    assert [value for _, value in found] == [4.0, 5.0, 6.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0]


def test_what_is_old_goes_little_by_little(path: Path) -> None:
    """Kept for 200 s: never is more than that and a few chunks there, and no transaction takes out more than it may."""
    now = WALL
    store = Store.open(path, wall=lambda: now, kept=Kept(200.0))
    most = 0
    for number in range(200):
        now = WALL + number * 10
        assert commit(store, batch(number, TEMPERATURE, SUCCESS))
        most = max(most, len(chunks(path)))
    with Record.open(path.parent) as record:
        found = record.samples(SUCCESS.metric, dict(SUCCESS.labels))
    assert found[-1][0] == pytest.approx(now, abs=0.01)
    assert now - 400 <= found[0][0] <= now - 200
    assert 4 <= most <= 10
    store.close()


def test_a_shorter_time_is_reached_in_small_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = WALL + 4000
    store = Store.open(path, wall=lambda: now)
    for number in range(400):
        assert commit(store, batch(number, TEMPERATURE))
    store.close()
    before = len(chunks(path))
    assert before >= 38
    store = Store.open(path, wall=lambda: now, kept=Kept(100.0))
    seen = [before]
    for number in range(400, 600):
        assert commit(store, batch(number, TEMPERATURE))
        if len(chunks(path)) != seen[-1]:
            seen.append(len(chunks(path)))
    assert all(before - after <= 4 for before, after in pairwise(seen)), seen
    assert seen[-1] < 25
    store.close()


def test_times_that_have_not_come_are_taken_out_too(path: Path) -> None:
    """The clock stood in the year 2036 for a while: those samples must not keep all later ones from being taken out."""
    now = WALL
    store = Store.open(path, wall=lambda: now, kept=Kept(200.0))
    for number in range(10):
        assert commit(store, batch(number, TEMPERATURE, difference=DIFFERENCE + 10 * 365 * 86400))
    for number in range(10, 100):
        now = WALL + number * 10
        assert commit(store, batch(number, TEMPERATURE))
    assert max(until for _, _, until, _, _ in chunks(path)) <= now
    store.close()


def test_a_series_without_samples_is_forgotten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SWEEP_FOLDS", 1)
    monkeypatch.setattr(rolling, "DAY", 120)
    now = WALL
    store = Store.open(path, wall=lambda: now, kept=Kept(200.0, 200.0, 200.0))
    for number in range(100):
        now = WALL + number * 10
        assert commit(store, batch(number, TEMPERATURE if number < 20 else SUCCESS))
    with Record.open(path.parent) as record:
        assert [row["metric"] for row in record.series()] == ["probe_success"]
    assert commit(store, batch(100, TEMPERATURE, SUCCESS))
    with Record.open(path.parent) as record:
        assert len(record.samples(TEMPERATURE.metric, dict(TEMPERATURE.labels))) == 1
    store.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.0, 5e-324, 1.7976931348623157e308, 2.0**53 + 1, -273.15])
def test_a_value_comes_back_as_it_was(path: Path, value: float) -> None:
    store = Store.open(path, wall=lambda: WALL)
    for number in range(12):
        assert commit(store, writes.samples("boot a", DIFFERENCE, [Sample(TEMPERATURE, value, STEADY + number)]))
    with Record.open(path.parent) as record:
        found = record.samples(TEMPERATURE.metric, dict(TEMPERATURE.labels))
    assert [repr(one) for _, one in found] == [repr(value)] * 12
    store.close()


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.floats(allow_nan=False)), min_size=1, max_size=50))
@settings(max_examples=200, deadline=None)
def test_a_chunk_is_read_as_it_was_packed(samples: list[tuple[int, float]]) -> None:
    times, values = sorted(time for time, _ in samples), [value for _, value in samples]
    read_times, read_values = chunks_module.unpack_chunk(chunks_module.pack_chunk(times, values))
    assert [times[0] + time for time in read_times] == times
    assert list(read_values) == values


def test_samples_are_lost_first_and_the_oldest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_WAITING", 100)
    pending = Pending()
    for number in range(60):
        pending.add(batch(number, TEMPERATURE, SUCCESS))
        pending.add(writes.event(float(number), "s", "x", None, "r"))
        pending.add(writes.restart_intent(number, "s", 1.0, "watchdog", None, "r"))
    left = list(pending)
    samples = [one for one in left if isinstance(one, writes.SampleBatch)]
    assert [one.values[0] for one in samples] == [float(number) for number in range(40, 60)]
    others = [one for one in left if isinstance(one, writes.Write)]
    assert sum(one.droppable for one in others) == 60, "no event is lost while a sample is there"
    assert sum("INTO restart" in one.sql for one in others) == 60
    assert pending.dropped == 80
    for number in range(60, 150):
        pending.add(writes.event(float(number), "s", "x", None, "r"))
    left = list(pending)
    assert not any(isinstance(one, writes.SampleBatch) for one in left)
    assert [one.params[0] for one in left if isinstance(one, writes.Write) and one.droppable] == [float(n) for n in range(50, 150)]


@pytest.fixture
def version_1(path: Path) -> Path:
    """A record that the version before made: its tables and rows as SQL."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript((DATA / "record-schema-1.sql").read_text())
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return path


def test_a_record_of_schema_1_is_brought_up_to_date_with_all_that_is_in_it(version_1: Path) -> None:
    with pytest.raises(WatchdogError, match=rf"of an older version \(schema 1, this version reads {SCHEMA}\); start the daemon once"):
        Record.open(version_1.parent)
    store = Store.open(version_1, wall=lambda: WALL)
    assert (store.problem, store.note, store.is_lost) == (None, "", False)
    assert store.load_states() == {"chatglm": '[["boot", 10.0, 1764000000.0], {"breaker": {"failures": 2}}]'}
    assert [(row["id"], row["json"], row["phase"]) for row in store.open_restarts()] == [(3, '{"old": 7}', "verifying")]
    assert [row["id"] for row in store.open_incidents()] == [2]
    assert [(row["key"], row["attempts"]) for row in store.outbox_due()] == [("bert/7/gave_up", 2)]
    assert store.setting("running") == "yes"
    assert store.next_id() == 4
    assert commit(store, batch(0, TEMPERATURE))
    store.close()
    with Record.open(version_1.parent) as record:
        assert record.rows("PRAGMA user_version") == [{"user_version": SCHEMA}]
        assert [service["name"] for service in record.services()] == ["chatglm", "bert"]
        assert len(record.events()) == 2 and len(record.restarts()) == 2
        assert sum(record.sent(0.0).values()) == 1
        assert len(record.samples(TEMPERATURE.metric, dict(TEMPERATURE.labels))) == 1


def test_a_migration_that_is_cut_off_is_made_again(version_1: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last statement fails: nothing of it is in the file, and the next start makes it whole."""
    before = MIGRATIONS[1]
    monkeypatch.setattr("model_watchdog.database.MIGRATIONS", (MIGRATIONS[0], before + "; INSERT INTO nowhere VALUES (1)"))
    store = Store.open(version_1)
    assert store.problem and "nowhere" in store.problem
    store.close()
    monkeypatch.setattr("model_watchdog.database.MIGRATIONS", MIGRATIONS)
    store = Store.open(version_1)
    assert store.problem is None
    assert len(store.open_restarts()) == 1
    store.close()


def test_a_day_of_one_series_among_many_is_read_quickly(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 series every 10 s; the record is as it is after a day. 50 ms are the promise; processor time, for the machine may be busy."""
    monkeypatch.setattr(history, "FOLD_ROWS", 360)
    series = [SeriesId.of("probe_duration_seconds", {"service": f"model-{number}", "probe": "health"}) for number in range(60)]
    chance = random.Random(1)
    store = Store.open(path, wall=lambda: WALL)
    connection = sqlite3.connect(path, isolation_level=None)
    made = history.History(connection)
    connection.execute("BEGIN")
    for number in range(8640):
        at = STEADY + number * 10
        made.append(writes.samples("boot a", DIFFERENCE, [Sample(one, chance.random(), at) for one in series]))
        if made.is_due():
            made.fold(WALL, Kept(10 * 86400.0))
    connection.execute("COMMIT")
    connection.close()
    with Record.open(path.parent) as record:
        spent = []
        for number in range(9):
            began = time.process_time()
            found = record.samples("probe_duration_seconds", {"service": f"model-{number * 6}", "probe": "health"}, WALL, WALL + 86_400)
            spent.append(time.process_time() - began)
            assert len(found) == 8640
    assert sorted(spent)[4] < 0.05, spent
    store.close()


def explain(record: Record, ask: Callable[[], object]) -> str:
    """How SQLite goes about a question."""
    asked: list[str] = []
    record.setting("anything")
    assert record._connection is not None
    record._connection.set_trace_callback(asked.append)
    ask()
    record._connection.set_trace_callback(None)
    return "\n".join(row["detail"] for query in asked for row in record.rows(f"EXPLAIN QUERY PLAN {query}"))


def test_one_service_is_read_without_touching_the_others(path: Path) -> None:
    store = Store.open(path, wall=lambda: WALL)
    for number in range(10):
        assert commit(store, batch(number, TEMPERATURE, SUCCESS))
    with Record.open(path.parent) as record:
        wait_until(lambda: record.chunk_times(10**9), 10)
        last, begin, end = 10**9, WALL, WALL + 1000
        mine = record.chunks(dict(SUCCESS.labels)["service"], begin, end, last, begin)
        assert len(mine) == 1 and record.series_numbers()[mine[0]["series"]][0] == "probe_success"
        assert len(record.chunks(None, begin, end, last, begin)) == 2 and record.chunks("nobody", begin, end, last, begin) == []
        assert record.chunks(None, begin, end, 0, begin) == [], "those up to a number"
        for service in (None, "nobody"):
            plan = explain(record, lambda service=service: record.chunks(service, begin, end, last, begin))  # type: ignore[misc]
            assert "sample_chunk USING INDEX sample_chunk_series (series=? AND at>? AND at<?)" in plan, plan
        assert "USING COVERING INDEX sample_chunk_series" in explain(record, lambda: record.chunk_times(last))
        assert record.chunk_times(last) == (WALL, pytest.approx(WALL + 90.001), 2)
    store.close()
