"""`rules:` of a service or of the host, and the rules that a service has without being told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Scalar, Table
from model_watchdog.config.faults import Place, find_nearest, quote, suggest
from model_watchdog.config.kinds import find_kind, list_kinds
from model_watchdog.config.model import ProbeConfig
from model_watchdog.config.options import MISSING, list_options
from model_watchdog.config.rule_options import (
    check_times,
    choose_step,
    list_labels,
    read_keep_firing_for,
    read_message,
    read_minus,
    read_over,
)
from model_watchdog.config.rule_sense import warn_of_vain
from model_watchdog.config.vocabulary import ADDED, EVERY_PROBE, LATER_METRICS, OWN_METRICS
from model_watchdog.core.progress import STALLED_SECONDS, ProgressPlan
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.core.units import Number, Seconds
from model_watchdog.rules.expr import KIND as EXPR
from model_watchdog.rules.expr import metric_of

COMMON = ("metric", "severity", "then", "for", "times", "over", "as", "minus", "keep_firing_for", "message", "state")
PLAIN_FORM = "threshold"
UNHEALTHY_TIMES = 3
BUILTIN = ("unhealthy", "down", "stalled", "canary-failed", "wrong-answers")
BUILTIN_OF_HOST = ("disk-full", "memory-short", "gpu-lost", "gpu-hot", "gpu-memory-held")
CANARY_TIMES, WRONG_TIMES = 2, 3
Declared = Literal["degraded", "sleeping"]
"""The states that a rule can say a service is in."""
TOO_NEAR = 5.0
"""A GPU is hot from so many degrees below the temperature at which it slows itself down."""
HELD_FOR = 30.0
"""Seconds that the driver may take to free the memory of a process that has ended."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule can look at: the probes of one service, or of the host (`service` None). A kind is None where it is not known.

    `probes` are those that could be read, by name. Where it `is_open` nothing is known of them, and any metric may be there.
    """

    service: str | None
    kinds: Mapping[str, str | None]
    probes: Mapping[str, ProbeConfig] = field(default_factory=dict)
    progress: ProgressPlan | None = None
    is_open: bool = False

    @property
    def place(self) -> str:
        return "the host" if self.service is None else self.service

    def find_givers(self, metric: str) -> Iterator[str]:
        """The probes that give this metric."""
        everyone = metric in EVERY_PROBE
        return (name for name, kind in self.kinds.items() if kind and (everyone or self._gives(name, kind, metric)))

    def _gives(self, name: str, kind: str, metric: str) -> bool:
        if metric == STALLED_SECONDS:
            return kind == "scrape" and self.progress is not None
        gives = getattr(self.probes[name].probe, "gives", None) if name in self.probes else None
        return bool(gives(metric)) if gives else metric in self.list_given(name, kind)

    def find_probes(self, selector: Selector) -> list[ProbeConfig]:
        """The probes from which the series of a rule come."""
        givers = [self.probes[name] for name in self.find_givers(selector.metric) if name in self.probes]
        matchers = tuple(matcher for matcher in selector.matchers if matcher[0] == "probe")
        one = Selector(selector.metric, matchers)
        return [probe for probe in givers if one.matches(SeriesId.of(selector.metric, {"probe": probe.name}))]

    def list_metrics(self) -> set[str]:
        """All that the probes give."""
        own = {metric for name, kind in self.kinds.items() if kind for metric in self.list_given(name, kind)}
        stall = {STALLED_SECONDS} if self.progress is not None else set()
        return own | stall | set(EVERY_PROBE if self.kinds else ())

    def list_given(self, name: str, kind: str) -> tuple[str, ...]:
        """What its options name (`command`), or its kind."""
        return getattr(self.probes[name].probe, "metrics", ()) if name in self.probes else list_metrics(kind)


def list_metrics(kind: str) -> tuple[str, ...]:
    """What every probe of this kind gives, besides what is measured around each. What its options name (`command`) is not among it."""
    metrics = getattr(find_kind("probes", kind), "metrics", ())
    return metrics if isinstance(metrics, tuple) else ()


def is_ours(metric: str) -> bool:
    """The watchdog itself gives this metric, or will."""
    given = any(metric in list_metrics(kind) for kind in list_kinds("probes"))
    ours = (*EVERY_PROBE, *OWN_METRICS, STALLED_SECONDS)
    return given or metric in ours or any(metric in metrics for metrics in LATER_METRICS.values())


def make_builtin_rules(unit: str | None, kinds: Mapping[str, str | None], progress: ProgressPlan | None = None) -> dict[str, Rule]:
    """`unhealthy` over all http probes (each is a series, and so an alert, of its own), `down` for a unit, `stalled` for a heartbeat,
    and for canaries that fail or are answered wrongly."""
    threshold = find_kind("rules", PLAIN_FORM)
    below = threshold(below=Number(1.0))
    rules = {}

    def restart(name: str, selector: Selector, condition: Any, times: int) -> None:
        rules[name] = Rule(name, selector, condition, Severity.CRITICAL, Then.RESTART, times)

    if of_http := _match_probes(kinds, "http"):
        restart("unhealthy", Selector("probe_success", of_http), below, UNHEALTHY_TIMES)
    if unit:
        restart("down", Selector("unit_active"), below, 1)
    if progress is not None:
        restart("stalled", Selector(STALLED_SECONDS), threshold(above=Number(progress.stall_after)), 1)
    if of_canaries := _match_probes(kinds, "canary"):
        restart("canary-failed", Selector("probe_success", of_canaries), below, CANARY_TIMES)
        restart("wrong-answers", Selector("canary_answer_correct"), below, WRONG_TIMES)
    return rules


def _match_probes(kinds: Mapping[str, str | None], wanted: str) -> tuple[tuple[str, str, str], ...]:
    """The matcher of all probes of a kind; nothing where there is none."""
    names = [name for name, kind in kinds.items() if kind == wanted]
    if not names:
        return ()
    return (("probe", "=", names[0]) if len(names) == 1 else ("probe", "=~", "|".join(name.replace(".", "[.]") for name in names)),)


def make_host_rules(kinds: Mapping[str, str | None]) -> dict[str, Rule]:
    """What is told of every host: a full disk, memory short, a GPU that is lost, near the temperature at which it slows itself down, or
    short of memory that dead processes hold."""
    threshold = find_kind("rules", PLAIN_FORM)
    scope = Scope(None, kinds)
    near = threshold(above=Number(-TOO_NEAR), clear=Number(-TOO_NEAR - 3))
    limit = Selector("gpu_temperature_limit_celsius", (("kind", "=", "slowdown"),))
    rules = (
        Rule("disk-full", Selector("host_disk_percent"), threshold(above=Number(95.0), clear=Number(93.0)), times=None, for_=60.0),
        Rule("memory-short", Selector("host_memory_percent"), threshold(above=Number(95.0), clear=Number(90.0)), times=None, for_=60.0),
        Rule("gpu-lost", Selector("gpu_up"), threshold(below=Number(1.0)), Severity.CRITICAL, times=2),
        Rule("gpu-hot", Selector("gpu_temperature_celsius"), near, times=None, for_=60.0, minus=limit),
        Rule("gpu-memory-held", Selector("gpu_memory_held_bytes"), threshold(above=Number(0.0)), times=None, for_=HELD_FOR),
    )
    return {rule.name: rule for rule in rules if any(scope.find_givers(rule.selector.metric))}


def read_rules(context: Context, entry: Entry | None, path: str, scope: Scope, builtin: Mapping[str, Rule]) -> tuple[Rule, ...]:
    """Built-in rules first, each replaced by the file's rule of its name or taken away by `off`, then the others."""
    table = context.literal.read_table(entry.value, path) if entry else None
    rules: dict[str, Rule | None] = dict(builtin)
    for name, one in (table.entries if table else {}).items():
        inside = f"{path}.{name}"
        context.check_name(one.key, inside)
        if isinstance(one.value, Scalar) and not one.value.is_null:
            rules[name] = None
            _check_off(context, one, inside, BUILTIN_OF_HOST if scope.service is None else BUILTIN)
        else:
            rules[name] = _read_rule(context, one, inside, scope)
    return tuple(rule for rule in rules.values() if rule is not None)


def _check_off(context: Context, entry: Entry, path: str, builtin: tuple[str, ...]) -> None:
    value = entry.value
    assert isinstance(value, Scalar)
    if not (value.plain and value.text == "off"):
        text = f"{quote(value.text)} is no rule; write its metric and level, or off to take a built-in rule away"
        context.literal.refuse(value.place, path, text)
    elif entry.key.text not in builtin:
        near = find_nearest(entry.key.text, builtin)
        meant = f'did you mean "{near}"?' if near else f"built in here: {', '.join(builtin)}"
        text = f"off takes away a built-in rule, and this is none; {meant}"
        context.literal.refuse(entry.key.place, path, text)


def _read_rule(context: Context, entry: Entry, path: str, scope: Scope) -> Rule | None:
    options, place = context.literal, entry.key.place
    table = options.read_table(entry.value, path)
    if table is None:
        return None
    gaps = options.gaps
    form, cls = _find_form(table)
    names = [option.name for option in list_options(cls)]
    _check_form(context, table, path, form, [*COMMON, *names], getattr(cls, "refuses", {}))
    if form == EXPR:
        from model_watchdog.config import expr_section  # what it needs takes 6 MB, and few have expressions

        is_right = expr_section.read_expression(context, table.entries[EXPR], f"{path}.{EXPR}")
        selector = Selector(metric_of(entry.key.text)) if is_right else None
    else:
        selector = _read_selector(context, table, place, path, scope)
    mine = {name: table.entries[name] for name in names if name in table.entries}
    condition = options.build(cls, mine, path, place, gaps)
    severity = _read(context, table, "severity", Severity, path, Severity.WARNING)
    then = _read(context, table, "then", Then, path, Then.ALERT)
    judged, no_proof = form != "absent", getattr(cls, "no_proof", "")
    times, for_ = _read_patience(context, table, path, then is Then.RESTART and not no_proof)
    if then is Then.RESTART and scope.service is None:
        options.refuse(table.entries["then"].value.place, f"{path}.then", "restart of what? A rule of the host may alert or inhibit")
    elif then is Then.RESTART and no_proof:
        options.refuse(table.entries["then"].value.place, f"{path}.then", f"{no_proof}. A rule {form} may alert or inhibit")
    over, as_ = read_over(context, table, path, selector, judged)
    givers = scope.find_probes(selector) if selector else []
    check_times(context, table, path, condition, over, for_, givers)
    condition = choose_step(table, condition, givers)
    together = {probe.kind: scope.list_given(probe.name, probe.kind) for probe in givers}
    minus = read_minus(context, table, path, selector, together) if judged else None
    keep = read_keep_firing_for(context, table, path, then)
    ours = selector is None or is_ours(selector.metric)
    means = _read_state(context, table, path, scope, then)
    message = read_message(context, table, path, None if form == EXPR else selector, scope.service, ours=ours)
    if options.gaps != gaps or selector is None or condition is None:
        return None
    rule = Rule(entry.key.text, selector, condition, severity, then, times, for_, over, as_, minus, keep, message, means)
    warn_of_vain(context, table, path, rule, givers, ours=ours)
    return rule


def _read_state(context: Context, table: Table, path: str, scope: Scope, then: Then) -> str:
    """`state:`, what the service is while the rule fires."""
    state = _read(context, table, "state", Declared, path, "")
    if not state:
        return ""
    place, inside = table.entries["state"].value.place, f"{path}.state"
    if scope.service is None:
        context.literal.refuse(place, inside, "is of a service, and this is a rule of the host")
    elif then is not Then.ALERT:
        context.literal.refuse(place, inside, f"goes with then: alert, and not with then: {then.value}")
    return str(state)


def _find_form(table: Table) -> tuple[str, type[Any]]:
    """A form is chosen by the key of its name (`sigma:`); a rule without one is a threshold. Its other keys may choose the class."""
    form = next((name for name in list_kinds("rules") if name in table.entries), PLAIN_FORM)
    found = find_kind("rules", form)
    return form, found.choose(table.entries) if hasattr(found, "choose") else found


def _check_form(context: Context, table: Table, path: str, form: str, names: list[str], refuses: Mapping[str, str]) -> None:
    """Tells keys that are not of this form, and those of every rule that the form refuses, with its reason."""
    options, mine, forms = context.literal, dict(table.entries), _list_forms()
    for name in [name for name in mine if name in refuses]:
        options.refuse(mine.pop(name).key.place, f"{path}.{name}", f"does not go with {form}: {refuses[name]}")
    for name in [name for name in mine if name not in names and name in forms]:
        text = f"belongs to a rule of the form {forms[name]}, and this one is of the form {form}"
        if forms[name] == form:
            text = f"belongs to {form} without window, the adaptive form, and this one states window"
        options.refuse(mine.pop(name).key.place, f"{path}.{name}", text)
    options.check_keys(mine, path, names, "rule")


@cache
def _list_forms() -> dict[str, str]:
    """Each option of a form with the form's name."""
    forms = {}
    for form in list_kinds("rules"):
        found = find_kind("rules", form)
        for cls in found.variants() if hasattr(found, "variants") else (found,):
            forms.update(dict.fromkeys((option.name for option in list_options(cls)), form))
    return forms


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
    fault = "" if scope.is_open else _judge_metric(selector.metric, scope) or _judge_matchers(selector, scope)
    if fault:
        context.literal.refuse(entry.value.place, inside, fault)
    return None if fault else selector


def _judge_metric(metric: str, scope: Scope) -> str:
    """What is wrong with this metric in this scope, or nothing."""
    if any(scope.find_givers(metric)):
        return ""
    later = next((kind for kind, metrics in LATER_METRICS.items() if metric in metrics and kind not in list_kinds("probes")), None)
    if later:
        return f"{quote(metric)} is given by probes of kind {later}, which arrive later"
    if metric in OWN_METRICS:
        return f"rules on {quote(metric)} arrive later"
    elsewhere = next((kind for kind in list_kinds("probes") if metric in list_metrics(kind)), None)
    if None in scope.kinds.values():  # a probe that could not be read may be the one that is meant, or name any metric as its own
        return ""
    if elsewhere or metric in EVERY_PROBE:
        return f"no probe of {scope.place} gives {quote(metric)}" + (f"; a probe of kind {elsewhere} would" if elsewhere else "")
    later_ones = {metric for metrics in LATER_METRICS.values() for metric in metrics}
    known = {metric for kind in list_kinds("probes") for metric in list_metrics(kind)}
    near = find_nearest(metric, scope.list_metrics()) or find_nearest(metric, later_ones | known)
    note = ", which arrives later" if near in later_ones else ""
    return f"no probe gives {quote(metric)}" + (f'; did you mean "{near}"{note}?' if near else suggest(metric, scope.list_metrics()))


def _judge_matchers(selector: Selector, scope: Scope) -> str:
    """A matcher that no series can ever satisfy makes a rule that never fires."""
    ours = [matcher for matcher in selector.matchers if matcher[0] in ADDED]
    for label, operator, value in [matcher for matcher in selector.matchers if matcher not in ours]:
        known = list_labels(selector.metric)
        if label not in known and is_ours(selector.metric):
            return f"{quote(selector.metric)} has no label {quote(label)}{suggest(label, known)}"
        disks = _list_disks(scope)
        if label == "mount" and operator == "=" and value not in disks:
            return f"the fill level of {quote(value)} is not measured; add it to disks: of a probe of kind host{suggest(value, disks)}"
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


def _list_disks(scope: Scope) -> list[str]:
    return [disk for probe in scope.probes.values() for disk in getattr(probe.probe, "disks", ())]


def _any_probe(matcher: Selector, scope: Scope) -> bool:
    return any(matcher.matches(SeriesId.of(matcher.metric, {"probe": name})) for name in scope.kinds)


def _read(context: Context, table: Table, name: str, hint: Any, path: str, default: Any) -> Any:
    """An option that every rule has; the default too where it is faulty."""
    entry = table.entries.get(name)
    value = context.literal.read(entry.value, hint, f"{path}.{name}") if entry else default
    return default if value is MISSING else value
