"""What is told of a service: alerts that fire and resolve, incidents that open and close."""

from collections.abc import Iterable, Mapping

from model_watchdog.core.alert import Alert, Change, Phase
from model_watchdog.core.decision import Cause, Decision, Event, Notification, Param, Reason, State
from model_watchdog.core.diagnosis import Diagnosis
from model_watchdog.core.facts import Facts
from model_watchdog.core.rule import Judgement, Rule, Severity, Then, Verdict
from model_watchdog.core.sample import Outcome, Selector, SeriesId
from model_watchdog.core.state import Incident, Service, ServiceState
from model_watchdog.core.template import fill
from model_watchdog.core.unstable import UNSTABLE, count_turns, is_unstable

CONDITION = "watchdog_condition"
"""The metric of alerts that come from the state."""
OWN_WORDS = {"gpu_memory_held_bytes": "gpu_memory_held", "ollama_model_bytes": "on_cpu"}
"""Metrics of which a number too many says something that its numbers do not: the key of the reason, with the labels in it."""


def alert_reason(alert: Alert) -> Reason:
    """The alert in the rule's own words, or in numbers: its value, and what it is measured against.

    One that comes from a sensor's state carries its reason.
    """
    if "key" in alert.numbers:
        return Reason(str(alert.numbers["key"]), alert.numbers)
    rule = alert.rule
    params: dict[str, Param] = {"rule": rule.name, "series": str(alert.series), "value": alert.value, **alert.numbers}
    if rule.message:
        return Reason("message", {**params, "text": fill(rule.message, {**dict(alert.series.labels), "value": f"{alert.value:.6g}"})})
    if rule.as_ is not None and rule.over is not None:
        params.update({"as": rule.as_.value, "over": rule.over})
    if rule.minus is not None:
        params["minus"] = str(rule.minus)
    if "above" in alert.numbers and rule.selector.metric in OWN_WORDS:
        return Reason(OWN_WORDS[rule.selector.metric], {**dict(alert.series.labels), **params})
    if "expr" in alert.numbers:
        tell = getattr(rule.condition, "tell", None)
        if tell is not None and (said := tell(dict(alert.series.labels), alert.value)):
            return Reason("message", {**params, "text": said})
        labels = ", ".join(f"{name}={value}" for name, value in alert.series.labels if name != "service")
        return Reason("expr", {**params, "labels": labels})
    key = next((key for key in ("above", "below", "equals", "low", "absent") if key in alert.numbers), "unlike")
    return Reason("outside" if key == "low" else key, params)


def over_reason(alert: Alert) -> Reason:
    """It is over; with the value that says so, where the rule judges values as they are measured."""
    rule, params = alert.rule, dict[str, Param](rule=alert.rule.name)
    if rule.silence is None and rule.as_ is None and rule.minus is None and "expr" not in alert.numbers:
        params.update(series=str(alert.series), value=alert.value)
    return Reason("over", params)


def resolve_vanished(service: Service, state: ServiceState, now: float, decisions: list[Decision]) -> None:
    """The process has ended, and with it what was measured of it: no sample will say that it is over."""
    for alert in state.alerts.values():
        gone = alert.series.metric.startswith("unit_") and alert.rule.then is not Then.RESTART
        if gone and alert.resolve(now) is Change.RESOLVED:
            decisions.append(Event("alert_resolved", None, Reason("over", {"rule": alert.rule.name}), alert.key))
            _tell_resolved(service, state, alert, decisions)


def note_gaps(service: Service, state: ServiceState, outcome: Outcome, decisions: list[Decision]) -> None:
    """What a run of a probe says of alerts by giving no sample: it was blind, or their series is gone, and in the end forgotten."""
    for key in [key for key, alert in state.alerts.items() if alert.is_forgotten(outcome)]:
        del state.alerts[key]
    for alert in state.alerts.values():
        if outcome.ok is None:
            alert.go_blind(outcome.probe)
        elif alert.has_vanished(outcome):
            alert.resolve(outcome.at)
            reason = vanished_reason(alert)
            decisions.append(Event("alert_resolved", None, reason, alert.key))
            _tell_resolved(service, state, alert, decisions, reason)


def vanished_reason(alert: Alert) -> Reason:
    return Reason("vanished", {"rule": alert.rule.name, "series": str(alert.series)})


def tell_orphans(service: Service, state: ServiceState, decisions: list[Decision]) -> None:
    """What was told to fire by a rule that is configured no longer is over."""
    for rule, severity in state.orphans:
        params: dict[str, Param] = {"rule": rule}
        key = state.next_key(service.name, f"{rule}-resolved")
        decisions.append(Event("alert_resolved", None, Reason("over", params), f"{rule} *"))
        decisions.append(Notification(key, Severity(severity), "alert_resolved", None, Reason("over", params), params, (f"{rule} *",)))
    state.orphans.clear()


def tell_alert(
    service: Service,
    state: ServiceState,
    alert: Alert,
    change: Change | None,
    diagnosis: Diagnosis,
    facts: Facts,
    now: float,
    decisions: list[Decision],
    outcome: Outcome | None = None,
) -> None:
    """An alert began or ceased to fire. Rules that restart are told by what comes of the restart, unless none can help."""
    if change is None:
        return
    if change is Change.RESOLVED:
        decisions.append(Event("alert_resolved", None, over_reason(alert), alert.key))
        _tell_resolved(service, state, alert, decisions)
        return
    cause = diagnosis.cause
    reason = alert_reason(alert) if alert.rule.then is not Then.RESTART or diagnosis.state is State.HEALTHY else diagnosis.reason
    if alert.rule.message:
        reason = alert_reason(alert)
    if alert.untrusted and outcome is not None:
        cause, reason = Cause.HEALTH_TLS, Reason("health_tls", {"probe": outcome.probe, "detail": outcome.detail})
    if change is Change.FIRED:
        decisions.append(Event("alert_fired", cause, reason, alert.key))
    if alert.muted:
        return
    open_incident(service, state, reason, facts, now, decisions)
    if alert.rule.then is not Then.RESTART or alert.untrusted or not diagnosis.restart_helps:
        tell_firing(service, state, alert, cause, reason, decisions)


def tell_firing(
    service: Service, state: ServiceState, alert: Alert, cause: Cause | None, reason: Reason, decisions: list[Decision]
) -> None:
    """Says once that it fires. Of the rules that restart, one speaks for all: the others follow from it."""
    restarting = alert.rule.then is Then.RESTART
    if is_folded(state) and alert.rule.name != UNSTABLE and alert.rule.severity is not Severity.CRITICAL:
        return
    if alert.sent or (restarting and any(other.sent and other.rule.then is Then.RESTART for other in state.alerts.values())):
        return
    alert.sent = True
    key = state.next_key(service.name, f"{alert.rule.name}-fired")
    decisions.append(Notification(key, alert.rule.severity, "alert_fired", cause, reason, {"rule": alert.rule.name}, (alert.key,)))


def tell_condition(
    service: Service,
    state: ServiceState,
    name: str,
    holds: bool,
    severity: Severity,
    cause: Cause | None,
    reason: Reason,
    facts: Facts,
    now: float,
    decisions: list[Decision],
) -> None:
    """An alert that comes from the state, not from a series: fires while `holds`."""
    key = f"{name} "
    alert = state.alerts.get(key)
    if alert is None:
        if not holds:
            return
        alert = state.alerts[key] = condition_alert(name, severity)
    if holds and not alert.is_firing:
        alert.phase, alert.since, alert.value = Phase.FIRING, now, 1.0
        decisions.append(Event("alert_fired", cause, reason, alert.key))
        open_incident(service, state, reason, facts, now, decisions)
        tell_firing(service, state, alert, cause, reason, decisions)
    elif not holds and alert.is_firing:
        alert.resolve(now)
        decisions.append(Event("alert_resolved", None, Reason("over", {"rule": name}), alert.key))
        _tell_resolved(service, state, alert, decisions)


def is_folded(state: ServiceState) -> bool:
    """People were told that it is unstable: each time that it goes bad, and is well again, is no more news."""
    alert = state.alerts.get(f"{UNSTABLE} ")
    return alert is not None and alert.is_firing


def watch_stability(service: Service, state: ServiceState, is_bad: bool, facts: Facts, now: float, decisions: list[Decision]) -> None:
    """Counts how often it goes bad. When it is not unstable any more, but something fires on, that is told by itself."""
    others = [alert for alert in state.alerts.values() if alert.rule.name != UNSTABLE and alert.rule.means != State.SLEEPING]
    is_wrong = is_bad or any(alert.is_firing for alert in others)
    turned, state.is_wrong = is_wrong and not state.is_wrong, is_wrong
    state.turns = count_turns(service.unstable, [*state.turns, *[now] * turned], now)
    was = is_folded(state)
    holds = is_unstable(service.unstable, state.turns, fires=was)
    params: dict[str, Param] = {"count": len(state.turns), "seconds": service.unstable.within if service.unstable else 0.0}
    reason = Reason(UNSTABLE, params)
    tell_condition(service, state, UNSTABLE, holds, Severity.WARNING, Cause.FLAPPING, reason, facts, now, decisions)
    for alert in others if was and not holds else ():
        if alert.is_firing and not alert.sent and not alert.muted and alert.rule.then is not Then.RESTART:
            tell_firing(service, state, alert, state.cause, alert_reason(alert), decisions)


def condition_alert(name: str, severity: Severity) -> Alert:
    """An alert that no series drives."""
    return Alert(Rule(name, Selector(CONDITION), _HOLDS, severity), SeriesId(CONDITION), _HOLDS)


def find_inhibiting(alerts: Iterable[Alert], since: float) -> list[str]:
    """The rules that forbid restarts: firing, and confirmed since then. A series that has stopped forbids nothing."""
    firing = (alert for alert in alerts if alert.is_firing and alert.rule.then is Then.INHIBIT)
    return sorted(alert.rule.name for alert in firing if alert.judged_at is not None and alert.judged_at >= since)


def resolve_all(service: Service, state: ServiceState, diagnosis: Diagnosis, now: float, decisions: list[Decision]) -> None:
    """Nobody wants it up now: what fired because of it fires no longer."""
    for alert in state.alerts.values():
        if alert.series.metric != CONDITION and alert.resolve(now) is Change.RESOLVED:
            decisions.append(Event("alert_resolved", diagnosis.cause, diagnosis.reason, alert.key))
            _tell_resolved(service, state, alert, decisions)


def end_watch(service: Service, state: ServiceState, reason: Reason) -> list[Decision]:
    """It is watched no longer. What fired is over; where people were told that something is wrong, they are told so, once."""
    firing = [alert for alert in state.alerts.values() if alert.is_firing or alert.sent]
    decisions: list[Decision] = [Event("alert_resolved", None, Reason("over", {"rule": alert.rule.name}), alert.key) for alert in firing]
    told = [alert.rule.severity for alert in firing if alert.sent] + [Severity.CRITICAL] * bool(state.gave_up or state.told)
    if state.incident is not None:
        decisions.append(Event("incident_closed", None, reason))
    decisions.append(Event("not_watched", None, reason))
    if told:
        worst = max(told, key=lambda severity: severity.rank)
        decisions.append(Notification(state.next_key(service.name, "not-watched"), worst, "not_watched", None, reason))
    state.alerts.clear()
    state.orphans.clear()
    state.problems.clear()
    state.told.clear()
    state.incident, state.gave_up = None, False
    return decisions


def open_incident(service: Service, state: ServiceState, reason: Reason, facts: Facts, now: float, decisions: list[Decision]) -> None:
    """Opens the service's incident where none is open."""
    if state.incident is None:
        state.incident = Incident(facts.next_id, now, reason)
        decisions.append(Event("incident_opened", state.cause, reason))


def close_when_over(service: Service, state: ServiceState, now: float, decisions: list[Decision]) -> None:
    """Closes it when the service is well, or meant to be down, and nothing fires or runs any more."""
    over = state.state in (State.HEALTHY, State.STOPPED, State.SLEEPING) and state.cause is not Cause.STOPPED_NOT_PROVED
    if state.incident is None or not over or state.attempt is not None or state.gave_up:
        return
    if any(alert.is_firing and alert.rule.means != State.SLEEPING for alert in state.alerts.values()):
        return
    if state.incident.untold and state.state is State.HEALTHY:  # no restart of ours was proved, and yet it is well
        since = state.incident.tries[-1][0]
        params: dict[str, Param] = {"seconds": now - since, "tries": len(state.incident.tries)}
        tell_recovered(service, state, None, state.incident.reason, params, decisions)
    decisions.append(Event("incident_closed", None, state.reason))
    state.incident = None


def tell_recovered(
    service: Service, state: ServiceState, cause: Cause | None, reason: Reason, params: Mapping[str, Param], decisions: list[Decision]
) -> None:
    """The one message about restarts that helped. Of one that is unstable it was told that it is."""
    if state.incident is not None:
        state.incident.untold = 0
    if is_folded(state):
        return
    decisions.append(Notification(state.next_key(service.name, "recovered"), Severity.WARNING, "recovered", cause, reason, params))


def _tell_resolved(service: Service, state: ServiceState, alert: Alert, decisions: list[Decision], reason: Reason | None = None) -> None:
    """Resolved is told where firing was, and only there."""
    if alert.sent:
        alert.sent = False
        key = state.next_key(service.name, f"{alert.rule.name}-resolved")
        params: dict[str, Param] = {"rule": alert.rule.name}
        over = reason or Reason("over", params)
        decisions.append(Notification(key, alert.rule.severity, "alert_resolved", None, over, params, (alert.key,)))


class _Holds:
    """The condition of an alert that comes from the state: it has no series to judge."""

    def watch(self) -> "_Holds":
        return self

    def pace(self) -> None:
        """Each is told."""

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        return Verdict(Judgement.UNKNOWN)


_HOLDS = _Holds()
