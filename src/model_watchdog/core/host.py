"""The host's own alerts: rules without a service, and what is wrong with the watchdog itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from model_watchdog.core.alert import Alert, Change, Phase, find_alert
from model_watchdog.core.arrivals import Arrivals
from model_watchdog.core.decision import Cause, Decision, Event, Notification, Param, Reason
from model_watchdog.core.incident import CONDITION, alert_reason, condition_alert, find_inhibiting, over_reason, vanished_reason
from model_watchdog.core.routes import RIGHT
from model_watchdog.core.rule import Rule, Severity
from model_watchdog.core.sample import Outcome, Sample, SeriesId

HOST = "host"
"""The subject of what is not about one service."""
NEWS_FOR = 3600.0
"""Seconds without it after which the same is news again."""
_NOTE = "probe_detail"
MOST_NOTES = 20
"""So many different notes of probes are written down within that time: in some, the value differs each time."""


@dataclass(slots=True)
class HostState:
    """What is known of the host; times are steady seconds. `conditions` are problems told once, by name."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    newest: dict[SeriesId, Sample] = field(default_factory=dict)
    judged: dict[str, float] = field(default_factory=dict)
    given: dict[str, set[SeriesId]] = field(default_factory=dict)  # the series of each probe's last good run
    conditions: dict[str, Reason] = field(default_factory=dict)
    news: dict[str, float] = field(default_factory=dict)  # what a probe reported of late, and when it last did
    sequence: int = 0
    arrivals: Arrivals | None = None
    orphans: list[Alert] = field(default_factory=list)  # that fired in an earlier run, and are configured no longer
    wake_at: float | None = None

    def inhibited(self, since: float) -> str:
        """The name of a firing rule that forbids restarts and has seen a breach since then, or nothing."""
        return next(iter(find_inhibiting(self.alerts.values(), since)), "")

    def next_key(self, about: str) -> str:
        self.sequence += 1
        return f"{HOST}/{self.sequence}/{about}"


def step_host(rules: Sequence[Rule], state: HostState, outcomes: Sequence[Outcome], now: float) -> list[Decision]:
    """Judges each new sample of the host's probes once, and what has stopped arriving; `wake_at` then says when to look again."""
    decisions: list[Decision] = end_alerts(state, state.orphans)
    state.orphans.clear()
    fresh: list[Sample] = []
    for outcome in outcomes:
        if outcome.at <= state.judged.get(outcome.probe, float("-inf")):
            continue
        state.judged[outcome.probe] = outcome.at
        _note_gaps(state, outcome, decisions)
        for sample in outcome.samples:
            state.newest[sample.series] = sample
            fresh.append(sample)
            for rule in rules:
                if rule.silence is None and rule.selector.matches(sample.series):
                    _take(state, rule, sample, outcome, decisions)
    arrivals = state.arrivals = state.arrivals or Arrivals(now)
    for alert, change in arrivals.judge(rules, state.alerts, fresh, now):
        _tell(state, alert, change, decisions)
    state.wake_at = arrivals.next_due(rules, state.alerts, now)
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
            began.append(Notification(state.next_key(name), severity, "cannot_act", cause, reason, matters=(f"condition {name}",)))
        return began
    if before is None:
        return []
    del state.conditions[name]
    over = Reason("over", {"rule": name})
    decisions: list[Decision] = [Event(f"{name.partition(' ')[0]}_over", None, over)]
    if told:
        decisions.append(
            Notification(state.next_key(f"{name}-over"), severity, "alert_resolved", cause, over, {"rule": name}, (f"condition {name}",))
        )
    return decisions


def set_troubles(state: HostState, probe: str, troubles: Mapping[str, Reason], *, is_good: bool, now: float) -> list[Decision]:
    """What is wrong with a sensor, or with what it cannot measure, after a run of `probe`: an alert each, told once.

    Its end is told after a good run only: one that got no answer, such as the first of a new daemon, ends nothing.
    """
    decisions: list[Decision] = []
    for name, reason in troubles.items():
        alert = state.alerts.setdefault(f"{name} ", condition_alert(name, Severity.WARNING))
        alert.numbers = {**reason.params, "key": reason.key, "probe": probe}
        if not alert.is_firing:
            alert.phase, alert.since, alert.value, alert.sent = Phase.FIRING, now, 1.0, True
            decisions += [Event("alert_fired", None, reason, alert.key), _tell_change(state, alert, Change.FIRED, reason)]
    for alert in state.alerts.values():
        ours = alert.series.metric == CONDITION and alert.numbers.get("probe") == probe
        if is_good and ours and alert.is_firing and alert.rule.name not in troubles:
            alert.resolve(now)
            alert.sent = False
            over = Reason("over", {"rule": alert.rule.name})
            decisions += [Event("alert_resolved", None, over, alert.key), _tell_change(state, alert, Change.RESOLVED, over)]
    return decisions


def end_alerts(state: HostState, gone: Iterable[Alert]) -> list[Decision]:
    """What is configured no longer is over; told where it was told that it fires."""
    decisions: list[Decision] = []
    for alert in gone:
        over = Reason("over", {"rule": alert.rule.name})
        if alert.is_firing or alert.sent:
            decisions.append(Event("alert_resolved", None, over, alert.key))
        if alert.sent:
            decisions.append(_tell_change(state, alert, Change.RESOLVED, over))
    return decisions


def tell_once(
    state: HostState, about: str, severity: Severity, reason: Reason, params: Mapping[str, Param] | None = None
) -> list[Decision]:
    """Something that happened to the host, such as a stepped clock."""
    return [Event(about, None, reason), Notification(state.next_key(about), severity, about, None, reason, params or {})]


def tell_news(state: HostState, reason: Reason, now: float) -> list[Decision]:
    """Something that a probe reports whenever it happens, such as an Xid: always an event, and told unless it was there of late.

    A fault of an application or of a card can repeat it a hundred times an hour; it is told again after NEWS_FOR without it.
    """
    if _is_news(state, f"{reason.key} {sorted(reason.params.items())}", now):
        return tell_once(state, reason.key, Severity.WARNING, reason, reason.params)
    return [Event(reason.key, None, reason)]


def note_details(state: HostState, probe: str, notes: Iterable[str], now: float) -> list[Decision]:
    """What a run of `probe` left out, and why: an event each, when it begins. People are told nothing: the others of its readings count."""
    new = [note for note in notes if _is_news(state, f"{_NOTE} {probe} {note}", now, MOST_NOTES)]
    return [Event(_NOTE, None, Reason("note", {"text": note})) for note in new]


def _is_news(state: HostState, key: str, now: float, most: int | None = None) -> bool:
    """Whether it was not there of late; from now on it was. Where so many have been (`most`, of the first word of `key`), no other is."""
    state.news = {known: at for known, at in state.news.items() if now - at < NEWS_FOR}
    is_new = key not in state.news
    alike = sum(known.partition(" ")[0] == key.partition(" ")[0] for known in state.news)
    if is_new and most is not None and alike >= most:
        return False
    state.news[key] = now
    return is_new


def tell_rights(state: HostState, about: str, units: Mapping[str, str]) -> list[Decision]:
    """One message for all services whose units the watchdog may not restart (`rights_missing`), or may again (`rights_back`)."""
    key = "not_permitted" if about == "rights_missing" else about
    reason = Reason(key, {"unit": ", ".join(units.values())})
    params: dict[str, Param] = {"services": ", ".join(units)}
    matters = tuple(f"{RIGHT}{service}" for service in units)
    return [Notification(state.next_key(about), Severity.CRITICAL, about, Cause.NOT_PERMITTED, reason, params, matters)]


def _note_gaps(state: HostState, outcome: Outcome, decisions: list[Decision]) -> None:
    """What a run of a probe says by giving no sample: it was blind, or a series is gone. What is gone is not kept, or it would grow."""
    for alert in state.alerts.values():
        if outcome.ok is None:
            alert.go_blind(outcome.probe)
        elif alert.has_vanished(outcome):
            alert.resolve(outcome.at)
            reason = vanished_reason(alert)
            decisions.append(Event("alert_resolved", None, reason, alert.key))
            if alert.sent:
                alert.sent = False
                decisions.append(_tell_change(state, alert, Change.RESOLVED, reason))
    if outcome.ok:
        given = {sample.series for sample in outcome.samples}
        for series in state.given.get(outcome.probe, set()) - given:
            state.newest.pop(series, None)
        state.given[outcome.probe] = given
    for key in [key for key, alert in state.alerts.items() if alert.is_forgotten(outcome)]:
        del state.alerts[key]


def _take(state: HostState, rule: Rule, sample: Sample, outcome: Outcome, decisions: list[Decision]) -> None:
    value = rule.find_value(sample, outcome.samples)
    if value is None:
        return
    alert = find_alert(state.alerts, rule, sample.series)
    alert.probe = outcome.probe
    change = alert.judge(value, sample.at)
    if change is not None:
        _tell(state, alert, change, decisions)


def _tell(state: HostState, alert: Alert, change: Change, decisions: list[Decision]) -> None:
    reason = alert_reason(alert)
    if change is Change.RESOLVED:
        reason = over_reason(alert)
    if change is not Change.DUE:
        decisions.append(Event(f"alert_{change.value}", None, reason, alert.key))
    if (change is Change.RESOLVED and not alert.sent) or alert.muted:
        return
    alert.sent = change is not Change.RESOLVED
    decisions.append(_tell_change(state, alert, change, reason))


def _tell_change(state: HostState, alert: Alert, change: Change, reason: Reason) -> Notification:
    name, what = alert.rule.name, "resolved" if change is Change.RESOLVED else "fired"
    matter = (
        f"{name} *" if alert.series.metric == CONDITION and what == "resolved" else alert.key
    )  # of a former run it may have been a series
    return Notification(state.next_key(f"{name}-{what}"), alert.rule.severity, f"alert_{what}", None, reason, {"rule": name}, (matter,))
