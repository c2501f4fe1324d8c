"""The services of examples/ under a flood of requests, with the daemon beside them: they serve, they shed, and neither is restarted."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rig.chaos import closed_port, wait_open
from tests.rig.flood import WRK, Flood
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ("fastapi_service", "script_service")
FAST = {"every": "500ms", "timeout": "400ms", "retry_every": "500ms"}
SECONDS, CONNECTIONS = 4.0, 16
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(WRK is None, reason="no wrk on this machine: scripts/setup test unpacks one"),
]


class Example:
    """One of them as a process, and a daemon that watches it as the YAML beside it says, but for addresses and times."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.port = directory, closed_port()
        self.log, self._mode = directory / "service.log", directory / "mode"
        self.set("ok")
        (self.written,) = yaml.safe_load((ROOT / f"examples/{name}.yaml").read_text())["services"].values()
        self.path = "/" + self.written["probes"]["canary"]["url"].rpartition("/")[2]
        script = [str(ROOT / "tests/rig/faulty_service.py"), str(ROOT / f"examples/{name}.py"), str(self._mode)]
        with (directory / "output").open("wb") as output:
            command = [sys.executable, *script, "--port", str(self.port), "--log", str(self.log)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_open(self.port, 30)
        self.daemon = PlainDaemon(directory)
        self.daemon.configure(json.dumps({"services": {"model": self._describe()}}))
        self.daemon.start()
        wait_until(lambda: self.state() == "healthy", 20, self.daemon.log)

    def _describe(self) -> dict[str, Any]:
        service = json.loads(re.sub(r":800\d/", f":{self.port}/", json.dumps(self.written)))
        del service["unit"]
        service["probes"]["log"]["path"] = str(self.log)
        for probe in service["probes"].values():
            probe |= FAST
        for rule in service["rules"].values():
            rule |= {"over": "2s"} if "over" in rule else {}
        recovery = {"kind": "command", "command": ["true"], "stable": "1s"}
        return {**service, "startup": "15s", "recovery": recovery, "probes": {**service["probes"], "health": FAST}}

    def set(self, mode: str) -> None:
        self._mode.write_text(mode)

    def state(self) -> str:
        return str(json.loads(self.daemon.run("status", "--json", check=False).stdout)["services"][0]["state"])

    def flood(self) -> Flood:
        canary = self.written["probes"]["canary"]
        return Flood(self.directory, f"http://127.0.0.1:{self.port}", [self.path], SECONDS, CONNECTIONS, json.dumps(canary["body"]))

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def count(self, metric: str) -> float:
        """The sum of its series; of those of one path, where they have one."""
        page = [line for line in self.ask("/metrics")[1].splitlines() if re.match(rf"{metric}[ {{]", line)]
        return sum(float(line.rpartition(" ")[2]) for line in page if "path=" not in line or f'path="{self.path}"' in line)

    def memory(self) -> float:
        """Resident MiB."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) / 256

    def close(self) -> None:
        self.daemon.stop()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Example]:
    made = Example(tmp_path, request.param)
    yield made
    made.close()


def watch(example: Example, flood: Flood) -> tuple[float, set[str]]:
    """Requests a second, and the states that were seen meanwhile."""
    states, end = set(), time.monotonic() + SECONDS
    while time.monotonic() < end:
        states.add(example.state())
        assert example.ask("/healthz")[0] == 200, "it gets on"
    return flood.finish(), states


def test_an_example_serves_under_load_and_sheds_it_when_its_model_fails(example: Example) -> None:
    watch(example, example.flood())  # warm
    size, answered = example.memory(), example.count("http_requests_total")
    flood = example.flood()
    rate, states = watch(example, flood)
    assert flood.bad == 0 and rate > 20, (rate, flood.bad)
    assert states <= {"healthy", "busy"}, states
    assert example.count("http_requests_total") - answered == pytest.approx(flood.answered, abs=20 + CONNECTIONS), "all are counted"
    assert example.memory() < size + 10, "it does not grow with what it is asked"
    written = [json.loads(line) for line in example.log.read_text().splitlines()]
    assert sum(line.get("status") == "success" for line in written) >= flood.answered

    example.set("fail")
    shed = example.count("requests_shed_total")
    failing = example.flood()
    watch(example, failing)
    assert failing.bad == failing.answered > 0, "none can be served"
    failed = sum(json.loads(line).get("status") == "failed" for line in example.log.read_text().splitlines())
    assert 5 <= failed <= 20 + 2 * CONNECTIONS, "the model is left alone"
    assert example.count("requests_shed_total") - shed > failing.bad - failed - CONNECTIONS - 60
    restarts = [event for event in example.daemon.lines("events") if event["event"].startswith("restart")]
    assert restarts == [], "what is turned away counts for nothing"
