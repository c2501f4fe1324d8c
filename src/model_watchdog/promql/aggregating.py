"""Aggregations: many series of a vector into one for each group."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

from model_watchdog.promql.elements import Elements, Notes
from model_watchdog.promql.faults import EvaluationError
from model_watchdog.promql.labels import EMPTY, NAMING, Labels, drop, keep, set_label
from model_watchdog.promql.summing import add_up, take_largest, take_mean, take_quantile, take_smallest
from model_watchdog.promql.tree import Aggregation

_LARGEST_COUNT = 2.0**63


def _take_variance(values: Sequence[float]) -> float:
    """Of the series of a group, by Welford's steps, as Prometheus does it here: without keeping what rounding loses."""
    mean, squares = values[0], 0.0
    if not math.isfinite(mean):
        return math.nan
    for count, value in enumerate(values[1:], 2):
        delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
    return squares / len(values)


_OF_VALUES: dict[str, Callable[[Sequence[float]], float]] = {
    "avg": take_mean,
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,
    "max": take_largest,
    "min": take_smallest,
    "stddev": lambda values: math.sqrt(_take_variance(values)),
    "stdvar": _take_variance,
    "sum": add_up,
}


def aggregate(node: Aggregation, elements: Elements, parameter: float | str | None, notes: Notes) -> Elements:
    """The groups; of `topk` and `bottomk` the series that are left, in order. Raises EvaluationError for a parameter that is none."""
    if node.operator == "count_values":
        assert isinstance(parameter, str)
        return _count_values(node, elements, parameter)
    if node.operator in ("topk", "bottomk"):
        assert isinstance(parameter, float)
        return _take_outermost(node, elements, parameter)
    compute = _OF_VALUES.get(node.operator)
    if compute is None:  # quantile
        assert isinstance(parameter, float)
        share = parameter
        warn_of_share(share, notes)
        compute = lambda values: take_quantile(share, values)  # noqa: E731
    if not node.labels and not node.without:
        return [(EMPTY, compute([value for _, value, _ in elements]), any(gone for _, _, gone in elements))] if elements else []
    groups = _group(node, elements, node.labels)
    return [
        (labels, compute([value for _, value, _ in group]), any(nameless for _, _, nameless in group)) for labels, group in groups.items()
    ]


def _group(node: Aggregation, elements: Elements, labels: frozenset[str]) -> dict[Labels, Elements]:
    groups = dict[Labels, Elements]()
    names = labels | NAMING if node.without else labels
    pick = drop if node.without else keep
    for element in elements:
        groups.setdefault(pick(element[0], names), []).append(element)
    return groups


def _take_outermost(node: Aggregation, elements: Elements, parameter: float) -> Elements:
    if parameter != parameter:
        raise EvaluationError("Parameter value is NaN")
    if abs(parameter) >= _LARGEST_COUNT:
        raise EvaluationError(f"Scalar value {show_number(parameter)} overflows int64")
    count = int(parameter)
    if count < 1:
        return []
    sign = -1 if node.operator == "topk" else 1
    taken = Elements()
    for group in _group(node, elements, node.labels).values():
        ordered = sorted(group, key=lambda element: (element[1] != element[1], sign * element[1]))  # NaN comes last either way
        taken += ordered[:count]
    return taken


def _count_values(node: Aggregation, elements: Elements, label: str) -> Elements:
    if not label:
        raise EvaluationError('invalid label name ""')
    valued = [(set_label(labels, label, show_number(value)), value, nameless) for labels, value, nameless in elements]
    names = node.labels if node.without else node.labels | {label}
    groups = _group(node, valued, names)
    return [(labels, float(len(group)), any(nameless for _, _, nameless in group)) for labels, group in groups.items()]


def warn_of_share(share: float, notes: Notes) -> None:
    """Of a quantile that there cannot be."""
    if not 0 <= share <= 1:
        notes.warn(f"PromQL warning: quantile value should be between 0 and 1, got {show_number(share)}")


def show_number(value: float) -> str:
    """In full, without an exponent: `0.1`, `100`, `+Inf`, `NaN`."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
