"""A real Prometheus on this machine, with samples of the test's own, to compare with."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "prometheus" / "usr" / "bin"
Result = list[tuple[dict[str, str], float]]


def find_tool(name: str) -> str | None:
    """`prometheus` or `promtool`: the one that is installed, or the one that scripts/setup has unpacked."""
    unpacked = UNPACKED / name
    return shutil.which(name) or (str(unpacked) if unpacked.exists() else None)


class Refused(Exception):
    """Prometheus does not answer a query; `status` is 400 for one that is none, 422 for one that cannot be evaluated."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


class Prometheus:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, expression: str, at: float) -> Result | float | str:
        """The result of an instant query: a vector, a number, or a text."""
        body = urllib.parse.urlencode({"query": expression, "time": f"{at:.3f}"}).encode()
        answer = self._request("/api/v1/query", body)["data"]
        if answer["resultType"] == "vector":
            return [(series["metric"], float(series["value"][1])) for series in answer["result"]]
        return float(answer["result"][1]) if answer["resultType"] == "scalar" else str(answer["result"][1])

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _request(self, path: str, body: bytes) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.loads(error.read())["error"]) from None


@contextmanager
def serving(directory: Path, openmetrics: str) -> Iterator[Prometheus]:
    """A server whose samples are those of a page in OpenMetrics' text format, each with its time."""
    page, blocks = directory / "page", directory / "data"
    page.write_text(openmetrics)
    promtool, server = find_tool("promtool"), find_tool("prometheus")
    assert promtool and server
    made = subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", page, blocks], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stdout + made.stderr
    (directory / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [server, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={blocks}", "--storage.tsdb.retention.time=100y"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with (directory / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        prometheus = Prometheus(port)
        deadline = time.monotonic() + 20
        while not prometheus.is_ready():
            assert running.poll() is None and time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.05)
        yield prometheus
    finally:
        running.terminate()
        running.wait(20)
