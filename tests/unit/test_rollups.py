"""Rollups: by the minute and by the hour the same figures as from the samples themselves, whatever is folded, rolled up or pruned."""

import asyncio
import math
import random
import sqlite3
import time
from itertools import pairwise
from pathlib import Path

import pytest
from ddsketch.mapping import LogarithmicMapping
from hypothesis import given, settings
from hypothesis import strategies as st

from model_watchdog import history, writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE, Record
from model_watchdog.rollups import (
    ACCURACY,
    DAY,
    HOUR,
    MINUTE,
    Bucket,
    Kept,
    add_bins,
    find_bin,
    merge,
    pack,
    roll_up,
    split_bin,
    unpack,
)
from model_watchdog.sketch import find_middle, find_quantiles
from model_watchdog.store import Store
from model_watchdog.transactions import transact, work

WALL = 1_764_000_000.0 // DAY * DAY
STEADY = 5_000.0
TEMPERATURE = SeriesId.of("gpu_temperature_celsius", {"gpu": "0"})
LOAD = SeriesId.of("host_load1", {})
VALUES = st.floats(allow_nan=False, allow_infinity=False)
SAMPLES = st.lists(st.tuples(st.floats(0, 1e9), VALUES), min_size=1, max_size=60).map(sorted)


class Days:
    """A record that is written as the daemon writes it, by a clock of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now, self.steady = WALL, STEADY
        self.kept = Kept()
        self.told: list[tuple[float, float]] = []
        self.open()

    def open(self) -> None:
        self.connection, _ = connect(self.directory / FILE, self.now)
        self.history = History(self.connection)

    def add(self, value: float, *series: SeriesId) -> None:
        measured = [Sample(one, value, self.steady) for one in series]
        transact(self.connection, self.history, [writes.samples("boot", self.now - self.steady, measured)])
        self.told.append((self.now, value))
        self.work()

    def work(self, steps: int = 10_000) -> None:
        while steps and self.history.has_work(self.now):
            work(self.connection, self.history, self.now, self.kept)
            steps -= 1

    def run(self, seconds: float, every: float, *series: SeriesId, seed: int = 1) -> None:
        chance = random.Random(seed)
        end = self.now + seconds
        while self.now < end:
            self.add(chance.gauss(60, 5), *series)
            self.wait(every)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.steady += seconds

    def read(self, *, by_hour: bool, since: float = 0.0, with_bins: bool = False) -> list[Bucket]:
        with Record.open(self.directory) as record:
            return record.buckets("gpu_temperature_celsius", {"gpu": "0"}, since, self.now, by_hour=by_hour, with_bins=with_bins)

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Days:
    monkeypatch.setattr(history, "FOLD_ROWS", 50)
    return Days(tmp_path)


def figures(buckets: list[Bucket]) -> list[tuple[float, ...]]:
    return [(one.at, one.count, one.least, one.most, round(one.total, 9), one.last) for one in buckets]


@pytest.mark.parametrize("by_hour", [False, True])
def test_the_figures_are_those_of_the_samples(days: Days, by_hour: bool) -> None:
    days.run(5.4 * HOUR, 20, TEMPERATURE, LOAD)
    expected = roll_up(days.told, HOUR if by_hour else MINUTE)
    found = days.read(by_hour=by_hour, with_bins=True)
    assert figures(found) == figures(expected)
    assert [one.bins for one in found] == [dict(one.bins) for one in expected]
    assert days.count("rollup_minute") >= 8, "four hours or more of two series are rolled up, the rest is made of samples"
    assert figures(days.read(by_hour=by_hour)) == figures(expected)
    part = days.read(by_hour=by_hour, since=WALL + 2.5 * HOUR)
    assert part[0].at == WALL + (3 if by_hour else 2.5) * HOUR


def test_it_goes_on_where_a_kill_cut_it_off(days: Days) -> None:
    """After each single step the file is opened anew, as after a kill."""
    days.history.has_work = lambda now: False  # type: ignore[method-assign]
    days.run(4 * HOUR, 30, TEMPERATURE, *(SeriesId.of("m", {"n": str(number)}) for number in range(40)))
    expected = figures(roll_up(days.told, MINUTE))
    for _ in range(60):
        days.connection.close()
        days.open()
        days.history._count()
        days.work(steps=1)
        assert figures(days.read(by_hour=False)) == expected
    assert days.count("rollup_hour") == 41
    assert days.count("rollup_minute") >= 3 * 41


def test_samples_stay_until_they_are_rolled_up(days: Days) -> None:
    """However short `raw` is."""
    days.kept = Kept(raw=600.0)
    days.run(6 * HOUR, 20, TEMPERATURE)
    assert figures(days.read(by_hour=True)) == figures(roll_up(days.told, HOUR))
    assert days.connection.execute("SELECT min(at) FROM sample_chunk").fetchone()[0] > WALL + 2 * HOUR


def test_minutes_and_hours_are_kept_as_long_as_they_are_to_be(days: Days) -> None:
    days.kept = Kept(raw=600.0, minutes=5.0 * HOUR, hours=3.0 * DAY)
    days.run(6 * DAY, 600, TEMPERATURE)
    minutes, hours = days.read(by_hour=False), days.read(by_hour=True)
    assert 5 * HOUR <= days.now - minutes[0].at <= 17 * HOUR
    assert 3 * DAY <= days.now - hours[0].at <= 4.5 * DAY
    assert {round(after.at - before.at) for before, after in pairwise(hours)} == {HOUR}


def test_after_days_without_the_daemon_it_goes_on_at_once(days: Days) -> None:
    days.run(1.6 * HOUR, 20, TEMPERATURE)
    days.wait(20 * DAY)
    days.run(2.6 * HOUR, 20, TEMPERATURE)
    assert figures(days.read(by_hour=False)) == figures(roll_up(days.told, MINUTE))
    assert days.history.rolling.until >= days.now - 3 * HOUR


@pytest.mark.parametrize("step", [-2 * HOUR, 40 * 365 * DAY])
def test_a_clock_that_was_wrong_costs_no_history(days: Days, step: float) -> None:
    """It stands wrong for 90 minutes, and is set right."""
    days.run(10 * HOUR, 60, TEMPERATURE)
    right = days.now
    days.now += step
    days.run(1.5 * HOUR, 60, TEMPERATURE)
    days.now = right + 1.5 * HOUR
    days.run(3 * HOUR, 60, TEMPERATURE)
    found = {bucket.at: bucket.count for bucket in days.read(by_hour=True)}
    for hour in (12, 13) if step > 0 else (0, 12, 13):
        assert found[int(WALL + hour * HOUR)] == 60, hour
    assert WALL + 8 * HOUR in {bucket.at for bucket in days.read(by_hour=False)}, "however far away: little went"
    assert days.history.rolling.until >= days.now - 3 * HOUR


def test_values_that_are_not_finite_are_left_out(days: Days) -> None:
    for value in (1.0, math.nan, math.inf, 3.0, -math.inf):
        days.add(value, TEMPERATURE)
        days.wait(10)
    days.wait(3 * HOUR)
    days.add(1.0, LOAD)
    assert figures(days.read(by_hour=True)) == [(WALL, 2, 1.0, 3.0, 4.0, 3.0)]


def test_a_step_is_short_however_much_there_is(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of 300 series at full rate; processor time, for the machine may be busy. What is urgent waits for one step at most."""
    monkeypatch.setattr(history, "FOLD_ROWS", 360)
    series = [SeriesId.of("m", {"n": str(number)}) for number in range(300)]
    spent, chance = [], random.Random(2)
    for number in range(400):
        days.now = WALL + number * 10
        measured = [Sample(one, chance.random(), days.now - WALL + STEADY) for one in series]
        transact(days.connection, days.history, [writes.samples("boot", WALL - STEADY, measured)])
        while days.history.has_work(days.now):
            began = time.process_time()
            is_fold = days.history.is_due()
            work(days.connection, days.history, days.now, days.kept)
            if not is_fold:
                spent.append(time.process_time() - began)
    assert len(spent) > 40
    assert sorted(spent)[len(spent) // 2] < 0.03, sorted(spent)


def test_the_store_rolls_up_while_nothing_else_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FOLD_ROWS", 20)
    now = WALL
    store = Store.open(tmp_path / FILE, wall=lambda: now)

    async def fill() -> None:
        nonlocal now
        many = [SeriesId.of("m", {"n": str(number)}) for number in range(50)]
        for number in range(40):
            now = WALL + number * 100
            await store.commit(writes.samples("boot", WALL - STEADY, [Sample(one, 1.0, STEADY + number * 100) for one in many]))
        end = time.monotonic() + 10
        with Record.open(tmp_path) as record:
            while record.rows("SELECT count(*) AS n FROM rollup_hour")[0]["n"] < 50:
                assert time.monotonic() < end
                await asyncio.sleep(0.02)

    asyncio.run(fill())
    assert store.problem is None and store.close()


# ---------------------------------------------------------------- the figures themselves
@given(SAMPLES)
@settings(max_examples=100, deadline=None)
def test_buckets_come_back_as_they_were_packed(samples: list[tuple[float, float]]) -> None:
    buckets = [one for one in roll_up(samples, MINUTE) if math.isfinite(one.total)]
    assert unpack(pack(buckets)) == [Bucket(one.at, one.count, one.least, one.most, one.total, one.last, dict(one.bins)) for one in buckets]
    assert [one.last for one in unpack(pack(buckets), with_bins=False)] == [one.last for one in buckets]


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e9)), min_size=1, max_size=60).map(sorted))
@settings(max_examples=100, deadline=None)
def test_hours_are_the_same_from_minutes_as_from_samples(samples: list[tuple[float, float]]) -> None:
    merged, direct = merge(roll_up(samples, MINUTE), HOUR), roll_up(samples, HOUR)
    for one, other in zip(merged, direct, strict=True):
        assert (one.at, one.count, one.least, one.most, one.last) == (other.at, other.count, other.least, other.most, other.last)
        assert one.total == pytest.approx(other.total, rel=1e-9, abs=1e-3)
        assert dict(one.bins) == dict(other.bins)


@given(VALUES)
@settings(max_examples=500, deadline=None)
def test_a_bin_is_the_one_of_the_library(value: float) -> None:
    mapping = LogarithmicMapping(ACCURACY)
    if abs(value) <= mapping.min_possible:
        assert split_bin(find_bin(value)) == (0, 0)
    else:
        assert split_bin(find_bin(value)) == (1 if value > 0 else -1, mapping.key(abs(value)))
        if abs(value) < mapping.max_possible:
            assert find_middle(find_bin(value)) == pytest.approx(value, rel=ACCURACY * 1.000001)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=200), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_a_quantile_is_right_to_a_hundredth(values: list[float], share: float) -> None:
    bins = add_bins(roll_up([(float(at), value) for at, value in enumerate(values)], MINUTE))
    (found,) = find_quantiles(bins, [share])
    place = share * (len(values) - 1)
    near = sorted(values)[max(0, math.floor(place)) : math.ceil(place) + 1]
    assert any(found == pytest.approx(value, rel=ACCURACY * 1.000001, abs=1e-300) for value in near), (found, near)


def test_a_month_of_one_series_among_many_is_read_quickly(tmp_path: Path) -> None:
    """50 ms are the promise; processor time, for the machine may be busy."""
    connection, _ = connect(tmp_path / FILE, WALL)
    chance = random.Random(1)
    connection.execute("BEGIN")
    for number in range(1, 501):
        connection.execute("INSERT INTO series (metric, labels) VALUES (?, ?)", ("m", f'{{"n":"{number}"}}'))
    for day in range(31):
        bins = {50_500 + chance.randrange(200): 3 for _ in range(80)}
        data = pack([Bucket(day * DAY + hour * HOUR, 360, 1.0, 2.0, 500.0, 1.5, bins) for hour in range(24)])
        rows = [(number, day * DAY, data) for number in range(1, 501)]
        connection.executemany("INSERT INTO rollup_hour (series, at, data) VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    connection.close()
    spent = []
    with Record.open(tmp_path) as record:
        for number in (3, 77, 210, 333, 499):
            began = time.process_time()
            assert len(record.buckets("m", {"n": str(number)}, 0, 31 * DAY, by_hour=True, with_bins=True)) == 744
            spent.append(time.process_time() - began)
    assert sorted(spent)[2] < 0.05, spent


def test_a_record_without_rollups_is_rolled_up_from_its_oldest_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of the version before, and has samples: what is there of the last day is not lost."""
    monkeypatch.setattr(history, "FOLD_ROWS", 50)
    days = Days(tmp_path)
    days.history.rolling.is_due = lambda now: False  # type: ignore[method-assign]
    days.run(5 * HOUR, 30, TEMPERATURE)
    days.connection.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.executescript("DROP TABLE rollup_minute; DROP TABLE rollup_hour; PRAGMA user_version = 3")
        connection.executescript("ALTER TABLE outbox DROP COLUMN topics; ALTER TABLE outbox DROP COLUMN attachment")
        connection.executescript("ALTER TABLE event DROP COLUMN matter")
    connection.close()
    days.open()
    days.run(300, 30, TEMPERATURE)
    assert days.count("rollup_minute") >= 4
    assert figures(days.read(by_hour=True)) == figures(roll_up(days.told, HOUR))
