"""One step of a service: what was seen goes in, decisions come out. Synchronous, pure, and so replayable."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from model_watchdog.core.attempt import RecoveryPhase, deadline
from model_watchdog.core.decision import Cause, Decision, Event, Notification, Reason, State
from model_watchdog.core.diagnosis import Diagnosis, diagnose, is_moving, is_wrong
from model_watchdog.core.facts import Facts
from model_watchdog.core.gathering import CHANGES, SYSTEMD_WITHIN, find_flapping, find_mute, fires, gather, start_limit
from model_watchdog.core.incident import close_when_over, resolve_all, resolve_vanished, tell_condition, tell_orphans, watch_stability
from model_watchdog.core.judging import judge
from model_watchdog.core.progress import ProgressPlan
from model_watchdog.core.restarting import advance_attempt, consider_restart
from model_watchdog.core.rule import Severity, Then
from model_watchdog.core.sample import NO_ANSWER, PROBE_SUCCESS, Failure, Outcome, Sample
from model_watchdog.core.state import EVIDENCE, LOADS_KEPT, ProbePlan, Service, ServiceState
from model_watchdog.core.unit import UnitFacts

TELL_AFTER = 120.0
"""Busy, or blind, for this long is told."""


def step(service: Service, state: ServiceState, outcomes: Sequence[Outcome], facts: Facts, now: float) -> list[Decision]:
    """Takes in what was seen and decides.

    `outcomes` are the newest of each probe: those that were judged before are known by their time. All times are
    steady seconds. Changes `state`, whose `wake_at` then says when to look again at the latest.
    """
    decisions: list[Decision] = []
    _end_pause(state, now, decisions)
    tell_orphans(service, state, decisions)
    _take_unit(service, state, facts, now, decisions)
    fresh = _take_progress(service, state, _take_outcomes(service, state, outcomes))
    _settle(service, state, facts, now)
    _count_failures(state, fresh)
    diagnosis = diagnose(gather(service, state, facts, now))
    confirmed = judge(service, state, fresh, diagnosis, facts, now, decisions)
    if not diagnosis.is_pending:
        _watch_conditions(service, state, diagnosis, facts, now, decisions)
        _note_state(service, state, diagnosis, now, decisions)
    advance_attempt(service, state, diagnosis, bool(confirmed), facts, now, decisions)
    consider_restart(service, state, confirmed, diagnosis, facts, now, decisions)
    close_when_over(service, state, now, decisions)
    state.wake_at = _wake_at(service, state, now)
    return decisions


def interval(service: Service, state: ServiceState, plan: ProbePlan) -> float:
    """How long until the probe runs again: sooner while it is bad and its rule has not fired, while loading, and in a restart."""
    if plan.kind == "canary":
        return plan.every
    if state.attempt is not None or not state.settled:
        return plan.retry_every
    outcome = state.outcomes.get(plan.name)
    if plan.kind == "unit" or outcome is None or outcome.ok is not False:
        return plan.every
    fired = any(alert.is_firing and alert.breached_at == outcome.at for alert in state.alerts.values())
    return plan.every if fired else plan.retry_every


def _end_pause(state: ServiceState, now: float, decisions: list[Decision]) -> None:
    if state.paused_until is not None and now >= state.paused_until:
        state.paused_until = None
        decisions.append(Event("resumed", None, Reason("pause_over")))


def _take_unit(service: Service, state: ServiceState, facts: Facts, now: float, decisions: list[Decision]) -> None:
    if facts.unit_error:
        state.unit_error, state.unit_errors = facts.unit_error, state.unit_errors + 1
    unit = facts.unit
    if unit is None:
        return
    state.unit_error, state.unit_errors = "", 0
    previous, state.unit = state.unit, unit
    is_queued = unit.is_down and unit.job != 0
    state.queued_since = (state.queued_since if state.queued_since is not None else now) if is_queued else None
    state.ended = facts.ended if unit.is_down or unit.load == "not-found" else None
    if unit.is_down or unit.invocation != state.invocation:
        resolve_vanished(service, state, now, decisions)
    if unit.invocation and unit.invocation != state.invocation:  # guard: 4
        _begin_invocation(service, state, unit, previous, now, decisions)
    elif previous is not None and previous.is_down and not unit.is_down:
        state.ended = None
    grown = unit.restarts - previous.restarts if previous is not None else 0
    if grown > 0:
        state.systemd_restarts.append((now, grown))
    while state.systemd_restarts and now - state.systemd_restarts[0][0] > SYSTEMD_WITHIN:
        state.systemd_restarts.popleft()


def _begin_invocation(
    service: Service, state: ServiceState, unit: UnitFacts, previous: UnitFacts | None, now: float, decisions: list[Decision]
) -> None:
    """What was seen of the process before says nothing of this one."""
    if state.invocation and state.attempt is None:
        by = "systemd's own Restart=" if previous is not None and unit.restarts > previous.restarts else "somebody else"
        decisions.append(Event("restarted_elsewhere", None, Reason("new_invocation", {"pid": unit.main_pid, "by": by})))
    if state.attempt is not None and state.attempt.answered_at is None:
        state.attempt.phase = RecoveryPhase.STARTING
    was_known, state.invocation = state.invocation != "", unit.invocation
    began = now
    if unit.inactive_exit_at is not None:  # guard: 11
        began = unit.inactive_exit_at
    state.begin_invocation(began, now)
    if was_known and unit.is_up and began <= state.watched_since:
        state.since = began  # what it was before ended while no daemon watched


def _take_outcomes(service: Service, state: ServiceState, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that are new and of this invocation."""
    plans = {plan.name: plan for plan in service.probes}
    fresh = []
    for outcome in outcomes:
        plan = plans.get(outcome.probe)
        if plan is None or outcome.started < state.woke_at or (plan.kind != "unit" and outcome.started < state.began):
            continue  # it asked the process before this one, or nobody was there to take the answer
        if outcome.at <= state.judged.get(outcome.probe, float("-inf")):  # guard: 1
            continue
        state.judged[outcome.probe] = outcome.at
        fresh.append(outcome)
        before, state.outcomes[outcome.probe] = state.outcomes.get(outcome.probe), outcome
        if plan.kind != "unit" and before is not None and outcome.ok is not None and before.ok is not None and outcome.ok != before.ok:
            state.changes.setdefault(outcome.probe, deque(maxlen=CHANGES)).append(outcome.at)
        if plan.kind != "unit" and outcome.failure not in NO_ANSWER:
            state.reached.add(outcome.probe)
        if outcome.ok and not is_wrong(outcome):
            state.good.add(outcome.probe)
        if is_moving(outcome):
            state.busy.setdefault(outcome.probe, outcome.started)
        else:  # also where we were blind: what we did not see does not use up its patience
            state.busy.pop(outcome.probe, None)
    return fresh


def _take_progress(service: Service, state: ServiceState, fresh: list[Outcome]) -> list[Outcome]:
    """The same outcomes, with what a good scrape tells of the service's progress among its samples. Counts runs that show
    nothing; those of a loading service do not count."""
    kinds = {plan.name: plan.kind for plan in service.probes}
    taken = []
    for outcome in fresh:
        shows = outcome.ok is True or outcome.failure is None
        if kinds[outcome.probe] == "scrape" and service.progress is not None and outcome.samples:
            found = _look_at_page(service, state, service.progress, outcome)
            outcome = replace(outcome, samples=(*outcome.samples, *found))
            shows = shows and state.progress.is_heard(outcome.at - service.stale_after)
            if state.progress.moved_since(outcome.at):
                _forget_failed_canaries(service, state)
        if kinds[outcome.probe] == "canary" and outcome.probe not in state.good and (outcome.ok is False or is_wrong(outcome)):
            shows = False
        if kinds[outcome.probe] in EVIDENCE:
            state.mute[outcome.probe] = 0 if shows or not state.settled else state.mute.get(outcome.probe, 0) + 1
        taken.append(outcome)
    return taken


def _look_at_page(service: Service, state: ServiceState, plan: ProgressPlan, outcome: Outcome) -> list[Sample]:
    """What a page says of the progress; or its silence, where one has come before and nothing else of the service moves."""
    if outcome.ok:
        sleeps = state.state is State.SLEEPING
        return state.progress.take(plan, outcome.samples, outcome.at, outcome.probe, sleeps=sleeps)
    if outcome.failure is not Failure.TIMEOUT:
        return []
    is_still = outcome.vitals.is_complete and not outcome.vitals.is_moving and state.state is not State.SLEEPING
    return state.progress.wait(plan, outcome.probe, outcome.samples[0].series, outcome.at, is_still=is_still)


def _forget_failed_canaries(service: Service, state: ServiceState) -> None:
    """The engine works: a canary that fails later is not the next in a row. Wrong answers are, for work does not make them right."""
    for plan in service.list_probes("canary"):
        state.failing[plan.name] = 0
        for alert in state.alerts.values():
            if alert.probe == plan.name and alert.series.metric == PROBE_SUCCESS and alert.rule.then is Then.RESTART:
                alert.excuse()


def _settle(service: Service, state: ServiceState, facts: Facts, now: float) -> None:
    """Loading ends with the first good round of probes, or with `startup`, or later where something of it moves."""
    if facts.start_moves and not state.settled:
        state.start_moved_at = now
    if state.settled or (service.unit and (state.unit is None or not state.unit.is_up)):
        return
    good = all(name in state.outcomes and state.outcomes[name].ok for name in service.health_probes)
    if good or now - state.began >= start_limit(service, state):
        state.settled = True
        if good and state.began >= state.watched_since:
            state.loads = [*state.loads, now - state.began][-LOADS_KEPT:]


def _count_failures(state: ServiceState, fresh: list[Outcome]) -> None:
    """How many bad ones in a row, for the reason that people read; those of a loading service do not count."""
    for outcome in fresh:
        if outcome.ok is not None:
            state.failing[outcome.probe] = state.failing.get(outcome.probe, 0) + 1 if not outcome.ok and state.settled else 0


def _is_untold(service: Service, state: ServiceState, diagnosis: Diagnosis, now: float) -> bool:
    """It has been down for long, and nothing that is under way or was said has told anybody: systemd's own slow Restart=, say."""
    if state.unwell_since is None or diagnosis.state not in (State.DEAD, State.UNHEALTHY, State.STALLED, State.LOADING):
        return False
    if fires(state, "not_well"):
        return True
    quiet = (state.attempt is None and not state.gave_up and not state.problems and state.paused_until is None) and (
        state.breaker.failures == 0 or state.breaker.state == "open"
    )  # of before it was taken out of the configuration for a while
    told = any(alert.sent for alert in state.alerts.values())
    return quiet and not told and diagnosis.state is not State.LOADING and now - state.unwell_since >= max(service.startup, TELL_AFTER)


def _watch_conditions(
    service: Service, state: ServiceState, diagnosis: Diagnosis, facts: Facts, now: float, decisions: list[Decision]
) -> None:
    """The alerts that need no rule: busy, blind or starting for too long, flapping."""
    lasting = now - state.since >= TELL_AFTER and state.state is diagnosis.state
    worse = diagnosis.state in (State.UNHEALTHY, State.STALLED, State.DEAD, State.LOADING)  # then it is not over, for people
    flapping = find_flapping(service, state, now)
    since = state.since if state.state is State.BUSY else now
    busy = diagnosis.state is State.BUSY and now - min([since, *state.busy.values()]) >= TELL_AFTER
    conditions = {
        "busy": busy or (worse and fires(state, "busy")),
        "unknown": (diagnosis.state is State.UNKNOWN and lasting) or (worse and fires(state, "unknown")),
        "loading": diagnosis.cause is Cause.START_TIMEOUT and diagnosis.state is State.LOADING and state.attempt is None,
        "flapping": flapping is Cause.FLAPPING,
        "flapping_under_systemd": flapping is Cause.FLAPPING_UNDER_SYSTEMD,
    }
    untold = _is_untold(service, state, diagnosis, now)
    tell_condition(service, state, "not_well", untold, Severity.CRITICAL, diagnosis.cause, diagnosis.reason, facts, now, decisions)
    mute = find_mute(service, state) if diagnosis.state in (State.HEALTHY, State.DEGRADED, State.SLEEPING) else None
    missing = mute is not None or (fires(state, "evidence") and diagnosis.state in (State.BUSY, State.UNKNOWN, State.LOADING))
    reason = mute or diagnosis.reason
    tell_condition(service, state, "evidence", missing, Severity.WARNING, Cause.EVIDENCE_MISSING, reason, facts, now, decisions)
    for name, holds in conditions.items():
        if not holds and f"{name} " not in state.alerts:
            continue
        reason = Reason(name) if name.startswith("flapping") else diagnosis.reason
        cause = flapping if name.startswith("flapping") else diagnosis.cause
        tell_condition(service, state, name, holds, Severity.WARNING, cause, reason, facts, now, decisions)
    is_bad = diagnosis.state in (State.UNHEALTHY, State.STALLED, State.DEAD)
    watch_stability(service, state, is_bad, facts, now, decisions)


def _note_state(service: Service, state: ServiceState, diagnosis: Diagnosis, now: float, decisions: list[Decision]) -> None:
    """The new state, with its event where it changed; what is proved to be stopped has no alerts left."""
    attempt = state.attempt
    if attempt is not None and diagnosis.state is not State.LOADING:
        # it is being taken down, or was a moment ago: what is seen before the unit was looked at again says nothing new
        not_seen = state.unit is not None and not state.unit_error and state.unit.at < (attempt.answered_at or 0.0)
        if attempt.answered_at is None or not_seen:
            return
    changed = (state.state, state.cause) != (diagnosis.state, diagnosis.cause)
    if state.state is not diagnosis.state:
        state.since = state.began if diagnosis.state is State.LOADING and state.began <= now else now
    state.state, state.cause, state.reason = diagnosis.state, diagnosis.cause, diagnosis.reason
    if changed:
        state.held = ""
        decisions.append(Event(diagnosis.state.value, diagnosis.cause, diagnosis.reason))
    _note_wellbeing(service, state, diagnosis, now)
    if changed and diagnosis.state is State.STOPPED and diagnosis.is_excused:
        resolve_all(service, state, diagnosis, now, decisions)
        if diagnosis.cause in (Cause.OPERATOR_STOP, Cause.MASKED):
            about = diagnosis.cause.value
            key = state.next_key(service.name, about)
            decisions.append(Notification(key, Severity.INFO, about, diagnosis.cause, diagnosis.reason))


def _note_wellbeing(service: Service, state: ServiceState, diagnosis: Diagnosis, now: float) -> None:
    """Since when it is well, which no rule that restarts may contradict; and since when it is not, until it was well for `stable`."""
    contradicted = any(alert.is_firing and alert.rule.then is Then.RESTART for alert in state.alerts.values())
    if diagnosis.state in (State.HEALTHY, State.DEGRADED) and not contradicted:
        state.well_since = now if state.well_since is None else state.well_since
        state.breaker.healthy(now)
        state.forget_problems()
        if now - state.well_since >= service.stable:
            state.unwell_since = None
        return
    state.well_since = None
    state.breaker.unhealthy()
    if diagnosis.state in (State.DEAD, State.UNHEALTHY, State.STALLED, State.LOADING):
        began = state.began if diagnosis.state is State.LOADING else now
        state.unwell_since = min(began, now) if state.unwell_since is None else state.unwell_since
    elif diagnosis.state is not State.UNKNOWN:
        state.unwell_since = None


def _wake_at(service: Service, state: ServiceState, now: float) -> float | None:
    """The next moment at which something is due that no probe would bring about."""
    due = [state.paused_until]
    attempt = state.attempt
    if attempt is not None and attempt.answered_at is not None:
        due.append(deadline(attempt, start_limit(service, state)))
        if attempt.phase is RecoveryPhase.HOLDING and attempt.good_since is not None:
            due.append(attempt.good_since + service.stable)
    if attempt is None and state.state in (State.DEAD, State.UNHEALTHY, State.STALLED):
        due += [state.breaker.retry_at, state.breaker.not_before, state.cannot_until, state.grace_until]
    if state.queued_since is not None:
        due.append(state.queued_since + service.startup)
    for since in state.busy.values():
        due += [since + TELL_AFTER, since + service.busy_patience]
    if state.state is State.BUSY:
        due.append(state.since + TELL_AFTER)
    if not state.settled:
        due.append(state.began + start_limit(service, state))
    if state.well_since is not None and state.breaker.state != "closed":
        due.append(state.well_since + service.stable)
    if state.turns and service.unstable is not None:
        due.append(state.turns[-1] + service.unstable.within)
    if state.arrivals is not None:
        due.append(state.arrivals.next_due(service.rules, state.alerts, now))
    later = [at for at in due if at is not None and at > now]
    return min(later, default=None)
