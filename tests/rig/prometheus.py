"""A real Prometheus on this machine, with samples of the test's own, to compare with."""

import json
import os
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

from tests.rig.waiting import wait_until

UNPACKED = Path(__file__).resolve().parents[2] / ".venv" / "prometheus" / "usr"
Result = list[tuple[dict[str, str], float]]


def find_tool(name: str) -> str | None:
    """`prometheus`, `promtool`, `haproxy`, `wrk`: the one that is installed, or the one that scripts/setup has unpacked."""
    unpacked = [UNPACKED / place / name for place in ("bin", "sbin")]
    return shutil.which(name) or next((str(path) for path in unpacked if path.exists()), None)


def find_libraries() -> dict[str, str]:
    """The environment in which an unpacked program finds the libraries that were unpacked with it."""
    found = [*(UNPACKED / "lib").glob("*-linux-gnu")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, found))} if found else dict(os.environ)


class Running:
    """A server of the test's own, and its log."""

    def __init__(self, directory: Path, port: int, *command: str | Path) -> None:
        self.url, self._log = f"http://127.0.0.1:{port}", directory / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        try:
            wait_until(self._is_ready, 30, self.read_log)
        except AssertionError:
            self.stop()
            raise

    def get(self, path: str, **asked: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(asked)}", timeout=20) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        try:
            found = self.get("/api/v1/query", query=expression)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        assert found["resultType"] == "vector", expression
        return list(found["result"])

    def read_log(self) -> str:
        return self._log.read_text()[-4000:]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.read_log()
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False


def find_templates(program: str) -> list[str]:
    """The command line of Debian's Alertmanager, which looks for its templates in /usr/share: where it is only unpacked, in a view of
    the file system of its own, with what was unpacked laid over it."""
    share = Path(program).parents[1] / "share"
    if share == Path("/usr/share"):
        return [program]
    script = 'mount -t overlay -o lowerdir="$1:/usr/share" overlay /usr/share && shift && exec "$@"'
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script, "sh", str(share)]
    if (tried := subprocess.run([*alone, "true"], capture_output=True, text=True, timeout=10)).returncode != 0:
        raise AssertionError(f"Alertmanager is only unpacked, and cannot be given its templates: {tried.stderr.strip()}")
    return [*alone, program]


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
