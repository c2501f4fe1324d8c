"""What the diagnosis looks at, gathered from a service's state."""

from model_watchdog.core.decision import Cause
from model_watchdog.core.diagnosis import Evidence
from model_watchdog.core.facts import Facts
from model_watchdog.core.rule import Then
from model_watchdog.core.state import STALE_AFTER, Service, ServiceState

CHANGES, CHANGES_WITHIN = 6, 10
"""Flapping: so many changes between good and bad within so many times `every`."""
SYSTEMD_RESTARTS, SYSTEMD_WITHIN = 3, 300.0
"""Flapping under systemd: so many restarts of its own within so many seconds."""


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
    times = max(
        (rule.times or 1 for rule in service.rules if rule.then is Then.RESTART and rule.selector.metric == "probe_success"), default=1
    )
    return Evidence(
        now=now,
        startup=service.startup,
        busy_patience=service.busy_patience,
        has_unit=service.unit is not None,
        unit=state.unit,
        unit_error=state.unit_error,
        ended=state.ended,
        host_stopping=facts.host_stopping,
        outcomes={name: state.outcomes[name] for name in sorted(health) if name in state.outcomes},
        failing={name: (count, times) for name, count in state.failing.items()},
        silent=frozenset(silent),
        unheard=frozenset(unheard),
        never_reached=health - state.reached,
        began=state.began,
        queued_since=state.queued_since,
        settled=state.settled,
        busy_since=dict(state.busy),
        flapping=find_flapping(service, state, now),
    )


def find_flapping(service: Service, state: ServiceState, now: float) -> Cause | None:
    """Begins with so many changes within a time, and ends when there was none for as long: else it would flap itself."""
    if sum(count for _, count in state.systemd_restarts) >= (1 if fires(state, "flapping_under_systemd") else SYSTEMD_RESTARTS):
        return Cause.FLAPPING_UNDER_SYSTEMD
    for plan in service.probes:
        changes = state.changes.get(plan.name)
        if changes and len(changes) == CHANGES:
            counted = changes[-1] if fires(state, "flapping") else changes[0]
            if now - counted <= CHANGES_WITHIN * plan.every:
                return Cause.FLAPPING
    return None


def fires(state: ServiceState, condition: str) -> bool:
    alert = state.alerts.get(f"{condition} ")
    return alert is not None and alert.is_firing
