"""Which series of the rules `absent` have arrived, and when: silence is noticed as time passes, not by a sample."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from model_watchdog.core.alert import Alert, Change
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Sample, SeriesId

A_LITTLE = 0.001
"""Seconds later than it is due, so that no rounding makes it too early."""


@dataclass(slots=True)
class Arrivals:
    """Times are steady seconds. `since` is when it began to listen: a series that never arrives is missed from then on."""

    since: float
    seen: dict[str, dict[SeriesId, float]] = field(default_factory=dict)

    @classmethod
    def expecting(cls, now: float, alerts: Mapping[str, Alert], seen: Mapping[str, Mapping[SeriesId, float]] | None = None) -> "Arrivals":
        """Goes on with what was `seen` (nothing in a new daemon), and misses what was missed: a series whose absence fires."""
        made = cls(now, {name: dict(known) for name, known in (seen or {}).items()})
        for alert in alerts.values():
            rule = alert.rule
            if rule.silence is not None and (alert.is_firing or alert.sent) and alert.series != rule.selector.to_series():
                made.seen.setdefault(rule.name, {}).setdefault(alert.series, alert.since - rule.silence)
        return made

    def rest(self, now: float) -> None:
        """Nothing is expected now, and what comes later may have other labels: it listens anew."""
        self.since = now
        self.seen.clear()

    def judge(
        self, rules: Sequence[Rule], alerts: MutableMapping[str, Alert], samples: Iterable[Sample], now: float
    ) -> list[tuple[Alert, Change]]:
        """Takes in what has arrived and judges how long each series has been silent; gives the alerts that changed.

        An alert whose series is not known any more (of a process before this one, or of no series at all) ends when any other arrives.
        """
        changes = []
        arrived = list(samples)
        for rule in rules:
            if rule.silence is None:
                continue
            known = self.seen.setdefault(rule.name, {})
            known.update((sample.series, sample.at) for sample in arrived if rule.selector.matches(sample.series))
            for series, silent in self._list_silences(rule, alerts, now):
                alert = alerts.get(f"{rule.name} {series}")
                if alert is None and silent < rule.silence:
                    continue
                if alert is None:
                    alert = Alert.on(rule, series)
                    alerts[alert.key] = alert
                change = alert.judge(silent, now)
                if change is not None:
                    changes.append((alert, change))
        return changes

    def next_due(self, rules: Sequence[Rule], alerts: MutableMapping[str, Alert], now: float) -> float | None:
        """When the next series will have been silent for too long."""
        due = [
            now + rule.silence - silent + A_LITTLE
            for rule in rules
            if rule.silence is not None
            for _, silent in self._list_silences(rule, alerts, now)
            if silent < rule.silence
        ]
        return min(due, default=None)

    def _list_silences(self, rule: Rule, alerts: MutableMapping[str, Alert], now: float) -> list[tuple[SeriesId, float]]:
        """Each series that is expected, with the seconds since it arrived; 0 for what need not be expected any more."""
        known = self.seen.get(rule.name, {})
        firing = [alert.series for alert in alerts.values() if alert.rule.name == rule.name and (alert.is_firing or alert.sent)]
        if known:
            return [(series, now - at) for series, at in known.items()] + [(series, 0.0) for series in firing if series not in known]
        return [] if firing else [(rule.selector.to_series(), now - self.since)]
