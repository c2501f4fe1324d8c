"""After a gap: the watchdog was stopped, did not get the processor, or the host slept. What was counted before says nothing now."""

from model_watchdog.core.rule import Then
from model_watchdog.core.state import Service, ServiceState

GAP_INTERVALS = 3
"""A gap is longer than so many of the service's shortest intervals,"""
LEAST_GAP = 2.0
"""and than so many seconds."""


def is_gap(service: Service, seconds: float) -> bool:
    """Whether to have been away for so many seconds matters to this service."""
    return seconds > max(LEAST_GAP, GAP_INTERVALS * min((plan.every for plan in service.probes), default=LEAST_GAP))


def forget_confirmations(service: Service, state: ServiceState, seconds: float) -> None:
    """Nobody watched for so many seconds: a rule that restarts must confirm itself anew."""
    if not is_gap(service, seconds):
        return
    for alert in state.alerts.values():
        if alert.rule.then is Then.RESTART:
            alert.start_over()


def begin_after_gap(service: Service, state: ServiceState, now: float) -> None:
    """Nothing asked before `now` counts any more, and no rule restarts for one interval of its slowest probe.

    A restart under way has its full time to prove itself again. What was told to fire stays told.
    """
    state.woke_at = now
    state.grace_until = now + (service.round if service.probes else 0.0)
    for seen in (state.outcomes, state.failing, state.changes, state.busy, state.mute):
        seen.clear()
    state.progress.rest()
    for alert in state.alerts.values():
        alert.excuse()
    state.well_since = None
    attempt = state.attempt
    if attempt is not None and attempt.answered_at is not None:
        attempt.answered_at = now
        attempt.good_since = None if attempt.good_since is None else now
