"""A small world on a simulated clock: one service with a unit and a health probe, and the core that watches it.

The world is what the shell would see; the core is the real one. Nothing here decides anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from model_watchdog.core.attempt import RecoveryPhase
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy
from model_watchdog.core.decision import Concluded, Decision, Event, Notification, Reason, Restart
from model_watchdog.core.facts import Facts
from model_watchdog.core.gap import forget_confirmations
from model_watchdog.core.memory import recall, remember
from model_watchdog.core.restarting import answered, withdraw
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import UNSEEN, Failure, Outcome, Selector, conclude, not_asked
from model_watchdog.core.service import interval, step
from model_watchdog.core.state import ProbePlan, Service, ServiceState
from model_watchdog.core.unit import Ended, Ending, UnitFacts
from model_watchdog.core.units import Number, Seconds
from model_watchdog.core.vitals import Vitals
from model_watchdog.rules.threshold import Threshold

UNHEALTHY = Rule(
    "unhealthy", Selector.parse('probe_success{probe="health"}'), Threshold(below=Number(1.0)), Severity.CRITICAL, Then.RESTART, times=3
)
DOWN = Rule("down", Selector.parse("unit_active"), Threshold(below=Number(1.0)), Severity.CRITICAL, Then.RESTART, times=1)


def make_service(**changes: object) -> Service:
    """10 s between probes, 3 s time-out, 120 s to load: the times of the fault catalogue."""
    service = Service(
        "model",
        "model.service",
        (
            ProbePlan("health", "http", every=Seconds(10.0), timeout=Seconds(3.0), retry_every=Seconds(5.0)),
            ProbePlan("unit", "unit", every=Seconds(10.0)),
        ),
        (UNHEALTHY, DOWN),
        startup=Seconds(120.0),
        busy_patience=Seconds(900.0),
        stable=Seconds(60.0),
        breaker=BreakerPolicy(failures=3, restarts=6, per=Seconds(3600.0), retry_after=Seconds(1800.0)),
        backoff=BackoffPolicy(first=Seconds(10.0), max=Seconds(600.0)),
    )
    return replace(service, **changes)  # type: ignore[arg-type]


@dataclass
class World:
    """What is true. `health` gives the failure of the probe at a time (None: good), `cores` and `gpus` what works meanwhile."""

    service: Service = field(default_factory=make_service)
    now: float = 100_000.0
    health: Callable[[float], Failure | None] = lambda now: None
    cores: float | None = 0.0
    gpus: tuple[str, ...] | None = ()
    load_seconds: float = 0.0
    active: str = "active"
    sub: str = "running"
    result: str = "success"
    load: str = "loaded"
    exit_code: int = 0
    exit_status: int = 0
    invocation: int = 1
    started_at: float = 1_000.0
    systemd_restarts: int = 0
    job: int = 0
    ended: Ended | None = None
    host_stopping: bool = False
    permitted: bool | None = None
    inhibited: str = ""
    left_over: tuple[int, ...] = ()
    systemd_error: str = ""
    leaving: bool = False
    on_restart: Callable[["World"], bool] = lambda world: True
    restarts: list[float] = field(default_factory=list)
    events: list[tuple[float, str, str]] = field(default_factory=list)
    told: list[tuple[float, str, str]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    probe_runs: int = 0

    def __post_init__(self) -> None:
        self.state = ServiceState.fresh(self.service, self.now)
        self._due = {plan.name: self.now for plan in self.service.probes}
        self._newest: dict[str, Outcome] = {}
        self._left_out: set[str] = set()
        self._next_id = 1

    # what happens to the service

    def die(self, *, signal: int = 9) -> None:
        self.active, self.sub, self.result, self.exit_code, self.exit_status = "failed", "failed", "signal", 2, signal

    def end(self, ending: Ending = Ending.BY_ITSELF, *, status: int = 0, detail: str = "") -> None:
        self.active, self.sub, self.result = ("inactive", "dead", "success") if status == 0 else ("failed", "failed", "exit-code")
        self.exit_code, self.exit_status, self.ended = 1, status, Ended(ending, detail)

    def start(self) -> None:
        self.active, self.sub, self.result, self.exit_code, self.exit_status, self.ended = "active", "running", "success", 0, 0, None
        self.invocation += 1
        self.started_at = self.now

    # what the shell does

    def run(self, seconds: float, *, until: Callable[["World"], bool] | None = None) -> None:
        """Lets time pass: probes run when they are due, the core is woken when it asked to be."""
        end = self.now + seconds
        while True:
            wake = [self.state.wake_at] if self.state.wake_at is not None else []
            following = min([*self._due.values(), *wake])
            if following > end:
                self.now = end
                return
            self.now = max(self.now, following)
            woken = self.state.wake_at is not None and self.state.wake_at <= self.now
            self.tick([name for name, at in self._due.items() if at <= self.now or woken])
            if until is not None and until(self):
                return

    def tick(self, names: list[str]) -> None:
        unit = None
        for name in names:
            if name == "unit":
                unit = None if self.systemd_error else self.facts()
                self._newest["unit"] = self._see_unit(unit)
            elif self._is_gone():
                self._leave_out(name)
            else:
                self._newest[name] = self._see_health(name)
        if unit is not None and unit.is_gone:
            for name in self._due.keys() - names:
                self._leave_out(name)
        self.step(unit)
        for name in names:
            plan = next(plan for plan in self.service.probes if plan.name == name)
            self._due[name] = self._newest[name].started + max(interval(self.service, self.state, plan), 0.001)
        if not self._is_gone():
            self._due |= dict.fromkeys(self._left_out, self.now)
            self._left_out.clear()

    def step(self, unit: UnitFacts | None = None) -> None:
        facts = Facts(
            unit=unit,
            unit_error=self.systemd_error,
            ended=self.ended,
            host_stopping=self.host_stopping,
            permitted=self.permitted,
            inhibited=self.inhibited,
            left_over=self.left_over,
            leaving=self.leaving,
            next_id=self._next_id,
        )
        self._next_id += 1
        self.take(step(self.service, self.state, list(self._newest.values()), facts, self.now))

    def take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            self.decisions.append(decision)
            if isinstance(decision, Event):
                self.events.append((self.now, decision.event, decision.cause or ""))
            elif isinstance(decision, Notification):
                self.told.append((self.now, decision.about, str(decision.severity)))
            elif isinstance(decision, Restart):
                self.restart()

    def restart(self) -> None:
        """`systemctl restart`: whether it starts a new process is up to `on_restart`; it answers 0 either way."""
        self.restarts.append(self.now)
        if self.on_restart(self):
            self.start()
        answered(self.state, self.now)
        self._due = dict.fromkeys(self._due, self.now + 0.01)

    def restart_daemon(self, seconds: float = 1.0) -> None:
        """`kill -9` of the daemon, and its next start: what is durable is all that is left."""
        kept = remember(self.state)
        self.now += seconds
        self.state = recall(self.service, kept, 0.0, self.now)
        forget_confirmations(self.service, self.state, seconds)
        self._newest.clear()
        attempt = self.state.attempt
        if attempt is not None and attempt.answered_at is None:
            if f"{self.invocation}" != attempt.old_invocation:
                answered(self.state, self.now)
            else:
                self.take(withdraw(self.service, self.state, "interrupted", Reason("interrupted"), self.now))
        self._due = dict.fromkeys(self._due, self.now)

    def facts(self) -> UnitFacts:
        return UnitFacts(
            "model.service",
            self.now,
            load=self.load,
            active=self.active,
            sub=self.sub,
            result=self.result,
            main_pid=4000 + self.invocation if self.active == "active" else 0,
            invocation=f"{self.invocation}",
            exit_code=self.exit_code,
            exit_status=self.exit_status,
            restarts=self.systemd_restarts,
            job=self.job,
            inactive_exit_at=self.started_at,
            main_exit_at=self.now - 1.0 if self.active == "failed" else None,
            active_exit_at=self.now - 0.9 if self.active == "failed" else None,
        )

    def _is_gone(self) -> bool:
        return self.state.unit is not None and self.state.unit.is_gone

    def _leave_out(self, name: str) -> None:
        self._left_out.add(name)
        self._newest[name] = not_asked(name, self.now)

    def _see_unit(self, unit: UnitFacts | None) -> Outcome:
        self.probe_runs += 1
        if unit is None:
            return conclude("model", "unit", self.now, self.now + 0.001, (), Failure.WATCHER, self.systemd_error)
        measured: list[tuple[str, dict[str, str], float]] = (
            [] if unit.active in ("activating", "deactivating") or unit.is_between else [("unit_active", {}, float(unit.is_up))]
        )
        return conclude("model", "unit", self.now, self.now + 0.001, measured, None if unit.is_up else Failure.STATUS)

    def _see_health(self, name: str) -> Outcome:
        self.probe_runs += 1
        failure = self.health(self.now)
        if self.active != "active" or self.now - self.started_at < self.load_seconds:
            failure = Failure.REFUSED
        vitals = Vitals(self.cores, self.gpus) if failure is Failure.TIMEOUT else UNSEEN
        return conclude("model", name, self.now, self.now + 0.001, (), failure, str(failure or ""), vitals)

    # what a test asks

    @property
    def phase(self) -> RecoveryPhase | None:
        return self.state.attempt.phase if self.state.attempt else None

    def told_about(self, about: str) -> int:
        return sum(1 for _, what, _ in self.told if what == about)

    def happened(self, event: str) -> int:
        return sum(1 for _, what, _ in self.events if what == event)

    @property
    def concluded(self) -> list[str]:
        return [decision.result for decision in self.decisions if isinstance(decision, Concluded)]
