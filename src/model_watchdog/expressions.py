"""The probe of a group of expressions: at each run it gives a sample for each label set in the result of each, for the rules to judge.

It is no kind that can be written in the YAML: a service with `expr` rules has one, and so has each group of a rule file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from model_watchdog.core.sample import STALE
from model_watchdog.core.units import Seconds
from model_watchdog.feeding import Feed, Scoped
from model_watchdog.probes import Measurement, Observation, Surroundings
from model_watchdog.rules.expr import KIND, metric_of

TYPE_CHECKING = False  # see feeding
if TYPE_CHECKING:
    from model_watchdog.promql import Memory
    from model_watchdog.promql.alerting import Alert, RunningGroup
    from model_watchdog.promql.rulefile import Alerting, Group

EVERY = Seconds(10.0)
MOST_RESULTS = 1000
"""So many label sets may be in a result where the group states no limit: each is an alert of its own."""
GONE_FOR = 600.0
"""Seconds for which a label set that is in the result no more is said to be gone, beyond what `keep_firing_for` asks for."""
_OWN = "alertname"


@dataclass(frozen=True)
class Expressions:
    """A group of rules, of which the recorded series are of use to the rules after them."""

    group: "Group"

    metrics: ClassVar[tuple[str, ...]] = ()

    def gives(self, metric: str) -> bool:
        return metric.startswith(f"{KIND}:") and any(metric == metric_of(rule.name) for rule in self.group.rules)

    def open(self, surroundings: Surroundings) -> "Evaluator":
        return Evaluator(self.group, surroundings.service, surroundings.feed or Feed())


class Evaluator:
    """A group with what it knows of its alerts, for a service or for the host (None). The daemon observes it, a replay evaluates it."""

    def __init__(self, group: "Group", service: str | None, feed: Feed) -> None:
        self._group = group
        self._service = service
        self._feed = feed
        self._scoped: Scoped | None = None
        self._running: RunningGroup | None = None
        self._results: dict[str, list[Alert]] = {}  # of the rules, when they last had an answer
        self._gone: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}  # and until when it is said

    @property
    def source(self) -> "Memory | Scoped | None":
        """What its rules see; None where nothing is remembered for any."""
        memory = self._feed.memory
        if memory is None or self._service is None:
            return memory
        if self._scoped is None or self._scoped.memory is not memory:
            self._scoped = Scoped(memory, self._service)
        return self._scoped

    async def observe(self) -> Observation:
        return self.evaluate()

    def evaluate(self) -> Observation:
        """Evaluates each rule once. One that has no answer is told in the detail, and what it gave stays as it is."""
        from model_watchdog.promql.alerting import NOT_SEEN, AlertingRule, RunningGroup

        at, source = self._feed.now(), self.source
        if source is None or not self._feed.is_ready():
            return Observation()
        if self._running is None:
            self._running = RunningGroup(replace(self._group, limit=self._group.limit or MOST_RESULTS))
        _, failures = self._running.evaluate(source, at, self._feed.seen_since)
        failed = {rule.name for rule, _ in failures}
        measured: list[Measurement] = []
        for rule in self._running.rules:
            if isinstance(rule, AlertingRule):
                has_answer = rule.rule.name not in failed
                if has_answer:
                    self._results[rule.rule.name] = [alert for alert in rule.active.values() if alert.ending_since is None]
                measured += self._measure(rule.rule, at, has_answer=has_answer)
        return Observation(measured, "; ".join(f"{rule.name}: {said}" for rule, said in failures if said != NOT_SEEN))

    async def close(self) -> None:
        pass

    def _measure(self, rule: "Alerting", now: float, *, has_answer: bool) -> Iterator[Measurement]:
        """Where it has no answer now, what fires goes on, and of what was pending nothing is said."""
        metric = metric_of(rule.name)
        holds = {alert.labels: alert for alert in self._results.get(rule.name, ())}
        for labels, alert in holds.items():
            self._gone[metric, labels] = now + GONE_FOR + rule.keep_firing_for
            if has_answer or alert.fired_at is not None:
                yield metric, _plain(labels), alert.value
        for key, until in list(self._gone.items()):
            if key[0] == metric and key[1] not in holds:
                yield metric, _plain(key[1]), STALE
                if now > until:
                    del self._gone[key]


def _plain(labels: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {name: value for name, value in labels if name != _OWN}
