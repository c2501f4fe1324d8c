"""What outlives the daemon: the part of a state that decisions rest on, as plain values, and back."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from model_watchdog.core.alert import Alert, Phase
from model_watchdog.core.arrivals import Arrivals
from model_watchdog.core.attempt import Attempt, RecoveryPhase
from model_watchdog.core.breaker import BreakerState
from model_watchdog.core.decision import Actor, Cause, Decision, Event, Reason, State
from model_watchdog.core.host import HostState
from model_watchdog.core.incident import CONDITION, condition_alert
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import SeriesId
from model_watchdog.core.state import Incident, Service, ServiceState

Plain = dict[str, Any]


def remember(state: ServiceState) -> Plain:
    """The durable part of a service's state; times stay steady seconds of this boot."""
    breaker, attempt, incident = state.breaker, state.attempt, state.incident
    return {
        "state": state.state.value,
        "cause": state.cause,
        "reason": _reason(state.reason),
        "since": state.since,
        "invocation": state.invocation,
        "began": state.began,
        "settled": state.settled,
        "breaker": {
            "state": breaker.state.value,
            "failures": breaker.failures,
            "restarts": breaker.restarts,
            "retry_after": breaker.retry_after,
            "retry_at": breaker.retry_at,
            "not_before": breaker.not_before,
            "healthy_since": breaker.healthy_since,
        },
        "attempt": None if attempt is None else _attempt(attempt),
        "last_restart_at": state.last_restart_at,
        "last_result": state.last_result,
        "paused_until": state.paused_until,
        "held": state.held,
        "limit_cleared": state.limit_cleared,
        "old_processes": [list(process) for process in state.old_processes],
        "problems": {cause.value: _reason(reason) for cause, reason in state.problems.items()},
        "told": sorted(state.told),
        "gave_up": state.gave_up,
        "sequence": state.sequence,
        "systemd_restarts": list(state.systemd_restarts),
        "busy": state.busy,
        "reached": sorted(state.reached),
        "good": sorted(state.good),
        "unwell_since": state.unwell_since,
        "turns": state.turns,
        "is_wrong": state.is_wrong,
        "loads": state.loads,
        "skipped": state.skipped,
        "results": state.results,
        "alerts": _alerts(state.alerts),
        "incident": None
        if incident is None
        else {
            "id": incident.id,
            "opened_at": incident.opened_at,
            "reason": _reason(incident.reason),
            "untold": incident.untold,
            "tries": [[at, result, _reason(reason)] for at, result, reason in incident.tries],
        },
    }


def recall(service: Service, plain: Mapping[str, Any], shift: float, now: float) -> ServiceState:
    """The state that `remember` gave, its times moved by `shift` seconds (0 within one boot)."""

    def moved(at: float | None) -> float | None:
        return None if at is None else at + shift

    state = ServiceState.fresh(service, now)
    state.state, state.reason = State(plain["state"]), _to_reason(plain["reason"])
    state.cause = Cause(plain["cause"]) if plain["cause"] else None
    state.since, state.began = plain["since"] + shift, plain["began"] + shift
    state.invocation, state.settled = plain["invocation"], plain["settled"]
    kept, breaker = plain["breaker"], state.breaker
    breaker.state, breaker.failures = BreakerState(kept["state"]), kept["failures"]
    breaker.restarts = [at + shift for at in kept["restarts"]]
    breaker.retry_after, breaker.retry_at = kept["retry_after"], moved(kept["retry_at"])
    breaker.not_before, breaker.healthy_since = kept["not_before"] + shift, moved(kept["healthy_since"])
    state.attempt = None if plain["attempt"] is None else _to_attempt(plain["attempt"], shift)
    state.last_restart_at, state.last_result = moved(plain["last_restart_at"]), plain["last_result"]
    state.paused_until = moved(plain["paused_until"])
    state.held, state.reached = plain.get("held", ""), set(plain.get("reached", service.health_probes))  # an older version kept neither
    state.good = set(plain.get("good", (plan.name for plan in service.probes)))
    state.old_processes = tuple((pid, started) for pid, started in plain["old_processes"])
    state.limit_cleared, state.gave_up, state.sequence = plain["limit_cleared"], plain["gave_up"], plain["sequence"]
    state.problems = {Cause(cause): _to_reason(reason) for cause, reason in plain["problems"].items()}
    state.told = set(plain["told"])
    state.systemd_restarts = deque((at + shift, count) for at, count in plain["systemd_restarts"])
    state.busy = {probe: at + shift for probe, at in plain["busy"].items()}
    state.unwell_since, state.results = moved(plain["unwell_since"]), dict(plain["results"])
    state.turns, state.is_wrong = [at + shift for at in plain.get("turns", ())], plain.get("is_wrong", False)
    state.loads, state.skipped = list(plain.get("loads", ())), plain.get("skipped", 0)  # an older version kept neither
    if shift and not service.unit:  # after a reboot its age is not known: it has `startup` from now
        state.began, state.settled = now, False
    probes = {plan.name for plan in service.probes}
    state.orphans = _recall_alerts(state.alerts, service.rules, plain["alerts"], shift, probes)
    state.arrivals = Arrivals.expecting(now, state.alerts)
    if plain["incident"] is not None:
        kept = plain["incident"]
        tries = [(at + shift, result, _to_reason(reason)) for at, result, reason in kept["tries"]]
        state.incident = Incident(kept["id"], kept["opened_at"] + shift, _to_reason(kept["reason"]), tries, kept["untold"])
    return state


def carry_over(service: Service, state: ServiceState, changed: Collection[str], now: float) -> list[Decision]:
    """Fits a state to another configuration of its service. `changed` names the probes that are new, gone, or ask something else.

    What was counted by a rule or a probe that is not as it was is counted anew. An alert whose rule or series is gone is over; where
    it was told, the next step tells that.
    """
    state.breaker.policy, state.breaker.backoff = service.breaker, service.backoff
    for name in changed:
        for seen in (state.outcomes, state.judged, state.failing, state.changes, state.busy, state.mute):
            seen.pop(name, None)
    if any(plan.name in changed for plan in service.list_probes("scrape")):
        state.progress.rest()
    state.reached -= set(changed)
    state.good -= set(changed)
    if changed:
        state.watched_since = now  # a new probe has not been heard yet, which is no silence
    probes = {plan.name for plan in service.probes}
    state.alerts, gone = _carry_over_alerts(state.alerts, service.rules, probes, changed)
    known = _carry_over_arrivals(state.arrivals, state.alerts, service.rules, changed, now)
    state.arrivals = Arrivals(now) if changed else known  # the series of another probe need not come back
    state.orphans += [(alert.rule.name, alert.rule.severity.value) for alert in gone if alert.sent]
    silent = [alert for alert in gone if alert.is_firing and not alert.sent]
    return [Event("alert_resolved", None, Reason("over", {"rule": alert.rule.name}), alert.key) for alert in silent]


def carry_over_host(
    rules: tuple[Rule, ...],
    state: HostState,
    probes: Collection[str],
    changed: Collection[str],
    now: float,
    mounts: Collection[str] | None = None,
) -> list[Alert]:
    """The same for the host, whose `probes` and `mounts` (None for any) these are now. Gives the alerts that are over."""
    for name in changed:
        state.judged.pop(name, None)
    state.alerts, gone = _carry_over_alerts(state.alerts, rules, probes, changed, mounts)
    state.arrivals = _carry_over_arrivals(state.arrivals, state.alerts, rules, changed, now)
    return gone


def _carry_over_arrivals(
    arrivals: Arrivals | None, alerts: Mapping[str, Alert], rules: Iterable[Rule], changed: Collection[str], now: float
) -> Arrivals:
    """What has arrived is remembered where the probes are as they were: nobody knows which of them gave it."""
    if arrivals is None or changed:
        return Arrivals.expecting(now, alerts)
    seen = {
        rule.name: {series: at for series, at in arrivals.seen.get(rule.name, {}).items() if rule.selector.matches(series)}
        for rule in rules
        if rule.silence is not None
    }
    return Arrivals.expecting(now, alerts, seen)


def _carry_over_alerts(
    alerts: Mapping[str, Alert],
    rules: Iterable[Rule],
    probes: Collection[str],
    changed: Collection[str],
    mounts: Collection[str] | None = None,
) -> tuple[dict[str, Alert], list[Alert]]:
    """The alerts that stay, and those whose rule or series is gone."""
    named, stay, gone = {rule.name: rule for rule in rules}, dict[str, Alert](), list[Alert]()
    for key, alert in alerts.items():
        rule, is_condition = named.get(alert.rule.name), alert.series.metric == CONDITION
        probe = str(alert.numbers.get("probe", "")) if is_condition else dict(alert.series.labels).get("probe", "")
        if probe and probe not in probes:
            gone.append(alert)
        elif is_condition:
            stay[key] = alert
        elif rule is None or not is_still_there(rule, alert.series, None, mounts):
            gone.append(alert)
        else:
            stay[key] = _follow_rule(alert, rule)
            if probe in changed:
                stay[key].begin_anew()
    return stay, gone


def _follow_rule(alert: Alert, rule: Rule) -> Alert:
    """The same series under a rule that may have changed. Where it judges otherwise it has learnt nothing yet, but fires on if it did."""
    before = alert.rule
    if (rule.condition, rule.over, rule.as_, rule.minus) == (before.condition, before.over, before.as_, before.minus):
        alert.rule = rule
        if rule.then is Then.RESTART and (rule.then, rule.times, rule.for_) != (before.then, before.times, before.for_):
            alert.start_over()  # a rule that restarts must confirm itself anew
        return alert
    made = Alert.on(rule, alert.series)
    made.sent, made.untrusted = alert.sent, alert.untrusted
    made.value, made.numbers, made.judged_at = alert.value, alert.numbers, alert.judged_at
    if alert.is_firing and rule.then is not Then.RESTART:
        made.phase, made.since, made.muted = Phase.FIRING, alert.since, made.pace is not None and not alert.sent
    return made


def remember_host(state: HostState) -> Plain:
    return {
        "alerts": _alerts(state.alerts),
        "conditions": {name: _reason(reason) for name, reason in state.conditions.items()},
        "sequence": state.sequence,
    }


def recall_host(
    rules: tuple[Rule, ...], plain: Mapping[str, Any], shift: float, now: float, mounts: Collection[str] | None = None
) -> HostState:
    """The state that `remember_host` gave; `mounts` are the disks that are measured now, None for any."""
    state = HostState(sequence=plain["sequence"])
    state.conditions = {name: _to_reason(reason) for name, reason in plain["conditions"].items()}
    orphans = _recall_alerts(state.alerts, rules, plain["alerts"], shift, mounts=mounts)
    state.arrivals = Arrivals.expecting(now, state.alerts)
    for rule, severity in orphans:
        alert = condition_alert(rule, Severity(severity))
        alert.sent = True
        state.orphans.append(alert)
    return state


def _alerts(alerts: Mapping[str, Alert]) -> list[Plain]:
    """Those that fire: what was told must be resolved; what is only counted starts anew."""
    return [
        {
            "rule": alert.rule.name,
            "severity": alert.rule.severity.value,
            "metric": alert.series.metric,
            "labels": list(alert.series.labels),
            "since": alert.since,
            "value": alert.value,
            "numbers": alert.numbers,
            "judged_at": alert.judged_at,
            "sent": alert.sent,
            "firing": alert.is_firing,
            "untrusted": alert.untrusted,
            "probe": alert.probe,
        }
        for alert in alerts.values()
        if alert.is_firing or alert.sent
    ]


def _recall_alerts(
    alerts: dict[str, Alert],
    rules: tuple[Rule, ...],
    kept: list[Plain],
    shift: float,
    probes: Collection[str] | None = None,
    mounts: Collection[str] | None = None,
) -> list[tuple[str, str]]:
    """Puts those back whose rules and probes are still there; gives rule and severity of the others that were told."""
    orphans = []
    named = {rule.name: rule for rule in rules}
    for plain in kept:
        series = SeriesId(plain["metric"], tuple((name, value) for name, value in plain["labels"]))
        rule = named.get(plain["rule"])
        if series.metric == CONDITION:
            alert = condition_alert(plain["rule"], Severity(plain["severity"]))
        elif rule is not None and is_still_there(rule, series, probes, mounts):
            alert = Alert.on(rule, series)
        else:
            orphans += [(plain["rule"], plain["severity"])] if plain["sent"] else []
            continue
        alert.phase, alert.since, alert.sent = Phase.FIRING, plain["since"] + shift, plain["sent"]
        alert.value, alert.numbers = plain["value"], dict(plain["numbers"])
        alert.untrusted = plain["untrusted"]
        alert.judged_at = None if plain.get("judged_at") is None else plain["judged_at"] + shift
        alert.muted = alert.pace is not None and not alert.sent  # it may still be told, when it is due
        alert.probe = plain.get("probe", "")
        if not plain["firing"]:
            alert.phase = Phase.INACTIVE
        alerts[f"{plain['rule']} " if series.metric == CONDITION else alert.key] = alert
    return orphans


def is_still_there(rule: Rule, series: SeriesId, probes: Collection[str] | None, mounts: Collection[str] | None) -> bool:
    """Whether samples of the series may still come, by the probes and disks that are configured (None for any)."""
    labels = dict(series.labels)
    for label, known in (("probe", probes), ("mount", mounts)):
        if known is not None and labels.get(label, "") and labels[label] not in known:
            return False
    return rule.selector.matches(series) or series == rule.selector.to_series()


def _attempt(attempt: Attempt) -> Plain:
    return {
        "id": attempt.id,
        "actor": attempt.actor.value,
        "cause": attempt.cause,
        "reason": _reason(attempt.reason),
        "asked_at": attempt.asked_at,
        "old_invocation": attempt.old_invocation,
        "phase": attempt.phase.value,
        "answered_at": attempt.answered_at,
        "good_since": attempt.good_since,
        "new_invocation": attempt.new_invocation,
        "new_began": attempt.new_began,
        "old_processes": [list(process) for process in attempt.old_processes],
    }


def _to_attempt(plain: Plain, shift: float) -> Attempt:
    return Attempt(
        plain["id"],
        Actor(plain["actor"]),
        Cause(plain["cause"]) if plain["cause"] else None,
        _to_reason(plain["reason"]),
        plain["asked_at"] + shift,
        plain["old_invocation"],
        RecoveryPhase(plain["phase"]),
        None if plain["answered_at"] is None else plain["answered_at"] + shift,
        None if plain["good_since"] is None else plain["good_since"] + shift,
        plain["new_invocation"],
        plain["new_began"] + shift if plain["new_began"] else 0.0,
        tuple((pid, started) for pid, started in plain["old_processes"]),
        is_cut=shift != 0,
    )


def _reason(reason: Reason) -> list[Any]:
    return [reason.key, dict(reason.params)]


def _to_reason(plain: list[Any]) -> Reason:
    return Reason(plain[0], plain[1])
