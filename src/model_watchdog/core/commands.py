"""What an operator's word does to a service's state."""

from model_watchdog.core.decision import Cause, Decision, Event, Notification, Reason
from model_watchdog.core.rule import Severity
from model_watchdog.core.state import Service, ServiceState


def pause(service: Service, state: ServiceState, seconds: float, text: str, uid: int, now: float) -> list[Decision]:
    """Watch, but do not act, for so many seconds. `uid` is who asked, here as below."""
    state.paused_until = now + seconds
    reason = Reason("pause_set", {"seconds": seconds, "text": text, "uid": uid})
    return [Event("paused", None, reason), Notification(state.next_key(service.name, "paused"), Severity.INFO, "paused", None, reason)]


def resume(state: ServiceState, uid: int) -> list[Decision]:
    """The pause is over."""
    if state.paused_until is None:
        return []
    state.paused_until = None
    return [Event("resumed", None, Reason("pause_ended", {"uid": uid}))]


def reset(state: ServiceState, uid: int) -> list[Decision]:
    """Closes the breaker, and lets what could not be done be tried again. That we gave up was told; its end still must be."""
    state.breaker.reset()
    state.cannot_until = state.cannot_wait = 0.0
    state.limit_cleared = False
    missing = Cause.NOT_PERMITTED  # a right is missing until it is proved
    state.problems = {cause: reason for cause, reason in state.problems.items() if cause is missing}
    state.told &= {missing.value}
    state.held = ""
    return [Event("breaker_reset", None, Reason("breaker_reset", {"uid": uid}))]


def lose_right(service: Service, state: ServiceState) -> list[Decision]:
    """systemd denies the right to restart the unit: found in daylight. `host.tell_rights` tells it, once for all that lack it."""
    reason = Reason("not_permitted", {"unit": service.unit or ""})
    state.problems[Cause.NOT_PERMITTED] = reason
    if Cause.NOT_PERMITTED.value in state.told:
        return []
    state.told.add(Cause.NOT_PERMITTED.value)
    return [Event("right_missing", Cause.NOT_PERMITTED, reason)]


def gain_right(state: ServiceState) -> list[Decision]:
    """The right is proved."""
    state.told.discard(Cause.NOT_PERMITTED.value)
    if state.problems.pop(Cause.NOT_PERMITTED, None) is None:
        return []
    return [Event("right_proved", None, Reason("note", {"text": "the right to restart the unit is proved"}))]
