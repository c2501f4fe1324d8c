"""`rules:` of a service or of the host, and the rules that a service has without being told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Scalar, Table
from model_watchdog.config.faults import Place, find_nearest, quote, suggest
from model_watchdog.config.kinds import find_kind, list_kinds
from model_watchdog.config.model import ProbeConfig
from model_watchdog.config.options import MISSING, list_options
from model_watchdog.config.vocabulary import EVERY_PROBE, LATER_METRICS, OWN_METRICS
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.core.units import Number, Seconds

COMMON = ("metric", "severity", "then", "for", "times")
PLAIN_FORM = "threshold"
UNHEALTHY_TIMES = 3


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule can look at: the probes of one service, or of the host (`service` None). A kind is None where it is not known.

    `probes` are those that could be read, by name.
    """

    service: str | None
    kinds: Mapping[str, str | None]
    probes: Mapping[str, ProbeConfig] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return "the host" if self.service is None else self.service

    def find_givers(self, metric: str) -> Iterator[str]:
        """The probes that give this metric."""
        everyone = metric in EVERY_PROBE
        return (name for name, kind in self.kinds.items() if kind and (everyone or metric in self._list_given(name, kind)))

    def list_metrics(self) -> set[str]:
        """All that the probes give."""
        own = {metric for name, kind in self.kinds.items() if kind for metric in self._list_given(name, kind)}
        return own | set(EVERY_PROBE if self.kinds else ())

    def _list_given(self, name: str, kind: str) -> tuple[str, ...]:
        """What its options name (`command`), or its kind."""
        return getattr(self.probes[name].probe, "metrics", ()) if name in self.probes else list_metrics(kind)


def list_metrics(kind: str) -> tuple[str, ...]:
    """What every probe of this kind gives, besides what is measured around each. What its options name (`command`) is not among it."""
    metrics: tuple[str, ...] = getattr(find_kind("probes", kind), "metrics", ())
    return metrics


def is_ours(metric: str) -> bool:
    """The watchdog itself gives this metric, or will."""
    given = any(metric in list_metrics(kind) for kind in list_kinds("probes"))
    return given or metric in EVERY_PROBE or metric in OWN_METRICS or any(metric in metrics for metrics in LATER_METRICS.values())


def make_builtin_rules(unit: str | None, kinds: Mapping[str, str | None]) -> dict[str, Rule]:
    """`unhealthy` over all http probes (each is a series, and so an alert, of its own) and `down` for a unit."""
    threshold = find_kind("rules", PLAIN_FORM)
    rules = {}
    names = [name for name, kind in kinds.items() if kind == "http"]
    if names:
        matcher = ("probe", "=", names[0]) if len(names) == 1 else ("probe", "=~", "|".join(name.replace(".", "[.]") for name in names))
        selector = Selector("probe_success", (matcher,))
        below = threshold(below=Number(1.0))
        rules["unhealthy"] = Rule("unhealthy", selector, below, Severity.CRITICAL, Then.RESTART, UNHEALTHY_TIMES)
    if unit:
        rules["down"] = Rule("down", Selector("unit_active"), threshold(below=Number(1.0)), Severity.CRITICAL, Then.RESTART, 1)
    return rules


def read_rules(context: Context, entry: Entry | None, path: str, scope: Scope, builtin: Mapping[str, Rule]) -> tuple[Rule, ...]:
    """Built-in rules first, each replaced by the file's rule of its name or taken away by `off`, then the others."""
    table = context.literal.read_table(entry.value, path) if entry else None
    rules: dict[str, Rule | None] = dict(builtin)
    for name, one in (table.entries if table else {}).items():
        inside = f"{path}.{name}"
        context.check_name(one.key, inside)
        if isinstance(one.value, Scalar) and not one.value.is_null:
            rules[name] = None
            _check_off(context, one, inside, scope)
        else:
            rules[name] = _read_rule(context, one, inside, scope)
    return tuple(rule for rule in rules.values() if rule is not None)


def _check_off(context: Context, entry: Entry, path: str, scope: Scope) -> None:
    value = entry.value
    assert isinstance(value, Scalar)
    if not (value.plain and value.text == "off"):
        text = f"{quote(value.text)} is no rule; write its metric and level, or off to take a built-in rule away"
        context.literal.refuse(value.place, path, text)
    elif scope.service is None or entry.key.text not in ("unhealthy", "down"):
        text = "off takes away a built-in rule, and this is none; built in are unhealthy and down of a service"
        context.literal.refuse(entry.key.place, path, text)


def _read_rule(context: Context, entry: Entry, path: str, scope: Scope) -> Rule | None:
    options, place = context.literal, entry.key.place
    table = options.read_table(entry.value, path)
    if table is None:
        return None
    gaps = options.gaps
    if "expr" in table.entries:
        options.check_keys({"expr": table.entries["expr"]}, path, (), "rule")
        return None
    form, cls = _find_form(table)
    names = [option.name for option in list_options(cls)]
    complete = _check_form(context, table, path, form, [*COMMON, *names])
    selector = _read_selector(context, table, place, path, scope)
    mine = {name: table.entries[name] for name in names if name in table.entries}
    condition = options.build(cls, mine, path, place, gaps) if complete else None
    severity = _read(context, table, "severity", Severity, path, Severity.WARNING)
    then = _read(context, table, "then", Then, path, Then.ALERT)
    times, for_ = _read_patience(context, table, path, then is Then.RESTART)
    if then is Then.RESTART and scope.service is None:
        options.refuse(table.entries["then"].value.place, f"{path}.then", "restart of what? A rule of the host may alert or inhibit")
    if options.gaps != gaps or selector is None or condition is None:
        return None
    return Rule(entry.key.text, selector, condition, severity, then, times, for_)


def _find_form(table: Table) -> tuple[str, type[Any]]:
    """A form is chosen by the key of its name (`sigma:`); a rule without one is a threshold."""
    form = next((name for name in list_kinds("rules") if name in table.entries), PLAIN_FORM)
    return form, find_kind("rules", form)


def _check_form(context: Context, table: Table, path: str, form: str, names: list[str]) -> bool:
    """Tells keys that are not of this form. False where the form is not complete, which is told too."""
    options, others, mine = context.literal, {}, dict(table.entries)
    for other in list_kinds("rules"):
        for option in list_options(find_kind("rules", other)):
            if option.name in mine and option.name not in names:
                others[option.name] = other
    for name, other in others.items():
        text = f"belongs to a rule of the form {other}, and this one is of the form {form}"
        options.refuse(mine.pop(name).key.place, f"{path}.{name}", text)
    complete = form != "sigma" or "window" in mine
    if not complete:
        options.refuse(mine["sigma"].key.place, f"{path}.sigma", "without window arrives later; write for example window: 10 beside it")
    options.check_keys(mine, path, names, "rule")
    return complete


def _read_patience(context: Context, table: Table, path: str, restart: bool) -> tuple[int | None, float | None]:
    """`times` and `for_`, of which one is None."""
    options, entries = context.literal, table.entries
    times = _read(context, table, "times", int, path, None)
    for_ = _read(context, table, "for", Seconds, path, None)
    if times is not None and times < 1:
        options.refuse(entries["times"].value.place, f"{path}.times", "must be at least 1")
    if "times" in entries and "for" in entries:
        options.refuse(max(entries[name].key.place for name in ("times", "for")), path, "states for and times; state one of them")
    if restart and "times" not in entries and "for" not in entries:
        text = "then: restart must state for or times, such as times: 3, so that no single bad sample restarts it by accident"
        options.refuse(entries["then"].value.place, path, text)
    return (None, for_) if for_ is not None else (times or 1, None)


def _read_selector(context: Context, table: Table, place: Place, path: str, scope: Scope) -> Selector | None:
    inside, entry = f"{path}.metric", table.entries.get("metric")
    if entry is None:
        context.literal.refuse(place, inside, "is missing; it takes the name of a metric, such as probe_success")
        return None
    text = context.literal.read(entry.value, str, inside)
    if text is MISSING:
        return None
    try:
        selector = Selector.parse(text)
    except ValueError as error:
        note = " (variables are not replaced in rules)" if "${" in text else ""
        context.literal.refuse(entry.value.place, inside, f"{error}{note}")
        return None
    fault = _judge_metric(selector.metric, scope) or _judge_matchers(selector, scope)
    if fault:
        context.literal.refuse(entry.value.place, inside, fault)
    return selector


def _judge_metric(metric: str, scope: Scope) -> str:
    """What is wrong with this metric in this scope, or nothing."""
    givers = any(scope.find_givers(metric))
    if givers and not metric.endswith("_total"):
        return ""
    later = next((kind for kind, metrics in LATER_METRICS.items() if metric in metrics and kind not in list_kinds("probes")), None)
    if later:
        return f"{quote(metric)} is given by probes of kind {later}, which arrive later"
    if metric in OWN_METRICS:
        return f"rules on {quote(metric)} arrive later"
    elsewhere = next((kind for kind in list_kinds("probes") if metric in list_metrics(kind)), None)
    if metric.endswith("_total") and (givers or elsewhere):
        return f"{quote(metric)} only ever grows: it must say rate or increase, which arrive later"
    if None in scope.kinds.values():  # a probe that could not be read may be the one that is meant
        return ""
    if elsewhere or metric in EVERY_PROBE:
        return f"no probe of {scope.place} gives {quote(metric)}" + (f"; a probe of kind {elsewhere} would" if elsewhere else "")
    known = {metric for metrics in LATER_METRICS.values() for metric in metrics}
    near = find_nearest(metric, scope.list_metrics()) or find_nearest(metric, known)
    note = ", which arrives later" if near in known else ""
    return f"no probe gives {quote(metric)}" + (f'; did you mean "{near}"{note}?' if near else suggest(metric, scope.list_metrics()))


def _judge_matchers(selector: Selector, scope: Scope) -> str:
    """A matcher that no series can ever satisfy makes a rule that never fires."""
    ours = [matcher for matcher in selector.matchers if matcher[0] in ("service", "probe")]
    base = {} if scope.service is None else {"service": scope.service}
    for matcher in ours:
        label, operator, value = matcher
        one = Selector(selector.metric, (matcher,))
        if label == "probe" and not selector.metric.startswith("probe_"):
            return f"{quote(selector.metric)} has no label probe; take probe{operator}{quote(value)} out"
        if label == "service":
            if not one.matches(SeriesId.of(selector.metric, base)):
                return f"a rule of {scope.place} sees only series of {scope.place}; take service{operator}{quote(value)} out"
        elif value not in scope.kinds if operator == "=" else not _any_probe(one, scope):
            return f"no probe of {scope.place} has the name {quote(value)}{suggest(value, scope.kinds)}"
    return ""


def _any_probe(matcher: Selector, scope: Scope) -> bool:
    return any(matcher.matches(SeriesId.of(matcher.metric, {"probe": name})) for name in scope.kinds)


def _read(context: Context, table: Table, name: str, hint: Any, path: str, default: Any) -> Any:
    """An option that every rule has; the default too where it is faulty."""
    entry = table.entries.get(name)
    value = context.literal.read(entry.value, hint, f"{path}.{name}") if entry else default
    return default if value is MISSING else value
