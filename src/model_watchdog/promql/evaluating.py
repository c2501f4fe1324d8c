"""Evaluates a tree at one moment over a source of series."""

import math
from collections.abc import Callable

from model_watchdog.promql.aggregating import aggregate, warn_of_share
from model_watchdog.promql.arithmetic import DATES, MATH, larger, round_to, smaller
from model_watchdog.promql.binary import combine_numbers, combine_sets, combine_vectors, combine_with_number
from model_watchdog.promql.buckets import find_quantile, read_bound
from model_watchdog.promql.elements import Elements, Notes
from model_watchdog.promql.faults import EvaluationError
from model_watchdog.promql.labels import EMPTY, NAME, Labels, drop, get, make_labels
from model_watchdog.promql.ranges import COUNTERS_ONLY, KEEPS_NAME, RANGE_FUNCTIONS, Window
from model_watchdog.promql.relabelling import join_labels, replace_label
from model_watchdog.promql.storage import Source
from model_watchdog.promql.tree import (
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Negation,
    Node,
    Number,
    Range,
    Selector,
    Text,
)

LOOKBACK = 5 * 60 * 1000
"""A sample counts for so many milliseconds; then its series is taken to be gone."""
_COUNTER_ENDINGS = ("_total", "_sum", "_count", "_bucket")
_BOUND = frozenset({"le"})

Value = float | str | Elements


class Evaluation:
    """One evaluation: `at` is the moment in milliseconds; what there is to say beside the result goes to `notes`."""

    def __init__(self, source: Source, at: int, notes: Notes) -> None:
        self.source = source
        self.at = at
        self.notes = notes

    def evaluate(self, node: Node) -> Value:
        """A number, a text, or the series of a vector. A range vector has no value of its own."""
        match node:
            case Number(value) | Text(value):
                return value
            case Selector():
                return [(labels, value, False) for labels, _, value in self.select(node)]
            case Call():
                return self._call(node)
            case Negation(of):
                negated = self.evaluate(of)
                return -negated if isinstance(negated, float) else [(labels, -value, True) for labels, value, _ in _as_vector(negated)]
            case Aggregation():
                return self._aggregate(node)
            case Binary():
                return self._combine(node)
            case Range():
                raise EvaluationError("a range vector has no value of its own; put it into a function, such as rate or avg_over_time")

    def select(self, selector: Selector) -> list[tuple[Labels, int, float]]:
        """The newest sample of each series, with its time."""
        until = self.at - selector.offset
        after = until - LOOKBACK
        found = []
        for track in self.source.find(selector):
            sample = track.find_last(after, until)
            if sample is not None:
                found.append((track.labels, *sample))
        return found

    def windows(self, node: Range) -> list[tuple[Labels, Window]]:
        """The samples of each series that has any in the range."""
        end = self.at - node.selector.offset
        begin = end - node.span
        found = []
        for track in self.source.find(node.selector):
            times, values = track.window(begin, end)
            if times:
                found.append((track.labels, Window(times, values, begin, end, self.at)))
        return found

    def vector(self, node: Node) -> Elements:
        return _as_vector(self.evaluate(node))

    def number(self, node: Node) -> float:
        value = self.evaluate(node)
        assert isinstance(value, float)
        return value

    def text(self, node: Node) -> str:
        value = self.evaluate(node)
        assert isinstance(value, str)
        return value

    def _aggregate(self, node: Aggregation) -> Elements:
        parameter = None if node.parameter is None else self.evaluate(node.parameter)
        assert not isinstance(parameter, list)
        return aggregate(node, self.vector(node.of), parameter, self.notes)

    def _combine(self, node: Binary) -> Value:
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        if isinstance(left, list) and isinstance(right, list):
            return combine_sets(node, left, right) if node.operator in SET_OPERATORS else combine_vectors(node, left, right)
        if isinstance(left, list):
            assert isinstance(right, float)
            return combine_with_number(node, left, right, number_is_left=False)
        assert isinstance(left, float)
        if isinstance(right, list):
            return combine_with_number(node, right, left, number_is_left=True)
        assert isinstance(right, float)
        return combine_numbers(node.operator, left, right)

    def _call(self, node: Call) -> Value:
        name = node.function
        if name in RANGE_FUNCTIONS:
            return self._over_range(node)
        if name in MATH:
            compute = MATH[name]
            return [(labels, compute(value), True) for labels, value, _ in self.vector(node.arguments[0])]
        if name in DATES:
            read = DATES[name]
            dated = self.vector(node.arguments[0]) if node.arguments else [(EMPTY, self.at / 1000, True)]
            return [(labels, read(value), True) for labels, value, _ in dated]
        return _FUNCTIONS[name](self, node.arguments)

    def _over_range(self, node: Call) -> Elements:
        ranged = next(argument for argument in node.arguments if isinstance(argument, Range))
        parameters = [argument for argument in node.arguments if argument is not ranged]
        parameter = self.number(parameters[0]) if parameters else math.nan
        name = node.function
        compute, nameless = RANGE_FUNCTIONS[name], name not in KEEPS_NAME
        result = Elements()
        for labels, window in self.windows(ranged):
            window.parameter = parameter
            value = compute(window)
            if value is not None:
                result.append((labels, value, nameless))
        if name == "quantile_over_time":
            warn_of_share(parameter, self.notes)
        if name in COUNTERS_ONLY and result:
            metric = get(result[0][0], NAME)
            if metric and not metric.endswith(_COUNTER_ENDINGS):
                endings = "/".join(_COUNTER_ENDINGS)
                self.notes.inform(f'PromQL info: metric might not be a counter, name does not end in {endings}: "{metric}"')
        return result


def _as_vector(value: Value) -> Elements:
    assert isinstance(value, list)
    return value


def _absent(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    return [] if evaluation.vector(arguments[0]) else [(_expected_labels(arguments[0]), 1.0, False)]


def _absent_over_time(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    ranged = arguments[0]
    assert isinstance(ranged, Range)
    return [] if evaluation.windows(ranged) else [(_expected_labels(ranged.selector), 1.0, False)]


def _expected_labels(node: Node) -> Labels:
    """Those that a missing series would have had: of a selector, what it states exactly, and only once."""
    labels, seen = dict[str, str](), set[str]()
    for matcher in node.matchers if isinstance(node, Selector) else ():
        if matcher.label == NAME:
            continue
        if matcher.operator == "=" and matcher.label not in seen:
            labels[matcher.label] = matcher.value
            seen.add(matcher.label)
        else:
            labels.pop(matcher.label, None)
    return make_labels(labels)


def _histogram_quantile(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    share, notes = evaluation.number(arguments[0]), evaluation.notes
    groups = dict[Labels, list[tuple[float, float]]]()
    for labels, value, _ in evaluation.vector(arguments[1]):
        bound = read_bound(get(labels, "le"))
        if bound is None:
            said = f'bucket label "le" is missing or has a malformed value of "{get(labels, "le")}"'
            notes.warn(f"PromQL warning: {said}{_of_metric(labels)}")
        else:
            groups.setdefault(drop(labels, _BOUND), []).append((bound, value))
    warn_of_share(share, notes)
    result = Elements()
    for labels, buckets in groups.items():
        quantile, raised = find_quantile(share, buckets)
        if raised:
            notes.inform(f"PromQL info: input to histogram_quantile needed to be fixed for monotonicity{_of_metric(labels)}")
        result.append((labels, quantile, True))
    return result


def _of_metric(labels: Labels) -> str:
    name = get(labels, NAME)
    return f' for metric name "{name}"' if name else ""


def _timestamp(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    node = arguments[0]
    if isinstance(node, Selector):
        return [(labels, time / 1000, True) for labels, time, _ in evaluation.select(node)]
    return [(labels, evaluation.at / 1000, True) for labels, _, _ in evaluation.vector(node)]


def _scalar(evaluation: Evaluation, arguments: tuple[Node, ...]) -> float:
    elements = evaluation.vector(arguments[0])
    return elements[0][1] if len(elements) == 1 else math.nan


def _clamp(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    low, high = evaluation.number(arguments[1]), evaluation.number(arguments[2])
    if high < low:
        return []
    return [(labels, larger(low, smaller(high, value)), True) for labels, value, _ in evaluation.vector(arguments[0])]


def _clamp_min(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    low = evaluation.number(arguments[1])
    return [(labels, larger(low, value), True) for labels, value, _ in evaluation.vector(arguments[0])]


def _clamp_max(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    high = evaluation.number(arguments[1])
    return [(labels, smaller(high, value), True) for labels, value, _ in evaluation.vector(arguments[0])]


def _round(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    nearest = evaluation.number(arguments[1]) if len(arguments) > 1 else 1.0
    return [(labels, round_to(value, nearest), True) for labels, value, _ in evaluation.vector(arguments[0])]


def _sort(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    return sorted(evaluation.vector(arguments[0]), key=lambda element: (element[1] != element[1], element[1]))


def _sort_desc(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    return sorted(evaluation.vector(arguments[0]), key=lambda element: (element[1] != element[1], -element[1]))


def _label_replace(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    target, replacement, source, pattern = (evaluation.text(argument) for argument in arguments[1:])
    return replace_label(evaluation.vector(arguments[0]), target, replacement, source, pattern)


def _label_join(evaluation: Evaluation, arguments: tuple[Node, ...]) -> Elements:
    target, separator, *sources = (evaluation.text(argument) for argument in arguments[1:])
    return join_labels(evaluation.vector(arguments[0]), target, separator, sources)


_FUNCTIONS: dict[str, Callable[[Evaluation, tuple[Node, ...]], Value]] = {
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": _clamp,
    "clamp_max": _clamp_max,
    "clamp_min": _clamp_min,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": lambda evaluation, arguments: math.pi,
    "round": _round,
    "scalar": _scalar,
    "sort": _sort,
    "sort_desc": _sort_desc,
    "time": lambda evaluation, arguments: evaluation.at / 1000,
    "timestamp": _timestamp,
    "vector": lambda evaluation, arguments: [(EMPTY, evaluation.number(arguments[0]), False)],
}
FUNCTIONS = frozenset({*_FUNCTIONS, *MATH, *DATES, *RANGE_FUNCTIONS})
"""All that can be evaluated."""
