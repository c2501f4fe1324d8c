"""The host under watch: its probes, its rules, and what is wrong with the watchdog's own means."""

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any

from model_watchdog import writes as record
from model_watchdog.config.model import HostConfig, ProbeConfig
from model_watchdog.core.decision import Cause, Decision, Event, Notification
from model_watchdog.core.gpu import Gpu
from model_watchdog.core.host import HostState, end_alerts, note_details, set_troubles, step_host, tell_news
from model_watchdog.core.memory import carry_over_host, remember_host
from model_watchdog.core.sample import Outcome, Sample, SeriesId, conclude
from model_watchdog.core.state import STALE_AFTER
from model_watchdog.means import Means
from model_watchdog.notes import StoredNotes
from model_watchdog.probes import Running, Surroundings
from model_watchdog.rules.expr import KIND as EXPRESSIONS
from model_watchdog.runners import Runners
from model_watchdog.snapshot import describe_alerts, describe_host, describe_metric
from model_watchdog.wording import Story, clean, compose, remedy, say

log = logging.getLogger(__name__)

GPUS = "gpus"
"""The setting that keeps what `GpuHolder.remember` gives."""

_CAUSES = {
    "record_unwritable": Cause.RECORD_UNWRITABLE,
    "systemd_unreachable": Cause.CANNOT_ACT,
    "notifier_misconfigured": Cause.CANNOT_ACT,
}
"""By the first word of a condition's name; a second one names a notifier, or the user whose systemd it is about."""


class HostWatch:
    """As `tick.Watch`, for what belongs to no service."""

    def __init__(self, config: HostConfig, state: HostState, means: Means) -> None:
        self.config = config
        self.state = state
        self.means = means
        self._runners = Runners(self._open_probe)
        self._running: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept = ""
        self._kept_gpus = ""
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        if known := self.means.store.setting(GPUS):
            try:
                self.means.gpus.recall(known, self.means.clock.anchor()[0], self.means.clock.steady())
            except (ValueError, TypeError, AttributeError) as error:
                log.warning("event=state_unreadable reason=%r", f"{error!r}; which service works on which GPU is learnt anew")
        self._runners.take(self.config.probes)

    def _open_probe(self, probe: ProbeConfig) -> Running:
        notes = StoredNotes(self.means.store, self.means.notes, f"host/{probe.name}")
        return probe.probe.open(Surroundings(None, None, probe.timeout, self.means.units, self.means.gpus, notes, self.means.feed))

    def take(self, config: HostConfig) -> None:
        """Another configuration. What is known stays, where it still counts."""
        changed, self.config = self._runners.take(config.probes), config
        if not any(probe.kind == "nvml" for probe in config.probes):
            self.means.gpus.view = None  # nobody looks at them any more
        now, names = self.means.clock.steady(), {probe.name for probe in config.probes}
        self.carry_out(end_alerts(self.state, carry_over_host(config.rules, self.state, names, changed, now, config.mounts)))
        self._spawn(self._runners.tidy())
        self.measure(changed & names)

    async def close(self) -> None:
        self._wake_at(None)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runners.close()

    def measure_all(self) -> None:
        self.measure(probe.name for probe in self.config.probes)

    def look_at_gpus(self) -> None:
        """Reads them now, beside their interval: somebody must know whether they work at this moment."""
        self.measure(probe.name for probe in self.config.probes if probe.kind == "nvml")

    def measure(self, names: Iterable[str]) -> None:
        probes = {probe.name: probe for probe in self.config.probes}
        for name in names:
            if name not in self._running:
                self._running.add(name)
                self._spawn(self._measure(probes[name]))

    def problems(self) -> list[dict[str, Any]]:
        """What is wrong with the watchdog's own means, each with the command that mends it."""
        found = []
        for name, reason in self.state.conditions.items():
            about, _, whose = name.partition(" ")
            is_of_user = about == "systemd_unreachable" and whose
            mend = remedy(_CAUSES[about], f"{whose}/", None) if is_of_user else remedy(_CAUSES[about], None, None, whose or None)
            found.append({"cause": _CAUSES[about].value, "service": None, "reason": say(reason), "remedy": mend})
        return found

    def write_anew(self) -> None:
        """Everything, into a record that has begun anew."""
        self._kept = ""
        self.carry_out([])

    def carry_out(self, decisions: Iterable[Decision]) -> None:
        """Writes events and messages down, with the state to be recalled."""
        clock, writes, told = self.means.clock, [], False
        wall = clock.wall()
        for decision in decisions:
            if isinstance(decision, Event):
                log.info('event=%s reason="%s"', decision.event, say(decision.reason).replace('"', "'"))
                cause = decision.cause.value if decision.cause else None
                about = decision.reason.params.get("incident")  # that which somebody has taken on
                number = about if isinstance(about, int) else None
                writes.append(record.event(wall, None, decision.event, cause, say(decision.reason), number, decision.matter))
            elif isinstance(decision, Notification):
                told = True
                now = datetime.fromtimestamp(wall).astimezone()
                user = decision.reason.params.get("user")  # whose systemd it is about
                story = Story(self.means.hostname, None, f"{user}/" if user else None, now, since=now)
                writes += self.means.teller.take(decision, compose(decision, story), None, None)
        essence = json.dumps(remember_host(self.state))
        alerts = json.dumps(describe_alerts(None, self.state.alerts.values(), clock, {}))
        if essence + alerts != self._kept:
            self._kept = essence + alerts
            if not self.means.dry_run:
                writes.append(record.service_state("", f"[{json.dumps(clock.anchor())}, {essence}]"))
            writes.append(record.alerts("", alerts))
        self.means.store.put(*writes)
        if told:
            self.means.outbox.wake()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _measure(self, probe: ProbeConfig) -> None:
        try:
            clock = self.means.clock
            started = clock.steady()
            observation, failure, detail = await self._runners.observe(probe, f"host/{probe.name}")
            text = clean(detail or observation.detail)
            outcome = conclude(None, probe.name, started, clock.steady(), observation.measurements, failure, text)
        finally:
            self._running.discard(probe.name)
        if not self._runners.has(probe):
            await self._runners.tidy()
            self.measure(other.name for other in self.config.probes if other.name == probe.name)
            return
        self.means.samples += outcome.samples
        self.means.feed.take(None, outcome)
        if observation.gpus is not None:
            self._take_gpus(outcome.at, observation.gpus)
        elif failure is not None and probe.kind == "nvml":
            self.means.gpus.turn_stale()
        troubles = self._runners.troubles(probe.name)
        decisions = set_troubles(self.state, probe.name, troubles, is_good=failure is None, now=outcome.at)
        for news in observation.news:
            decisions += tell_news(self.state, news, outcome.at)
        if observation.detail and (observation.measurements or probe.kind == EXPRESSIONS):
            decisions += note_details(self.state, probe.name, clean(observation.detail).split("; "), outcome.at)
        self._step([outcome], decisions)
        self.means.store.put(record.host_metrics(json.dumps(self._describe()), self.means.clock.wall()))

    def _take_gpus(self, at: float, gpus: tuple[Gpu, ...]) -> None:
        holder = self.means.gpus
        holder.take(at, gpus, self.means.list_pids())
        known = holder.remember(self.means.clock.anchor()[0])
        if known != self._kept_gpus:
            self._kept_gpus = known
            self.means.store.put(record.setting(GPUS, known))

    def _step(self, outcomes: Sequence[Outcome], before: Sequence[Decision] = ()) -> None:
        self.carry_out([*before, *step_host(self.config.rules, self.state, outcomes, self.means.clock.steady())])
        self._wake_at(self.state.wake_at)

    def _wake_at(self, at: float | None) -> None:
        """Looks again then (steady seconds) even if no probe has said anything."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if at is not None:
            delay = max(0.0, at - self.means.clock.steady())
            self._timer = asyncio.get_running_loop().call_later(delay, self._step, [])

    def _describe(self) -> list[dict[str, Any]]:
        """The newest value of each series that is still measured, and the daemon's own."""
        clock = self.means.clock
        oldest = clock.steady() - STALE_AFTER * max((probe.every for probe in self.config.probes), default=30.0)
        metrics = describe_host(self.state, clock, oldest)
        own = self.means.own_metrics()
        samples = [Sample(SeriesId.of(name, labels), value, clock.steady()) for name, labels, value in own]
        self.means.samples += samples
        self.means.feed.add(samples)
        return metrics + [describe_metric(name, labels, value, clock) for name, labels, value in own]

    def inhibited(self) -> str:
        """The rule that forbids restarts now, or nothing."""
        every = max((probe.every for probe in self.config.probes), default=30.0)
        return self.state.inhibited(self.means.clock.steady() - STALE_AFTER * every)
