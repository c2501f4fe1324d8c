"""`watchdog web` flooded, its sockets filled, killed: nothing of it is felt by the daemon beside it."""

import json
import os
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.rig.chaos import Chaos
from tests.rig.flood import WRK, Flood
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.waiting import wait_until
from tests.rig.web import Web

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(WRK is None, reason="no wrk on this machine: scripts/setup test unpacks one"),
]
SERVICES, SECONDS = 10, 6.0
PATHS = ["/", "/metrics?scrape=1", "/api/v1/status", "/ready/s0", "/api/v1/incidents", "/static/app.js", "/api/v1/timeline", "/nowhere"]


@pytest.fixture
def daemon(tmp_path: Path, chaos: Chaos) -> Iterator[PlainDaemon]:
    """It asks ten services once a second."""
    made = PlainDaemon(tmp_path)
    command = '{kind: command, command: ["true"]}'
    probes = [f'{{health: {{kind: http, url: "{chaos.url(f"/s{n}")}", every: 1s}}}}' for n in range(SERVICES)]
    made.configure("services:\n" + "".join(f"  s{n}: {{recovery: {command}, probes: {probe}}}\n" for n, probe in enumerate(probes)))
    made.start()
    yield made
    made.stop()


class Seen:
    """What the daemon does in a while: the longest time between two checks of a service, how late its loop was at most, its memory."""

    def __init__(self, daemon: PlainDaemon, chaos: Chaos, seconds: float) -> None:
        began = time.monotonic()
        self.lag = 0.0
        while time.monotonic() < began + seconds:
            doc = json.loads(daemon.run("status", "--json", check=False).stdout)
            assert doc["daemon"]["running"] and {service["state"] for service in doc["services"]} == {"healthy"}, doc["services"]
            values = {metric["metric"]: metric["value"] for metric in doc["host"]["metrics"]}
            self.lag = max(self.lag, values.get("watchdog_tick_lag_seconds", 0.0))
            time.sleep(0.5)
        times: dict[str, list[float]] = {}
        for request in chaos.requests():
            if began - 1.5 < request["at"]:
                times.setdefault(request["path"], []).append(request["at"])
        assert len(times) == SERVICES
        self.gap = max(after - before for one in times.values() for before, after in pairwise([*one, time.monotonic()]))
        self.memory = daemon.memory() / 2**20

    def __repr__(self) -> str:
        return f"at most {self.gap:.2f} s between checks, {self.lag:.3f} s late, {self.memory:.1f} MiB"


def test_a_flood_of_the_page_changes_nothing_in_the_daemon(daemon: PlainDaemon, chaos: Chaos, tmp_path: Path) -> None:
    def is_well() -> bool:
        doc = json.loads(daemon.run("status", "--json", check=False).stdout)
        return {service["state"] for service in doc["services"]} == {"healthy"}

    wait_until(is_well, 20, daemon.log)
    web = Web(daemon.state, runtime=daemon.runtime)
    os.setpriority(os.PRIO_PROCESS, web.process.pid, 15)  # its unit has a tenth of the daemon's weight
    assert web.ask("/")[0] == 200
    quiet = Seen(daemon, chaos, SECONDS)

    flood = Flood(tmp_path, web.url, PATHS, SECONDS + 1)
    flooded = Seen(daemon, chaos, SECONDS)
    size = web.memory() / 2**20
    answered = flood.finish()

    idle = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(600)]
    for connection in idle[:300]:
        connection.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    filled = Seen(daemon, chaos, 3)
    for connection in idle:
        connection.close()
    wait_until(lambda: web.ask("/healthz")[0] == 200, 10)

    web.process.kill()
    killed = Seen(daemon, chaos, 3)

    print(f"{answered:.0f} requests a second, {size:.1f} MiB; {quiet=} {flooded=} {filled=} {killed=}")
    assert answered > 100
    assert size < 70
    for seen in (flooded, filled, killed):
        assert seen.gap < quiet.gap + 0.5, (quiet, seen)
        assert seen.lag < quiet.lag + 0.25, (quiet, seen)
        assert seen.memory < quiet.memory + 1.5, (quiet, seen)
