"""What the demo sets up and takes down: the service, the daemon that watches it, and somebody who is told."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from model_watchdog.demo import service
from model_watchdog.demo.sink import Sink
from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record


class Stage:
    """A temporary directory with everything in it; `close` leaves nothing behind. `spoil` breaks one leg on purpose."""

    def __init__(self, spoil: str = "") -> None:
        self.spoil = spoil
        self.directory = Path(tempfile.mkdtemp(prefix="watchdog-demo-"))
        self.port = free_port()
        self.unit = f"watchdog-demo-{os.getpid()}.service"
        self.messages: list[dict[str, Any]] = []
        self._sink: Sink | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._page: subprocess.Popen[bytes] | None = None
        self.page = ""  # its address
        self._seen = 0
        self.set_mode("ok")
        self.uses_systemd = self._start_as_unit()
        if not self.uses_systemd:
            service.restart(self.directory, self.port)

    def set_mode(self, mode: str) -> None:
        (self.directory / "mode").write_text(mode)

    def starts(self) -> int:
        """How many times the service was started, by its own count."""
        path = self.directory / "starts"
        return len(path.read_text().split()) if path.exists() else 0

    def is_answering(self) -> bool:
        """Asks /health, as any client would."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
                return b" 200 " in connection.recv(64)
        except OSError:
            return False

    def kill(self) -> None:
        pid = service.newest_pid(self.directory)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def hang(self) -> None:
        """From now on the process that runs answers nobody; its successor will."""
        self.set_mode(f"hang {service.newest_pid(self.directory)}")

    def start_sink(self) -> str:
        """Somebody who is told, and where (host:port/path). Spoilt, nobody listens there."""
        if self.spoil == "sink":
            return f"127.0.0.1:{free_port()}"
        self._sink = Sink()
        self.messages = self._sink.messages
        return self._sink.address

    def start_daemon(self, config: str) -> None:
        path = self.directory / "config.yaml"
        path.write_text(config)
        path.chmod(0o600)
        command = [sys.executable, "-P", "-m", "model_watchdog", "run", *self.options()]  # -P: nothing from the current directory
        environment = dict(os.environ)
        if self.spoil == "systemctl":
            environment["PATH"] = f"{self._idle_systemctl()}:{environment.get('PATH', '')}"
        with (self.directory / "daemon.log").open("wb") as output:
            self._daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)

    def start_page(self) -> str:
        """The address at which all of it can be watched; "" where the page cannot be served, which the demo can do without."""
        command = [sys.executable, "-P", "-m", "model_watchdog", "web", "--listen", "127.0.0.1:0", *self.options()]
        quiet = subprocess.DEVNULL
        self._page = subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet)
        assert self._page.stdout is not None
        told = self._page.stdout.readline().decode()
        self.page = told.removeprefix("watchdog web: ").strip()
        return self.page

    def options(self) -> list[str]:
        """The options with which commands find this daemon."""
        base = self.directory
        return ["--config", f"{base}/config.yaml", "--state-dir", f"{base}/state", "--runtime-dir", f"{base}/run"]

    def daemon_error(self) -> str:
        """Why the daemon is gone, or nothing while it runs."""
        if self._daemon is None or self._daemon.poll() is None:
            return ""
        log = (self.directory / "daemon.log").read_text(errors="replace").strip().splitlines()
        return f"the daemon ended with {self._daemon.returncode}: {log[-1] if log else ''}"

    def new_events(self) -> list[dict[str, Any]]:
        """What has come into the record since the last look."""
        try:
            with Record.open(self.directory / "state") as record:
                events = record.events(after_id=self._seen)
        except WatchdogError:
            return []  # the daemon has not made it yet
        if events:
            self._seen = events[-1]["id"]
        return events

    def entry(self) -> dict[str, Any]:
        """What the daemon says of the service; {} while it has said nothing."""
        try:
            with Record.open(self.directory / "state") as record:
                return next(iter(record.services()), {})
        except WatchdogError:
            return {}

    def close(self) -> None:
        """Ends everything; what the operator's terminal sends to all of us (Ctrl-C) may have ended some of it already."""
        for process in filter(None, (self._page, self._daemon)):
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._sink is not None:
            self._sink.close()
        if self.uses_systemd:
            _systemctl("stop", self.unit)
            _systemctl("reset-failed", self.unit)
        else:
            service.end(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_as_unit(self) -> bool:
        """As a transient unit, where systemd runs and this user may."""
        if not Path("/run/systemd/system").is_dir() or os.geteuid() != 0 or shutil.which("systemd-run") is None:
            return False
        command = ["systemd-run", "--quiet", "--no-ask-password", f"--unit={self.unit}", "--property=TimeoutStopSec=2"]
        command += [sys.executable, "-I", service.__file__, "serve", str(self.directory), str(self.port)]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0

    def _idle_systemctl(self) -> Path:
        """A systemctl that answers 0 to every restart and does nothing."""
        folder = self.directory / "bin"
        folder.mkdir()
        script = folder / "systemctl"
        script.write_text(f'#!/bin/sh\ncase "$*" in *restart*) exit 0;; esac\nexec {shutil.which("systemctl")} "$@"\n')
        script.chmod(0o755)
        return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_true: Any, seconds: float) -> bool:
    """Looks again and again until it is true or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_true():
            return True
        time.sleep(0.02)
    return bool(is_true())


def _systemctl(verb: str, unit: str) -> None:
    subprocess.run(["systemctl", "--no-ask-password", verb, unit], capture_output=True, timeout=30, check=False)
