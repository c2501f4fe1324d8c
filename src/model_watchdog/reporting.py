"""The report of a week or a month, when its time has come: made by a child process, `watchdog report`, and sent with its file.

The child reads the record as any reader does; it costs the daemon neither memory nor time on its loop, and where it hangs or dies, the
daemon tries again.
"""

import asyncio
import contextlib
import logging
import os
import sys
from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from model_watchdog import writes as record
from model_watchdog.beside import run_beside
from model_watchdog.children import pick_environment, read_lines, run_child
from model_watchdog.config.model import WEEKDAYS, Report
from model_watchdog.core.decision import Event, Reason
from model_watchdog.core.host import tell_once
from model_watchdog.core.rule import Severity
from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record
from model_watchdog.wording import compose_report

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

log = logging.getLogger(__name__)

LAST = "report"
"""The setting that keeps the day of the last report."""
DIRECTORY = "reports"
"""In the state directory; the newest `KEPT` of them stay."""
KEPT = 24
DEADLINE = 120.0
TRIES, TRY_EVERY = 3, 600.0
"""So often a report is tried, so many seconds apart; then people are told that it could not be made."""
CHILD = """
import contextlib, os, sys
with contextlib.suppress(OSError):  # the unit's sandbox may not allow it
    os.nice(10)
count = int(sys.argv[1])
sys.path[:] = sys.argv[2 : 2 + count]
from model_watchdog.cli.main import main
sys.exit(main(sys.argv[2 + count :]))
"""


def find_due(report: Report, now: datetime) -> date:
    """The day of the last report that was due at `now`, in local time as the clock on the wall shows it.

    A time of day that the clock skips when it is set counts as come with the next that there is; one that comes twice has come with the
    first. The 29th to 31st are the last day of a month that lacks them.
    """
    today = now.date()
    if report.every == "week":
        back = (today.weekday() - WEEKDAYS.index(report.day or "mon")) % 7
        due = today - timedelta(days=back)
        return due if _has_come(report, due, now) else due - timedelta(days=7)
    due = _in_month(report, today.year, today.month)
    return due if _has_come(report, due, now) else find_before(report, due)


def find_before(report: Report, due: date) -> date:
    """The day of the report before that one: what is between the two is the time that it is about."""
    if report.every == "week":
        return due - timedelta(days=7)
    last = due.replace(day=1) - timedelta(days=1)
    return _in_month(report, last.year, last.month)


def _in_month(report: Report, year: int, month: int) -> date:
    return date(year, month, min(int(report.day or 1), monthrange(year, month)[1]))


def _has_come(report: Report, due: date, now: datetime) -> bool:
    return now >= datetime.combine(due, time()) + timedelta(seconds=report.at)


class Reports:
    """Makes and sends each once: its day is written together with its messages, so a daemon that dies meanwhile makes it again."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon
        self._last: str | None = None
        self._tries = 0
        self._not_before = 0.0
        self._making: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Once a minute."""
        report, clock = self._daemon.config.report, self._daemon.clock
        if report is None or self._daemon.dry_run or (self._making is not None and not self._making.done()):
            return
        due = find_due(report, datetime.fromtimestamp(clock.wall()))
        if clock.steady() >= self._not_before and (self._last is None or due.isoformat() > self._last):
            self._making = self._daemon.spawn(self.make(report, due))

    async def make(self, report: Report, due: date) -> None:
        """Makes the one of that day and sends it, if it was not sent."""
        directory = self._daemon.state_dir
        try:
            if self._last is None:
                self._last = await run_beside(lambda: read_last(directory))
        except WatchdogError as error:
            log.warning('event=report_waits reason="%s"', error)
            return
        if self._last is None or self._last > due.isoformat():  # the first one is sent when its time comes; or the clock was wrong
            self._last = due.isoformat()
            self._daemon.store.put(record.setting(LAST, self._last))
        if self._last == due.isoformat():
            return
        since, until = find_before(report, due).isoformat(), due.isoformat()
        path = directory / DIRECTORY / f"report-{since}-{until}.html"
        try:
            await run_beside(lambda: prepare(path.parent))
            text = await ask_child(["report", "--since", since, "--until", until, "-o", str(path)], directory, self._find_language(report))
        except (OSError, TimeoutError, WatchdogError) as error:
            self._fail(report, due, str(error) or f"it took longer than {DEADLINE:g} s")
            return
        self._send(report, due, text, path)

    def _find_language(self, report: Report) -> str:
        return report.language or self._daemon.config.language

    def _send(self, report: Report, due: date, text: str, path: Path) -> None:
        daemon, params = self._daemon, {"since": find_before(report, due).isoformat(), "until": due.isoformat()}
        message = compose_report(f"report/{report.every}/{due.isoformat()}", text, str(path))
        writes = self._settle(due)
        for name in report.to:
            writes += daemon.outbox.add(name, message)
        daemon.store.put(*writes)
        daemon.host.carry_out([Event("report_made", None, Reason("report_made", {**params, "path": str(path)}))])
        daemon.outbox.wake()

    def _fail(self, report: Report, due: date, error: str) -> None:
        """It is tried again; in the end people are told, and the next is waited for."""
        self._tries += 1
        log.warning('event=report_failed try=%d reason="%s"', self._tries, error.replace('"', "'"))
        self._not_before = self._daemon.clock.steady() + TRY_EVERY
        if self._tries < TRIES:
            return
        params = {"since": find_before(report, due).isoformat(), "until": due.isoformat(), "detail": error}
        self._daemon.store.put(*self._settle(due))
        host = self._daemon.host
        host.carry_out(tell_once(host.state, "report_failed", Severity.WARNING, Reason("report_failed", params)))

    def _settle(self, due: date) -> list[record.Write]:
        self._tries, self._not_before, self._last = 0, 0.0, due.isoformat()
        return [record.setting(LAST, self._last)]


def read_last(state_dir: str | os.PathLike[str]) -> str | None:
    """The day of the last one; None where there was none. Raises `WatchdogError` where the record cannot be read."""
    with Record.open(state_dir) as opened:
        return opened.setting(LAST)


def prepare(directory: Path) -> None:
    """Makes the directory, and takes out the oldest reports in it. Raises OSError."""
    directory.mkdir(mode=0o750, exist_ok=True)
    for path in sorted(directory.glob("report-*.html"))[: -KEPT + 1]:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):  # PermissionError: a directory, on some systems
            path.unlink()


async def ask_child(words: Sequence[str], state_dir: Path, language: str) -> str:
    """What the command prints. Raises `WatchdogError` with its words where it fails, TimeoutError, OSError where it cannot be started."""
    paths = [path for path in sys.path if os.path.isabs(path)]
    command = [sys.executable, "-I", "-c", CHILD, str(len(paths)), *paths, *words, "--language", language, "--state-dir", str(state_dir)]
    done = await run_child(command, DEADLINE, env=pick_environment(), own_session=True)
    if done.returncode != 0:
        lines = read_lines(done.stderr)
        raise WatchdogError(lines[-1].removeprefix("watchdog: ") if lines else f"the child process ended with {done.returncode}")
    return done.stdout.decode(errors="replace")
