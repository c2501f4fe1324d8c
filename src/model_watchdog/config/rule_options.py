"""What every rule may state besides its form: `over` and `as`, `minus`, `keep_firing_for`, `message`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from model_watchdog.config.context import Context
from model_watchdog.config.document import Table
from model_watchdog.config.faults import quote, suggest
from model_watchdog.config.model import ProbeConfig
from model_watchdog.config.options import MISSING
from model_watchdog.config.values import write_seconds
from model_watchdog.config.vocabulary import ADDED, LABELS
from model_watchdog.core.rollup import MOST, As
from model_watchdog.core.rule import Then
from model_watchdog.core.sample import Selector
from model_watchdog.core.template import list_names
from model_watchdog.core.units import Seconds

STEP = Seconds(60.0)
"""The rate that the adaptive form was made for: samples that come faster are averaged to one in so many seconds."""
_COUNTED = ("smooth", "center", "spread", "warmup", "cooldown", "hold", "forget", "step", "over")
"""Who states one of these, in samples, counts samples as they come, and who states over: averages as they are to be averaged."""
_COUNTERS = ("_total", "_count", "_sum", "_bucket")
"""How the names of counters end; those of a histogram are counters too."""


def read_over(context: Context, table: Table, path: str, selector: Selector | None, judged: bool) -> tuple[Seconds | None, As | None]:
    """`over` and `as`, both or none. `judged` is False for a form that looks at no value, which may watch a counter as it is."""
    options, entries = context.literal, table.entries
    over = _read(context, table, "over", Seconds, path)
    as_ = _read(context, table, "as", As, path)
    for one, other, example in (("over", "as", "as: avg"), ("as", "over", "over: 5m")):
        if one in entries and other not in entries:
            options.refuse(entries[one].key.place, f"{path}.{one}", f"needs {other} beside it, such as {example}")
    if over is not None and over <= 0:
        options.refuse(entries["over"].value.place, f"{path}.over", "must be longer than 0s")
    if selector is None:
        return over, as_
    metric = selector.metric
    if as_ is not None and as_.is_of_counters and not metric.endswith(_COUNTERS):
        text = f"{as_.value} is for counters, whose names end in _total; {quote(metric)} can fall as well as rise"
        options.refuse(entries["as"].value.place, f"{path}.as", text)
    elif judged and metric.endswith("_total") and (as_ is None or not as_.is_of_counters) and "as" not in entries:
        text = f"{quote(metric)} only ever grows: state rate or increase, such as over: 5m, as: rate"
        options.refuse(entries["metric"].value.place, f"{path}.metric", text)
    elif judged and metric.endswith("_total") and as_ is not None and not as_.is_of_counters:
        options.refuse(entries["as"].value.place, f"{path}.as", f"{quote(metric)} only ever grows: state rate or increase")
    return over, as_


def check_times(
    context: Context, table: Table, path: str, condition: Any, over: float | None, for_: float | None, givers: Sequence[ProbeConfig]
) -> None:
    """What the probes' intervals do not fit: no sample would be there, or far too many."""

    def refuse(name: str, text: str) -> None:
        context.literal.refuse(table.entries[name].value.place, f"{path}.{name}", text)

    for probe in givers:
        if over is not None and over < 2 * probe.every:
            refuse("over", f"{write_seconds(over)} is shorter than two samples of {_tell_pace(probe)}")
        for name in ("absent", "max_gap"):
            seconds = getattr(condition, name, None)
            if seconds is not None and seconds <= probe.every:
                refuse(name, f"{write_seconds(seconds)} is not longer than the time between two samples of {_tell_pace(probe)}")
        if over is not None and over > MOST * _soonest(probe):
            most = write_seconds(MOST * _soonest(probe))
            refuse("over", f"{write_seconds(over)} holds more than {MOST} samples of the probe {probe.name}; {most} is the most")
    fastest = min(givers, key=_soonest, default=None)
    if for_ and fastest and for_ < _soonest(fastest):
        refuse(
            "for",
            f"{write_seconds(for_)} is shorter than the time between two samples of {_tell_pace(fastest, at_best=True)}; state times: 2",
        )


def choose_step(table: Table, condition: Any, givers: Sequence[ProbeConfig]) -> Any:
    """The adaptive form over a series of samples that come fast: with a step, where neither that nor a count of samples is stated."""
    is_fast = any(probe.every < STEP for probe in givers)
    if is_fast and hasattr(condition, "step") and table.entries.keys().isdisjoint(_COUNTED):
        return replace(condition, step=STEP)
    return condition


def _soonest(probe: ProbeConfig) -> float:
    return min(probe.every, probe.retry_every)


def _tell_pace(probe: ProbeConfig, *, at_best: bool = False) -> str:
    retried = f" (after a failure every {write_seconds(probe.retry_every)})" if at_best and probe.retry_every < probe.every else ""
    return f"the probe {probe.name}, which runs every {write_seconds(probe.every)}{retried}"


def read_minus(context: Context, table: Table, path: str, selector: Selector | None, kinds: Mapping[str, Any]) -> Selector | None:
    """`minus`: another metric of the same probes. `kinds` are the kinds of probes that give the rule's own metric, with their metrics."""
    text = _read(context, table, "minus", str, path)
    if text is None or selector is None:
        return None
    place, inside = table.entries["minus"].value.place, f"{path}.minus"
    try:
        minus = Selector.parse(text)
    except ValueError as error:
        context.literal.refuse(place, inside, str(error))
        return None
    fault = ""
    if any(operator != "=" for _, operator, _ in minus.matchers):
        fault = 'takes exact labels only, such as {kind="slowdown"}'
    elif kinds and not all(minus.metric in metrics for metrics in kinds.values()):
        known = set.intersection(*(set(metrics) for metrics in kinds.values()))
        fault = f"{quote(minus.metric)} is not measured together with {quote(selector.metric)}{suggest(minus.metric, known)}"
    elif "over" in table.entries:
        fault = "does not go with over, which judges one metric"
    if fault:
        context.literal.refuse(place, inside, fault)
        return None
    return minus


def read_keep_firing_for(context: Context, table: Table, path: str, then: Then) -> Seconds | None:
    """How long it goes on firing when it is over."""
    keep = _read(context, table, "keep_firing_for", Seconds, path)
    if keep is not None and then is Then.RESTART:
        text = "does not go with then: restart: a service that is well again must not count as broken"
        context.literal.refuse(table.entries["keep_firing_for"].key.place, f"{path}.keep_firing_for", text)
    return None if keep is None else Seconds(keep)


def read_message(context: Context, table: Table, path: str, selector: Selector | None, service: str | None, *, ours: bool) -> str:
    """The rule's own words; every name in braces is one that can be filled in.

    `ours` is False for a metric of a program's, which labels it as it likes: a label that a series lacks is filled in by nothing.
    """
    text = _read(context, table, "message", str, path)
    if text is None:
        return ""
    place, inside = table.entries["message"].value.place, f"{path}.message"
    try:
        wanted = list_names(text)
    except ValueError as error:
        context.literal.refuse(place, inside, str(error))
        return ""
    labels = [*list_labels(selector.metric), *(label for label, _, _ in selector.matchers)] if selector else []
    known = ["value", *(["service"] if service is not None else []), *labels]
    for name in wanted:
        if selector is not None and name not in known and (ours or name in ADDED):
            here = ", ".join(f"{{{one}}}" for one in known)
            context.literal.refuse(place, inside, f"{{{name}}} stands for nothing here; there is {here}")
    return str(text)


def list_labels(metric: str) -> list[str]:
    """The labels of a metric of ours, but for `service`."""
    own = next((labels for start, labels in LABELS.items() if metric.startswith(start)), ())
    return [*own, *(["probe"] if metric.startswith("probe_") else [])]


def _read(context: Context, table: Table, name: str, hint: Any, path: str) -> Any:
    """An option, None where it is not stated or faulty."""
    entry = table.entries.get(name)
    value = context.literal.read(entry.value, hint, f"{path}.{name}") if entry else None
    return None if value is MISSING else value
