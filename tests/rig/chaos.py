"""A test's hold on `chaos_http.py`: starts it as a process of its own, says how it misbehaves, counts what it was asked."""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.rig.waiting import wait_until

SERVER = Path(__file__).with_name("chaos_http.py")


class Chaos:
    """A running endpoint on 127.0.0.1; https with a certificate and key (two PEM files)."""

    def __init__(self, certfile: Path | None = None, keyfile: Path | None = None, port: int = 0) -> None:
        command = [sys.executable, "-I", str(SERVER), str(port), *([str(certfile), str(keyfile)] if certfile else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        ports = self._process.stdout.readline().split()
        assert len(ports) == 2, f"the chaos server did not start (port {port})"
        self.port, self._control = int(ports[0]), int(ports[1])
        self.scheme = "https" if certfile else "http"

    def url(self, path: str = "/health", host: str = "127.0.0.1") -> str:
        """Of a path: /health behaves as `set` says, /MODE in that mode."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    def set(self, mode: str, path: str | None = None) -> None:
        """From now on `path` answers in `mode`, or every path without a setting of its own (all settings are dropped)."""
        query = {"mode": mode, **({"path": path} if path else {})}
        self._ask(f"/_set?{urllib.parse.urlencode(query)}", b"")

    def counts(self) -> dict[str, int]:
        """Requests so far, by path."""
        return dict(self._ask("/_counts"))

    def count(self, path: str = "/health") -> int:
        """Requests of one path so far."""
        return self.counts().get(path, 0)

    def requests(self, path: str | None = None) -> list[dict[str, Any]]:
        """Each request: path, method, headers (names in lower case), at (seconds of CLOCK_MONOTONIC)."""
        return [request for request in self._ask("/_requests") if path in (None, request["path"])]

    def connections(self) -> dict[str, int]:
        """TCP connections: `opened` so far, `open` now."""
        return dict(self._ask("/_connections"))

    def wait_for(self, count: int, path: str = "/health", timeout: float = 10) -> None:
        """Until a path was asked so many times in all."""
        wait_until(lambda: self.count(path) >= count, timeout, lambda: f"{path} was asked {self.count(path)} times, wanted {count}")

    def pause(self) -> None:
        """Freezes the process: the kernel still accepts connections, nobody answers."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Ends `pause`."""
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Ends it; from then on its port refuses."""
        self._process.kill()
        self._process.communicate(timeout=10)

    def _ask(self, path: str, data: bytes | None = None) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._control}{path}", data, timeout=10) as answer:
            return json.load(answer)


def closed_port() -> int:
    """A port on 127.0.0.1 that refuses connections: free a moment ago, given to nobody else in this run of the tests until all others of
    this process's share were, and none that the kernel gives to clients meanwhile (theirs begin at 32768)."""
    while True:
        with socket.socket() as held, contextlib.suppress(OSError):
            held.bind(("127.0.0.1", next(_PORTS)))
            return int(held.getsockname()[1])


def _list_ports() -> Iterator[int]:
    """The share of this process among those that run tests side by side, again and again, from anywhere in it on."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % (20_000 // SHARE)
    share = range(10_000 + SHARE * worker, 10_000 + SHARE * (worker + 1), 2)  # Triton's has a second one beside it
    begin = random.randrange(len(share))
    return itertools.cycle([*share[begin:], *share[:begin]])


SHARE = 2_000
_PORTS = _list_ports()


def wait_open(port: int, timeout: float = 10) -> None:
    """Until somebody listens on a port of 127.0.0.1."""

    def connects() -> bool:
        with socket.socket() as tried:
            tried.settimeout(1)
            return tried.connect_ex(("127.0.0.1", port)) == 0

    wait_until(connects, timeout, f"nobody listens on port {port}")
