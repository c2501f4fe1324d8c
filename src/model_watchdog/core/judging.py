"""Each new sample is held against the rules once."""

from model_watchdog.core.alert import Alert, Change, find_alert
from model_watchdog.core.arrivals import Arrivals
from model_watchdog.core.decision import Decision, State
from model_watchdog.core.diagnosis import Diagnosis, is_moving, is_outdone
from model_watchdog.core.facts import Facts
from model_watchdog.core.gathering import makes_steps
from model_watchdog.core.incident import note_gaps, tell_alert
from model_watchdog.core.rule import Rule, Then
from model_watchdog.core.sample import Failure, Outcome
from model_watchdog.core.state import Service, ServiceState

NOT_USUAL = frozenset((State.UNHEALTHY, State.STALLED, State.DEAD, State.LOADING, State.STOPPED, State.SLEEPING))
"""States in which nothing is learnt of what is usual. Busy it does its work; degraded a rule may have called it because of a new level,
which is to become its usual in the end."""


def judge(
    service: Service, state: ServiceState, fresh: list[Outcome], diagnosis: Diagnosis, facts: Facts, now: float, decisions: list[Decision]
) -> list[Alert]:
    """Judges each new sample once; gives the alerts of restarting rules that fire and were confirmed now."""
    confirmed = []
    learns = diagnosis.state not in NOT_USUAL
    for outcome in fresh:
        note_gaps(service, state, outcome, decisions)
        for sample in outcome.samples:
            for rule in service.rules:
                value = rule.find_value(sample, outcome.samples) if rule.selector.matches(sample.series) else None
                if value is None or rule.silence is not None:
                    continue
                alert = find_alert(state.alerts, rule, sample.series)
                if _is_excused(service, state, rule, outcome, diagnosis, now):
                    alert.excuse()
                    continue
                untrusted = rule.then is Then.RESTART and outcome.failure is Failure.TLS
                if alert.untrusted != untrusted and outcome.ok is False:
                    alert.start_over()  # what the certificate was to blame for does not count against the service
                    alert.untrusted = untrusted
                alert.probe = outcome.probe
                own = rule.means == diagnosis.state  # what the rule itself declares must not keep it from its end
                change = alert.judge(value, sample.at, learns or own)
                if rule.means == State.SLEEPING:
                    continue  # its state says so, and nobody needs to be told
                tell_alert(service, state, alert, change, diagnosis, facts, now, decisions, outcome)
                if change is Change.RESOLVED:
                    state.held = ""
    _judge_arrivals(service, state, fresh, diagnosis, facts, now, decisions)
    for alert in state.alerts.values():
        if alert.rule.then is not Then.RESTART or not alert.is_firing:
            continue
        if not any(outcome.at == alert.breached_at for outcome in fresh):  # guard: 2
            continue
        if not alert.untrusted:
            confirmed.append(alert)
    return confirmed


def _judge_arrivals(
    service: Service, state: ServiceState, fresh: list[Outcome], diagnosis: Diagnosis, facts: Facts, now: float, decisions: list[Decision]
) -> None:
    """What has stopped arriving. Of a service that is down, or not up yet, nothing is expected."""
    arrivals = state.arrivals = state.arrivals or Arrivals(now)
    if state.attempt is not None or diagnosis.state in (State.LOADING, State.DEAD, State.STOPPED, State.SLEEPING):
        arrivals.rest(now)
        return
    samples = [sample for outcome in fresh for sample in outcome.samples]
    for alert, change in arrivals.judge(service.rules, state.alerts, samples, now):
        tell_alert(service, state, alert, change, diagnosis, facts, now, decisions)


def _is_excused(service: Service, state: ServiceState, rule: Rule, outcome: Outcome, diagnosis: Diagnosis, now: float) -> bool:
    """What says nothing against the service: the whole of it is excused, or this probe had to wait because it works."""
    if rule.then is Then.RESTART:
        is_canary = any(plan.name == outcome.probe for plan in service.list_probes("canary"))
        busy = is_moving(outcome) and (is_canary or now - state.busy.get(outcome.probe, now) < service.busy_patience)
        outdone = is_outdone(outcome, steps=makes_steps(service, state, now))
        outdone |= is_canary and outcome.ok is False and state.progress.moved_since(outcome.started)
        unproven = is_canary and outcome.probe not in state.good
        return diagnosis.is_excused or busy or outdone or unproven
    down_on_purpose = diagnosis.state is State.STOPPED and diagnosis.is_excused
    return outcome.ok is False and (diagnosis.state is State.LOADING or down_on_purpose)
