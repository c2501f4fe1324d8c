"""What a report costs: `python bench/report.py`, or as a part of bench/run.py. A month of a record that the store's own code wrote."""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model_watchdog import writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE
from model_watchdog.rollups import DAY, Kept
from model_watchdog.transactions import transact, work

Note = Callable[[str, str, str], None]
SRC = Path(__file__).resolve().parents[1] / "src"
SERVICES = 10
STARTED = 1_764_000_000.0 // DAY * DAY


def measure_report(directory: Path, note: Note, days: int = 30) -> None:
    """A report over a month of 60 series every 10 s, as HTML and as JSON, by the clock; its size, and the memory that it takes."""
    write_month(directory, days)
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    for form in ("html", "json"):
        path = directory / f"report.{form}"
        since = time.strftime("%Y-%m-%d", time.localtime(STARTED))
        command = [sys.executable, "-m", "model_watchdog", "--state-dir", str(directory), "report", "--since", since, "-o", str(path)]
        times = []
        for _ in range(3):
            began = time.perf_counter()
            subprocess.run(command, check=True, env=environment, capture_output=True)
            times.append(time.perf_counter() - began)
        grown = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        told = f"{sorted(times)[1]:.1f} s, {path.stat().st_size / 1e6:.1f} MB, {grown:.0f} MiB of memory"
        note(f"report over {days} days of 60 series @ 10 s, as {form}", told, "≤ 5 s, ≤ 5 MB")


def write_month(directory: Path, days: int, every: float = 10.0) -> None:
    """Ten services of six series each, over so many days, with an outage, an alert that comes and goes, and a latency that creeps up."""
    connection, _ = connect(directory / FILE, STARTED)
    history, chance = History(connection), random.Random(1)
    series = [list_series(number) for number in range(SERVICES)]
    end, now, tick = STARTED + days * DAY, STARTED, 0
    while now < end:
        samples = [
            Sample(one, value, now - STARTED + 1000.0)
            for number, of_one in enumerate(series)
            for one, value in zip(of_one, make_values(number, now, tick, chance), strict=True)
        ]
        transact(connection, history, [writes.samples("boot", STARTED - 1000.0, samples), *happen(tick, now)])
        while history.has_work(now):
            work(connection, history, now, Kept())
        now, tick = now + every, tick + 1
    rule = {"rule": "gpu-busy", "service": None, "severity": "warning", "metric": "gpu_utilization_percent", "above": 95}
    rule |= {
        "selector": "gpu_utilization_percent",
        "below": None,
        "sigma": None,
        "window": None,
        "then": "alert",
        "for": None,
        "times": 1,
        "keep_firing_for": None,
    }
    transact(connection, history, [writes.setting("levels", json.dumps([rule]))])
    transact(connection, history, [writes.daemon_info(json.dumps({"language": "en"}), end)])
    for number in range(SERVICES):
        transact(connection, history, [writes.service_status(f"model-{number}", json.dumps({"name": f"model-{number}"}), end)])
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def list_series(number: int) -> list[SeriesId]:
    labels = {"service": f"model-{number}", "probe": "health"}
    mine = [SeriesId.of(name, labels) for name in ("probe_success", "probe_duration_seconds")]
    mine += [SeriesId.of(name, {"service": f"model-{number}"}) for name in ("service_memory_bytes", "http_requests_total")]
    gpu = {"gpu": f"{number}", "uuid": f"GPU-{number}"}
    return [*mine, SeriesId.of("gpu_utilization_percent", gpu), SeriesId.of("gpu_memory_percent", gpu)]


def make_values(number: int, now: float, tick: int, chance: random.Random) -> tuple[float, ...]:
    """Is it well, how long it took, its memory (which grows, of the first), its requests, and its GPU's use and memory."""
    day = (now - STARTED) / DAY
    busy = 0.5 + 0.4 * ((now % DAY) / DAY)
    took = chance.lognormvariate(-5.5, 0.3) * (1 + 0.02 * day * (number == 1))
    memory = 8e9 + (2e7 * day * 10 if number == 0 else 0.0) + chance.gauss(0, 1e6)
    used = min(100.0, max(0.0, chance.gauss(100 * busy, 8)))
    return float(not is_down(number, tick)), took, memory, float(tick * 12 + number), round(used, 1), round(60 + 5 * busy, 1)


def is_down(number: int, tick: int) -> bool:
    return number == 2 and tick % 25_000 in range(12_000, 12_030)


def happen(tick: int, now: float) -> Iterator[writes.Write]:
    """The events of it."""
    if tick == 0:
        yield writes.event(now, None, "daemon_started", None, "model-watchdog watches 10 services")
        for number in range(SERVICES):
            yield writes.event(now, f"model-{number}", "healthy", None, "all probes are good")
    phase, incident = tick % 25_000 - 12_000, 100 + tick // 25_000
    if phase == 2:
        yield writes.incident_open(incident, "model-2", now, "health timed out 3 times")
        yield writes.event(now, "model-2", "unhealthy", "health_timeout", "health timed out 3 times", incident)
        yield writes.event(now, "model-2", "incident_opened", "health_timeout", "health timed out 3 times", incident)
        yield writes.event(now, "model-2", "restart_started", "health_timeout", "restart 1 of 3: started", incident)
        yield writes.restart_intent(incident, "model-2", now, "watchdog", "health_timeout", "health timed out 3 times")
    if phase == 30:
        yield writes.event(now, "model-2", "healthy", None, "all probes are good", incident)
        yield writes.restart_result(incident, "recovered", "well again after 5 min", now)
        yield writes.incident_close(incident, now)
    if tick % 5000 in (100, 106):
        word, matter = ("alert_fired", "alert_resolved")[tick % 5000 == 106], 'gpu-busy gpu_utilization_percent{gpu="3", uuid="GPU-3"}'
        yield writes.event(now, None, word, None, 'gpu_utilization_percent{gpu="3", uuid="GPU-3"} is 96, above 95', None, matter)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measure_report(Path(name), lambda what, measured, reach: print(f"{what}: {measured}   {reach}", flush=True))
