"""`expr` rules and `rule_files:`: expressions, and the probes that evaluate them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Items, Node, Table
from model_watchdog.config.faults import Place, find_nearest, quote
from model_watchdog.config.including import read_files
from model_watchdog.config.model import HostConfig, ProbeConfig, ServiceConfig
from model_watchdog.config.options import MISSING
from model_watchdog.config.vocabulary import EVERY_PROBE, OWN_METRICS
from model_watchdog.core.progress import STALLED_SECONDS
from model_watchdog.core.rule import Rule, Severity
from model_watchdog.core.sample import Selector
from model_watchdog.core.units import Seconds
from model_watchdog.expressions import EVERY, Expressions
from model_watchdog.promql import PromqlError, parse, parse_rule
from model_watchdog.promql.rulefile import Alerting, Group, read_rule_file
from model_watchdog.rules.expr import KIND, Alerted, Expr, metric_of

TIMEOUT = Seconds(5.0)
SEVERITIES = {
    "critical": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "error": Severity.CRITICAL,
    "info": Severity.INFO,
    "none": Severity.INFO,
}
"""What the label `severity` says in the rule files of the field; anything else is a warning."""


@dataclass(frozen=True)
class RuleFiles:
    """`rule_files:` as rules of the host, and the probes that evaluate them."""

    paths: tuple[Path, ...] = ()
    rules: tuple[Rule, ...] = ()
    probes: tuple[ProbeConfig, ...] = ()
    recorded: frozenset[str] = frozenset()


@dataclass
class _Names:
    """Gives each rule a name of its own: Prometheus takes the same name twice, for a warning and for a critical alert."""

    used: set[str] = field(default_factory=set)

    def take(self, wanted: str) -> str:
        name, number = wanted.replace(" ", "_"), 1
        while name in self.used:
            number += 1
            name = f"{wanted.replace(' ', '_')}-{number}"
        self.used.add(name)
        return name


def read_expression(context: Context, entry: Entry, path: str) -> bool:
    """Whether it is one that a rule can have; what it looks at is remembered, to be held against what is measured."""
    text = context.literal.read(entry.value, str, path)
    if text is MISSING:
        return False
    try:
        expression = parse_rule(text)
    except PromqlError as error:
        context.literal.refuse(entry.value.place, path, str(error))
        return False
    context.expressions.append((entry.value.place, path, expression))
    return True


def add_expressions(probes: tuple[ProbeConfig, ...], rules: Iterable[Rule], service: str | None) -> tuple[ProbeConfig, ...]:
    """The probes, with the one that evaluates the expressions of these rules, if there are any."""
    alerting = tuple(
        Alerting(rule.name, parse(rule.condition.expr), rule.for_ or 0.0, rule.keep_firing_for or 0.0)
        for rule in rules
        if isinstance(rule.condition, Expr)
    )
    return (*probes, _make_probe("rules", Group(service or "host", alerting), None)) if alerting else probes


def read_rule_files(context: Context, entry: Entry | None, taken: Iterable[Rule]) -> RuleFiles:
    """Prometheus' rule files, each read as it is. A fault in one of them is a fault of the configuration."""
    return make_rule_files(context, read_files(entry, context.options, "rule_files") if entry is not None else (), taken)


def make_rule_files(context: Context, files: Iterable[tuple[Path, Table]], taken: Iterable[Rule]) -> RuleFiles:
    """The same of what was read of them; no rule gets the name of one that is `taken`."""
    names, rules, probes, recorded = _Names({rule.name for rule in taken}), list[Rule](), list[ProbeConfig](), set[str]()
    paths = list[Path]()
    for path, table in files:
        paths.append(path)
        for number, group in enumerate(_read_groups(context, table)):
            named = tuple(replace(rule, name=names.take(rule.name)) if isinstance(rule, Alerting) else rule for rule in group.rules)
            rules += [_make_rule(rule) for rule in named if isinstance(rule, Alerting)]
            silent = tuple(replace(rule, annotations={}) if isinstance(rule, Alerting) else rule for rule in named)
            group = replace(group, rules=silent)  # its words are filled in where somebody is told
            probes.append(_make_probe(f"{path.name}:{number}:{group.name}", group, group.interval))
            recorded |= group.recorded
    return RuleFiles(tuple(paths), tuple(rules), tuple(probes), frozenset(recorded))


def list_measured(
    services: Iterable[ServiceConfig], host: HostConfig, recorded: frozenset[str]
) -> tuple[list[Callable[[str], bool]], frozenset[str]]:
    """What the probes of the whole configuration give: functions that say it of a name, and all names that are known."""
    known = {*EVERY_PROBE, *OWN_METRICS, *recorded, "ALERTS"}
    gives: list[Callable[[str], bool]] = []
    for probe in [*host.probes, *(probe for service in services for probe in service.probes)]:
        if hasattr(probe.probe, "gives"):
            gives.append(probe.probe.gives)
        known |= set(getattr(probe.probe, "metrics", ()))
        known |= {STALLED_SECONDS} if probe.kind == "scrape" else set()
    return gives, frozenset(known)


def warn_of_unknown(context: Context, gives: Iterable[Callable[[str], bool]], known: frozenset[str]) -> None:
    """A metric in an expression that nothing here measures makes a rule that never fires.

    `gives` are functions that say whether a probe gives a metric; `known` are names that are measured for sure.
    """
    for place, path, expression in context.expressions:
        for metric in sorted(expression.needs.metrics):
            if metric in known or any(one(metric) for one in gives):
                continue
            near = find_nearest(metric, known)
            meant = f'; did you mean "{near}"?' if near else "; a probe of kind scrape with keep would give it"
            context.faults.warn(place, path, f"nothing here measures {quote(metric)}, so that this would never fire{meant}")


def _make_probe(name: str, group: Group, interval: float | None) -> ProbeConfig:
    every = Seconds(max(1.0, interval)) if interval else EVERY
    return ProbeConfig(f"{KIND}:{name}", KIND, Expressions(group), every, min(TIMEOUT, every), every)


def _make_rule(alerting: Alerting) -> Rule:
    word = alerting.labels["severity"].text if "severity" in alerting.labels else ""
    condition = Alerted(alerting.expression.text, tuple(alerting.annotations.items()))
    severity = SEVERITIES.get(word.strip().lower(), Severity.WARNING)
    held, keep = Seconds(alerting.hold) or None, Seconds(alerting.keep_firing_for) or None
    return Rule(
        alerting.name,
        Selector(metric_of(alerting.name)),
        condition,
        severity,
        times=None if held else 1,
        for_=held,
        keep_firing_for=keep,
    )


def _read_groups(context: Context, table: Table) -> tuple[Group, ...]:
    groups, wrong = read_rule_file(_plain(table))
    for fault in wrong:
        context.faults.add(_find_place(table, fault.path), fault.place, fault.text)
    if wrong:
        return ()
    for number, group in enumerate(groups):
        for place_in, rule in enumerate(group.rules):
            where = _find_place(table, ("groups", number, "rules", place_in, "expr"))
            context.expressions.append((where, f"groups[{number}].rules[{place_in}].expr", rule.expression))
    return groups


def _plain(node: Node) -> Any:
    """What a YAML parser would give; numbers stay texts."""
    if isinstance(node, Table):
        return {name: _plain(entry.value) for name, entry in node.entries.items()}
    if isinstance(node, Items):
        return [_plain(item) for item in node.items]
    return None if node.is_null else node.text


def _find_place(node: Node, path: Iterable[str | int]) -> Place:
    """Where this path leads in the file, or as far as it leads."""
    for step in path:
        if isinstance(node, Table) and step in node.entries:
            node = node.entries[str(step)].value
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            break
    return node.place
