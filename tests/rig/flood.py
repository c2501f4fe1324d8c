"""A flood of requests, by wrk: as fast as they are answered, on hundreds of connections at once."""

import json
import re
import subprocess
import time
from itertools import pairwise
from pathlib import Path

from tests.rig.chaos import Chaos
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.prometheus import find_libraries, find_tool
from tests.rig.waiting import wait_until

WRK = find_tool("wrk")
SERVICES = 10
POST = """\
wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["Content-Type"] = "application/json"
"""
SCRIPT = """\
local paths = {%s}
local place = 0
request = function()
  place = place %% #paths + 1
  return wrk.format("GET", paths[place])
end
"""


class Flood:
    """Of these paths in turn. It runs as low in rank as `watchdog web` does beside the daemon: it stands for another machine."""

    def __init__(self, directory: Path, url: str, paths: list[str], seconds: float, connections: int = 400, body: str = "") -> None:
        """With a body (JSON) the first of the paths is posted to."""
        script = directory / "flood.lua"
        script.write_text(POST % body if body else SCRIPT % ", ".join(f'"{path}"' for path in paths))
        url += paths[0] if body else ""
        self.bad = self.answered = 0
        command = ["nice", "-n", "15", str(WRK), "-t2", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(script), url]
        self._began = time.monotonic()
        self._process = subprocess.Popen(command, env=find_libraries(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self) -> float:
        """Waits for its end; requests answered a second. `answered` is then how many that were, `bad` how many of them an error."""
        said, _ = self._process.communicate(timeout=60)
        found = re.search(r"Requests/sec: *([0-9.]+)", said)
        assert found, said
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        self.bad = int(bad[1]) if bad else 0
        self.answered = int(re.findall(r"(\d+) requests in", said)[0])
        return float(found[1])


def watch_endpoints(directory: Path, chaos: Chaos) -> PlainDaemon:
    """A daemon that asks `SERVICES` endpoints once a second, and has found them well."""
    made = PlainDaemon(directory)
    command = '{kind: command, command: ["true"]}'
    probes = [f'{{health: {{kind: http, url: "{chaos.url(f"/s{n}")}", every: 1s}}}}' for n in range(SERVICES)]
    made.configure("services:\n" + "".join(f"  s{n}: {{recovery: {command}, probes: {probe}}}\n" for n, probe in enumerate(probes)))
    made.start()
    wait_until(lambda: _list_states(made) == {"healthy"}, 20, made.log)
    return made


def _list_states(daemon: PlainDaemon) -> set[str]:
    return {service["state"] for service in json.loads(daemon.run("status", "--json", check=False).stdout)["services"]}


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
        self.gap = max(after - before for one in times.values() for before, after in pairwise([*one, time.monotonic()]))
        self.memory = daemon.memory() / 2**20

    def __repr__(self) -> str:
        return f"at most {self.gap:.2f} s between checks, {self.lag:.3f} s late, {self.memory:.1f} MiB"
