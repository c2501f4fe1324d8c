"""The labels of a series: pairs sorted by name, the metric's name among them as `__name__`.

They are plain tuples, and what is made of one is kept: a rule asks for the same few of each series, evaluation after evaluation.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

Labels = tuple[tuple[str, str], ...]

NAME = "__name__"
NAMING = frozenset({NAME, "__type__", "__unit__"})
"""What says what a series is, rather than which: it goes where the name goes, and counts for no match."""
EMPTY: Labels = ()
_KEPT = 1 << 15
"""So many results of each function below are kept, for the same labels come back at each evaluation."""
_PLAIN_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def make_labels(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """Sorted by name; a label whose value is empty is one that is not there."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return tuple(sorted((name, value) for name, value in items if value))


def get(labels: Labels, name: str) -> str:
    """The value; "" where the label is not there."""
    for known, value in labels:
        if known == name:
            return value
    return ""


def set_label(labels: Labels, name: str, value: str) -> Labels:
    return make_labels([*(pair for pair in labels if pair[0] != name), (name, value)])


@lru_cache(_KEPT)
def without_name(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] not in NAMING)


@lru_cache(_KEPT)
def keep(labels: Labels, names: frozenset[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] in names)


@lru_cache(_KEPT)
def drop(labels: Labels, names: frozenset[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] not in names)


def is_label_name(name: str) -> bool:
    """A name that Prometheus takes without quotes."""
    return _LABEL_NAME.fullmatch(name) is not None


def show(labels: Labels) -> str:
    """As people write it: `name{label="value"}`."""
    name = get(labels, NAME)
    if not name or not _PLAIN_NAME.fullmatch(name):
        return show_braced(labels)
    inside = _join(without_name(labels))
    return f"{name}{{{inside}}}" if inside else name


def show_braced(labels: Labels) -> str:
    """As Prometheus' messages write it, the name among the labels: `{__name__="name", label="value"}`."""
    return f"{{{_join(labels)}}}"


def _join(labels: Labels) -> str:
    quoted = ((name if is_label_name(name) else _quote(name), _quote(value)) for name, value in labels)
    return ", ".join(f"{name}={value}" for name, value in quoted)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
