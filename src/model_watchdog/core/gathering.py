"""What the diagnosis looks at, gathered from a service's state."""

from model_watchdog.core.alert import Alert
from model_watchdog.core.decision import Cause, Reason, State
from model_watchdog.core.diagnosis import Evidence, is_moving, is_wrong
from model_watchdog.core.facts import Facts
from model_watchdog.core.incident import alert_reason
from model_watchdog.core.rule import Then
from model_watchdog.core.sample import PROBE_SUCCESS, Outcome, SeriesId
from model_watchdog.core.state import EVIDENCE, STALE_AFTER, Service, ServiceState

CHANGES, CHANGES_WITHIN = 6, 10
"""Flapping: so many changes between good and bad within so many times `every`."""
SYSTEMD_RESTARTS, SYSTEMD_WITHIN = 3, 300.0
"""Flapping under systemd: so many restarts of its own within so many seconds."""
MOVED_OF_LATE = 2
"""A heartbeat counts as moving for so many times the interval of the probe that reads it, and its deadline."""
QUIET_START = 60.0
"""A start that lasts longer than `startup` has failed when for so many seconds (at most `startup`) nothing of it has moved."""
SLEEP_BELIEVED = 600.0
"""Seconds for which a service that said that it sleeps is taken to do so, although it says nothing more."""
MUTE_AFTER = 3
"""People are told of a probe of EVIDENCE that has shown nothing for so many runs."""


def gather(service: Service, state: ServiceState, facts: Facts, now: float) -> Evidence:
    """All that the diagnosis looks at."""
    health = service.health_probes
    plans = {plan.name: plan for plan in service.probes}
    was_there = state.began <= state.watched_since
    unheard, silent = set(), set()
    for name in health:
        heard_at = state.outcomes[name].at if name in state.outcomes else state.watched_since if was_there else float("-inf")
        if now - heard_at > STALE_AFTER * plans[name].every + plans[name].timeout:
            silent.add(name)
        elif name not in state.outcomes:
            unheard.add(name)
    plan = service.progress
    return Evidence(
        now=now,
        startup=start_limit(service, state),
        busy_patience=service.busy_patience,
        has_unit=service.unit is not None,
        unit=state.unit,
        unit_error=state.unit_error,
        ended=state.ended,
        host_stopping=facts.host_stopping,
        outcomes={name: state.outcomes[name] for name in sorted(health) if name in state.outcomes},
        failing={name: (count, _count_wanted(service, name)) for name, count in state.failing.items()},
        silent=frozenset(silent),
        unheard=frozenset(unheard),
        never_reached=health - state.reached,
        began=state.began,
        queued_since=state.queued_since,
        settled=state.settled,
        busy_since=dict(state.busy),
        flapping=find_flapping(service, state, now),
        usual_start=sum(state.loads) / len(state.loads) if state.loads else None,
        stalled=state.progress.find_stalled(plan.stall_after, now - service.stale_after) if plan is not None else None,
        steps=makes_steps(service, state, now),
        canaries={name: outcome for name, outcome in state.outcomes.items() if _speaks_against(service, state, outcome)},
        declared=_find_declared(service, state, now),
        good=frozenset(state.good),
    )


def start_limit(service: Service, state: ServiceState) -> float:
    """Seconds that the start under way may take: `startup`, and more while something of it moves."""
    if state.start_moved_at is None:
        return service.startup
    moved = state.start_moved_at - state.began + min(QUIET_START, service.startup)
    return max(service.startup, min(moved, service.startup_max))


def makes_steps(service: Service, state: ServiceState, now: float) -> bool:
    """Its heartbeat was seen to move of late."""
    return any(state.progress.moved_since(now - MOVED_OF_LATE * plan.every - plan.timeout) for plan in service.list_probes("scrape"))


def find_mute(service: Service, state: ServiceState) -> Reason | None:
    """A probe that should show what the service does, and has shown nothing for long, with what is to be changed; or a container that
    cannot be found: without it the service looks as if it stood still."""
    if state.unit is not None and state.unit.is_up and state.unit.container_error:
        return Reason("container_missing", {"detail": state.unit.container_error})
    if service.progress is not None and state.progress.lacking >= MUTE_AFTER:
        return Reason("no_work", {"names": ", ".join(service.progress.work)})
    for plan in service.probes:
        outcome = state.outcomes.get(plan.name)
        if outcome is None or state.mute.get(plan.name, 0) < MUTE_AFTER:
            continue
        if plan.kind == "canary" and plan.name not in state.good:
            return Reason("canary_never_good", {"probe": plan.name, "detail": outcome.detail})
        if outcome.ok and service.progress is not None:
            return Reason("no_heartbeat", {"probe": plan.name, "names": ", ".join(service.progress.heartbeat)})
        return Reason("shows_nothing", {"probe": plan.name, "detail": outcome.detail})
    return None


def _count_wanted(service: Service, probe: str) -> int:
    """How many bad runs in a row it takes until a rule has the service restarted for this probe."""
    series = SeriesId.of(PROBE_SUCCESS, {"service": service.name, "probe": probe})
    return max((rule.times or 1 for rule in service.rules if rule.then is Then.RESTART and rule.selector.matches(series)), default=1)


def _speaks_against(service: Service, state: ServiceState, outcome: Outcome) -> bool:
    """A canary that failed, or was answered wrongly, and has been good before. One that failed while the engine made steps for others says
    nothing, nor does one that timed out while the service worked: it waits behind others, as long as they are served."""
    if outcome.probe not in state.good or all(plan.name != outcome.probe for plan in service.list_probes("canary")):
        return False
    if is_moving(outcome):
        return False
    return is_wrong(outcome) or (outcome.ok is False and not state.progress.moved_since(outcome.started))


def _find_declared(service: Service, state: ServiceState, now: float) -> tuple[State, Reason] | None:
    """The state in which the service is by the word of a rule that fires, and was confirmed of late. Asleep it is nothing else."""
    firing = [
        (State(alert.rule.means), _say_declared(alert))
        for alert in state.alerts.values()
        if alert.rule.means and alert.is_firing and alert.judged_at is not None and now - alert.judged_at < _believed_for(service, alert)
    ]
    return max(firing, key=lambda found: found[0] is State.SLEEPING, default=None)


def _believed_for(service: Service, alert: Alert) -> float:
    """Seconds that a word of the service's is good for. One that sleeps may be slow to say so again."""
    return max(service.stale_after, SLEEP_BELIEVED) if alert.rule.means == State.SLEEPING else service.stale_after


def find_flapping(service: Service, state: ServiceState, now: float) -> Cause | None:
    """Begins with so many changes within a time, and ends when there was none for as long: else it would flap itself."""
    if sum(count for _, count in state.systemd_restarts) >= (1 if fires(state, "flapping_under_systemd") else SYSTEMD_RESTARTS):
        return Cause.FLAPPING_UNDER_SYSTEMD
    for plan in service.probes:
        changes = state.changes.get(plan.name)
        if plan.kind not in EVIDENCE and changes and len(changes) == CHANGES:
            counted = changes[-1] if fires(state, "flapping") else changes[0]
            if now - counted <= CHANGES_WITHIN * plan.every:
                return Cause.FLAPPING
    return None


def fires(state: ServiceState, condition: str) -> bool:
    alert = state.alerts.get(f"{condition} ")
    return alert is not None and alert.is_firing


def _say_declared(alert: Alert) -> Reason:
    """The rule in its own words; of a service that sleeps its number says nothing."""
    return Reason("asleep") if alert.rule.means == State.SLEEPING and not alert.rule.message else alert_reason(alert)
