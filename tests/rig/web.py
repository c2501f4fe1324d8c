"""A real `watchdog web` on a port of its own, asked over real HTTP."""

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

SRC = Path(__file__).resolve().parents[2] / "src"


class Web:
    """A `watchdog web` over the record in a directory; the daemon's runtime directory is `run` in it, or another one."""

    def __init__(self, directory: Path, *options: str, runtime: Path | None = None) -> None:
        self.directory = directory
        command = [
            sys.executable,
            "-m",
            "model_watchdog",
            "--state-dir",
            str(directory),
            "--runtime-dir",
            str(runtime or directory / "run"),
            "web",
        ]
        environment = {**os.environ, "PYTHONPATH": str(SRC)}
        listen = () if "--listen" in options else ("--listen", "127.0.0.1:0")
        self.process = subprocess.Popen(
            [*command, *listen, *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        assert self.said.startswith("watchdog web: "), self.process.communicate()
        self.url = self.said.split()[-1].rstrip("/")
        self.port = int(self.url.rpartition(":")[2])

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text

    def json(self, path: str) -> Any:
        status, _, text = self.ask(path)
        assert status == 200, text
        return json.loads(text)

    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        _, error = self.process.communicate(timeout=10)
        assert "Traceback" not in error, error
