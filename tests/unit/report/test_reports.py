"""The daemon's side of a report: made once beside the loop, tried again where it fails, and sent with its file."""

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog import reporting, writes
from model_watchdog.config.model import NotifierConfig, Report
from model_watchdog.core.decision import Decision
from model_watchdog.core.host import HostState
from model_watchdog.core.routes import TimeOfDay
from model_watchdog.core.rule import Severity
from model_watchdog.notifiers import Message
from model_watchdog.outbox import Outbox
from model_watchdog.record import FILE, Record
from model_watchdog.reporting import Reports, ask_child, prepare
from model_watchdog.store import Store


class Receiver:
    """A notifier of the test's own: what it was told."""

    def __init__(self) -> None:
        self.told: list[Message] = []

    async def send(self, message: Message) -> None:
        self.told.append(message)


class Clock:
    """Set by the test."""

    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now)
        self.seconds = 0.0

    def wall(self) -> float:
        return self.now.timestamp()

    def steady(self) -> float:
        return self.seconds


class Stand:
    """What of the daemon a report needs, with a real record and a real outbox."""

    def __init__(self, directory: Path, now: str, report: Report) -> None:
        self.receiver, self.clock, self.decided = Receiver(), Clock(now), list[Decision]()
        self.store = Store.open(directory / FILE)
        notifiers = {"ops": NotifierConfig("ops", "test", self.receiver, Severity.WARNING)}
        self.outbox = Outbox(self.store, notifiers)
        host = SimpleNamespace(state=HostState(), carry_out=self.decided.extend)
        config = SimpleNamespace(report=report, language="en")
        daemon: Any = SimpleNamespace(
            config=config, clock=self.clock, store=self.store, outbox=self.outbox, host=host, state_dir=directory, dry_run=False,
            spawn=lambda work: asyncio.get_running_loop().create_task(work),
        )  # fmt: skip
        self.reports = Reports(daemon)

    async def look(self) -> None:
        self.reports.look()
        if self.reports._making is not None:
            await self.reports._making
        await self.store.commit()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not self.outbox.stats()["queued"]:
                break

    async def close(self) -> None:
        await self.outbox.close()
        self.store.close()

    def events(self) -> list[str]:
        return [decision.event for decision in self.decided if hasattr(decision, "event")]


WEEKLY = Report("week", ("ops",), TimeOfDay(8 * 3600))


async def begin(directory: Path, last: str, now: str, report: Report = WEEKLY) -> Stand:
    stand = Stand(directory, now, report)
    await stand.store.commit(writes.setting("report", last))
    return stand


def test_it_is_made_when_it_is_due_and_not_before_and_once(tmp_path: Path) -> None:
    async def run() -> None:
        stand = await begin(tmp_path, "2026-10-05", "2026-10-12 07:59")
        await stand.look()
        assert (stand.receiver.told, stand.events()) == ([], [])
        stand.clock.now = datetime(2026, 10, 12, 8, 0)
        for _ in range(3):
            await stand.look()
        (message,) = stand.receiver.told
        path = tmp_path / "reports" / "report-2026-10-05-2026-10-12.html"
        assert (message.attachment, message.severity, message.key) == (str(path), Severity.INFO, "report/week/2026-10-12")
        assert "report, 2026-10-05 00:00 to 2026-10-12 00:00" in message.title and message.body.endswith(f"\n\n{path}")
        assert path.read_text().startswith("<!doctype html>") and path.parent.stat().st_mode & 0o777 == 0o750
        assert stand.events() == ["report_made"]
        await stand.close()
        with Record.open(tmp_path) as record:
            assert record.setting("report") == "2026-10-12"

    asyncio.run(run())


def test_while_it_is_made_the_loop_goes_on(tmp_path: Path) -> None:
    async def run() -> None:
        stand = await begin(tmp_path, "2026-10-05", "2026-10-12 08:00")
        stand.reports.look()
        loop, longest = asyncio.get_running_loop(), 0.0
        while stand.reports._making is not None and not stand.reports._making.done():
            began = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - began)
        assert longest < 0.1, f"the loop was held up for {longest:.3f} s"
        await stand.close()

    asyncio.run(run())


def test_one_that_fails_is_tried_again_and_in_the_end_told_and_the_next_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        stand = await begin(tmp_path, "2026-10-05", "2026-10-12 08:00")
        (tmp_path / "reports").write_text("in its way")
        for tried in (1, 2):
            await stand.look()
            await stand.look()  # not at once
            assert sum("event=report_failed" in text for text in caplog.messages) == tried
            assert stand.events() == []
            stand.clock.seconds += reporting.TRY_EVERY
        await stand.look()
        assert stand.events() == ["report_failed"]
        stand.clock.seconds += 10 * reporting.TRY_EVERY
        await stand.look()
        assert len(stand.events()) == 1, "told once"
        (tmp_path / "reports").unlink()
        stand.clock.now = datetime(2026, 10, 19, 8, 0)
        await stand.look()
        assert [message.key for message in stand.receiver.told] == ["report/week/2026-10-19"]
        await stand.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())


def test_a_clock_that_was_ahead_makes_no_report_twice_and_no_gap_for_ever(tmp_path: Path) -> None:
    async def run() -> None:
        stand = await begin(tmp_path, "2031-01-06", "2026-10-14 08:00")
        await stand.look()
        assert stand.receiver.told == []
        stand.clock.now = datetime(2026, 10, 19, 8, 0)
        await stand.look()
        assert [message.key for message in stand.receiver.told] == ["report/week/2026-10-19"]
        await stand.close()

    asyncio.run(run())


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no record there"):
        asyncio.run(ask_child(["report"], tmp_path / "nowhere", "en"))


def test_only_the_newest_reports_stay_and_nothing_else_is_touched(tmp_path: Path) -> None:
    names = [f"report-2026-{month:02}-01-2026-{month + 1:02}-01.html" for month in range(1, 40)]
    for name in [*names, "mine.html", "report.txt"]:
        (tmp_path / name).write_text("x")
    prepare(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*names[-reporting.KEPT + 1 :], "mine.html", "report.txt"}


def test_a_report_within_a_flood_keeps_its_file(tmp_path: Path) -> None:
    async def run() -> None:
        receiver = Receiver()
        store = Store.open(tmp_path / FILE)
        outbox = Outbox(store, {"ops": NotifierConfig("ops", "test", receiver, Severity.INFO)})
        for number in range(30):
            attachment = "/a/file.html" if number == 7 else ""
            message = Message(f"k{number}", Severity.INFO, f"t{number}", "b", attachment=attachment)
            store.put(*outbox.add("ops", message))
        outbox.wake()
        for _ in range(500):
            await asyncio.sleep(0.01)
            if receiver.told:
                break
        assert len(receiver.told) == 1 and receiver.told[0].attachment == "/a/file.html"
        await outbox.close()
        store.close()

    asyncio.run(run())
