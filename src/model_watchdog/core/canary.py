"""When a canary may be sent: a real request is for a service that has nothing to do, or no heartbeat to tell what it does."""

from model_watchdog.core.decision import Reason, State
from model_watchdog.core.sample import BLIND, Failure, Outcome, Sample, SeriesId
from model_watchdog.core.state import Service, ServiceState

UNANSWERED = frozenset({Failure.TIMEOUT, Failure.REFUSED, Failure.CONNECTION_LOST, *BLIND}) - {Failure.CONFIG}
"""Failures of a scrape that pass: what the service does is not known meanwhile. Others say that it has no such page."""
SKIPPED = "canary_skipped_total"
"""The metric that counts the canaries that were not sent."""


def find_objection(service: Service, state: ServiceState) -> Reason | None:
    """What speaks against a canary now; None where nothing does."""
    if not state.settled or state.attempt is not None:
        return Reason("canary_too_early")
    if state.state is State.SLEEPING:
        return Reason("canary_asleep")
    if any(name not in state.outcomes or not state.outcomes[name].ok for name in service.health_probes):
        return Reason("canary_not_well")
    if service.progress is None:
        return None
    seen = [state.outcomes[plan.name] for plan in service.list_probes("scrape") if plan.name in state.outcomes]
    if not seen or any(outcome.failure in UNANSWERED for outcome in seen):
        return Reason("canary_not_seen")
    return None if state.progress.is_idle else Reason("canary_busy")


def skip(service: Service, state: ServiceState, probe: str, why: str, now: float) -> Outcome:
    """What stands for a canary that was not sent: nothing is held against anybody, and it is counted."""
    state.skipped += 1
    skipped = Sample(SeriesId.of(SKIPPED, {"service": service.name}), float(state.skipped), now)
    return Outcome(probe, now, now, None, detail=why, samples=(skipped,))
