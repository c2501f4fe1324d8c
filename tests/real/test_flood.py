"""`watchdog web` flooded, its sockets filled, killed: nothing of it is felt by the daemon beside it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.chaos import Chaos
from tests.rig.flood import WRK, Flood, Seen, watch_endpoints
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.waiting import wait_until
from tests.rig.web import Web

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(WRK is None, reason="no wrk on this machine: scripts/setup test unpacks one"),
]
SECONDS = 6.0
PATHS = ["/", "/metrics?scrape=1", "/api/v1/status", "/ready/s0", "/api/v1/incidents", "/static/app.js", "/api/v1/timeline", "/nowhere"]


@pytest.fixture
def daemon(tmp_path: Path, chaos: Chaos) -> Iterator[PlainDaemon]:
    made = watch_endpoints(tmp_path, chaos)
    yield made
    made.stop()


def test_a_flood_of_the_page_changes_nothing_in_the_daemon(daemon: PlainDaemon, chaos: Chaos, tmp_path: Path) -> None:
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
