"""What of PromQL is not supported, by name: so that `check` can say it, and nothing is evaluated by half."""

import re

from model_watchdog.promql.faults import Unsupported

_PLAIN = "write the rule without it"
_RECORD = "record the inner expression with a rule of its own (record:), and look back on that"
_CLASSIC = "use a classic histogram: its _bucket, _sum and _count series"

EXPERIMENTAL = {
    "double_exponential_smoothing": "use avg_over_time, or a rule with sigma",
    "end": _PLAIN,
    "first_over_time": "use last_over_time with an offset",
    "histogram_quantiles": "use histogram_quantile once for each",
    "holt_winters": "use avg_over_time, or a rule with sigma",
    "info": "join with * on (…) group_left (…)",
    "limit_ratio": "use topk",
    "limitk": "use topk",
    "mad_over_time": "use stddev_over_time, or rolling_sigma",
    "max_of": "use max over a vector, or clamp_min",
    "min_of": "use min over a vector, or clamp_max",
    "range": _PLAIN,
    "sort_by_label": "an alert has no order",
    "sort_by_label_desc": "an alert has no order",
    "start": _PLAIN,
    "step": _PLAIN,
    "ts_of_first_over_time": "use timestamp",
    "ts_of_last_over_time": "use timestamp",
    "ts_of_max_over_time": "use max_over_time",
    "ts_of_min_over_time": "use min_over_time",
}
"""Functions and aggregations that Prometheus itself calls experimental (or has taken away), and what does instead."""
NATIVE = frozenset({"histogram_avg", "histogram_count", "histogram_sum", "histogram_fraction", "histogram_stddev", "histogram_stdvar"})
"""Functions of native histograms."""

_EXTENDED = re.compile(r"\b(smoothed|anchored)\b")
_TRIM = re.compile(r"</|>/")
_BRACKETS = re.compile(r"\[([^\][]*)\]")
_DURATION = re.compile(r"\s*\w+\s*")
_OFFSET = re.compile(r"\boffset\s*([-+]?\s*\(|[-+]?\s*(step|range|min|max)\b|[-+]?\s*\w+\s*[*/^%])", re.I)
_UNKNOWN = re.compile(r"unknown function with name '(\w+)'")


def refuse_function(name: str) -> Unsupported | None:
    """Why a function or an aggregation is not supported; None where nothing is known against it."""
    if name in EXPERIMENTAL:
        return Unsupported(f"{name}() is experimental in Prometheus", EXPERIMENTAL[name])
    if name in NATIVE:
        return Unsupported(f"{name}() is of native histograms", _CLASSIC)
    return None


def refuse_subquery() -> Unsupported:
    return Unsupported("a subquery, [range:step]", _RECORD)


def refuse_at() -> Unsupported:
    return Unsupported("the modifier @", "an alert looks at now; use offset")


def refuse_fill() -> Unsupported:
    return Unsupported("fill() between two vectors is experimental in Prometheus", "use or")


def refuse_alternatives() -> Unsupported:
    return Unsupported("`or` between matchers is no PromQL", 'write two selectors with or, or a pattern: label=~"a|b"')


def refuse_unparsed(bare: str, said: str) -> Unsupported | None:
    """What of an expression that does not parse is newer than the parser; `bare` is the expression with its strings emptied."""
    if (unknown := _UNKNOWN.search(said)) and (refused := refuse_function(unknown[1])):
        return refused
    if found := _EXTENDED.search(bare):
        return Unsupported(f"the modifier {found[1]} is experimental in Prometheus", "use rate or increase as they are")
    if _TRIM.search(bare):
        return Unsupported("</ and >/ are of native histograms", _CLASSIC)
    if "@" in bare:
        return refuse_at()
    if _OFFSET.search(bare) or any(not _DURATION.fullmatch(inside) for inside in _BRACKETS.findall(bare)):
        return Unsupported("a calculated duration is experimental in Prometheus", "write it as a number: 5m")
    return None
