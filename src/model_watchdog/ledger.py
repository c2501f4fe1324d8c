"""What a replay has found: what fired and for how long, what would have been restarted, how many messages would have been sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from model_watchdog.core.alert import Alert
from model_watchdog.core.decision import Concluded, Decision, Event, Notification, Restart, State
from model_watchdog.core.incident import CONDITION, alert_reason
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.wording import say


class Owner(Protocol):
    """Whose alerts they are: a service, or the host (`name` None)."""

    name: str | None
    rules: tuple[Rule, ...]

    @property
    def alerts(self) -> dict[str, Alert]:
        """By key."""


@dataclass(slots=True)
class Firing:
    """One alert from its beginning to its end; times are wall seconds, `until` is None where it fired to the end of the data.

    `series` is empty where it comes from the state of the service.
    """

    rule: str
    service: str | None
    series: str
    severity: Severity
    then: str
    at: float
    reason: str
    until: float | None = None
    restarts: int = 0
    messages: int = 0


@dataclass(slots=True)
class Made:
    """A restart that would have been made, with what the data say came of it: recovered, failed, withdrawn, or nothing yet ("")."""

    service: str
    at: float
    reason: str
    result: str = ""


@dataclass
class Ledger:
    """`least` is the severity from which on people are told. Without `conditions` it is of the rules alone, and not of what is told of
    the state of a service."""

    least: Severity = Severity.WARNING
    conditions: bool = True
    firings: list[Firing] = field(default_factory=list)
    restarts: list[Made] = field(default_factory=list)
    messages: int = 0
    _open: dict[tuple[str | None, str], Firing] = field(default_factory=dict)
    _by_rule: dict[tuple[str | None, str], Firing] = field(default_factory=dict)
    _last: dict[str | None, Firing] = field(default_factory=dict)
    _made: dict[tuple[str | None, int], Made] = field(default_factory=dict)
    _inhibiting: list[Firing] = field(default_factory=list)

    def note(self, owner: Owner, decisions: Sequence[Decision], at: float) -> None:
        """Takes in how the alerts stand after a step, and what it decided."""
        self._note_alerts(owner, at, decisions)
        for decision in decisions:
            if isinstance(decision, Restart):
                self._note_restart(owner.name or "", decision, at)
            elif isinstance(decision, Concluded) and (owner.name, decision.attempt) in self._made:
                self._made.pop((owner.name, decision.attempt)).result = decision.result
            elif isinstance(decision, Notification) and decision.severity.rank >= self.least.rank:
                rule = str(decision.params.get("rule", ""))
                if self.conditions or not rule or any(rule == one.name for one in owner.rules):
                    self._note_message(owner.name, rule)

    def find_inhibiting(self, at: float) -> str:
        """Which rule of the host forbade restarts at a time, or nothing."""
        return next((one.rule for one in self._inhibiting if one.at <= at and (one.until is None or at < one.until)), "")

    def _note_alerts(self, owner: Owner, at: float, decisions: Sequence[Decision]) -> None:
        name = owner.name
        alerts = owner.alerts
        for key, alert in alerts.items():
            found = self._open.get((name, key))
            is_told = alert.rule.means != State.SLEEPING and (self.conditions or alert.series.metric != CONDITION)
            if alert.is_firing and found is None and is_told:
                rule, series = alert.rule, "" if alert.series.metric == CONDITION else str(alert.series)
                reason = say(alert_reason(alert)) if series else _find_reason(decisions)
                made = Firing(rule.name, name, series, rule.severity, rule.then.value, alert.since, reason)
                self.firings.append(made)
                if name is None and rule.then is Then.INHIBIT:
                    self._inhibiting.append(made)
                self._open[name, key] = self._by_rule[name, rule.name] = self._last[name] = made
            elif found is not None and not alert.is_firing:
                found.until = at
                del self._open[name, key]
        for whose, key in [one for one in self._open if one[0] == name and one[1] not in alerts]:
            self._open.pop((whose, key)).until = at

    def _note_restart(self, service: str, decision: Restart, at: float) -> None:
        made = Made(service, at, say(decision.reason))
        self.restarts.append(made)
        self._made[service, decision.attempt] = made
        firing = [one for (name, _), one in self._open.items() if name == service and one.then == "restart"]
        for one in firing[:1]:
            one.restarts += 1
            self._last[service] = one

    def _note_message(self, name: str | None, rule: str) -> None:
        """To the firing of its rule; what tells of a restart, or of what came of it, to the one that brought it about."""
        self.messages += 1
        firing = self._by_rule.get((name, rule)) or self._last.get(name)
        if firing is not None:
            firing.messages += 1


def _find_reason(decisions: Sequence[Decision]) -> str:
    """Of what has just fired, where that comes from the state of a service."""
    fired = (decision.reason for decision in decisions if isinstance(decision, Event) and decision.event == "alert_fired")
    return next(map(say, fired), "")
