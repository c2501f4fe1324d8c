"""What people see of a service, as plain values: the entries of `status --json`, as the daemon writes them into the record."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from model_watchdog.clock import Clock
from model_watchdog.core.alert import Alert, Phase
from model_watchdog.core.attempt import RecoveryPhase
from model_watchdog.core.breaker import BreakerState
from model_watchdog.core.decision import Event, Reason, State
from model_watchdog.core.host import HostState
from model_watchdog.core.incident import alert_reason
from model_watchdog.core.state import Incident, Service, ServiceState
from model_watchdog.core.unit import split_unit
from model_watchdog.core.unstable import UNSTABLE
from model_watchdog.language import retell
from model_watchdog.wording import Story, remedy, say

Entry = dict[str, Any]


def stamp(clock: Clock, at: float | None) -> str | None:
    """A steady time as RFC 3339 in UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(clock.to_wall(at), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def describe_watched(service: Service, state: ServiceState, clock: Clock) -> tuple[Entry, list[Entry]]:
    """What `status` is told of a service: its entry, with its problems and the progress of its restart, and its alerts."""
    entry = describe_service(service, state, clock, unit_known=not state.unit_error)
    entry["problems"] = describe_problems(service, state)
    entry["progress"] = describe_progress(service, state, clock)
    reasons = {word: say(Reason(word)) for word in ("flapping", "flapping_under_systemd")}
    if service.unstable is not None:
        reasons[UNSTABLE] = say(Reason(UNSTABLE, {"count": len(state.turns), "seconds": service.unstable.within}))
    reasons.update(dict.fromkeys(("busy", "loading", "unknown"), say(state.reason)))
    return entry, describe_alerts(service.name, state.alerts.values(), clock, reasons)


def describe_service(service: Service, state: ServiceState, clock: Clock, *, unit_known: bool) -> Entry:
    """One entry of `services`. `unit_known` is False while systemd cannot be asked: then `unit_state` is null."""
    unit = state.unit if unit_known else None
    breaker = state.breaker
    return {
        "name": service.name,
        "unit": split_unit(service.unit)[1] if service.unit else None,
        "user": split_unit(service.unit or "")[0] or None,
        "state": state.state.value,
        "since": stamp(clock, state.since),
        "cause": state.cause.value if state.cause else None,
        "reason": say(state.reason),
        "unit_state": None
        if unit is None
        else {"active": unit.active, "sub": unit.sub, "main_pid": unit.main_pid, "invocation_id": unit.invocation},
        "probes": [
            {
                "name": outcome.probe,
                "ok": outcome.ok,
                "at": stamp(clock, outcome.at),
                "duration_seconds": round(outcome.duration, 6),
                "detail": retell(outcome.detail),
            }
            for outcome in state.outcomes.values()
        ],
        "breaker": {
            "state": breaker.state.value,
            "failures": breaker.failures,
            "restarts": len(breaker.restarts),
            "retry_at": stamp(clock, breaker.retry_at if breaker.state is BreakerState.OPEN else None),
        },
        "recovery": {
            "phase": phase(state).value,
            "last_restart_at": stamp(clock, state.last_restart_at),
            "last_result": state.last_result if state.last_result in ("recovered", "failed") else None,
        },
        "paused_until": stamp(clock, state.paused_until),
    }


def describe_progress(service: Service, state: ServiceState, clock: Clock) -> Entry:
    """Why a restart runs, how far it has got, and how many failed: for the table, not for the document."""
    good_since = state.attempt.good_since if state.attempt else None
    why = say(state.attempt.reason) if state.attempt else ""
    return {"good_since": stamp(clock, good_since), "stable_seconds": service.stable, "failed": state.breaker.failures, "why": why}


def phase(state: ServiceState) -> RecoveryPhase:
    """What the recovery is at, in the contract's words."""
    if state.attempt is not None:
        return state.attempt.phase
    if state.breaker.state is BreakerState.OPEN or (state.breaker.state is BreakerState.HALF_OPEN and state.gave_up):
        return RecoveryPhase.GAVE_UP
    return RecoveryPhase.PAUSED if state.paused_until is not None else RecoveryPhase.IDLE


def describe_alerts(owner: str | None, alerts: Iterable[Alert], clock: Clock, reasons: Mapping[str, str]) -> list[Entry]:
    """The alerts that are pending or firing. `reasons` are the sentences of those that come from the state, by name."""
    return [
        {
            "name": alert.rule.name,
            "service": owner,
            "severity": alert.rule.severity.value,
            "state": alert.phase.value,
            "since": stamp(clock, alert.since),
            "value": alert.value,
            "labels": dict(alert.series.labels),
            "reason": reasons.get(alert.rule.name) or say(alert_reason(alert)),
        }
        for alert in alerts
        if alert.phase is not Phase.INACTIVE and alert.rule.means != State.SLEEPING  # that is a state, and nothing to be alarmed at
    ]


def describe_host(state: HostState, clock: Clock, oldest: float) -> list[Entry]:
    """The newest value of each of the host's series that is not older than that (steady seconds): stale is never well."""
    return [
        {"metric": sample.series.metric, "labels": dict(sample.series.labels), "value": sample.value, "at": stamp(clock, sample.at)}
        for sample in state.newest.values()
        if sample.at >= oldest and not sample.series.metric.startswith("expr:")
    ]


def describe_metric(name: str, labels: Mapping[str, str], value: float, clock: Clock) -> Entry:
    """A metric of the daemon's own, as of now."""
    return {"metric": name, "labels": dict(labels), "value": value, "at": stamp(clock, clock.steady())}


def describe_problems(service: Service, state: ServiceState) -> list[Entry]:
    """What keeps the watchdog from acting for this service, each with the command that mends it."""
    return [
        {"cause": cause.value, "service": service.name, "reason": say(reason), "remedy": remedy(cause, service.unit, service.name)}
        for cause, reason in state.problems.items()
    ]


def tell_story(service: Service, state: ServiceState, closing: Incident | None, clock: Clock, hostname: str, last_log: str) -> Story:
    """What surrounds a notification about a service. `closing` is the incident that this step may have closed."""
    incident, breaker = state.incident or closing, state.breaker

    def local(at: float) -> datetime:
        return datetime.fromtimestamp(clock.to_wall(at)).astimezone()

    tries = [(local(at), result, say(reason)) for at, result, reason in incident.tries] if incident else []
    since = local(incident.opened_at if incident else state.since)
    retry_at = local(breaker.retry_at) if breaker.state == "open" and breaker.retry_at is not None else None
    first = say(incident.reason) if incident else ""
    return Story(hostname, service.name, service.unit, local(clock.steady()), since, first, tries, last_log, retry_at)


def log_line(service: str, event: Event) -> tuple[str, str, str, str, str]:
    """An event as one line of the journal: the arguments of a logging call."""
    cause = f" cause={event.cause.value}" if event.cause else ""
    return 'service=%s event=%s%s reason="%s"', service, event.event, cause, say(event.reason).replace('"', "'")
