"""What a day of samples costs in the record: bytes, processor time for each tick, and how long the history of one series takes to read."""

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from model_watchdog import writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE, Record
from model_watchdog.rollups import Kept
from model_watchdog.store import Pending, transact, work

EVERY, DAY = 10.0, 86_400.0
DIFFERENCE = 1_764_000_000.0
METRICS = ("probe_success", "probe_duration_seconds", "service_cpu_percent", "unit_cpu_seconds_total")
"""A constant, a noisy time, a rounded share, a counter: a quarter of the series each."""


def measure_day(directory: Path, count: int, note: Callable[[str, str, str], None]) -> None:
    """So many series every 10 s for a day, through the code that the daemon uses."""
    connection, _ = connect(directory / FILE, 0.0)
    history, chance, spent, folds = History(connection), random.Random(1), 0.0, [0.0]
    for tick in range(int(DAY / EVERY)):
        samples = [make_sample(number, tick, chance) for number in range(count)]
        began = time.process_time()
        pending = Pending()
        pending.add(writes.samples("boot", DIFFERENCE, samples))
        transact(connection, history, pending)
        spent += time.process_time() - began
        now = DIFFERENCE + samples[0].at
        while history.has_work(now):
            began = time.process_time()
            work(connection, history, now, Kept(10 * DAY))
            folds.append(time.process_time() - began)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size, ticks = (directory / FILE).stat().st_size, DAY / EVERY
    per_tick = (spent + sum(folds)) / ticks
    what = f"{count} series @ 10 s in the record"
    note(what, f"{size / 1e6:.1f} MB a day, {size / count / 1000:.0f} kB a series and day", "≤ 15 MB a day" if count == 60 else "")
    cost = f"{per_tick * 1e6:.0f} µs, {per_tick / EVERY:.4%} of a core; longest step {max(folds) * 1000:.0f} ms"
    note(f"{what}: a tick", cost, "≤ 0.05 % of a core")
    with Record.open(directory) as record:
        times = []
        for number in range(1, min(count, 40), 4):
            began = time.perf_counter()
            read = record.samples(METRICS[number % 4], labels_of(number), DIFFERENCE, DIFFERENCE + DAY)
            times.append((time.perf_counter() - began) * 1000)
            assert len(read) == ticks
    note(f"{what}: a day of one series read", f"median {statistics.median(times):.0f} ms", "≤ 50 ms")


def labels_of(number: int) -> dict[str, str]:
    return {"service": f"model-{number // 4}", "probe": "health"}


def make_sample(number: int, tick: int, chance: random.Random) -> Sample:
    value = (1.0, chance.gauss(0.004, 0.001), round(chance.gauss(50, 3), 1), float(tick * 123_456 + number))[number % 4]
    return Sample(SeriesId.of(METRICS[number % 4], labels_of(number)), value, tick * EVERY + chance.random() * 0.01 + number * 1e-4)
