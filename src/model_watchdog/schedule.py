"""When things run: APScheduler on a trigger that a stepped wall clock cannot fool."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of each late run, in a line that nobody can read; `overdue` tells


WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class Every(BaseTrigger):  # type: ignore[misc]  # apscheduler 3 has no types
    """Every so many seconds from now on. The built-in interval trigger makes up for every missed run after a forward step."""

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """On the beat while runs are on time; counted from now after a late one, or after a step of the clock."""
        if previous_fire_time is not None and timedelta(0) <= now - previous_fire_time < self.interval / 2:
            return previous_fire_time + self.interval
        return now + self.interval


def check_cron(text: str) -> str:
    """What is wrong with a cron expression of five fields, or nothing."""
    try:
        _read_cron(text, None)
    except ValueError as error:
        return str(error)
    return ""


def find_start(text: str, seconds: float, now: datetime) -> datetime | None:
    """The last moment of a cron expression that is less than `seconds` before `now` (with its zone), or None."""
    trigger, last = _read_cron(text, now.tzinfo), None
    at = trigger.get_next_fire_time(None, now - timedelta(seconds=seconds))
    while at is not None and at <= now:
        last, at = at, trigger.get_next_fire_time(None, at + timedelta(seconds=1))
    return last if last is None or (now - last).total_seconds() < seconds else None


def _read_cron(text: str, zone: tzinfo | None) -> CronTrigger:
    """As cron means it: the library counts the days of the week from Monday, cron from Sunday."""
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"it has {len(fields)} fields, not five")
    minute, hour, day, month, weekday = fields
    days = ",".join(_read_weekdays(part) for part in weekday.split(","))
    return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=days, timezone=zone)


def _read_weekdays(part: str) -> str:
    """`1-5` to `mon,tue,wed,thu,fri`; names stay."""
    days, _, step = part.partition("/")
    first, _, last = ("0", "-", "6") if days == "*" and step else days.partition("-")
    if not first.isdecimal():
        return part
    if int(first) > 7 or (last and not last.isdecimal()) or int(last or first) > 7 or (step and not (step.isdecimal() and int(step))):
        raise ValueError(f"{part} is no day of the week")
    chosen = range(int(first), int(last or first) + 1, int(step or 1))
    if not chosen:
        raise ValueError(f"{part} is no day of the week")
    return ",".join(WEEKDAYS[number % 7] for number in chosen)


class Schedule:
    """Jobs at fixed intervals on the running loop. `last_run` tells, in steady seconds, when each last began."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self.last_run: dict[str, float] = {}
        self.intervals: dict[str, float] = {}

    def add(self, name: str, seconds: float, work: Callable[[], Awaitable[Any]]) -> None:
        """`work` must come back soon: what takes long it starts as a task of its own."""

        async def run() -> None:
            if name not in self.intervals:
                return  # removed after it was begun
            self.last_run[name] = self._steady()
            with contextlib.suppress(asyncio.CancelledError):  # by `stop`, which APScheduler would log as an error of the job
                await work()

        self.intervals[name] = seconds
        self.last_run[name] = self._steady()
        options = {"id": name, "misfire_grace_time": None, "coalesce": True, "max_instances": 2}
        self._scheduler.add_job(run, Every(seconds), next_run_time=datetime.now(UTC) + timedelta(seconds=seconds), **options)

    def remove(self, name: str) -> None:
        self._scheduler.remove_job(name)
        del self.intervals[name], self.last_run[name]

    def start(self) -> None:
        self._scheduler.start()

    def anchor(self) -> None:
        """After a step of the wall clock: each job runs at its interval from its last run, as if there had been none."""
        now, steady = datetime.now(UTC), self._steady()
        for job in self._scheduler.get_jobs():
            left = self.intervals[job.id] - (steady - self.last_run[job.id])
            job.modify(next_run_time=now + timedelta(seconds=max(0.0, left)))

    def overdue(self, slack: float) -> str:
        """The name of a job that should have run more than `slack` seconds ago, or nothing."""
        now = self._steady()
        late = [name for name, seconds in self.intervals.items() if now - self.last_run[name] > seconds + slack]
        return min(late, default="")

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
