"""The host's own alerts: rules without a service, and what is wrong with the watchdog itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from model_watchdog.core.alert import Alert, Change
from model_watchdog.core.decision import Cause, Decision, Event, Notification, Param, Reason
from model_watchdog.core.incident import alert_reason, find_inhibiting
from model_watchdog.core.rule import Rule, Severity
from model_watchdog.core.sample import Outcome, Sample, SeriesId

HOST = "host"
"""The subject of what is not about one service."""


@dataclass(slots=True)
class HostState:
    """What is known of the host; times are steady seconds. `conditions` are problems told once, by name."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    newest: dict[SeriesId, Sample] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)
    conditions: dict[str, Reason] = field(default_factory=dict)
    sequence: int = 0

    def inhibited(self, since: float) -> str:
        """The name of a firing rule that forbids restarts and has seen a breach since then, or nothing."""
        return next(iter(find_inhibiting(self.alerts.values(), since)), "")

    def next_key(self, about: str) -> str:
        self.sequence += 1
        return f"{HOST}/{self.sequence}/{about}"


def step_host(rules: Sequence[Rule], state: HostState, outcomes: Sequence[Outcome]) -> list[Decision]:
    """Judges each new sample of the host's probes once."""
    decisions: list[Decision] = []
    for outcome in outcomes:
        if outcome.at <= state.judged.get(outcome.probe, float("-inf")):
            continue
        state.judged[outcome.probe] = outcome.at
        for sample in outcome.samples:
            state.newest[sample.series] = sample
            for rule in rules:
                if rule.selector.matches(sample.series):
                    _take(state, rule, sample, decisions)
    return decisions


def set_condition(
    state: HostState, name: str, reason: Reason | None, severity: Severity, cause: Cause | None, *, told: bool = True
) -> list[Decision]:
    """Something is wrong with the watchdog's own means (`reason`), or no longer (None): once each an event, and `told` to people."""
    before = state.conditions.get(name)
    if reason is not None:
        state.conditions[name] = reason
        if before is not None:
            return []
        began: list[Decision] = [Event(name.partition(" ")[0], cause, reason)]
        if told:
            began.append(Notification(state.next_key(name), severity, "cannot_act", cause, reason))
        return began
    if before is None:
        return []
    del state.conditions[name]
    over = Reason("over", {"rule": name})
    decisions: list[Decision] = [Event(f"{name.partition(' ')[0]}_over", None, over)]
    if told:
        decisions.append(Notification(state.next_key(f"{name}-over"), severity, "alert_resolved", cause, over, {"rule": name}))
    return decisions


def tell_once(
    state: HostState, about: str, severity: Severity, reason: Reason, params: Mapping[str, Param] | None = None
) -> list[Decision]:
    """Something that happened to the host, such as a stepped clock."""
    return [Event(about, None, reason), Notification(state.next_key(about), severity, about, None, reason, params or {})]


def _take(state: HostState, rule: Rule, sample: Sample, decisions: list[Decision]) -> None:
    key = f"{rule.name} {sample.series}"
    alert = state.alerts.get(key)
    if alert is None:
        alert = state.alerts[key] = Alert.on(rule, sample.series)
    change = alert.take(sample)
    if change is None:
        return
    reason = alert_reason(alert)
    if change is Change.RESOLVED:
        reason = Reason("over", {"rule": rule.name, "series": str(sample.series), "value": sample.value})
    decisions.append(Event(f"alert_{change.value}", None, reason))
    if change is Change.FIRED:
        alert.sent = True
    elif alert.sent:
        alert.sent = False
    else:
        return
    decisions.append(
        Notification(
            state.next_key(f"{rule.name}-{change.value}"), rule.severity, f"alert_{change.value}", None, reason, {"rule": rule.name}
        )
    )
