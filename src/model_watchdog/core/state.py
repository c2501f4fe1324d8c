"""What is known of a service: one mutable value, changed by `core.service` alone."""

from collections import deque
from dataclasses import dataclass, field

from model_watchdog.core.alert import Alert
from model_watchdog.core.arrivals import Arrivals
from model_watchdog.core.attempt import Attempt
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy, CircuitBreaker
from model_watchdog.core.decision import Cause, Reason, State
from model_watchdog.core.progress import Progress, ProgressPlan
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Outcome
from model_watchdog.core.unit import Ended, UnitFacts
from model_watchdog.core.units import Seconds
from model_watchdog.core.unstable import UnstablePolicy

STALE_AFTER = 3
"""A probe that has not spoken for so many times `every` (and its deadline) is silent."""

EVIDENCE = ("scrape", "canary", "log", "json", "expr")
"""Kinds of probes that tell what a service does, and not by themselves whether it is well: what they cannot see is held against nobody."""
LOADS_KEPT = 3
"""Of so many starts it is kept how long they took."""


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """How often a probe runs; `kind` is the word in the YAML."""

    name: str
    kind: str
    every: Seconds = Seconds(30.0)
    timeout: Seconds = Seconds(5.0)
    retry_every: Seconds = Seconds(5.0)


@dataclass(frozen=True, slots=True)
class Service:
    """A service as configured. `unit` is None where it is restarted by a command.

    A start may take `startup` seconds, and up to `startup_max` while something of it moves.
    """

    name: str
    unit: str | None
    probes: tuple[ProbePlan, ...] = ()
    rules: tuple[Rule, ...] = ()
    startup: Seconds = Seconds(120.0)
    startup_max: Seconds = Seconds(360.0)
    busy_patience: Seconds = Seconds(900.0)
    stable: Seconds = Seconds(60.0)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    progress: ProgressPlan | None = None
    unstable: UnstablePolicy | None = field(default_factory=UnstablePolicy)

    @property
    def round(self) -> float:
        """Seconds within which every probe runs; a canary, which is rare on purpose, is not waited for."""
        return max((plan.every for plan in self.probes if plan.kind != "canary"), default=30.0)

    @property
    def stale_after(self) -> float:
        """Seconds after which nothing is known any more from a probe that has not spoken."""
        return STALE_AFTER * self.round

    @property
    def health_probes(self) -> frozenset[str]:
        """The probes that must be good for the service to be good."""
        return frozenset(plan.name for plan in self.probes if plan.kind not in ("unit", *EVIDENCE))

    def list_probes(self, kind: str) -> tuple[ProbePlan, ...]:
        """Its probes of one kind."""
        return tuple(plan for plan in self.probes if plan.kind == kind)


@dataclass(slots=True)
class Incident:
    """From the first sign that a service is bad to the last.

    `tries` are its restarts: steady time, result, reason; `untold` is how many of them no message has named yet.
    """

    id: int
    opened_at: float
    reason: Reason
    tries: list[tuple[float, str, Reason]] = field(default_factory=list)
    untold: int = 0


@dataclass(slots=True)
class ServiceState:
    """All times are steady seconds."""

    breaker: CircuitBreaker
    state: State = State.UNKNOWN
    cause: Cause | None = None
    reason: Reason = field(default_factory=lambda: Reason("not_seen"))
    since: float = 0.0
    watched_since: float = 0.0  # by this run of the daemon
    # this invocation
    invocation: str = ""
    began: float = 0.0
    settled: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    changes: dict[str, deque[float]] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)  # probes that ever got an answer, good or bad, in any invocation
    good: set[str] = field(default_factory=set)  # probes that have ever been good, as they are configured
    busy: dict[str, float] = field(default_factory=dict)  # probe: since when it times out while the service works
    progress: Progress = field(default_factory=Progress)
    mute: dict[str, int] = field(default_factory=dict)  # probe of EVIDENCE: so many runs in a row have shown nothing
    start_moved_at: float | None = None  # when something of the start that is under way was last seen to move
    woke_at: float = 0.0  # the end of the last gap: what was asked before it does not count
    grace_until: float = 0.0  # nothing is restarted before
    queued_since: float | None = None  # since when its start waits in systemd's queue
    well_since: float | None = None
    unwell_since: float | None = None  # over all invocations, until it was well for `stable`
    # the unit
    unit: UnitFacts | None = None
    unit_error: str = ""
    unit_errors: int = 0  # in a row
    ended: Ended | None = None
    systemd_restarts: deque[tuple[float, int]] = field(default_factory=deque)
    results: dict[str, int] = field(default_factory=dict)  # how many restarts of ours ended how, ever
    orphans: list[tuple[str, str]] = field(default_factory=list)  # rule and severity of what was told and is configured no longer
    # deciding
    alerts: dict[str, Alert] = field(default_factory=dict)
    arrivals: Arrivals | None = None  # from its first step on
    attempt: Attempt | None = None
    last_restart_at: float | None = None
    last_result: str | None = None
    paused_until: float | None = None
    cannot_until: float = 0.0
    cannot_wait: float = 0.0
    limit_cleared: bool = False
    old_processes: tuple[tuple[int, int], ...] = ()  # pid and start time of what could not be ended
    held: str = ""
    problems: dict[Cause, Reason] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    gave_up: bool = False  # and told it, so the end must be told
    loads: list[float] = field(default_factory=list)  # how long the last starts took, in seconds
    skipped: int = 0  # canaries that were not sent because the service had work to do
    incident: Incident | None = None
    turns: list[float] = field(default_factory=list)  # when it went bad, of late
    is_wrong: bool = False  # something was wrong with it at the last look
    sequence: int = 0
    wake_at: float | None = None

    @classmethod
    def fresh(cls, service: Service, now: float) -> "ServiceState":
        """Nothing is known yet. A service without a unit has no age: it gets `startup` from now."""
        return cls(CircuitBreaker(service.breaker, service.backoff), since=now, watched_since=now, began=now)

    def begin_invocation(self, began: float, now: float) -> None:
        """Another process, which began at `began`: counters, windows and baselines start afresh, and it is loading."""
        self.began, self.settled = began, False
        for seen in (self.outcomes, self.failing, self.changes, self.busy, self.mute):
            seen.clear()
        self.progress.rest()
        self.start_moved_at = self.well_since = None
        if self.arrivals is not None:
            self.arrivals.rest(now)
        for alert in self.alerts.values():
            alert.begin_anew()

    def next_key(self, service: str, about: str) -> str:
        """A name for a notification that no other one has; it is kept with this state, so a crash does not use it twice."""
        self.sequence += 1
        return f"{service}/{self.sequence}/{about}"

    def forget_problems(self) -> None:
        """What kept the watchdog from acting is over; but a right is missing until it is proved, and an old process until it is gone."""
        lasting = (Cause.NOT_PERMITTED, Cause.OLD_PROCESS_LEFT)
        self.problems = {cause: reason for cause, reason in self.problems.items() if cause in lasting}
        self.told &= {cause.value for cause in lasting}
