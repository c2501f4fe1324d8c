"""One measurement: observe, decide, act, remember."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from model_watchdog import writes as record
from model_watchdog.book import Book
from model_watchdog.cgroup import find_unkillable
from model_watchdog.config.model import ProbeConfig, ServiceConfig
from model_watchdog.core.attempt import RecoveryPhase
from model_watchdog.core.decision import Cause, Concluded, Decision, Notification, Reason, Restart, State
from model_watchdog.core.facts import Facts
from model_watchdog.core.incident import find_inhibiting
from model_watchdog.core.memory import carry_over
from model_watchdog.core.restarting import cannot_act
from model_watchdog.core.sample import UNSEEN, Failure, Outcome, conclude, not_asked
from model_watchdog.core.service import interval, step
from model_watchdog.core.state import Incident, ServiceState
from model_watchdog.core.unit import Ended, Ending, UnitFacts
from model_watchdog.crashpoint import crash_point
from model_watchdog.means import Means
from model_watchdog.notes import StoredNotes
from model_watchdog.probes import Running, Surroundings
from model_watchdog.runners import Runners
from model_watchdog.sending import is_too_soon, send_canary
from model_watchdog.vitals import StartSigns, VitalSigns
from model_watchdog.wording import clean, say
from model_watchdog.writes import Write

log = logging.getLogger(__name__)

SOON = (0.002, 0.004, 0.008, 0.016, 0.03, 0.06, 0.12, 0.25, 0.5)
"""A main process has ended: how long to wait, again and again, until systemd has noticed it too."""


class Watch:
    """One service under watch: its probes, its state, and the restart that may be under way."""

    def __init__(self, config: ServiceConfig, state: ServiceState, means: Means) -> None:
        self.config = config
        self.service = config.core
        self.state = state
        self.means = means
        self.probes: dict[str, ProbeConfig] = {probe.name: probe for probe in config.probes}
        self.plans = {plan.name: plan for plan in self.service.probes}
        self.running_since: dict[str, float] = {}
        self.leaving: Callable[[], None] | None = None
        self._runners = Runners(self._open_probe)
        self._missed: set[str] = set()
        self._left_out: set[str] = set()
        self._is_gone: bool | None = None  # the unit, when systemd was last asked
        self.last_log = ""
        self.concluded: dict[int, asyncio.Future[Concluded]] = {}
        self._newest: dict[str, Outcome] = {}
        self.asked_at: dict[str, float] = {}  # canaries
        self._start_signs = StartSigns()
        self._facts: UnitFacts | None = None
        self._unit_error = ""
        self._ended: tuple[tuple[object, ...], Ended | None] = ((), None)
        self._deciding: asyncio.Handle | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._book = Book(state, means)
        self._closing: Incident | None = None  # the one that this step may close: its messages tell of it

    def open(self) -> None:
        """Opens every probe; nothing is asked yet."""
        self._runners.take(self.config.probes)

    def _open_probe(self, probe: ProbeConfig) -> Running:
        notes = StoredNotes(self.means.store, self.means.notes, f"{self.service.name}/{probe.name}")
        means = self.means
        return probe.probe.open(
            Surroundings(self.service.name, self.service.unit, probe.timeout, means.units, means.gpus, notes, means.feed)
        )

    def take(self, config: ServiceConfig) -> None:
        """Another configuration of the same unit, or command, while no restart is under way. What is known stays, where it still counts."""
        changed = self._runners.take(config.probes)
        if config.recovery != self.config.recovery:
            self.state.cannot_until = self.state.cannot_wait = 0.0  # what could not be done can be tried
        self.config, self.service = config, config.core
        self.probes = {probe.name: probe for probe in config.probes}
        self.plans = {plan.name: plan for plan in self.service.probes}
        for name in changed:
            self._cancel(name)
            self._newest.pop(name, None)
            self._left_out.discard(name)
        self.carry_out(carry_over(self.service, self.state, changed, self.means.clock.steady()))
        self.spawn(self._runners.tidy())
        self.measure(changed)
        self.decide_soon()

    def stop(self) -> None:
        """Nothing is decided any more, so nothing is begun, and nothing is written down."""
        self.decide_soon()
        if self._deciding is not None:
            self._deciding.cancel()  # and stays there
        self.means.unwritten.discard(self)
        for timer in self._timers.values():
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        self.probes, self.plans = {}, {}  # nothing is asked

    async def close(self) -> None:
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runners.close()

    def spawn(self, work: Awaitable[None]) -> None:
        """Runs something beside the loop's other work until it ends or the watch is closed."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def measure(self, names: Iterable[str]) -> None:
        """Runs these probes now; one that is still running runs again when it has ended, one that must wait when its unit is up."""
        for name in names:
            if name in self.running_since:
                self._missed.add(name)
            elif self._must_wait(name):
                self._leave_out(name)
            elif name in self.probes and not is_too_soon(self, name):
                self.running_since[name] = self.means.clock.steady()
                self.spawn(self._measure(self.probes[name]))

    @property
    def is_bad(self) -> bool:
        """Something is wrong with the service itself; not: stopped, loading, or not seen."""
        return self.state.state in (State.DEAD, State.UNHEALTHY, State.STALLED)

    def measure_all(self) -> None:
        self.measure(self.probes)

    def measure_unit(self) -> None:
        self.measure(name for name, plan in self.plans.items() if plan.kind == "unit")

    def decide_soon(self) -> None:
        """Decides once everything that has arrived in this round of the loop is in."""
        if self._deciding is None:
            self._deciding = asyncio.get_running_loop().call_soon(self._decide)

    async def _measure(self, probe: ProbeConfig) -> None:
        try:
            outcome = await (send_canary(self, probe) if probe.kind == "canary" else self.observe(probe))
        finally:
            self.running_since.pop(probe.name, None)
        if self._runners.has(probe):
            self._newest[probe.name] = outcome
            self.means.samples += outcome.samples
            self.means.feed.take(self.service.name, outcome)
            if not (outcome.ok and self._asks_systemd()):  # what is good can wait for the unit of the same round: one decision for both
                self.decide_soon()
        else:  # what was asked is not what is wanted any more
            await self._runners.tidy()
        if self._must_wait(probe.name):
            self._leave_out(probe.name)  # its unit has gone meanwhile: nobody knows who answered
        if probe.name in self._missed:
            self._missed.discard(probe.name)
            self.measure([probe.name])

    async def look_at(self, names: Iterable[str]) -> None:
        """Runs these probes, waits for what they say, and decides."""
        for name in names:
            while name in self.running_since:  # noqa: ASYNC110 (its run ends by its deadline, and nobody here is in a hurry)
                await asyncio.sleep(0.02)
            if name in self.probes and not self._must_wait(name):
                self.running_since[name] = self.means.clock.steady()
                await self._measure(self.probes[name])
        if self._deciding is not None:
            self._deciding.cancel()
        self._decide()

    def _asks_systemd(self) -> bool:
        return any(plan.kind == "unit" and name in self.running_since for name, plan in self.plans.items())

    def _must_wait(self, name: str) -> bool:
        """Whether to leave a probe out. What it sends (a token, say) is for its unit's own process, not for whoever has taken the port."""
        if self.service.unit is None or name not in self.plans or self.plans[name].kind == "unit":
            return False
        if self._is_gone is None:  # at the start; where systemd cannot tell, the probe is all there is
            return not (self._unit_error or self.state.unit_error)
        return self._is_gone

    def _leave_out(self, name: str) -> None:
        self._left_out.add(name)
        self.means.feed.leave_out(self.service.name, name)
        unit = self._facts or self.state.unit
        if unit is not None and unit.is_gone:  # else the core is told first that it is: why is still being looked up
            self._newest[name] = not_asked(name, self.means.clock.steady())
            self.decide_soon()

    def _make_up(self) -> None:
        """Runs what was left out, as soon as its unit is up again."""
        for name in [name for name in self.plans if name in self._left_out and not self._must_wait(name)]:
            self._left_out.remove(name)
            self._newest.pop(name, None)
            self.measure([name])

    async def observe(self, probe: ProbeConfig) -> Outcome:
        """One run of a probe under its total deadline; whatever goes wrong becomes part of the outcome."""
        clock, signs = self.means.clock, self._open_signs(getattr(probe.probe, "max_duration", None) or probe.timeout)
        started = clock.steady()
        observation, failure, detail = await self._runners.observe(probe, f"{self.service.name}/{probe.name}")
        at = clock.steady()
        vitals = signs.read() if failure in (Failure.TIMEOUT, Failure.SLOW, Failure.STATUS) else UNSEEN
        signs.stop()
        if observation.facts is not None:
            await self._take_facts(observation.facts)
            if not observation.facts.is_up and failure is None:
                failure = Failure.STATUS
        elif probe.kind == "unit" and failure is not None:
            self._unit_error = detail
        return conclude(
            self.service.name, probe.name, started, at, observation.measurements, failure, clean(detail or observation.detail), vitals
        )

    def _open_signs(self, patience: float) -> VitalSigns:
        return VitalSigns(lambda: self.state.unit, patience, self.means.clock, self.means.gpus, self.means.look_at_gpus)

    async def _take_facts(self, facts: UnitFacts) -> None:
        """Keeps what systemd says; of a unit that is down, finds out why, where its Result alone does not prove it."""
        self._is_gone = facts.is_gone
        ended: Ended | None = None
        attempt = self.state.attempt
        in_our_restart = attempt is not None and (attempt.answered_at is None or facts.at < attempt.answered_at)
        if (facts.is_down or facts.load == "not-found") and not facts.is_between and not in_our_restart:
            ended = await self._find_ending(facts)
        self._facts, self._unit_error = facts, ""
        self._ended = (self._ended[0], ended)
        self.means.main_processes.watch(self.service.name, facts.main_pid if facts.is_up else 0, self._main_process_ended)

    async def _find_ending(self, facts: UnitFacts) -> Ended | None:
        """None where it is not proved yet: the journal may lag, so one look that proves nothing is nothing to be told."""
        if facts.result != "success" and not facts.told_to_stop:
            return Ended(Ending.BY_ITSELF)
        identity = (facts.invocation or self.state.invocation, facts.active, facts.result, facts.inactive_enter_at)
        known, ended = self._ended
        if known == identity and ended is not None and ended.ending in (Ending.OPERATOR_STOP, Ending.BY_ITSELF):
            return ended
        self.means.host_stopping = await self.means.systemd.is_host_stopping()
        ended = await self.means.systemd.why_ended(facts, self.state.invocation)
        if ended.ending is Ending.NOT_PROVED and known != identity:
            ended = None
        self._ended = (identity, ended)
        return ended

    def _main_process_ended(self) -> None:
        self.spawn(self._see_the_end())

    async def _see_the_end(self) -> None:
        """The kernel tells of an end before systemd does: asks until systemd knows too."""
        before = self.state.unit
        units = [name for name, plan in self.plans.items() if plan.kind == "unit"]
        for pause in SOON:
            for name in units:
                if name not in self.running_since and name in self.probes:
                    self.running_since[name] = self.means.clock.steady()
                    await self._measure(self.probes[name])
            seen = self._facts or self.state.unit
            if seen is None or before is None or (seen.main_pid != before.main_pid if seen.is_up else not seen.is_between):
                return
            await asyncio.sleep(pause)

    def _decide(self) -> None:
        if self.state.attempt is not None and self.state.attempt.phase is RecoveryPhase.HOLDING:
            crash_point("holding")
        for name in self.plans:
            if self._must_wait(name) and name not in self.running_since:
                self._leave_out(name)  # at once: what it said while the unit was up must not be shown of one that is down
        self._deciding = None
        facts = self._gather()
        now = self.means.clock.steady()
        self._closing = self.state.incident
        decisions = step(self.service, self.state, list(self._newest.values()), facts, now)
        self.means.common.see(self.service.name, now, is_bad=self.is_bad, is_restarting=self.state.attempt is not None)
        self._facts, self._unit_error = None, ""
        if decisions or self.leaving is not None:
            self.carry_out(decisions)
        else:
            self.means.unwritten.add(self)
        self._closing = None
        self._make_up()
        self._schedule(now)

    def _gather(self) -> Facts:
        state = self.state
        unit = self._facts or state.unit
        start_moves = (
            not state.settled
            and unit is not None
            and self._start_signs.move(unit, self.means.gpus, self._runners.progress(), self.means.clock.steady())
        )
        left_over: tuple[int, ...] = ()
        if state.attempt is None:
            left_over = find_unkillable(frozenset(state.old_processes))
        elif state.attempt.answered_at is not None:
            left_over = find_unkillable(frozenset(state.attempt.old_processes))
        return self.facts(left_over, start_moves=start_moves)

    def facts(self, left_over: tuple[int, ...] = (), *, start_moves: bool = False) -> Facts:
        """What the core must know besides the outcomes."""
        means = self.means
        now = means.clock.steady()
        inhibiting = find_inhibiting(self.state.alerts.values(), now - self.service.stale_after)
        return Facts(
            unit=self._facts,
            unit_error=self._unit_error,
            ended=self._ended[1],
            host_stopping=means.host_stopping,
            permitted=means.permitted.get(self.service.name),
            inhibited=min(inhibiting, default=means.inhibited() or means.gpus.inhibits(self.service.name)),
            left_over=left_over,
            start_moves=start_moves,
            jitter=means.chance.uniform(-1, 1),
            next_id=means.next_id,
            dry_run=means.dry_run,
            leaving=self.leaving is not None,
            together=means.common.object(self.service.name, now, self.service.round),
        )

    def carry_out(self, decisions: list[Decision]) -> None:
        """Writes down everything, then acts: what is decided is in the record before it is done."""
        self.means.unwritten.discard(self)
        writes = self.write_down(decisions)
        restart = next((decision for decision in decisions if isinstance(decision, Restart)), None)
        self.means.store.put(*writes)
        if any(isinstance(decision, Notification) for decision in decisions):
            self.means.outbox.wake()
        for decision in decisions:
            if isinstance(decision, Concluded) and decision.attempt in self.concluded:
                waiting = self.concluded.pop(decision.attempt)
                if not waiting.done():
                    waiting.set_result(decision)
        if restart is not None:
            self.spawn(self._restart(restart))
        elif self.leaving is not None and self.state.attempt is None:
            asyncio.get_running_loop().call_soon(self.leaving)

    def write_anew(self) -> None:
        """Everything, into a record that has begun anew: the restart that is under way too."""
        attempt, clock = self.state.attempt, self.means.clock
        self._book.begin_anew()
        if attempt is not None:
            actor, cause, at = attempt.actor.value, attempt.cause.value if attempt.cause else None, clock.to_wall(attempt.asked_at)
            self.means.store.put(record.restart_intent(attempt.id, self.service.name, at, actor, cause, say(attempt.reason)))
            self.means.store.put(record.restart_phase(attempt.id, attempt.phase.value))
        self.carry_out([])

    async def _restart(self, restart: Restart) -> None:
        try:
            await self.means.restart(self, restart)
        except Exception as error:  # a bug of ours must not leave the service behind an attempt that never ends
            log.exception("service=%s event=bug", self.service.name)
            reason = Reason("cannot_act", {"detail": f"a bug in the watchdog: {type(error).__name__}"})
            self.carry_out(cannot_act(self.service, self.state, Cause.CANNOT_ACT, reason, self.means.clock.steady()))

    def write_down(self, decisions: Iterable[Decision]) -> list[Write]:
        """One transaction: what was decided, and how things stand."""
        return self._book.write_down(self.service, self.state, decisions, self._closing, self.last_log)

    def _schedule(self, now: float) -> None:
        """A probe that is to run sooner than its next regular run, and the moment at which something is due anyway."""
        for name, plan in self.plans.items():
            outcome = self._newest.get(name)
            wanted = interval(self.service, self.state, plan)
            if outcome is None or wanted >= plan.every:
                self._cancel(name)
            elif name not in self._timers:
                self._start(name, max(0.0, outcome.started + wanted - now), [name])
        self._cancel("wake")
        if self.state.wake_at is not None:
            self._start("wake", max(0.0, self.state.wake_at - now), self.probes)

    def _start(self, timer: str, delay: float, names: Iterable[str]) -> None:
        self._timers[timer] = asyncio.get_running_loop().call_later(delay, self._fire, timer, names)

    def _fire(self, timer: str, names: Iterable[str]) -> None:
        self._timers.pop(timer, None)
        self.measure(names)

    def _cancel(self, timer: str) -> None:
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("service=%s event=bug", self.service.name, exc_info=error)
