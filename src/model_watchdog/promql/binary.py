"""Operators between two values: numbers, a vector and a number, two vectors."""

from collections.abc import Callable
from functools import partial

from model_watchdog.promql.arithmetic import ARITHMETIC, COMPARE
from model_watchdog.promql.elements import Element, Elements
from model_watchdog.promql.faults import EvaluationError
from model_watchdog.promql.labels import EMPTY, NAMING, Labels, drop, get, keep, set_label, show_braced, without_name
from model_watchdog.promql.tree import Binary, Cardinality, Matching

_TWICE = "many-to-many matching not allowed: matching labels must be unique on one side"
_IMPLICIT = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
_NOT_UNIQUE = "multiple matches for labels: grouping labels must ensure unique matches"

Sign = Callable[[Labels], Labels]


def combine_numbers(operator: str, left: float, right: float) -> float:
    """Of two numbers; a comparison (with `bool`) gives 1 or 0."""
    if operator in COMPARE:
        return float(COMPARE[operator](left, right))
    return ARITHMETIC[operator](left, right)


def combine_with_number(node: Binary, vector: Elements, number: float, number_is_left: bool) -> Elements:
    """Each series with the number; a comparison without `bool` keeps the series that it holds for, as they are."""
    operator = node.operator
    compare = COMPARE.get(operator)
    if compare is None:
        compute = ARITHMETIC[operator]
        if number_is_left:
            return [(labels, compute(number, value), True) for labels, value, _ in vector]
        return [(labels, compute(value, number), True) for labels, value, _ in vector]
    holds = [compare(number, value) if number_is_left else compare(value, number) for _, value, _ in vector]
    if node.as_bool:
        return [(labels, float(held), True) for (labels, _, _), held in zip(vector, holds, strict=True)]
    return [element for element, held in zip(vector, holds, strict=True) if held]


def combine_sets(node: Binary, left: Elements, right: Elements) -> Elements:
    """`and`, `or`, `unless`: which series are there, whatever their values."""
    sign = _signing(node.matching)
    if node.operator == "and":
        there = {sign(labels) for labels, _, _ in right}
        return [element for element in left if sign(element[0]) in there]
    if node.operator == "unless":
        there = {sign(labels) for labels, _, _ in right}
        return [element for element in left if sign(element[0]) not in there]
    there = {sign(labels) for labels, _, _ in left}
    return left + [element for element in right if sign(element[0]) not in there]


def combine_vectors(node: Binary, left: Elements, right: Elements) -> Elements:
    """Each series with its partner on the other side. Raises EvaluationError where it has more than one and that was not asked for."""
    matching = node.matching
    is_swapped = matching.cardinality is Cardinality.ONE_TO_MANY
    many, one = (right, left) if is_swapped else (left, right)
    if not many or not one:
        return []
    sign = _signing(matching)
    partners = _index(one, sign, matching, "left" if is_swapped else "right")
    compare, compute = COMPARE.get(node.operator), ARITHMETIC.get(node.operator)
    shape = _shaping(node)
    seen = set[tuple[Labels, Labels]]()
    result = Elements()
    for labels, value, nameless in many:
        signature = sign(labels)
        partner = partners.get(signature)
        if partner is None:
            continue
        first, second = (partner[1], value) if is_swapped else (value, partner[1])
        shaped = shape(labels, partner[0])
        mark = (signature, EMPTY if matching.cardinality is Cardinality.ONE_TO_ONE else shaped)
        if mark in seen:
            raise EvaluationError(_IMPLICIT if matching.cardinality is Cardinality.ONE_TO_ONE else _NOT_UNIQUE)
        seen.add(mark)
        if compute is not None:
            result.append((shaped, compute(first, second), nameless))
        elif compare is not None:
            held = compare(first, second)
            if node.as_bool:
                result.append((shaped, float(held), True))
            elif held:
                result.append((shaped, first, nameless))
    return result


def _index(one: Elements, sign: Sign, matching: Matching, side: str) -> dict[Labels, Element]:
    """The series of the side that has each of them once, by what they are matched on."""
    partners = dict[Labels, Element]()
    for element in one:
        signature = sign(element[0])
        if signature in partners:
            group = show_braced(signature)
            pair = ", ".join(sorted((show_braced(partners[signature][0]), show_braced(element[0]))))
            raise EvaluationError(
                f"found duplicate series for the match group {group} on the {side} hand-side of the operation: [{pair}];{_TWICE}"
            )
        partners[signature] = element
    return partners


def _signing(matching: Matching) -> Sign:
    """What two series must have in common to be partners."""
    if matching.on:
        return partial(keep, names=matching.labels) if matching.labels else lambda labels: EMPTY
    return partial(drop, names=matching.labels | NAMING) if matching.labels else without_name


def _shaping(node: Binary) -> Callable[[Labels, Labels], Labels]:
    """The labels of a result: those of the many side, with what is taken over from the one side."""
    matching, renames = node.matching, node.operator in ARITHMETIC

    def shape(labels: Labels, partner: Labels) -> Labels:
        shaped = without_name(labels) if renames else labels
        if matching.cardinality is Cardinality.ONE_TO_ONE:
            if matching.on:
                shaped = keep(shaped, matching.labels)
            elif matching.labels:
                shaped = drop(shaped, matching.labels)
        for name in matching.include:
            shaped = set_label(shaped, name, get(partner, name))
        return shaped

    return shape
