"""Evidence in, state and reason out. `TABLE` is read from the top; the first row that speaks wins."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from model_watchdog.core.decision import Cause, Param, Reason, State
from model_watchdog.core.sample import Failure, Outcome
from model_watchdog.core.unit import Ended, Ending, UnitFacts
from model_watchdog.core.vitals import Vitals

_CAUSE_OF_FAILURE = {
    Failure.REFUSED: Cause.HEALTH_REFUSED,
    Failure.TIMEOUT: Cause.HEALTH_TIMEOUT,
    Failure.STATUS: Cause.HEALTH_STATUS,
    Failure.BODY: Cause.HEALTH_BODY,
    Failure.SLOW: Cause.HEALTH_BODY,
    Failure.TLS: Cause.HEALTH_TLS,
    Failure.DNS: Cause.HEALTH_DNS,
    Failure.PROTOCOL: Cause.HEALTH_PROTOCOL,
    Failure.CONNECTION_LOST: Cause.HEALTH_CONNECTION_LOST,
    Failure.ENDED: Cause.ENDED_BY_ITSELF,
    Failure.CONFIG: Cause.EVIDENCE_MISSING,
    Failure.WATCHER: Cause.CANNOT_ACT,
}
_CAUSE_OF_RESULT = {
    "signal": Cause.CRASHED,
    "core-dump": Cause.CRASHED,
    "watchdog": Cause.CRASHED,
    "oom-kill": Cause.OOM_KILLED,
    "timeout": Cause.START_TIMEOUT,
    "start-limit-hit": Cause.START_LIMIT,
    "protocol": Cause.START_FAILED,
    "resources": Cause.START_FAILED,
}
CANARY_CORRECT = "canary_answer_correct"
STATUS_CODE = "probe_http_status_code"
NOT_HERE = (401, 403, 404, 405)
"""Statuses that say that something else was expected here."""
_FIRST_EXEC_STATUS, _LAST_EXEC_STATUS = 200, 245
"""systemd.exec(5): exit codes of its own, given when a process could not be started (203 is EXEC)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a service at `now`. `outcomes` are the newest of this invocation, the unit's probe left out."""

    now: float
    startup: float
    busy_patience: float
    has_unit: bool
    unit: UnitFacts | None = None
    unit_error: str = ""
    ended: Ended | None = None
    host_stopping: bool = False
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    failing: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # probe: how many bad in a row, of how many
    silent: frozenset[str] = frozenset()  # probes that have not said anything of late
    unheard: frozenset[str] = frozenset()  # probes that have not had the time to say anything of what ran before the daemon did
    never_reached: frozenset[str] = frozenset()  # probes that never got an answer
    began: float = 0.0
    queued_since: float | None = None
    settled: bool = True
    usual_start: float | None = None  # seconds that the last starts took
    stalled: tuple[str, float] | None = None  # an engine that has work and makes no step, and for how many seconds
    steps: bool = False  # its heartbeat was seen to move of late
    canaries: Mapping[str, Outcome] = field(default_factory=dict)  # those that say something against the service
    declared: tuple[State, Reason] | None = None  # by a rule
    good: frozenset[str] = frozenset()  # probes that have ever been good
    busy_since: Mapping[str, float] = field(default_factory=dict)
    flapping: Cause | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`restart_helps` is False where a restart cannot mend what is wrong: then people are told instead.

    `is_pending`: the daemon has only just begun to look. Nothing is known to be wrong, and what was known before still stands.
    """

    state: State
    cause: Cause | None
    reason: Reason
    restart_helps: bool = True
    is_excused: bool = False  # what is seen now counts against nobody: it is loading, stopped, busy, in systemd's hands
    is_pending: bool = False


def is_moving(outcome: Outcome) -> bool:
    """The service worked while it left the probe waiting, or answered too late, or in the end that it is not ready: progress proves life,
    and so it may where nobody can see whether its GPUs work."""
    if outcome.failure is Failure.STATUS:  # after a wait: it was looked at only then
        return outcome.vitals.processor_moves or bool(outcome.vitals.gpus)
    return outcome.failure in (Failure.TIMEOUT, Failure.SLOW) and outcome.vitals.is_moving


def is_misdirected(outcome: Outcome, good: Collection[str]) -> bool:
    """What answers has never been what was asked for: there is no such page, or it wants a key. No restart makes one."""
    codes = [sample.value for sample in outcome.samples if sample.series.metric == STATUS_CODE]
    return outcome.failure is Failure.STATUS and outcome.probe not in good and bool(codes) and codes[0] in NOT_HERE


def is_outdone(outcome: Outcome, *, steps: bool) -> bool:
    """It did not answer in time, or that it is not ready, while its engine was seen to get on: progress proves life."""
    return steps and outcome.failure in (Failure.TIMEOUT, Failure.SLOW, Failure.STATUS)


def is_wrong(outcome: Outcome) -> bool:
    """A canary that was answered, and not as it should have been."""
    return any(sample.series.metric == CANARY_CORRECT and sample.value == 0 for sample in outcome.samples)


def cause_of_failure(failure: Failure) -> Cause:
    return _CAUSE_OF_FAILURE[failure]


_PENDING = Diagnosis(State.UNKNOWN, None, Reason("not_seen"), is_excused=True, is_pending=True)


def ask_for_port(outcome: Outcome, never_reached: frozenset[str]) -> dict[str, Param]:
    """For a reason: refused, and nobody has ever answered there. Perhaps nobody was meant to."""
    return {"never": 1} if outcome.failure is Failure.REFUSED and outcome.probe in never_reached else {}


def diagnose(evidence: Evidence) -> Diagnosis:
    """The state of a service, with its cause and its reason."""
    for row in TABLE:
        found = row(evidence)
        if found is not None:
            return found
    return Diagnosis(State.HEALTHY, None, Reason("healthy"))


def describe_end(unit: UnitFacts) -> tuple[Cause, Reason]:
    """Why a unit that is down went down, as its Result says."""
    cause = _CAUSE_OF_RESULT.get(unit.result, Cause.ENDED_BY_ITSELF)
    if unit.exit_code == 1 and _FIRST_EXEC_STATUS <= unit.exit_status <= _LAST_EXEC_STATUS and unit.result == "exit-code":
        return Cause.START_FAILED, Reason("exec_failed", {"status": unit.exit_status})
    if unit.result == "start-limit-hit":
        return cause, Reason("start_limit")
    if unit.exit_code in (2, 3) and unit.result in ("signal", "core-dump", "oom-kill"):
        return cause, Reason("oom_killed" if cause is Cause.OOM_KILLED else "killed", {"signal": unit.exit_status, **_life(unit)})
    if unit.result in ("success", "exit-code"):
        if unit.exit_code in (2, 3):
            return cause, Reason("killed", {"signal": unit.exit_status, **_life(unit)})
        return cause, Reason("ended", {"status": unit.exit_status, **_life(unit)})
    return cause, Reason("unit_result", {"result": unit.result})


def _life(unit: UnitFacts) -> dict[str, Param]:
    """Which process it was, and for how long it was up; {} where systemd does not know."""
    if not unit.last_pid or unit.main_start_at is None or unit.main_exit_at is None:
        return {}
    return {"pid": unit.last_pid, "up": unit.main_exit_at - unit.main_start_at}


def _unit_not_seen(e: Evidence) -> Diagnosis | None:
    """Before systemd was asked, nothing that a probe says counts: the unit may have been stopped on purpose."""
    if not e.has_unit or e.unit is not None:
        return None
    if e.unit_error:
        return _blind(e)
    return _PENDING


def _missing(e: Evidence) -> Diagnosis | None:
    if e.unit and e.unit.is_missing and not e.unit.is_up and not (e.ended and e.ended.ending is Ending.OPERATOR_STOP):
        return Diagnosis(
            State.UNKNOWN, Cause.UNIT_MISSING, Reason("unit_missing", {"unit": e.unit.unit, "load": e.unit.load}), is_excused=True
        )
    return None


def _masked(e: Evidence) -> Diagnosis | None:
    if e.unit and e.unit.load == "masked" and e.unit.is_down:
        return Diagnosis(State.STOPPED, Cause.MASKED, Reason("masked"), is_excused=True)
    return None


def _stopping_host(e: Evidence) -> Diagnosis | None:
    if e.host_stopping and not (e.unit and e.unit.is_up):
        return Diagnosis(State.STOPPED, Cause.HOST_STOPPING, Reason("host_stopping"), is_excused=True)
    return None


def _in_transition(e: Evidence) -> Diagnosis | None:
    unit = e.unit
    if unit is None or unit.is_up or unit.is_down:
        return None
    if unit.waits_for_systemd:
        cause, why = describe_end(unit)
        return Diagnosis(State.DEAD, cause, Reason("systemd_restarts", {"why": why.key, **why.params}), is_excused=True)
    if unit.active == "activating":
        return _describe_loading(e, late=e.now - e.began >= e.startup)
    return Diagnosis(State.UNKNOWN, None, Reason("is_stopping"), is_excused=True)


def _queued(e: Evidence) -> Diagnosis | None:
    """Its start waits for something else in systemd's queue (a mount, a slow unit before it): no verdict yet."""
    if e.queued_since is None:
        return None
    waited = e.now - e.queued_since
    late = waited >= e.startup
    cause, key = (Cause.START_TIMEOUT, "queued_too_long") if late else (None, "queued")
    return Diagnosis(State.LOADING, cause, Reason(key, {"seconds": waited, "startup": e.startup}), is_excused=True)


def _down(e: Evidence) -> Diagnosis | None:
    unit = e.unit
    if unit is None or not unit.is_down:
        return None
    ending = e.ended.ending if e.ended else None
    detail = e.ended.detail if e.ended else ""
    if ending is Ending.OPERATOR_STOP:  # guard: 7
        return Diagnosis(State.STOPPED, Cause.OPERATOR_STOP, Reason("operator_stop"), is_excused=True)
    if ending is Ending.NOT_PROVED:
        return Diagnosis(State.STOPPED, Cause.STOPPED_NOT_PROVED, Reason("stopped_not_proved", {"detail": detail}), restart_helps=False)
    if ending is Ending.DEPENDENCY_FAILED:
        return Diagnosis(State.DEAD, Cause.DEPENDENCY_FAILED, Reason("dependency_failed", {"dependency": detail}), restart_helps=False)
    if ending is Ending.NEVER_STARTED:
        return Diagnosis(State.DEAD, Cause.NEVER_STARTED, Reason("never_started"))
    if ending is None and (unit.result == "success" or unit.told_to_stop):
        return Diagnosis(State.UNKNOWN, None, Reason("end_not_seen"), is_excused=True)  # the journal was not asked yet
    cause, reason = describe_end(unit)
    return Diagnosis(State.DEAD, cause, reason)


def _not_heard(e: Evidence) -> Diagnosis | None:
    """What ran before the daemon did is judged when every probe has spoken, or one of them ill."""
    return _PENDING if e.unheard and all(outcome.ok for outcome in e.outcomes.values()) else None


def _loading(e: Evidence) -> Diagnosis | None:
    return None if e.settled else _describe_loading(e, late=False)


def _describe_loading(e: Evidence, *, late: bool) -> Diagnosis:
    params: dict[str, Param] = {"seconds": e.now - e.began, "startup": e.startup}
    if e.usual_start is not None:
        params["usual"] = e.usual_start
    return Diagnosis(
        State.LOADING, Cause.START_TIMEOUT if late else None, Reason("loading_too_long" if late else "loading", params), is_excused=True
    )


def _sleeping(e: Evidence) -> Diagnosis | None:
    if e.declared is not None and e.declared[0] is State.SLEEPING:
        return Diagnosis(State.SLEEPING, None, e.declared[1], is_excused=True)
    return None


def _stalled(e: Evidence) -> Diagnosis | None:
    """There is work, and its engine makes no step: whatever its health says."""
    if e.stalled is None:
        return None
    engine, seconds = e.stalled
    params: dict[str, Param] = {"seconds": seconds, **({"engine": engine} if engine else {})}
    return Diagnosis(State.STALLED, Cause.STALLED, Reason("stalled", params))


def _failing(e: Evidence) -> Diagnosis | None:
    """A failure that a restart may mend: refused, wrong status or body, or a time-out with nothing moving."""
    params: dict[str, Param]
    for name, outcome in e.outcomes.items():
        if outcome.ok is not False or outcome.failure in (None, Failure.TLS):
            continue
        if is_moving(outcome) and e.now - e.busy_since.get(name, e.now) < e.busy_patience:  # guard: 5
            continue
        if is_outdone(outcome, steps=e.steps):  # guard: 5
            continue
        assert outcome.failure is not None
        if is_misdirected(outcome, e.good):
            params = {"probe": name, "detail": outcome.detail}
            return Diagnosis(State.UNHEALTHY, Cause.HEALTH_STATUS, Reason("misdirected", params), restart_helps=False)
        count, of = e.failing.get(name, (1, 1))
        count = max(count, 1)
        params = {"probe": name, "detail": outcome.detail, "count": count, "of": of}
        key = "health_timeout" if outcome.failure is Failure.TIMEOUT else "health_failed"
        params |= ask_for_port(outcome, e.never_reached)
        if outcome.vitals.is_complete:
            params["still"] = 1
        if outcome.failure is Failure.TIMEOUT and is_moving(outcome):
            key = _say_which("patience_ended", outcome.vitals)
            params |= {"patience": e.busy_patience, **_name_moving(outcome.vitals)}
        state = State.DEAD if outcome.failure is Failure.ENDED else State.UNHEALTHY
        return Diagnosis(state, cause_of_failure(outcome.failure), Reason(key, params))
    return None


def _untrusted(e: Evidence) -> Diagnosis | None:
    for name, outcome in e.outcomes.items():
        if outcome.ok is False and outcome.failure is Failure.TLS:
            reason = Reason("health_tls", {"probe": name, "detail": outcome.detail})
            return Diagnosis(State.UNHEALTHY, Cause.HEALTH_TLS, reason, restart_helps=False)
    return None


def _busy(e: Evidence) -> Diagnosis | None:
    for name, outcome in e.outcomes.items():
        if outcome.ok is False and is_outdone(outcome, steps=e.steps):
            reason = Reason("busy_steps", {"probe": name, "detail": outcome.detail})
            return Diagnosis(State.BUSY, cause_of_failure(outcome.failure or Failure.TIMEOUT), reason, is_excused=True)
        if outcome.ok is False and is_moving(outcome):
            vitals = outcome.vitals
            key = "busy_both" if vitals.processor_moves and vitals.gpus else _say_which("busy", vitals)
            params: dict[str, Param] = {"probe": name, "detail": outcome.detail, **_name_moving(vitals)}
            return Diagnosis(State.BUSY, Cause.HEALTH_TIMEOUT, Reason(key, params), is_excused=True)
    return None


def _canary(e: Evidence) -> Diagnosis | None:
    """A real request was not answered, or answered with nonsense."""
    for name, outcome in e.canaries.items():
        if is_wrong(outcome):
            return Diagnosis(State.UNHEALTHY, Cause.CANARY_WRONG, Reason("canary_wrong", {"probe": name, "detail": outcome.detail}))
        count, of = e.failing.get(name, (1, 1))
        params: dict[str, Param] = {"probe": name, "detail": outcome.detail, "count": max(count, 1), "of": of}
        return Diagnosis(State.UNHEALTHY, Cause.CANARY_FAILED, Reason("canary_failed", params))
    return None


def _degraded(e: Evidence) -> Diagnosis | None:
    if e.declared is not None and e.declared[0] is State.DEGRADED:
        return Diagnosis(State.DEGRADED, None, e.declared[1])
    return None


def _say_which(key: str, vitals: Vitals) -> str:
    """The key of the sentence for what moves, or for GPUs that could not be read."""
    if vitals.processor_moves:
        return key
    return f"{key}_gpu" if vitals.gpus else f"{key}_unread"


def _name_moving(vitals: Vitals) -> dict[str, Param]:
    return {"cores": vitals.cores or 0.0, "gpus": ", ".join(vitals.gpus or ())}


def _blind(e: Evidence) -> Diagnosis | None:
    for name, outcome in e.outcomes.items():
        if outcome.ok is None and outcome.failure is not None:
            cause = cause_of_failure(outcome.failure)
            return Diagnosis(State.UNKNOWN, cause, Reason("blind", {"probe": name, "detail": outcome.detail}), is_excused=True)
    if e.unit_error and not (e.outcomes and all(outcome.ok for outcome in e.outcomes.values())):
        return Diagnosis(State.UNKNOWN, Cause.CANNOT_ACT, Reason("systemd_unreachable", {"detail": e.unit_error}), is_excused=True)
    return None


def _not_seen(e: Evidence) -> Diagnosis | None:
    if e.silent:
        return Diagnosis(State.UNKNOWN, None, Reason("silent", {"probe": min(e.silent)}), is_excused=True)
    return None


def _flapping(e: Evidence) -> Diagnosis | None:
    if e.flapping:
        return Diagnosis(State.DEGRADED, e.flapping, Reason(e.flapping.value))
    return None


TABLE: tuple[Callable[[Evidence], Diagnosis | None], ...] = (
    _unit_not_seen,
    _missing,
    _masked,
    _stopping_host,
    _in_transition,
    _queued,
    _down,
    _not_heard,
    _loading,
    _sleeping,
    _stalled,
    _failing,
    _untrusted,
    _busy,
    _canary,
    _blind,
    _not_seen,
    _degraded,
    _flapping,
)
