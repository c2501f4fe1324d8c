"""YAML text to a tree of nodes that know their places. The only file that knows PyYAML.

It walks the parser's events instead of loading values: `no`, `012` and `1:30` stay what was written, an alias is never
followed, and nothing is built deeper than DEPTH.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from model_watchdog.config.faults import Faults, Place, quote

DEPTH = 30
EMPTY = "is empty; config.example.yaml shows what can be in it"
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAINER = {
    "mapping values are not allowed": 'a ": " where no key can be; put a text that holds ": " in quotes, or look at the indentation',
    "could not find expected ':'": 'a ":" is missing after a key here or just above',
    "unexpected end of stream": "the file ends inside a text in quotes that begins here",
    "did not find expected key": "this does not fit the lines above; look at the indentation",
    "did not find expected '-' indicator": "this does not fit the list above; look at the indentation",
    "did not find expected ',' or ']'": 'the list that begins here with [ is not closed, or a "," is missing in it',
    "did not find expected ',' or '}'": 'the mapping that begins here with { is not closed, or a "," is missing in it',
    "did not find expected node content": "a value is missing here",
    "undefined alias": "YAML aliases are not read here",
    "exceeded maximum nesting depth": f"nested deeper than {DEPTH} levels",
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written; `plain` where it stands without quotes."""

    text: str
    plain: bool
    place: Place

    @property
    def is_null(self) -> bool:
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value."""

    key: Scalar
    value: "Node"


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, in the order of the file."""

    entries: dict[str, Entry]
    place: Place


Node = Scalar | Items | Table


def parse(text: str, faults: Faults, part: int = 0) -> Table:
    """The tree of the one document in `text`, which is file number `part` of `faults`. Raises `InvalidConfig` where it is not acceptable.

    Duplicate keys are only added to `faults` (the first one counts), so that what else is wrong is found as well.
    """
    odd = _FORBIDDEN.search(text)
    if odd:
        what = "a NUL character" if odd.group() == "\0" else f"a control character (U+{ord(odd.group()):04X})"
        faults.add(_place_of(text, odd.start(), part), "", f"{what}; the file must be plain text")
        faults.raise_if_any()
    builder = _Builder(faults, part)
    try:
        root = builder.read(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        begins = any(words in (error.problem or "") for words in ("unexpected end of stream", "expected ',' or"))
        mark = (error.context_mark if begins else None) or error.problem_mark
        place = Place(mark.line + 1, mark.column + 1, part) if mark else Place(1, 1, part)
        faults.add(place, "", _explain(text, place, error))
        root = None
    except yaml.YAMLError as error:
        faults.add(Place(1, 1, part), "", f"not YAML: {error}")
        root = None
    if root is None or builder.refused:
        faults.raise_if_any()
    assert root is not None
    return root


class _Refusal(Exception):
    """Nothing after this can be read."""


class _Builder:
    """Builds the tree from events. `refused` tells that the tree is not what the author meant."""

    def __init__(self, faults: Faults, part: int) -> None:
        self._faults = faults
        self._part = part
        self.refused = False

    def read(self, events: Iterator[yaml.Event]) -> Table | None:
        root: Node | None = None
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        self._stop(self._start(event), "", "a second document begins here; one file holds one document")
                elif not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                    root = self._node(event, events, "", 0)
        except _Refusal:
            return None
        if isinstance(root, Table):
            return root
        if root is None or (isinstance(root, Scalar) and root.is_null):
            self._faults.add(Place(1, 1, self._part), "", EMPTY)
        else:
            self._faults.add(root.place, "", "expected keys with values, such as services:")
        return None

    def _node(self, event: Any, events: Iterator[yaml.Event], path: str, depth: int) -> Node:
        place = self._start(event)
        if depth > DEPTH:
            self._stop(place, "", f"nested deeper than {DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            self._refuse(place, path, f"the alias *{event.anchor} is not allowed; defaults: is what it is wanted for")
            return Scalar("", True, place)
        if event.anchor is not None:
            self._refuse(place, path, f"the anchor &{event.anchor} is not allowed; defaults: is what it is wanted for")
        if event.tag is not None:
            self._refuse(place, path, f"the tag {quote(event.tag)} is not allowed; write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, event.style in (None, ""), place)
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self._items(events, path, depth)), place)
        return Table(self._entries(events, path, depth), place)

    def _items(self, events: Iterator[yaml.Event], path: str, depth: int) -> Iterator[Node]:
        for number, event in enumerate(events):
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._node(event, events, f"{path}[{number}]", depth + 1)

    def _entries(self, events: Iterator[yaml.Event], path: str, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._node(event, events, path, depth + 1)
            if not isinstance(key, Scalar):
                self._stop(key.place, path, "a key must be a word")
                break
            inside = f"{path}.{key.text[:64]}" if path else key.text[:64]
            if key.plain and key.text == "<<":
                self._refuse(key.place, path, "the merge key << is not allowed; defaults: is what it is wanted for")
            value = self._node(next(events), events, inside, depth + 1)
            before = entries.setdefault(key.text, Entry(key, value))
            if before.key is not key:
                self._faults.add(key.place, inside, f"is there twice; the first one is on line {before.key.place.line}")
        return entries

    def _start(self, event: Any) -> Place:
        return Place(event.start_mark.line + 1, event.start_mark.column + 1, self._part)

    def _refuse(self, place: Place, path: str, text: str) -> None:
        self._faults.add(place, path, text)
        self.refused = True

    def _stop(self, place: Place, path: str, text: str) -> None:
        self._refuse(place, path, text)
        raise _Refusal


def _explain(text: str, place: Place, error: yaml.MarkedYAMLError) -> str:
    """The parser's complaint in plainer words, where there are some."""
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    here = line[place.column - 1 : place.column]
    problem = error.problem or "not YAML"
    if here == "\t" or "'\\t'" in problem or "tab character" in problem:
        return "a tab; YAML is indented with spaces"
    if "cannot start any token" in problem:
        return f"a value cannot begin with {here}; put it in quotes"
    plainer = next((words for start, words in _PLAINER.items() if start in problem), None)
    if plainer is None:
        return f"not YAML: {problem}" + (f" {error.context}" if error.context else "")
    return plainer


def _place_of(text: str, index: int, part: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1, part)
