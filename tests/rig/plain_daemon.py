"""The daemon as a process of this user, without systemd, watching endpoints: what it tells whom can be seen, and it can be killed."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from model_watchdog.lanes import PACE
from tests.rig.waiting import wait_until

SRC = Path(__file__).resolve().parents[2] / "src"
__all__ = ["PACE", "PlainDaemon"]


class PlainDaemon:
    """Everything of it lies in `directory`. `strike` asks for a crash point; `keep_up` starts it again whenever it has died."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config, self.state, self.runtime = directory / "config.yaml", directory / "state", directory / "run"
        self._options = ["--config", str(self.config), "--state-dir", str(self.state), "--runtime-dir", str(self.runtime)]
        self._strikes = directory / "strike"
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def configure(self, text: str) -> None:
        self.config.write_text(text)
        self.config.chmod(0o600)

    def start(self) -> None:
        """And waits until it answers."""
        environment = {**os.environ, "PYTHONPATH": str(SRC), "MODEL_WATCHDOG_CRASH_AT": str(self._strikes)}
        with (self.directory / "log").open("ab") as log:
            command = [sys.executable, "-m", "model_watchdog", "run", *self._options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.starts += 1
        wait_until(self._answers, 60, self.log)

    def _answers(self) -> bool:
        if not self.is_alive():
            return True  # it struck in its own start: whoever keeps it up sees that
        return (self.runtime / "control.sock").exists() and self.run("status", check=False).returncode != 3

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def memory(self) -> int:
        """Resident bytes."""
        assert self._process is not None
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def keep_up(self) -> bool:
        """Starts it where it has died; says whether it had."""
        if self.is_alive():
            return False
        self.start()
        return True

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def strike(self, point: str) -> None:
        """It dies there at its next passage, once."""
        self._strikes.write_text(point)

    def has_struck(self) -> bool:
        return not self._strikes.exists()

    def run(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """A command."""
        command = [sys.executable, "-m", "model_watchdog", words[0], *self._options, *words[1:]]
        environment = {**os.environ, "PYTHONPATH": str(SRC)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}"
        return done

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """What a command says with --json."""
        return [json.loads(line) for line in self.run(*words, "--json").stdout.splitlines()]

    def ask_record(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{self.state}/watchdog.db?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text(errors="replace")[-6000:] if path.exists() else ""
