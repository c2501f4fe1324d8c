"""Whether to restart, and what came of it."""

from model_watchdog.core.alert import Alert
from model_watchdog.core.attempt import Attempt, Proof, RecoveryPhase, Seen, Verdict, prove
from model_watchdog.core.breaker import BreakerState, Permit
from model_watchdog.core.decision import Actor, Cause, Concluded, Decision, Event, Notification, Param, Reason, Restart, State
from model_watchdog.core.diagnosis import Diagnosis
from model_watchdog.core.facts import Facts
from model_watchdog.core.gathering import start_limit
from model_watchdog.core.incident import find_inhibiting, open_incident, tell_firing, tell_recovered
from model_watchdog.core.routes import STANDING
from model_watchdog.core.rule import Severity
from model_watchdog.core.state import Service, ServiceState

OOM_FACTOR = 3.0
"""A restart that ended for want of memory is followed by so many times the back-off: what took the memory needs time to go."""
GAVE_UP = "gave_up"
"""The matter that no restart has helped."""
FIRST_WAIT, LONGEST_WAIT = 10.0, 600.0
"""Seconds between tries while the watchdog cannot act; doubled each time."""


def consider_restart(
    service: Service,
    state: ServiceState,
    confirmed: list[Alert],
    diagnosis: Diagnosis,
    facts: Facts,
    now: float,
    decisions: list[Decision],
) -> None:
    """Restarts where a rule asks for it now and nothing speaks against it; otherwise says once why not."""
    _close_by_another_hand(service, state, facts, now, decisions)
    if state.attempt is not None:  # guard: 8
        return
    if not confirmed or facts.leaving:
        return
    against = _objection(service, state, diagnosis, facts, now)
    if against is not None:
        _hold(service, state, confirmed[0], against, diagnosis, decisions)
        return
    permit = state.breaker.ask(now)
    if permit is Permit.TOO_MANY:
        _give_up(
            service, state, Reason("too_many", {"restarts": service.breaker.restarts, "per": service.breaker.per}), facts, now, decisions
        )
    elif permit in (Permit.BACKOFF, Permit.OPEN):
        until = state.breaker.not_before if permit is Permit.BACKOFF else state.breaker.retry_at or now
        reason = Reason(permit.value, {"seconds": max(0.0, until - now)})
        _hold(service, state, confirmed[0], (permit.value, None, reason), diagnosis, decisions)
    else:
        actor = Actor.TRIAL if permit is Permit.TRIAL else Actor.WATCHDOG
        _begin(service, state, actor, diagnosis.cause, _why(confirmed[0], diagnosis), facts, now, decisions)


def ask_restart(service: Service, state: ServiceState, reason: str, facts: Facts, now: float) -> tuple[list[Decision], Reason | None]:
    """An operator asks: overrides pause, back-off and an open breaker, not `inhibit` or a stopping host.

    Gives the decisions, or why not.
    """
    if state.attempt is not None:
        return [], Reason("restart_under_way")
    if facts.inhibited:
        return [], Reason("inhibited", {"rule": facts.inhibited})
    if facts.host_stopping:
        return [], Reason("host_stopping")
    decisions: list[Decision] = []
    _begin(service, state, Actor.OPERATOR, None, Reason("operator_asked", {"text": reason}), facts, now, decisions)
    return decisions, None


def withdraw(service: Service, state: ServiceState, result: str, reason: Reason, now: float) -> list[Decision]:
    """The attempt turned out not to be needed, not to have been made, or not to be judged any more: it is no failure."""
    attempt = state.attempt
    if attempt is None:
        return []
    state.attempt = None
    if attempt.actor is not Actor.OPERATOR:
        state.breaker.withdrawn(made=attempt.answered_at is not None)
    return [Concluded(attempt.id, result, reason), Event(f"restart_{result}", attempt.cause, reason)]


def cannot_act(service: Service, state: ServiceState, cause: Cause, reason: Reason, now: float) -> list[Decision]:
    """The restart could not be asked for: not the service's failure, not counted, told once with the remedy."""
    decisions = withdraw(service, state, "withdrawn", reason, now)
    state.cannot_wait = min(state.cannot_wait * 2 or FIRST_WAIT, LONGEST_WAIT)
    state.cannot_until = now + state.cannot_wait
    _tell_cannot(service, state, cause, reason, decisions)
    return decisions


def call_failed(service: Service, state: ServiceState, cause: Cause, reason: Reason, facts: Facts, now: float) -> list[Decision]:
    """The call came back and says that the restart failed."""
    decisions: list[Decision] = []
    _fail(service, state, Proof(Verdict.FAILED, cause, reason), facts, now, decisions)
    return decisions


def answered(state: ServiceState, now: float) -> None:
    """The call came back without a complaint: now it must be proved."""
    attempt = state.attempt
    if attempt is not None:
        attempt.answered_at = now
        attempt.phase = RecoveryPhase.VERIFYING
        state.forget_problems()  # it could be asked for
        state.cannot_wait = 0.0
        if not state.invocation:
            state.begin_invocation(now, now)


def advance_attempt(
    service: Service, state: ServiceState, diagnosis: Diagnosis, confirmed: bool, facts: Facts, now: float, decisions: list[Decision]
) -> None:
    """Holds what is seen against the attempt that runs."""
    attempt = state.attempt
    if attempt is None:
        return
    if attempt.answered_at is not None and diagnosis.state is State.STOPPED and diagnosis.is_excused:
        decisions += withdraw(service, state, "withdrawn", diagnosis.reason, now)  # somebody else had the last word
        return
    invocation = state.unit.invocation if state.unit else ""  # not the last that is known: systemd forgets that of a unit which ended well
    if invocation not in ("", attempt.old_invocation) and not attempt.new_invocation:
        attempt.new_invocation, attempt.new_began = invocation, state.began
    seen = Seen(
        now=now,
        startup=start_limit(service, state),
        stable=service.stable,
        has_unit=service.unit is not None,
        unit=state.unit,
        outcomes=state.outcomes,
        probes=service.health_probes,
        diagnosis=diagnosis,
        confirmed=confirmed,
        left_over=facts.left_over,
        never_reached=service.health_probes - state.reached,
    )
    proof = prove(attempt, seen)
    if proof is None:
        return
    if proof.verdict is Verdict.HOLDING:
        attempt.phase, attempt.good_since = RecoveryPhase.HOLDING, now
        decisions.append(Event("holding", None, Reason("holding", {"stable": service.stable})))
    elif proof.verdict is Verdict.RECOVERED:
        _recover(service, state, now, decisions)
    else:
        _fail(service, state, proof, facts, now, decisions)


def _objection(
    service: Service, state: ServiceState, diagnosis: Diagnosis, facts: Facts, now: float
) -> tuple[str, Cause | None, Reason] | None:
    """What speaks against a restart now, as a word, a cause and a reason; None where nothing does."""
    inhibiting = find_inhibiting(state.alerts.values(), now - service.stale_after)  # also what has just begun to fire
    if facts.host_stopping:
        return "host_stopping", Cause.HOST_STOPPING, Reason("host_stopping")
    if diagnosis.is_excused:
        return diagnosis.state.value, diagnosis.cause, diagnosis.reason
    if not diagnosis.restart_helps:
        return "cannot_help", diagnosis.cause, diagnosis.reason
    if facts.dry_run:
        return "dry_run", diagnosis.cause, Reason("dry_run")
    if facts.inhibited or inhibiting:
        return "inhibited", diagnosis.cause, Reason("inhibited", {"rule": facts.inhibited or inhibiting[0]})
    if facts.together is not None:
        return facts.together.key, diagnosis.cause, facts.together
    if now < state.grace_until:
        return "held_up", diagnosis.cause, Reason("just_back", {"seconds": state.grace_until - now})
    if state.paused_until is not None:
        return "paused", diagnosis.cause, Reason("paused", {"seconds": state.paused_until - now})
    loop = state.alerts.get("flapping_under_systemd ")
    if loop is not None and loop.is_firing:
        return "flapping_under_systemd", Cause.FLAPPING_UNDER_SYSTEMD, Reason("flapping_under_systemd")
    if state.unit is not None and state.unit.load == "masked":
        return "masked", Cause.MASKED, Reason("masked_while_failing")
    if state.unit is not None and state.unit.is_missing:
        return "unit_missing", Cause.UNIT_MISSING, Reason("unit_missing", {"unit": state.unit.unit, "load": state.unit.load})
    if facts.permitted is False:
        return "not_permitted", Cause.NOT_PERMITTED, Reason("not_permitted", {"unit": state.unit.unit if state.unit else ""})
    if Cause.OLD_PROCESS_LEFT in state.problems:
        return "old_process_left", Cause.OLD_PROCESS_LEFT, state.problems[Cause.OLD_PROCESS_LEFT]
    if now < state.cannot_until:
        return "cannot_act", Cause.CANNOT_ACT, Reason("cannot_act_yet", {"seconds": state.cannot_until - now})
    return None


def _hold(
    service: Service,
    state: ServiceState,
    alert: Alert,
    against: tuple[str, Cause | None, Reason],
    diagnosis: Diagnosis,
    decisions: list[Decision],
) -> None:
    """Each reason is recorded once; what a person must mend is told."""
    word, cause, reason = against
    if word in ("cannot_help", "inhibited"):
        tell_firing(service, state, alert, cause, reason, decisions)
    if cause is Cause.STOPPED_NOT_PROVED:
        state.problems[cause] = reason
    if cause in (Cause.NOT_PERMITTED, Cause.MASKED, Cause.UNIT_MISSING):
        _tell_cannot(service, state, cause, reason, decisions)
    if state.held != word:
        state.held = word
        decisions.append(Event("not_restarted", cause, reason))


def _tell_cannot(service: Service, state: ServiceState, cause: Cause, reason: Reason, decisions: list[Decision]) -> None:
    state.problems[cause] = reason
    if cause.value in state.told:
        return
    state.told.add(cause.value)
    key = state.next_key(service.name, f"cannot-{cause.value}")
    decisions.append(Notification(key, Severity.CRITICAL, "cannot_act", cause, reason, matters=(f"{STANDING}{cause.value}",)))


def _why(alert: Alert, diagnosis: Diagnosis) -> Reason:
    if diagnosis.state in (State.HEALTHY, State.DEGRADED):
        return Reason("rule_fired", {"rule": alert.rule.name, "value": alert.value})
    return diagnosis.reason


def _begin(
    service: Service,
    state: ServiceState,
    actor: Actor,
    cause: Cause | None,
    reason: Reason,
    facts: Facts,
    now: float,
    decisions: list[Decision],
) -> None:
    if actor is not Actor.OPERATOR:
        state.breaker.started(now)
    open_incident(service, state, reason, facts, now, decisions)
    state.attempt = Attempt(facts.next_id, actor, cause, reason, now, old_invocation=state.unit.invocation if state.unit else "")
    state.held = ""
    clear = state.unit is not None and state.unit.result == "start-limit-hit" and not (actor is Actor.WATCHDOG and state.limit_cleared)
    state.limit_cleared = state.limit_cleared or clear
    if actor is not Actor.WATCHDOG:
        event = Event("trial_started" if actor is Actor.TRIAL else "restart_started", cause, reason)
    else:
        event = Event("restart_started", cause, Reason("restart_started", {**reason.params, "why": reason.key, **_number(service, state)}))
    decisions += [event, Restart(facts.next_id, actor, cause, reason, clear)]


def _number(service: Service, state: ServiceState) -> dict[str, Param]:
    """Which restart it is of how many that may fail in a row."""
    return {"attempt": state.breaker.failures + 1, "attempts": service.breaker.failures}


def _recover(service: Service, state: ServiceState, now: float, decisions: list[Decision]) -> None:
    attempt = state.attempt
    assert attempt is not None
    took = (attempt.good_since or now) - attempt.asked_at
    reason = Reason("recovered", {"seconds": took, "stable": service.stable})
    _conclude(state, "recovered", reason, now, decisions)
    decisions.append(Event("recovered", attempt.cause, reason))
    state.breaker.succeeded()
    state.problems.clear()
    state.told.clear()
    state.cannot_wait = 0.0
    state.limit_cleared = False
    params: dict[str, Param] = {"seconds": took, "tries": len(state.incident.tries) if state.incident else 1}
    if state.gave_up:
        _tell_back(service, state, attempt.cause, reason, decisions)
    elif attempt.actor is not Actor.OPERATOR:
        tell_recovered(service, state, attempt.cause, attempt.reason, params, decisions)


def _fail(service: Service, state: ServiceState, proof: Proof, facts: Facts, now: float, decisions: list[Decision]) -> None:
    attempt = state.attempt
    assert attempt is not None
    _conclude(state, "failed", proof.reason, now, decisions)
    params: dict[str, Param] = {**proof.reason.params, "what": proof.reason.key}
    if attempt.actor is Actor.WATCHDOG:
        params |= _number(service, state)
    if proof.is_hopeless and proof.cause is not None:
        state.problems[proof.cause] = proof.reason
        state.old_processes = attempt.old_processes
    opened = False
    if attempt.actor is not Actor.OPERATOR or proof.is_hopeless:
        opened = state.breaker.failed(now, facts.jitter, OOM_FACTOR if proof.cause is Cause.OOM_KILLED else 1.0)
    if proof.is_hopeless and state.breaker.state is BreakerState.CLOSED:
        opened = state.breaker.trip(now)
    if attempt.actor is Actor.TRIAL:
        params["retry_in"] = (state.breaker.retry_at or now) - now
        decisions.append(Event("trial_failed", proof.cause, Reason("trial_failed", params)))
    else:
        decisions.append(Event("restart_failed", proof.cause, Reason("restart_failed", params)))
    if opened or (state.breaker.state is BreakerState.OPEN and not state.gave_up):  # the first restart after a lost record
        _tell_gave_up(service, state, proof.cause, proof.reason, now, decisions)


def _conclude(state: ServiceState, result: str, reason: Reason, now: float, decisions: list[Decision]) -> None:
    attempt = state.attempt
    assert attempt is not None
    state.attempt = None
    state.last_restart_at, state.last_result = attempt.asked_at, result
    state.results[result] = state.results.get(result, 0) + 1
    if state.incident is not None:
        state.incident.tries.append((attempt.asked_at, result, reason))
        state.incident.untold += attempt.actor is not Actor.OPERATOR
    decisions.append(Concluded(attempt.id, result, reason))


def _give_up(service: Service, state: ServiceState, reason: Reason, facts: Facts, now: float, decisions: list[Decision]) -> None:
    open_incident(service, state, reason, facts, now, decisions)
    _tell_gave_up(service, state, state.cause, reason, now, decisions)


def _tell_gave_up(
    service: Service, state: ServiceState, cause: Cause | None, reason: Reason, now: float, decisions: list[Decision]
) -> None:
    """Called when the breaker opens, which a failed trial does not make it do again."""
    decisions.append(Event("gave_up", cause, Reason("gave_up", {"seconds": (state.breaker.retry_at or now) - now})))
    state.held = Permit.OPEN.value
    state.gave_up = True
    if state.incident is not None:
        state.incident.untold = 0
    params: dict[str, Param] = {"retry_in": (state.breaker.retry_at or now) - now}
    decisions.append(Notification(state.next_key(service.name, "gave-up"), Severity.CRITICAL, "gave_up", cause, reason, params, (GAVE_UP,)))


def _tell_back(service: Service, state: ServiceState, cause: Cause | None, reason: Reason, decisions: list[Decision]) -> None:
    state.gave_up = False
    if state.incident is not None:
        state.incident.untold = 0
    decisions.append(Notification(state.next_key(service.name, "back"), Severity.CRITICAL, "back", cause, reason, matters=(GAVE_UP,)))


def _close_by_another_hand(service: Service, state: ServiceState, facts: Facts, now: float, decisions: list[Decision]) -> None:
    """Well for `stable` without a restart of ours: the breaker has nothing left to guard, unless an old process lives on."""
    if Cause.OLD_PROCESS_LEFT in state.problems:
        if facts.left_over:
            return
        del state.problems[Cause.OLD_PROCESS_LEFT]
    if state.attempt is not None or state.well_since is None or now - state.well_since < service.stable:
        return
    state.cannot_wait = 0.0
    if state.breaker.state is BreakerState.CLOSED and not state.gave_up:
        return
    state.breaker.succeeded()
    reason = Reason("back_by_another_hand")
    decisions.append(Event("breaker_closed", None, reason))
    if state.gave_up:
        _tell_back(service, state, None, reason, decisions)
