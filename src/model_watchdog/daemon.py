"""Wires everything together: one process, one loop, one record."""

import asyncio
import gc
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from model_watchdog import __version__, recovery, rights
from model_watchdog import writes as record
from model_watchdog.cgroup import processes
from model_watchdog.clock import STEP, Clock, ClockGuard, slept_so_far
from model_watchdog.commands import Commands
from model_watchdog.config.model import Config
from model_watchdog.containers import Containers
from model_watchdog.control import ControlSocket
from model_watchdog.core.common import CommonCause
from model_watchdog.core.decision import Cause, Event, Reason
from model_watchdog.core.gap import begin_after_gap, is_gap
from model_watchdog.core.host import set_condition, tell_once
from model_watchdog.core.rule import Severity
from model_watchdog.crashpoint import crash_point
from model_watchdog.feeding import Feed
from model_watchdog.hostwatch import HostWatch
from model_watchdog.language import phrase, retell, speak
from model_watchdog.learnt import Learnt
from model_watchdog.levels import write_levels
from model_watchdog.means import Means
from model_watchdog.minding import Minding
from model_watchdog.notes import keep_notes
from model_watchdog.outbox import Delivery, Outbox
from model_watchdog.own_metrics import measure_self
from model_watchdog.recalling import Past, recall_of_host, recall_service
from model_watchdog.record import FILE
from model_watchdog.reloading import Reloading
from model_watchdog.rounds import Rounds
from model_watchdog.schedule import Schedule
from model_watchdog.sdnotify import alive_within, notify
from model_watchdog.snapshot import stamp
from model_watchdog.store import Store
from model_watchdog.systemd import MainProcessWatch, Systemd, UnitReader
from model_watchdog.telling import Teller
from model_watchdog.tick import Watch
from model_watchdog.warming import Warming
from model_watchdog.wording import say

log = logging.getLogger("model_watchdog")
Found = TypeVar("Found")

RUNNING = "running"
"""The setting that says that a daemon runs: where it is found at a start, the run before was not stopped."""
LOOK_EVERY = 5
"""At most so many beats, a second each, from one look at the watchdog's own means, and one sign of life to systemd, to the next."""
SLACK = 10.0
"""A job may be late by its interval, its deadline, and so many seconds, before systemd is no longer told that we live."""


class Daemon:
    """The daemon between its start and its end."""

    def __init__(self, config: Config, state_dir: Path, runtime_dir: Path, *, dry_run: bool) -> None:
        self.config = config
        self.state_dir = state_dir
        self.runtime_dir = runtime_dir
        self.dry_run = dry_run
        self.clock = Clock()
        self.started_at = self.clock.steady()
        self.watches: dict[str, Watch] = {}
        self.stopping = asyncio.Event()
        self.reloading = Reloading(self)
        self.minding = Minding(self)
        self.uid = os.geteuid()
        self._guard = ClockGuard()
        self._lag = 0.0
        self._slept = slept_so_far()
        self._together = False
        self._replaced = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def main(self) -> int:
        """Runs until SIGTERM or SIGINT; 0. SIGHUP has the configuration read anew."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self.spawn(self.reloading.ask()))
        self._open()
        control = ControlSocket(self.runtime_dir / "control.sock", Commands(self).handle)
        control.open()
        try:
            async with self.reloading.turn:
                await self._start()
            await self.store.commit()  # whoever asks for the status of a daemon that is ready gets it
            gc.collect()
            gc.freeze()  # what is left stays; to look through all of it every few minutes would hold the loop up for 50 to 100 ms
            notify("READY=1\nSTATUS=" + phrase("watching {count} services", count=len(self.watches)))
            await self._live()
        finally:
            notify("STOPPING=1")
            control.close()
            await self._close()
        return 0

    def _open(self) -> None:
        speak(self.config.language)
        retell("")  # 10 ms for its tables now, and not before the first restart
        self._guard.check(self.clock.steady(), self.clock.wall())
        self.store = Store.open(self.state_dir / FILE, kept=self.config.record.kept)
        self.outbox = Outbox(
            self.store,
            self.config.notifiers,
            steady=self.clock.steady,
            wall=self.clock.wall,
            on_event=self._tell_delivery,
            dry_run=self.dry_run,
        )
        teller = Teller(self.clock, self.store, self.outbox, os.uname().nodename, dry_run=self.dry_run)
        systemd = Systemd(keep=True)
        self.schedule = Schedule(self.clock.steady)
        self.means = Means(
            clock=self.clock,
            store=self.store,
            outbox=self.outbox,
            teller=teller,
            systemd=systemd,
            units=UnitReader(systemd, containers=Containers(self.config.containers)),
            main_processes=MainProcessWatch(),
            hostname=os.uname().nodename,
            dry_run=self.dry_run,
            inhibited=lambda: self.host.inhibited(),
            own_metrics=self._measure_self,
            restart=recovery.carry_out,
            list_pids=self._list_pids,
            look_at_gpus=lambda: self.host.look_at_gpus(),
            common=CommonCause(self.config.host.common_cause),
            next_id=self.store.next_id(),
            notes=self.store.load_notes(),
            feed=Feed(self.clock.steady, self.clock.wall),
        )
        self.means.feed.follow(self.config.needs)
        teller.next_id = self.means.take_id
        teller.on_event = lambda event: self.host.carry_out([event])
        past, away = Past.read(self.store), max(0.0, self.clock.wall() - self.store.last_sign())
        self.warming = Warming(self.store, self.clock, self.means.feed, self.config, away)
        teller.recall(self.config.notifiers, self.config.host.common_cause, has_past=bool(past.states))
        self.host = HostWatch(self.config.host, recall_of_host(self.config.host, past, self.clock), self.means)
        for service in self.config.services.values():
            state = recall_service(service, past, self.clock, self.store, away)
            self.watches[service.name] = Watch(service, state, self.means)
        self._learnt = Learnt(self.means)
        self.rights = rights.Rights(self.watches, self.host, self.means)
        self._next_beat: asyncio.Handle
        self._look_every = int(min(LOOK_EVERY, max(1.0, alive_within() / 3)))
        self.rounds = Rounds(self.schedule, self.watches, self.host)

    async def _start(self) -> None:
        self.store.put(*record.forget_services(self.watches))
        self._close_what_is_left()
        self.outbox.start()
        self.means.teller.start()
        started = Reason("daemon_started", {"version": __version__, "services": len(self.watches)})
        died = [Event("daemon_died", None, Reason("daemon_died"))] if self.store.setting(RUNNING) else []
        self.host.carry_out([*died, Event("daemon_started", None, started)])
        if self.store.note:
            self._tell_replaced()
        self._replaced = self.store.replaced
        self.store.put(record.setting(RUNNING, "yes"), write_levels(self.config))
        self.write_info(0.0)  # `status` must not tell of the daemon before
        self.host.open()
        for watch in self.watches.values():
            watch.open()
            self.store.put(*watch.write_down([]))  # in the order of the configuration, which the table keeps
            await recovery.resume(watch)
        self.rounds.arrange()
        self.schedule.add("rights", rights.EVERY, self._beside(self.rights.prove))
        self.schedule.add("rights that are missing", rights.WHILE_MISSING, self._beside(self.rights.prove_missing))
        self.schedule.start()
        self.host.measure_all()
        for watch in self.watches.values():
            watch.measure_all()
        self.spawn(self.warming.load(self.config))
        self.spawn(self.rights.prove_soon())

    async def _live(self) -> None:
        """Lives, a beat a second, until it is to stop. A beat that fails is the end, too: systemd starts the watchdog anew."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stopping = asyncio.ensure_future(self.stopping.wait())
        stopping.add_done_callback(lambda _: None if end.done() else end.set_result(None))
        self._wait_for_beat(0, end)
        try:
            await end
        finally:
            self._next_beat.cancel()
            stopping.cancel()
        self.host.carry_out([Event("daemon_stopped", None, Reason("daemon_stopped"))])
        self.write_info(0.0)

    def _wait_for_beat(self, number: int, end: "asyncio.Future[None]") -> None:
        """A timer and no task: what runs once a second, for years, is to be as little as can be."""
        loop = asyncio.get_running_loop()
        due = loop.time() + 1.0

        def beat() -> None:
            try:
                self._beat(number, max(0.0, loop.time() - due))
                self._wait_for_beat(number + 1, end)
            except Exception as error:  # a bug of ours: `_live` raises it
                if not end.done():
                    end.set_exception(error)

        self._next_beat = loop.call_at(due, beat)

    def _beat(self, number: int, lag: float) -> None:
        """Are the clock, the record and we ourselves in order? `lag` is by how many seconds the beat was late."""
        crash_point("beat")
        self._notice_gap(lag)
        self._write_what_waits()
        self.minding.look(number)
        self._guard_clock()
        self._guard_record()
        if number % self._look_every == 0 or self.store.problem:
            self._guard_means()
            if not self.overdue():
                notify("WATCHDOG=1")
        self._lag = max(lag, self._lag)
        if number % 10 == 0:
            self.write_info(lag)
            self._learnt.write(self.watches.values(), self.host)
            if self.means.host_stopping:
                self.spawn(self._look_at_host())

    def _notice_gap(self, lag: float) -> None:
        """What was counted before the watchdog was away, or the host slept, is forgotten, and nothing is restarted at once."""
        before, self._slept = self._slept, slept_so_far()
        slept = self._slept - before
        now, key, seconds = self.clock.steady(), *(("host_slept", slept) if slept > STEP else ("held_up", lag))
        away = [watch for watch in self.watches.values() if is_gap(watch.service, seconds)]
        for watch in away:
            begin_after_gap(watch.service, watch.state, now)
            watch.measure_all()
        if away:
            self.warming.was_away()
            self.host.carry_out([Event(key, None, Reason(key, {"seconds": seconds}))])

    def _write_what_waits(self) -> None:
        """What was seen within the last second and led to nothing: each service as it stands, and the samples in one row."""
        unwritten, self.means.unwritten = self.means.unwritten, set()
        for watch in unwritten:
            watch.carry_out([])
        if self.means.samples:
            self.store.put(record.samples(self.clock.boot, self.clock.to_wall(0.0), self.means.samples))
            self.means.samples = []

    def _guard_clock(self) -> None:
        stepped = self._guard.check(self.clock.steady(), self.clock.wall())
        if stepped:
            self.schedule.anchor()
            self.host.carry_out(tell_once(self.host.state, "clock_stepped", Severity.INFO, Reason("clock_stepped", {"seconds": stepped})))

    def _guard_means(self) -> None:
        """What the watchdog itself needs: its record, and systemd."""
        problem = self.store.problem
        reason = Reason("record_unwritable", {"detail": problem}) if problem else None
        decisions = set_condition(self.host.state, "record_unwritable", reason, Severity.CRITICAL, Cause.RECORD_UNWRITABLE)
        decisions += rights.judge_managers(self.watches, self.host.state)
        decisions += self.minding.judge_notifiers()
        if decisions:
            self.host.carry_out(decisions)
            self.write_info(0.0)
        self._tell_common_cause()

    def _tell_common_cause(self) -> None:
        """Once while it lasts; each service's own messages follow as it is restarted."""
        group = self.means.common.group
        if group and not self._together:
            reason = Reason("fail_together", {"services": len(group), "names": ", ".join(sorted(group))})
            self.host.carry_out(tell_once(self.host.state, "fail_together", Severity.WARNING, reason))
        self._together = bool(group)

    def _tell_replaced(self) -> None:
        self.host.carry_out(tell_once(self.host.state, "record_replaced", Severity.WARNING, Reason("note", {"text": self.store.note})))

    def _guard_record(self) -> None:
        """A record that has begun anew while we ran lacks all that we know: it is written down again, and told.

        One that could not be read when we started may be readable now.
        """
        if self.store.is_unread and self.store.problem is None:
            self.store.is_unread = False
            self._take_up_what_was_unread()
        if self.store.replaced == self._replaced:
            return
        self._replaced = self.store.replaced
        self.store.put(record.setting(RUNNING, "yes"), write_levels(self.config), *self.outbox.waiting_writes())
        self.store.put(*self.means.teller.write_anew(), *keep_notes(self.means.notes))
        self.host.write_anew()
        for watch in self.watches.values():
            watch.write_anew()
        self._tell_replaced()

    def _take_up_what_was_unread(self) -> None:
        """Messages that an earlier run did not get told are told; what it left open is nobody's any more."""
        self.outbox.start()
        self._close_what_is_left()

    def _close_what_is_left(self) -> None:
        """Restarts and incidents that an earlier run left open, of services that are watched no longer: nobody else will."""
        wall, watched = self.clock.wall(), self.watches.values()
        attempts = {watch.state.attempt.id for watch in watched if watch.state.attempt}
        incidents = {watch.state.incident.id for watch in watched if watch.state.incident} | self.means.teller.open_of_host()
        lost = say(Reason("interrupted"))
        left = [
            record.restart_result(row["id"], "interrupted", lost, wall) for row in self.store.open_restarts() if row["id"] not in attempts
        ]
        left += [record.incident_close(row["id"], wall) for row in self.store.open_incidents() if row["id"] not in incidents]
        self.store.put(*left, *self.means.teller.end_others(incidents))

    def overdue(self) -> str:
        """What should have been done long ago, or nothing."""
        longest = max((probe.timeout for watch in self.watches.values() for probe in watch.probes.values()), default=5.0)
        late = self.schedule.overdue(longest + SLACK)
        now = self.clock.steady()
        for watch in self.watches.values():
            for name, since in watch.running_since.items():
                if now - since > (watch.probes[name].timeout if name in watch.probes else longest) + SLACK:
                    late = f"{watch.service.name}/{name}"
        if late:
            log.error("event=overdue reason=%r", f"{late} has not run for too long; systemd is not told that the watchdog lives")
        return late

    def write_info(self, lag: float) -> None:
        """What `status` is told of the daemon itself."""
        info = {
            "pid": os.getpid(),
            "version": __version__,
            "started_at": stamp(self.clock, self.started_at),
            "mode": "dry-run" if self.dry_run else "active",
            "config": str(self.config.path),
            "config_error": self.reloading.error or None,
            "language": self.config.language,
            "problems": self.host.problems(),
            "longest_every": self.config.longest_every,
            "tick_lag_seconds": round(lag, 4),
        }
        self.store.put(record.daemon_info(json.dumps(info), self.clock.wall()))
        bad = sum(watch.state.state in ("unhealthy", "dead", "stalled") for watch in self.watches.values())
        notify("STATUS=" + phrase("watching {count} services, {bad} bad", count=len(self.watches), bad=bad))

    async def _look_at_host(self) -> None:
        """A host that was stopping may have changed its mind, or was never asked since."""
        self.means.host_stopping = await self.means.systemd.is_host_stopping()

    def _list_pids(self) -> dict[str, frozenset[int]]:
        """The processes that each service with a unit has now."""
        units = {name: watch.state.unit for name, watch in self.watches.items()}
        return {name: frozenset(pid for pid, _ in processes(unit)) for name, unit in units.items() if unit is not None}

    def _measure_self(self) -> list[tuple[str, dict[str, str], float]]:
        """The daemon's own metrics; the lag is the longest since they were last asked for."""
        lag, self._lag = self._lag, 0.0
        return measure_self(self.watches, self.outbox, lag)

    def _tell_delivery(self, delivery: Delivery) -> None:
        self.host.carry_out([Event(delivery.event, None, delivery.reason)])

    def _beside(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Awaitable[None]]:
        """A job that takes long, as a task of its own."""

        async def run() -> None:
            self.spawn(work())

        return run

    def spawn(self, work: Coroutine[Any, Any, Found]) -> "asyncio.Task[Found]":
        """Runs something beside the loop's other work, until it ends or the daemon does."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("event=bug", exc_info=error)

    async def _close(self) -> None:
        self.schedule.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(watch.close() for watch in self.watches.values()), self.host.close(), self.minding.close())
        await self.outbox.close()
        self._write_what_waits()
        self._learnt.write(self.watches.values(), self.host, at_once=True)
        self.store.put(record.setting(RUNNING, ""))
        self.means.main_processes.close()
        self.means.systemd.close()
        self.store.close()
