"""What `watchdog web` costs over a month of 500 series, and what a flood of it costs the daemon."""

import http.client
import json
import os
import random
import sqlite3
import statistics
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from bench.measuring import resident_mib
from bench.record import DAY, EVERY, METRICS
from model_watchdog import writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.database import connect
from model_watchdog.history import History
from model_watchdog.record import FILE
from model_watchdog.rollups import HOUR, MINUTE, Kept, merge, pack, roll_up
from model_watchdog.store import Pending, transact, work
from tests.rig import browser
from tests.rig.chaos import Chaos
from tests.rig.flood import WRK, Flood, Seen, watch_endpoints
from tests.rig.web import Web

Note = Callable[[str, str, str], None]
SERIES, SERVICES, DAYS, MORE = 500, 20, 30, 1500
"""A month of so many series, of so many services; and besides so many that have samples of the last ten minutes, for /metrics."""
PATTERNS = 8
"""So many series differ; the others of the days before the last look like one of them, for each costs half a minute to make."""
EVENTS, INCIDENTS = 5000, 300
BOOT = "boot"


def label(number: int) -> SeriesId:
    return SeriesId.of(METRICS[number % 4], {"service": f"model-{number % SERVICES}", "probe": f"health-{number // SERVICES}"})


def make_value(number: int, tick: int, chance: random.Random) -> float:
    return (1.0, chance.gauss(0.004, 0.001), round(chance.gauss(50, 3), 1), float(tick * 123_456 + number))[number % 4]


def make_month(directory: Path, now: float) -> None:
    """The last day through the code that the daemon uses, sample by sample; the days before as the rollups that it would have left."""
    connection, _ = connect(directory / FILE, now)
    history, chance = History(connection), random.Random(1)
    names, more = [label(number) for number in range(SERIES)], [label(SERIES + number) for number in range(MORE)]
    begin, kept = now // HOUR * HOUR - DAY, Kept()
    for tick in range(int((now - begin) / EVERY)):
        at = tick * EVERY
        samples = [Sample(series, make_value(number, tick, chance), at) for number, series in enumerate(names)]
        if begin + at > now - 600:
            samples += [Sample(series, chance.random(), at) for series in more]
        pending = Pending()
        pending.add(writes.samples(BOOT, begin, samples))
        transact(connection, history, pending)
        while history.has_work(begin + at):
            work(connection, history, begin + at, kept)
    numbers = [row[0] for row in connection.execute("SELECT id FROM series ORDER BY id LIMIT ?", (SERIES,))]
    with connection:
        connection.execute("BEGIN")
        for pattern in range(PATTERNS):
            _add_days(connection, [number for number in numbers if number % PATTERNS == pattern], pattern, begin, chance)
        _add_events(connection, now, chance)
        _add_status(connection, now)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _add_days(connection: sqlite3.Connection, numbers: list[int], pattern: int, until: float, chance: random.Random) -> None:
    """Hour by hour, for all series that look alike."""
    tick = count()
    hours = []
    for at in range(int(until - (DAYS - 1) * DAY), int(until), HOUR):
        samples = [(at + second, make_value(pattern, next(tick), chance)) for second in range(0, HOUR, int(EVERY))]
        minutes = roll_up(samples, MINUTE)
        data = pack(minutes)
        connection.executemany("INSERT OR IGNORE INTO rollup_minute (series, at, data) VALUES (?, ?, ?)", [(n, at, data) for n in numbers])
        hours += merge(minutes, HOUR)
    for day in sorted({int(hour.at // DAY * DAY) for hour in hours}):
        data = pack([hour for hour in hours if hour.at // DAY * DAY == day])
        connection.executemany("INSERT OR IGNORE INTO rollup_hour (series, at, data) VALUES (?, ?, ?)", [(n, day, data) for n in numbers])


def _add_events(connection: sqlite3.Connection, now: float, chance: random.Random) -> None:
    query = "INSERT INTO event (at, service, event, cause, reason, incident, matter) VALUES (?, ?, ?, NULL, ?, NULL, ?)"
    kinds = ("alert_fired", "alert_resolved", "restart_started", "recovered", "healthy")
    for number, at in enumerate(sorted(now - chance.random() * DAYS * DAY for _ in range(EVENTS))):
        series = label(number % SERIES)
        service = dict(series.labels)["service"]
        connection.execute(query, (at, service, kinds[number % 5], f"probe_duration_seconds is {number}, above 1", f"slow {series}"))
    for number, at in enumerate(sorted(now - chance.random() * DAYS * DAY for _ in range(INCIDENTS)), 1):
        row = (number, f"model-{number % SERVICES}", at, "health: connection refused 3 times", at + 60 * chance.random())
        connection.execute("INSERT INTO incident (id, service, opened_at, reason, closed_at) VALUES (?, ?, ?, ?, ?)", row)


def _add_status(connection: sqlite3.Connection, now: float) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 3600))
    quiet = {"cause": None, "paused_until": None, "unit_state": None, "probes": [], "unit": None, "since": since, "reason": "all is well"}
    quiet |= {"breaker": {"state": "closed", "failures": 0, "restarts": 0, "retry_at": None}}
    quiet |= {"recovery": {"phase": "idle", "last_restart_at": None, "last_result": None}, "state": "healthy"}
    for number in range(SERVICES):
        row = (f"model-{number}", now, json.dumps({**quiet, "name": f"model-{number}"}))
        connection.execute("INSERT INTO service_status (name, at, json) VALUES (?, ?, ?)", row)
    host = [{"metric": "host_cpu_percent", "labels": {}, "value": 34.0, "at": since}]
    connection.execute("INSERT INTO host (id, at, json) VALUES (1, ?, ?)", (now, json.dumps(host)))
    connection.execute(
        "INSERT INTO daemon (id, at, json) VALUES (1, ?, ?)", (now, json.dumps({"mode": "active", "version": "0", "pid": 1}))
    )


def measure_page(note: Note) -> None:
    """Answers, the first paint, and memory."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        began = time.monotonic()
        make_month(directory, time.time())
        size = (directory / FILE).stat().st_size / 1e6
        what = f"`watchdog web` over a month of {SERIES} series ({size:.0f} MB)"
        print(f"  (the record took {time.monotonic() - began:.0f} s)", flush=True)
        with _serving(directory) as web:
            note(f"{what}: memory before it is asked", f"{resident_mib(web.process.pid):.0f} MiB", "")
            note(f"{what}: /", _tell(_time(web, lambda n: "/", pause=0.6)), "≤ 100 ms")
            for span, reach in (("30d", "≤ 50 ms"), ("7d", ""), ("24h", ""), ("1h", "")):
                note(f"{what}: {span} of a series", _tell(_time(web, lambda n, span=span: trend(n, span))), reach)  # type: ignore[misc]
            note(f"{what}: timeline of 30 days", _tell(_time(web, lambda n: "/api/v1/timeline?since=30d")), "")
            note(f"{what}: incidents of 30 days", _tell(_time(web, lambda n: "/api/v1/incidents?since=30d")), "")
            _time(web, lambda n: "/metrics")
            note(f"{what}: /metrics with {SERIES + MORE} series", _tell(_time(web, lambda n: "/metrics", pause=0.6)), "≤ 20 ms")
            if browser.PROGRAM:
                note(f"{what}: first paint after the answer", _tell(_paint(web, directory)), "≤ 300 ms")
            if WRK is not None:
                paths = [trend(number, "30d") for number in range(40)] + ["/", "/metrics", "/api/v1/timeline?since=30d"]
                rate = Flood(directory, web.url, paths, 8, connections=64).finish()
                note(
                    f"{what}: memory in a flood of its charts", f"{resident_mib(web.process.pid):.0f} MiB ({rate:.0f} a second)", "≤ 70 MiB"
                )


def trend(number: int, span: str) -> str:
    series = label(number * 7 % SERIES)
    asked = {"metric": series.metric, "labels": json.dumps(dict(series.labels)), "since": span}
    return f"/api/v1/trend?{urllib.parse.urlencode(asked)}"


@contextmanager
def _serving(directory: Path) -> Iterator[Web]:
    web = Web(directory)
    try:
        yield web
    finally:
        web.close()


def _time(web: Web, choose: Callable[[int], str], pause: float = 0.0, rounds: int = 15) -> list[float]:
    """Milliseconds of each request on a kept connection; with a pause nothing is there from the one before."""
    times = []
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    for number in range(rounds):
        time.sleep(pause)
        began = time.perf_counter()
        connection.request("GET", choose(number))
        answer = connection.getresponse()
        body = answer.read()
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, body
    connection.close()
    return times


def _paint(web: Web, directory: Path) -> list[float]:
    """Milliseconds from the last byte of the page to what is first painted of it."""
    page, times = browser.Browser(directory / "profile"), []
    try:
        for _ in range(5):
            page.open("about:blank")
            page.open(web.url)
            page.wait("performance.getEntriesByName('first-paint').length > 0 && !!document.querySelector('#services td')")
            painted = "performance.getEntriesByName('first-paint')[0].startTime"
            times.append(float(page.evaluate(f"{painted} - performance.getEntriesByType('navigation')[0].responseEnd")))
    finally:
        page.close()
    return times


def _tell(times: list[float]) -> str:
    return f"median {statistics.median(times):.0f}, max {max(times):.0f} ms"


def measure_flood(note: Note) -> None:
    """The page flooded beside a running daemon."""
    if WRK is None:
        return
    with tempfile.TemporaryDirectory() as place:
        chaos = Chaos()
        daemon = watch_endpoints(Path(place), chaos)
        web = Web(daemon.state, runtime=daemon.runtime)
        os.setpriority(os.PRIO_PROCESS, web.process.pid, 15)  # its unit has a tenth of the daemon's weight
        quiet = Seen(daemon, chaos, 8)
        flood = Flood(Path(place), web.url, ["/", "/metrics", "/api/v1/status", "/ready/s0", "/static/app.js"], 11)
        flooded = Seen(daemon, chaos, 8)
        rate = flood.finish()
        web.close()
        daemon.stop()
        chaos.stop()
    note(f"the page flooded on 400 connections ({rate:.0f} answers a second): the daemon", f"{flooded}; before: {quiet}", "no change")
