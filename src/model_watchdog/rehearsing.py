"""A rehearsal: rules, and the data that they are tried on, brought together."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import sub
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from model_watchdog.config.loading import load_here_leniently
from model_watchdog.config.model import Config, ProbeConfig
from model_watchdog.config.rule_section import Scope
from model_watchdog.config.rules_file import RulesAlone, is_rules_file, load_rules
from model_watchdog.core.progress import ProgressPlan
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import SeriesId
from model_watchdog.core.state import ProbePlan, Service
from model_watchdog.core.units import Seconds
from model_watchdog.evaluations import Evaluations
from model_watchdog.ledger import Firing, Ledger
from model_watchdog.recorded import Window
from model_watchdog.replaying import Column, Subject, find_gaps
from model_watchdog.rules.expr import KIND as EXPR
from model_watchdog.rules.expr import Expr
from model_watchdog.subjects import HostSubject, ServiceSubject, Stops

if TYPE_CHECKING:
    from model_watchdog.promql import Needs

DATA = "data"
"""What stands for the probe of samples of which no probe is known."""
NAMELESS = "replay"
"""The service of data that name none, where nobody else does."""
OF_SERVICES = ("watchdog_breaker_open", "watchdog_restarts_total")
"""What the daemon tells of itself by service, which none of a service's probes gives, and no rule looks at."""
AWAY = 30.0
"""Seconds without a sample of anything, or three of the longest intervals, in which the watchdog was not there."""

OWN_EXPRESSIONS = f"{EXPR}:rules"
"""The probe of the `expr` rules of a service."""

FindProbe = Callable[[SeriesId], str]


@dataclass(frozen=True)
class Rules:
    """What is rehearsed: a whole configuration, or rules alone, which then are those of every service in the data, and of the host."""

    path: Path
    config: Config | None = None
    alone: RulesAlone = field(default_factory=RulesAlone)

    @classmethod
    def read(cls, path: Path) -> "Rules":
        """Raises `InvalidConfig`."""
        if is_rules_file(path):
            return cls(path, alone=load_rules(path))
        return cls(path, load_here_leniently(path))

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.config.services) if self.config is not None else ()

    @property
    def metrics(self) -> set[str]:
        """All that any of the rules looks at."""
        config, rules, found = self.config, list(self.alone.rules), set[str]()
        if config is not None:
            rules += [*config.host.rules, *(rule for service in config.services.values() for rule in service.core.rules)]
            found = {name for service in config.services.values() if service.core.progress for name in service.core.progress.names}
        found |= {selector.metric or "*" for needs in self.needs for selector in needs.selectors}
        return found | {selector.metric for rule in rules for selector in (rule.selector, rule.minus) if selector is not None}

    @property
    def needs(self) -> "list[Needs]":
        """What the expressions look at."""
        if self.config is not None:
            return self.config.needs
        return [probe.probe.group.needs for probe in (*self.alone.probes, *self.alone.list_probes(None))]  # type: ignore[attr-defined]

    def list_expressions(self, owner: str | None, *, has_services: bool) -> list[ProbeConfig]:
        """What evaluates the expressions of a service, or of the host (None). Where the data have services, rules alone are theirs."""
        config = self.config
        if config is None:
            alone = () if owner is None and has_services else self.alone.list_probes(owner)
            return [*(self.alone.probes if owner is None else ()), *alone]
        service = config.services.get(owner) if owner is not None else None
        probes = config.host.probes if owner is None else service.probes if service is not None else ()
        return [probe for probe in probes if probe.kind == EXPR]

    @property
    def least(self) -> Severity:
        """From which severity on anybody is told."""
        notifiers = self.config.notifiers.values() if self.config is not None else ()
        return min((notifier.min_severity for notifier in notifiers), key=lambda severity: severity.rank, default=Severity.WARNING)

    @property
    def longest_every(self) -> float:
        return self.config.longest_every if self.config is not None else AWAY / 3


@dataclass
class Rehearsal:
    """Rules on their way through the data. `default` is the service of series that name none; None: they are the host's.

    `known` are series that are in the data, as far as that is known before. `is_record`: where nothing at all was measured, the
    watchdog was not there; in data from elsewhere it means that the series had stopped. `only`: the data are of this service alone.
    """

    rules: Rules
    default: str | None = None
    known: Sequence[SeriesId] = ()
    stops: Mapping[str, Stops] = field(default_factory=dict)
    is_record: bool = False
    only: str | None = None
    skips: bool = True

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.rules.least, conditions=self.rules.config is not None)
        self.samples = 0
        self._away = 0.0  # so many seconds without a sample
        self._reached = float("inf")  # the end of the window before
        self.begin, self.end = float("inf"), float("-inf")
        self.strangers: set[str] = set()  # services that are in the data, and not configured
        self._seen: set[SeriesId] = set()
        self._owners: dict[str | None, None] = {None: None}
        self._evaluations = Evaluations(self._list_expressions, self.rules.needs, is_record=self.is_record)
        self._subjects: dict[str | None, Subject | None] = {}

    @property
    def series(self) -> int:
        return len(self._seen)

    def take(self, window: Window) -> None:
        """The next window of data."""
        self._count(window)
        if self.is_record and not self._away:
            self._away = max(AWAY, 3 * self.rules.longest_every, 3 * _find_pace(window))
        least = self._away
        gaps = find_gaps(window, least) if self.is_record else []
        if self.is_record and self._reached < _first(window) - least:
            self._leave(_first(window))
        rest = list(window)
        for before, after in gaps:
            self._take([_until(column, before) for column in rest])
            self._leave(after)
            rest = [_since(column, before) for column in rest]
        self._take(rest)
        self._reached = self.end

    def list_blind(self) -> list[tuple[str | None, str, str]]:
        """The rules that have seen no sample, with their service (None: the host) and metric."""
        found = []
        for name, rules in self._list_rules():
            for rule in rules:
                if isinstance(rule.condition, Expr):
                    if not self._evaluations.sees(name, rule.name, anybody=self.rules.config is None):
                        found.append((name, rule.name, rule.condition.expr))
                elif not any(rule.selector.matches(self._named(series)) for series in self._seen):
                    found.append((name, rule.name, str(rule.selector)))
        return found

    def list_failures(self) -> list[tuple[str | None, str, str]]:
        """The expressions that had no answer at some time: whose they are (None: the host's), their names, and why not."""
        return self._evaluations.list_failures()

    def _list_rules(self) -> Iterable[tuple[str | None, Sequence[Rule]]]:
        if self.rules.config is None:
            yield self.default, self.rules.alone.rules
            yield None, self.rules.alone.of_files
            return
        for name, service in self.rules.config.services.items():
            if self.only in (None, name):
                yield name, service.core.rules
        if self.only is None:
            yield None, self.rules.config.host.rules

    def _count(self, window: Window) -> None:
        for column in window:
            if len(column.times):
                self._seen.add(column.series)
                self.samples += len(column.times)
                self.begin, self.end = min(self.begin, column.times[0]), max(self.end, column.times[-1])

    def _take(self, window: Sequence[Column]) -> None:
        """The host before the services: its rules may forbid restarts."""
        by_owner: dict[str | None, list[Column]] = {}
        named = [
            Column(self._named(column.series), column.times, column.values)
            for column in window
            if len(column.times) and not _is_of_expressions(column.series)
        ]
        for column in named:
            owner = dict(column.series.labels).get("service")
            self._owners[owner] = None
            if column.series.metric not in OF_SERVICES:
                by_owner.setdefault(owner, []).append(column)
        for owner, columns in self._evaluations.take(named, list(self._owners)).items():
            by_owner.setdefault(owner, []).extend(columns)
        for owner in sorted(by_owner, key=lambda name: (name is not None, name)):
            subject = self._find(owner, [column.series for column in by_owner[owner]])
            if subject is not None:
                subject.take(by_owner[owner])

    def _leave(self, at: float) -> None:
        self._evaluations.begin_after_gap(at)
        for subject in self._subjects.values():
            if subject is not None:
                subject.begin_after_gap(at)

    def _list_expressions(self, owner: str | None) -> list[ProbeConfig]:
        """Of one service of the record alone nothing is known of what the host's rules look at besides."""
        if owner is None and self.is_record and self.only is not None:
            return []
        known = any("service" in dict(series.labels) for series in self.known)
        return self.rules.list_expressions(owner, has_services=self.default is not None or known)

    def _named(self, series: SeriesId) -> SeriesId:
        labels = dict(series.labels)
        if "service" in labels or self.default is None or self._is_of_host(series.metric):
            return series
        return SeriesId.of(series.metric, {**labels, "service": self.default})

    def _is_of_host(self, metric: str) -> bool:
        """Whether the host's probes give it, whoever else is watched."""
        config = self.rules.config
        if config is None or metric.startswith("probe_"):
            return False
        return any(_make_scope(None, config.host.probes).find_givers(metric))

    def _find(self, owner: str | None, here: Sequence[SeriesId]) -> Subject | None:
        if owner not in self._subjects:
            mine = {*here, *(series for series in map(self._named, self.known) if dict(series.labels).get("service") == owner)}
            subject = self._subjects[owner] = self._make(owner, mine)
            if subject is not None:
                subject.skips = self.skips
        return self._subjects[owner]

    def _make(self, owner: str | None, series: Iterable[SeriesId]) -> Subject | None:
        config = self.rules.config
        alone = tuple(rule for rule in self.rules.alone.rules if rule.silence is None or any(rule.selector.matches(one) for one in series))
        if owner is None:
            of_files = self.rules.alone.of_files
            rules = config.host.rules if config is not None else (*(rule for rule in alone if rule.then is not Then.RESTART), *of_files)
            scope = _make_scope(None, config.host.probes if config is not None else self._list_expressions(None))
            return HostSubject(rules, _probe_finder(scope), self.ledger)
        if config is None:
            return ServiceSubject(*_make_service(owner, alone, series), self.ledger, stops=self.stops.get(owner, ()))
        if owner not in config.services:
            self.strangers.add(owner)
            return None
        service = config.services[owner]
        find = _probe_finder(_make_scope(owner, service.probes, service.core.progress))
        measured = {one.metric for one in series if not _is_of_expressions(one)}
        core = _keep_probes(service.core, {find(one) for one in series}, measured)
        return ServiceSubject(core, find, self.ledger, self.ledger.find_inhibiting, self.stops.get(owner, ()))


def compare(some: Sequence[Firing], others: Sequence[Firing], end: float) -> tuple[list[Firing], list[Firing]]:
    """What fired only in the one, and only in the other: of one rule, service and series with no moment in common."""

    def key(one: Firing) -> tuple[str, str | None, str]:
        return one.rule, one.service, one.series

    def alone(mine: Sequence[Firing], theirs: Sequence[Firing]) -> list[Firing]:
        known: dict[tuple[str, str | None, str], list[Firing]] = {}
        for other in theirs:
            known.setdefault(key(other), []).append(other)
        return [one for one in mine if not any(_overlap(one, other, end) for other in known.get(key(one), ()))]

    return alone(some, others), alone(others, some)


def _overlap(one: Firing, other: Firing, end: float) -> bool:
    mine, theirs = (end if firing.until is None else firing.until for firing in (one, other))
    return one.at <= theirs and other.at <= mine


def _make_scope(service: str | None, probes: Sequence[ProbeConfig], progress: ProgressPlan | None = None) -> Scope:
    return Scope(service, {probe.name: probe.kind for probe in probes}, {probe.name: probe for probe in probes}, progress)


def _probe_finder(scope: Scope) -> FindProbe:
    def find(series: SeriesId) -> str:
        if series.metric.startswith("probe_"):
            return dict(series.labels).get("probe", DATA)
        return next(scope.find_givers(series.metric), DATA)

    return find


def _make_service(name: str, rules: Sequence[Rule], series: Iterable[SeriesId]) -> tuple[Service, FindProbe]:
    """A service of which nothing is known but the data. How often its probes ran is not known, so none of them is ever missed."""
    probes = {dict(one.labels).get("probe", DATA) for one in series if one.metric == "probe_success"}
    has_unit = any(one.metric == "unit_active" for one in series)
    asked = {probe: EXPR if probe.startswith(f"{EXPR}:") else "http" for probe in sorted(probes)}
    kinds = {**asked, **({"unit": "unit"} if has_unit else {}), DATA: "scrape"}
    plans = tuple(ProbePlan(probe, kind, every=Seconds(86_400.0)) for probe, kind in kinds.items())

    def find(one: SeriesId) -> str:
        if one.metric.startswith("probe_"):
            return dict(one.labels).get("probe", DATA)
        if one.metric.startswith(f"{EXPR}:"):
            return OWN_EXPRESSIONS
        return "unit" if has_unit and one.metric.startswith("unit_") else DATA

    return Service(name, f"{name}.service" if has_unit else None, plans, tuple(rules)), find


def _keep_probes(service: Service, seen: set[str], metrics: set[str]) -> Service:
    """The service with those of its probes that the data tell of. Without samples of its unit it is restarted as one without a unit."""
    plans = tuple(plan for plan in service.probes if plan.name in seen)
    unit = service.unit if "unit_active" in metrics else None
    plans = tuple(plan for plan in plans if unit is not None or plan.kind != "unit")
    if "probe_success" not in metrics:  # the data do not say how its runs went: what was measured is all there is
        plans = tuple(plan if plan.kind in ("unit", EXPR) else replace(plan, kind="scrape") for plan in plans)
    if DATA in seen:
        plans += (ProbePlan(DATA, "scrape"),)
    progress = service.progress if service.progress is not None and metrics & set(service.progress.names) else None
    return replace(service, unit=unit, probes=plans, progress=progress)


def _is_of_expressions(series: SeriesId) -> bool:
    """What the daemon's own evaluation gave, which a replay makes anew."""
    return series.metric.startswith(f"{EXPR}:") or dict(series.labels).get("probe", "").startswith(f"{EXPR}:")


def _find_pace(window: Sequence[Column]) -> float:
    """Seconds from one sample to the next, of the series that has most."""
    paces = [median(map(sub, column.times[1:50], column.times[:49])) for column in window if len(column.times) > 1]
    return min(paces, default=0.0)


def _first(window: Sequence[Column]) -> float:
    """When it begins."""
    return min((column.times[0] for column in window if len(column.times)), default=float("-inf"))


def _until(column: Column, at: float) -> Column:
    place = bisect_right(column.times, at)
    return Column(column.series, column.times[:place], column.values[:place])


def _since(column: Column, at: float) -> Column:
    place = bisect_right(column.times, at)
    return Column(column.series, column.times[place:], column.values[place:])
