"""Functions that make labels of labels: `label_replace` and `label_join`."""

import re
from functools import lru_cache

from model_watchdog.patterns import Whole
from model_watchdog.promql.elements import Element, Elements
from model_watchdog.promql.faults import DUPLICATES, EvaluationError
from model_watchdog.promql.labels import NAME, get, set_label

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def replace_label(elements: Elements, target: str, replacement: str, source: str, pattern: str) -> Elements:
    """`target` becomes `replacement`, in which $1 and ${name} are what groups found, where `pattern` matches all of the label `source`."""
    whole = compile_pattern(pattern)
    if not target:
        raise EvaluationError('invalid destination label name in label_replace(): ""')
    replaced = Elements()
    for element in elements:
        groups = whole.find_groups(get(element[0], source))
        replaced.append(element if groups is None else _give(element, target, expand(replacement, groups)))
    return _check(replaced)


def join_labels(elements: Elements, target: str, separator: str, sources: list[str]) -> Elements:
    """`target` becomes the labels `sources`, one after the other."""
    if not target:
        raise EvaluationError('invalid destination label name in label_join(): ""')
    return _check([_give(element, target, separator.join(get(element[0], name) for name in sources)) for element in elements])


@lru_cache(256)
def compile_pattern(pattern: str) -> Whole:
    try:
        return Whole(pattern)
    except ValueError as error:
        raise EvaluationError(f"invalid regular expression in label_replace(): {error}") from None


def expand(template: str, groups: dict[str, str]) -> str:
    """The template with $1, $name, ${name} filled in, and $$ for a dollar; what names no group is empty, as in Go."""

    def fill(found: "re.Match[str]") -> str:
        if found[0] == "$$":
            return "$"
        return groups.get(found[1] or found[2], "")

    return _REFERENCE.sub(fill, template)


def _give(element: Element, name: str, value: str) -> Element:
    labels, number, nameless = element
    if name == NAME:  # a name that is given stays
        return (set_label(labels, NAME, value), number, False)
    return (set_label(labels, name, value), number, nameless)


def _check(elements: Elements) -> Elements:
    if len({labels for labels, _, _ in elements}) < len(elements):
        raise EvaluationError(DUPLICATES)
    return elements
