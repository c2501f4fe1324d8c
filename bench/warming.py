"""What it costs a new daemon to learn from the record what its expressions look back on: `python bench/warming.py`."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model_watchdog import writes
from model_watchdog.clock import Clock
from model_watchdog.config.loading import load_here_leniently
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.feeding import Feed
from model_watchdog.history import History
from model_watchdog.record import FILE
from model_watchdog.rollups import Kept
from model_watchdog.store import Store
from model_watchdog.warming import Warming

Note = Callable[[str, str, str], None]
SERVICES, EVERY, BACK = 100, 10, 3600
METRICS = ("probe_success", "probe_duration_seconds", "service_cpu_percent", "latency", "errors_total", "unit_active")
SERVICE = """\
  m{number}:
    unit: m{number}
    probes:
      health: {{kind: http, url: "http://127.0.0.1:1/h"}}
      page: {{kind: scrape, url: "http://127.0.0.1:1/m", keep: [latency, errors_total]}}
    rules:
      a: {{expr: 'avg_over_time(probe_duration_seconds[1h]) > 5', for: 1m}}
      b: {{expr: 'increase(errors_total[1h]) > 5', for: 1m}}
      c: {{expr: 'avg_over_time(latency[30m]) > 5', for: 1m}}
"""


def measure_warming(directory: Path, note: Note) -> None:
    """A hundred services with three expressions each, which look back for up to an hour."""
    clock = Clock()
    _write_record(directory, clock)
    (directory / "config.yaml").write_text("services:\n" + "".join(SERVICE.format(number=number) for number in range(SERVICES)))
    config = load_here_leniently(directory / "config.yaml")
    store, feed = Store.open(directory / FILE), Feed(clock.steady, clock.wall)
    feed.follow(config.needs)
    began = time.perf_counter()
    warming = Warming(store, clock, feed, config, 5.0)
    at_once = time.perf_counter() - began
    took, longest = asyncio.run(_load(warming, config))
    store.close()
    assert feed.memory is not None
    what = f"the past of {3 * SERVICES} expressions of {SERVICES} services, {len(feed.memory)} series, from the record"
    measured = f"{at_once * 1000:.1f} ms; {took:.2f} s; {longest * 1000:.0f} ms"
    note(f"{what}: the start waits; it is there after; the loop is held up for at most", measured, "≤ 100 ms")


async def _load(warming: Warming, config: object) -> tuple[float, float]:
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - began - 0.005)

    beating = asyncio.ensure_future(beat())
    began = time.perf_counter()
    await warming.load(config)  # type: ignore[arg-type]
    beating.cancel()
    return time.perf_counter() - began, longest


def _write_record(directory: Path, clock: Clock) -> None:
    connection, _ = connect(directory / FILE, 0.0)
    history, now = History(connection), clock.steady()
    for ago in range(BACK, 0, -EVERY):
        samples = [
            Sample(SeriesId.of(metric, {"service": f"m{number}"}), 1.0 + ago % 7, now - ago)
            for number in range(SERVICES)
            for metric in METRICS
        ]
        with connection:
            history.append(writes.samples("boot", clock.to_wall(0.0), samples))
            if history.is_due():
                history.fold(clock.wall(), Kept(86_400.0))
    connection.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measure_warming(Path(name), lambda what, measured, reach: print(f"{what}: {measured}   {reach}", flush=True))
