"""Test scripts in the language of Prometheus' own PromQL tests, read into values: what is loaded, and what is asked and expected.

A script that does not keep to that language gives `Unknown` statements, never an exception: what cannot be read is reported by its line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from model_watchdog.promql.faults import PromqlError
from model_watchdog.promql.labels import NAME, Labels, make_labels
from model_watchdog.promql.literals import read_literal
from model_watchdog.promql.parsing import UNITS
from model_watchdog.promql.storage import STALE

NATIVE = "native histogram"
"""Stands for a value {{…}}."""
Values = list[float | str | None]
"""A run of values at one step each: numbers, `NATIVE`, and None where there is none."""


@dataclass(frozen=True)
class Load:
    """Series to be stored, `step` milliseconds between their values; `converted` where native histograms are to be made of classic ones.

    `unread` says why some of it could not be read, so that nothing can be asked of what is loaded.
    """

    line: int
    step: int
    series: list[tuple[Labels, Values]]
    converted: bool = False
    unread: str = ""


@dataclass(frozen=True)
class Clear:
    line: int


@dataclass
class Eval:
    """One question. `begin == end` and `step == 0` for an instant; times are milliseconds.

    `annotations` are (kind, how the text is compared, text), the kind being one of warn, info, no_warn, no_info and fail.
    """

    line: int
    expression: str
    begin: int
    end: int
    step: int = 0
    is_ordered: bool = False
    annotations: list[tuple[str, str, str]] = field(default_factory=list)
    series: list[tuple[Labels, Values]] = field(default_factory=list)
    scalar: float | None = None
    text: str | None = None
    window: tuple[int, int, int] | None = None

    @property
    def must_fail(self) -> bool:
        return any(kind == "fail" for kind, _, _ in self.annotations)

    @property
    def is_range(self) -> bool:
        return self.step > 0

    @property
    def expects_native(self) -> bool:
        return any(NATIVE in values for _, values in self.series)


@dataclass(frozen=True)
class Unknown:
    line: int
    text: str
    why: str


Statement = Load | Clear | Eval | Unknown

_LOAD = re.compile(r"load(_with_nhcb)?\s+(\S+)")
_INSTANT = re.compile(r"eval(?:_(fail|warn|info|ordered))?\s+instant\s+(?:at\s+(\S+))\s+(.+)")
_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)")
_WINDOW = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")
_STRING = re.compile(r"expect\s+string\s+(.+)")
_EXPECT = re.compile(r"expect\s+(fail|warn|info|no_warn|no_info|ordered)\b\s*(?:(msg|regex)\s*:\s*(.*))?")
_OLD_FAIL = re.compile(r"expected_fail_(message|regexp)\s+(.+)")
_STARTED = re.compile(r"^[^\s{]*(?:\{[^}]*\})?@st\b")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdwy])")
_SERIES_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(
    r"""\s*(?P<name>[a-zA-Z_][\w.:]*|"(?:[^"\\]|\\.)*")\s*(?:=\s*(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`))?\s*(?:,|(?=\}))"""
)
_NATIVE = re.compile(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x(\d+))?")
_NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI]nf|NaN|nan)"
_RUN = re.compile(rf"({_NUMBER})(?:([+-])({_NUMBER.replace('[+-]?', '', 1)}))?(?:x(\d+))?")
_REPEATED = re.compile(r"(_|stale)(?:x(\d+))?")


def read_script(text: str) -> Iterator[Statement]:
    """The statements of a script, in their order."""
    lines = [stripped if not (stripped := line.strip()).startswith("#") else "" for line in text.splitlines()]
    place = 0
    while place < len(lines):
        head, number = lines[place], place + 1
        place += 1
        if not head:
            continue
        body = list[str]()
        if head != "clear":
            while place < len(lines) and lines[place]:
                body.append(lines[place])
                place += 1
        try:
            yield _read_statement(number, head, body)
        except (ValueError, OverflowError, PromqlError) as error:
            yield Unknown(number, head, str(error))


def _read_statement(number: int, head: str, body: list[str]) -> Statement:
    if head == "clear":
        return Clear(number)
    if loaded := _LOAD.fullmatch(head):
        return _read_load(number, read_duration(loaded[2]), bool(loaded[1]), body)
    if head.startswith("load"):
        return Load(number, 1, [], unread=f"a load that this runner does not know: {head}")
    if asked := _INSTANT.fullmatch(head):
        at = read_duration(asked[2])
        return _read_expected(Eval(number, asked[3], at, at), asked[1], body)
    if asked := _RANGE.fullmatch(head):
        begin, end, step = (read_duration(word) for word in asked.groups()[1:4])
        if step <= 0:
            raise ValueError("the step is not above 0")
        return _read_expected(Eval(number, asked[5], begin, end, step), asked[1], body)
    raise ValueError("a statement that this runner does not know")


def _read_load(number: int, step: int, converted: bool, body: list[str]) -> Load:
    series, unread = list[tuple[Labels, Values]](), ""
    for line in body:
        if _STARTED.search(line):
            unread = "start timestamps (@st)"
            continue
        try:
            series.append(_read_series(line))
        except (ValueError, PromqlError) as error:
            unread = f"what is loaded cannot be read: {error}"
    return Load(number, step, series, converted, unread)


def _read_expected(question: Eval, variant: str | None, body: list[str]) -> Eval:
    if variant == "ordered":
        question.is_ordered = True
    elif variant:
        question.annotations.append((variant, "", ""))
    for line in body:
        if found := _WINDOW.fullmatch(line):
            question.window = (read_duration(found[1]), read_duration(found[2]), read_duration(found[3]))
        elif found := _STRING.fullmatch(line):
            question.text = read_literal(found[1].strip())
        elif found := _EXPECT.fullmatch(line):
            if found[1] == "ordered":
                question.is_ordered = True
            else:
                question.annotations.append((found[1], found[2] or "", (found[3] or "").strip()))
        elif found := _OLD_FAIL.fullmatch(line):
            question.annotations.append(("fail", "msg" if found[1] == "message" else "regex", found[2].strip()))
        elif (number := read_number(line)) is not None:
            question.scalar = number
        else:
            question.series.append(_read_series(line))
    return question


def read_duration(text: str) -> int:
    """`1m30s`, or plain seconds, as milliseconds."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    parts = _PART.findall(rest)
    if parts and "".join(number + unit for number, unit in parts) == rest:
        return sign * round(sum(float(number) * UNITS[unit] for number, unit in parts))
    return sign * round(float(rest) * 1000)


def read_number(text: str) -> float | None:
    if not re.fullmatch(_NUMBER, text):
        return None
    return float(text)


def _read_series(line: str) -> tuple[Labels, Values]:
    labels = dict[str, str]()
    place = 0
    if named := _SERIES_NAME.match(line):
        labels[NAME] = named[0]
        place = named.end()
    if line[place : place + 1] == "{" and line[place : place + 2] != "{{":
        place += 1
        while line[place : place + 1] != "}":
            found = _LABEL.match(line, place)
            if found is None or (found["value"] is None and not found["name"].startswith('"')):
                raise ValueError(f"these are no labels: {line[place:]}")
            name = read_literal(found["name"]) if found["name"].startswith('"') else found["name"]
            if found["value"] is None:
                labels[NAME] = name
            else:
                labels[name] = read_literal(found["value"])
            place = found.end()
        place += 1
    if place == 0:
        raise ValueError(f"this is no series: {line}")
    return make_labels(labels), _read_values(line[place:])


def _read_values(text: str) -> Values:
    values = Values()
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
        elif found := _NATIVE.match(text, place):
            values += [NATIVE] * (int(found[1] or 0) + 1)
            place = found.end()
        elif found := _REPEATED.match(text, place):
            extra = found[1] == "stale"  # `stalex3` are four, and `_x3` are three
            values += [None if found[1] == "_" else STALE] * (int(found[2]) + extra if found[2] else 1)
            place = found.end()
        elif (found := _RUN.match(text, place)) and not text[found.end() : found.end() + 1].strip():
            values += _expand(found)
            place = found.end()
        else:
            raise ValueError(f"these are no values: {text[place:].strip()}")
    return values


def _expand(found: "re.Match[str]") -> list[float]:
    start, sign, step, times = found.groups()
    first = read_number(start)
    assert first is not None
    if times is None:
        if sign is not None:
            raise ValueError(f"this is no value: {found[0]}")
        return [first]
    rise = (read_number(step) or 0.0) * (-1 if sign == "-" else 1) if step else 0.0
    values = [first]
    for _ in range(int(times)):
        values.append(values[-1] + rise)
    return values
