"""Our rules as a Prometheus rule file, for whoever has a Prometheus that collects the same metrics.

What Prometheus cannot say (a baseline that learns) is listed as a comment and never left out silently.
"""

import json
import math
from collections.abc import Iterator

from model_watchdog.config.model import Config, ProbeConfig
from model_watchdog.config.rule_section import Scope
from model_watchdog.config.values import write_seconds
from model_watchdog.core.rollup import QUANTILE, As
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Selector
from model_watchdog.core.template import fill, list_names
from model_watchdog.language import phrase
from model_watchdog.rules.absent import Absent
from model_watchdog.rules.expr import Alerted, Expr
from model_watchdog.rules.sigma import Sigma
from model_watchdog.rules.threshold import Threshold

DEFAULT_EVERY = 30.0
LOOK_BACK = "1d"
"""A series that was there in this time is one that can be missed."""


class _NotExpressible(Exception):
    """Prometheus has no expression for a rule; why."""


def export_rules(config: Config) -> str:
    """The text of a rule file that `promtool check rules` accepts: a group for each service, and one for the host."""
    parts = list[tuple[str, str | None, tuple[ProbeConfig, ...], tuple[Rule, ...]]]()
    for name, service in config.services.items():
        parts.append((f"model-watchdog: {name}", name, service.probes, service.core.rules))
    of_host = tuple(rule for rule in config.host.rules if not isinstance(rule.condition, Alerted))  # a rule file is one already
    parts.append(("model-watchdog: host", None, config.host.probes, of_host))
    parts = [part for part in parts if part[-1]]
    lines = [f"# {phrase('The rules of {path}, written by watchdog export-rules', path=_one_line(str(config.path)))}", "groups:"]
    for group, of, probes, rules in parts:
        lines += [f"  - name: {_quote(group)}", "    rules:"]
        written = [line for rule in rules for line in _write_rule(rule, of, probes)]
        lines += written if any(not line.lstrip().startswith("#") for line in written) else [*written, "      []"]
    if not parts:
        lines[-1] = "groups: []"
    return "\n".join(lines) + "\n"


def _write_rule(rule: Rule, service: str | None, probes: tuple[ProbeConfig, ...]) -> Iterator[str]:
    every = _find_every(rule, service, probes)
    try:
        expression = _Writer(rule, service, every).write()
    except _NotExpressible as reason:
        yield f"      # {_one_line(rule.name)}: {phrase('not exported: {why}', why=str(reason))}"
        return
    hold = rule.for_ if rule.for_ is not None else ((rule.times or 1) - 1) * every
    if isinstance(rule.condition, Absent):
        hold = 0.0
    labels = {"severity": rule.severity.value, "action": rule.then.value} | ({"service": service} if service else {})
    if service and isinstance(rule.condition, Expr):
        yield f"      # {_one_line(rule.name)}: {phrase('Prometheus looks at the series of every service here')}"
    yield f"      - alert: {_quote(rule.name)}"
    yield f"        expr: {_quote(expression)}"
    if hold > 0:
        yield f"        for: {_duration(hold)}"
    if rule.keep_firing_for:
        yield f"        keep_firing_for: {_duration(rule.keep_firing_for)}"
    yield "        labels:"
    yield from (f"          {name}: {_quote(text)}" for name, text in labels.items())
    yield "        annotations:"
    yield f"          summary: {_quote(_summarise(rule))}"


def _find_every(rule: Rule, service: str | None, probes: tuple[ProbeConfig, ...]) -> float:
    """How far apart the samples of a rule lie: of the slowest of the probes that give them, so that no alert comes too early."""
    scope = Scope(service, {probe.name: probe.kind for probe in probes}, {probe.name: probe for probe in probes})
    found = scope.find_probes(rule.selector) or probes
    return max((probe.every for probe in found), default=DEFAULT_EVERY)


def _summarise(rule: Rule) -> str:
    """The rule's own words with their blanks as Prometheus fills them in, or what it looks at."""
    if not rule.message:
        what = rule.name if isinstance(rule.condition, Expr) else str(rule.selector)
        return f"{_escape_template(what)}: {{{{ $value | humanize }}}}"
    blanks = {name: f"\ue000{name}\ue001" for name in list_names(rule.message)}
    text = _escape_template(fill(rule.message, blanks))
    for name, blank in blanks.items():
        text = text.replace(blank, "{{ $value }}" if name == "value" else f"{{{{ $labels.{name} }}}}")
    return text


def _escape_template(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


class _Writer:
    """The expression of one rule. `every` is how far apart the samples lie."""

    def __init__(self, rule: Rule, service: str | None, every: float) -> None:
        self._rule, self._service, self._every = rule, service, every

    def write(self) -> str:
        match self._rule.condition:
            case Threshold() as threshold:
                return self._write_threshold(threshold)
            case Absent(absent):
                return self._write_absent(absent)
            case Sigma() as sigma:
                return self._write_sigma(sigma)
            case Expr(expr=text):
                return self._write_expression(text)
            case _:
                raise _NotExpressible(phrase("Prometheus has no baseline that learns"))

    def _write_threshold(self, threshold: Threshold) -> str:
        judged = self._write_value()
        if threshold.equals is not None:
            return f"{judged} == {_number(threshold.equals)}"
        if threshold.outside is not None:
            low, high = threshold.outside
            return f"{judged} < {_number(low)} or {judged} > {_number(high)}"
        operator, level = (">", threshold.above) if threshold.above is not None else ("<", threshold.below)
        assert level is not None
        begins = f"{judged} {operator} {_number(level)}"
        if threshold.clear is None or threshold.clear == level:
            return begins
        name = self._rule.name.replace("\\", "\\\\").replace('"', '\\"')
        fires = f'ignoring (alertname, alertstate, severity, action) ALERTS{{alertname="{name}", alertstate="firing"}}'
        return f"{begins} or ({judged} {operator} {_number(threshold.clear)} and {fires})"

    def _write_expression(self, text: str) -> str:
        from model_watchdog.promql import parse
        from model_watchdog.promql.tree import Call, walk

        if any(isinstance(node, Call) and node.function == "rolling_sigma" for node in walk(parse(text).tree)):
            raise _NotExpressible(phrase("Prometheus has no rolling_sigma"))
        return text

    def _write_absent(self, absent: float) -> str:
        selector = self._select(self._rule.selector)
        missing = f"last_over_time({selector}[{LOOK_BACK}]) unless last_over_time({selector}[{_duration(absent)}])"
        return f"({missing}) or absent_over_time({selector}[{LOOK_BACK}])"

    def _write_sigma(self, sigma: Sigma) -> str:
        """The samples before the one that is judged are those of the window that ends one interval earlier."""
        if self._rule.over is not None or self._rule.minus is not None:
            raise _NotExpressible(phrase("it judges what is computed of samples, of which Prometheus has no past without a subquery"))
        selector = self._select(self._rule.selector)
        past = f"{selector}[{_duration(sigma.window * self._every)}] offset {_duration(self._every)}"
        mean = f"avg_over_time({past})"
        off = {"both": f"abs({selector} - {mean})", "above": f"({selector} - {mean})", "below": f"({mean} - {selector})"}[sigma.direction]
        times = _number(sigma.sigma)
        conditions = [f"{off} > {times} * stddev_over_time({past})"]
        if sigma.min_relative:
            conditions.append(f"{off} > {_number(sigma.sigma * sigma.min_relative)} * abs({mean})")
        if sigma.min_absolute:
            conditions.append(f"{off} > {_number(sigma.sigma * sigma.min_absolute)}")
        conditions.append(f"count_over_time({past}) >= {max(2, sigma.window - 1)}")
        return " and ".join(conditions)

    def _write_value(self) -> str:
        """What is judged: the sample, or what is made of the last minutes."""
        rule = self._rule
        selector = self._select(rule.selector)
        if rule.minus is not None:
            if rule.over is not None:
                raise _NotExpressible(phrase("it judges what is computed of samples, of which Prometheus has no past without a subquery"))
            others = ", ".join(sorted({name for name, _, _ in rule.minus.matchers} - {"service"}))
            return f"({selector} - {f'ignoring ({others}) ' if others else ''}{self._select(rule.minus)})"
        if rule.over is None or rule.as_ is None:
            return selector
        window = f"{selector}[{_duration(rule.over)}]"
        match rule.as_:
            case As.RATE | As.INCREASE:
                return f"{rule.as_.value}({window})"
            case As.P95:
                return f"quantile_over_time({QUANTILE}, {window})"
            case As.RANGE:
                return f"(max_over_time({window}) - min_over_time({window}))"
            case _:
                return f"{rule.as_.value}_over_time({window})"

    def _select(self, selector: Selector) -> str:
        """The series of this service alone."""
        own = (("service", "=", self._service),) if self._service else ()
        return str(Selector(selector.metric, (*own, *(matcher for matcher in selector.matchers if matcher not in own))))


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0") if math.isfinite(value) else ("Inf" if value > 0 else "-Inf")


def _duration(seconds: float) -> str:
    """As Prometheus writes it: whole milliseconds, of which there is at least one."""
    return write_seconds(max(0.001, round(seconds, 3)))


def _quote(text: str) -> str:
    """A text in YAML, in the quotes of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
