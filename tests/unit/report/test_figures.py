"""The figures of a report are those of the samples themselves, whatever of them is still there as it came and whatever is rolled up."""

import json
import math
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from model_watchdog import history, writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE, Record
from model_watchdog.report.figures import find_growth
from model_watchdog.report.gather import gather
from model_watchdog.report.measured import Reading
from model_watchdog.report.period import Period
from model_watchdog.rollups import ACCURACY, DAY, HOUR, MINUTE, Bucket, Kept, roll_up
from model_watchdog.transactions import transact, work

WALL = 1_764_000_000.0 // DAY * DAY
LATENCY = SeriesId.of("probe_duration_seconds", {"service": "chat", "probe": "health"})
SUCCESS = SeriesId.of("probe_success", {"service": "chat", "probe": "health"})
ASKED = SeriesId.of("http_requests_total", {"service": "chat", "status": "200"})
FAILED = SeriesId.of("http_requests_total", {"service": "chat", "status": "503"})
TEMPERATURE = SeriesId.of("gpu_temperature_celsius", {"gpu": "0"})
SERIES = (LATENCY, SUCCESS, ASKED, FAILED, TEMPERATURE)
Told = dict[SeriesId, list[tuple[float, float]]]


class Written:
    """A record as the store's own code writes it, by a clock of the test's own, and all that was told to it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.now = directory, WALL
        self.told: Told = {series: [] for series in SERIES}
        self.connection, _ = connect(directory / FILE, WALL)
        self.history = History(self.connection)

    def run(self, seconds: float, every: float, values: Callable[[float], Iterator[float]]) -> None:
        end = self.now + seconds
        while self.now < end:
            samples = [Sample(series, value, self.now - WALL + 100.0) for series, value in zip(SERIES, values(self.now), strict=True)]
            transact(self.connection, self.history, [writes.samples("boot", WALL - 100.0, samples)])
            for sample in samples:
                self.told[sample.series].append((self.now, sample.value))
            while self.history.has_work(self.now):
                work(self.connection, self.history, self.now, Kept())
            self.now += every

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class Values:
    """A latency with a long tail, a probe that fails now and then, counters that are set to 0 now and then, a temperature."""

    def __init__(self) -> None:
        self.chance, self.asked, self.failed = random.Random(7), 0.0, 0.0

    def __call__(self, at: float) -> Iterator[float]:
        chance = self.chance
        self.asked = 0.0 if chance.random() < 0.0005 else self.asked + chance.randrange(20)
        self.failed += chance.random() < 0.1
        yield chance.lognormvariate(-4, 1)
        yield float(chance.random() > 0.02)
        yield self.asked
        yield self.failed
        yield chance.gauss(60, 5)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Three days and a half, with an hour in which nothing was measured; samples of the last day, older ones rolled up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "FOLD_ROWS", 50)
        made, values = Written(tmp_path_factory.mktemp("record")), Values()
        made.run(2 * DAY + 1234, 20, values)
        made.wait(3700)
        made.run(1.5 * DAY, 20, values)
    assert made.count("sample_head") > 0 and made.count("rollup_hour") > 0
    with Record.open(made.directory) as record:
        assert not record.samples(LATENCY.metric, dict(LATENCY.labels), WALL, made.now - 2 * DAY), "raw samples of the first day are gone"
    return made


PERIODS = {
    "all": (0.0, 4 * DAY),
    "the last two days": (2 * DAY, 4 * DAY),
    "a day that is rolled up": (HOUR, DAY + HOUR),
    "the last hours, by the minute": (3.25 * DAY, 4 * DAY),
    "the last minutes, by the moment": (-600.0, 4 * DAY),
}


@pytest.mark.parametrize("name", PERIODS)
def test_figures_are_those_of_the_samples(written: Written, name: str) -> None:
    begin, end = PERIODS[name]
    now = written.now
    period = Period(WALL + begin if begin >= 0 else (now + begin) // 60 * 60, min(WALL + end, now))
    found = {(one["metric"], *sorted(one["labels"].items())): one for one in gather(written.directory, period, written.now)["series"]}
    for series, told in written.told.items():
        one = found[series.metric, *series.labels]
        values = [value for at, value in told if period.since <= at < period.until]
        assert one["count"] == len(values)
        assert one["last"] == values[-1]
        if series in (ASKED, FAILED):
            assert one["increase"] == pytest.approx(sum(after - before if after >= before else after for before, after in pairwise(values)))
            continue
        assert (one["least"], one["most"]) == (min(values), max(values))
        assert one["mean"] == pytest.approx(math.fsum(values) / len(values), rel=1e-12)
        assert sum(count for _, _, count in one["bars"]) == len(values)
        for share, value in one["quantiles"].items():
            assert_is_quantile(value, sorted(values), float(share))


def assert_is_quantile(value: float, values: list[float], share: float) -> None:
    """Within the sketch's stated error of the sample of that rank."""
    rank = share * (len(values) - 1)
    low, high = values[math.floor(rank)], values[math.ceil(rank)]
    assert low * (1 - ACCURACY) - 1e-12 <= value <= high * (1 + ACCURACY) + 1e-12


def test_what_is_told_of_a_service_is_made_of_them(written: Written) -> None:
    period = Period(WALL, written.now)
    (service,) = gather(written.directory, period, written.now)["services"]
    runs = [value for _, value in written.told[SUCCESS]]
    (probe,) = service["probes"]
    assert (probe["probe"], probe["runs"], probe["failed"]) == ("health", len(runs), runs.count(0.0))
    assert probe["failed_share"] == pytest.approx(runs.count(0.0) / len(runs))
    grown = {series: sum(b - a if b >= a else b for (_, a), (_, b) in pairwise(written.told[series])) for series in (ASKED, FAILED)}
    asked = service["requests"]
    assert asked["total"] == pytest.approx(sum(grown.values()))
    assert asked["error_share"] == pytest.approx(grown[FAILED] / sum(grown.values()))
    assert asked["per_second"] == pytest.approx(sum(grown.values()) / (written.now - WALL), rel=1e-3)


def test_what_is_rolled_up_while_it_is_read_is_not_seen_twice(written: Written) -> None:
    with Record.open(written.directory) as record:
        period = Period(WALL, written.now)
        reading = Reading(record, period)
        before = {(one.metric, str(one.labels)): one.buckets for one in reading}
        while written.history.rolling.is_due(written.now + HOUR):
            work(written.connection, written.history, written.now + HOUR, Kept())
        assert {(one.metric, str(one.labels)): one.buckets for one in reading} == before


def test_what_is_folded_while_it_is_read_is_not_seen_twice(tmp_path: Path) -> None:
    made = Written(tmp_path)
    made.run(3000, 20, Values())
    with Record.open(tmp_path) as record:
        reading = Reading(record, Period(WALL, made.now))
        assert (made.count("sample_head"), made.count("sample_chunk")) == (150, 0)
        made.connection.execute("BEGIN")
        made.history.fold(made.now, Kept())
        made.connection.execute("COMMIT")
        assert (made.count("sample_head"), made.count("sample_chunk")) == (0, len(SERIES))
        assert {sum(bucket.count for bucket in one.buckets) for one in reading} == {150}


# ---------------------------------------------------------------- counters
def grow(values: list[float], width: int = HOUR, every: float = 60.0) -> float:
    buckets = roll_up([(number * every, value) for number, value in enumerate(values)], width)
    minutes = roll_up([(number * every, value) for number, value in enumerate(values)], MINUTE)

    def inside(bucket: Bucket) -> list[Bucket]:
        return [one for one in minutes if bucket.at <= one.at < bucket.at + width]

    return sum(find_growth(buckets, inside))


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        ([5.0] * 200, 0.0),
        ([float(number) for number in range(200)], 199.0),
        ([*map(float, range(100)), *map(float, range(50))], 99.0 + 49.0),
        ([*map(float, range(100)), *map(float, range(1, 300))], 99.0 + 299.0),
        ([*map(float, range(70)), *map(float, range(10)), *map(float, range(60))], 69.0 + 9.0 + 59.0),
        ([*map(float, range(20)), *map(float, range(15))], 19.0 + 14.0),
        ([3.0, 1.0], 1.0),
        ([7.0], 0.0),
    ],
    ids=[
        "stands",
        "grows",
        "begins anew",
        "begins anew and goes beyond",
        "begins anew twice in an hour",
        "in its first hour",
        "falls at once",
        "one sample",
    ],
)
def test_how_much_a_counter_grew(values: list[float], grown: float) -> None:
    assert grow(values) == pytest.approx(grown)


def test_a_counter_that_begins_anew_while_only_hours_are_left_loses_no_more_than_what_it_had_grown_in_that_hour() -> None:
    buckets = roll_up([(number * 60.0, float(number % 90)) for number in range(180)], HOUR)
    assert 178 - 30 <= sum(find_growth(buckets, lambda bucket: [])) <= 178


# ---------------------------------------------------------------- an empty one
def test_a_record_in_which_nothing_was_measured_yet(tmp_path: Path) -> None:
    connection, _ = connect(tmp_path / FILE, WALL)
    connection.close()
    doc = gather(tmp_path, Period(WALL, WALL + DAY), WALL + DAY)
    assert (doc["services"], doc["series"], doc["watched"]["seconds"], doc["period"]["measured_since"]) == ([], [], 0.0, None)


def test_values_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    made = Written(tmp_path)
    numbers = iter([math.nan, math.inf, 1.0, 3.0, -math.inf] * 5)
    made.run(1500, 60, lambda at: iter([next(numbers)] * len(SERIES)))
    doc = gather(tmp_path, Period(WALL, made.now), made.now)
    one = next(one for one in doc["series"] if one["metric"] == TEMPERATURE.metric)
    assert (one["count"], one["least"], one["mean"], one["most"]) == (10, 1.0, 2.0, 3.0)
    json.dumps(doc, allow_nan=False)
