"""The templates in labels and annotations of Prometheus' rules: the part of Go's template language that rules are written in.

`{{ $value | humanize }}`, `{{ $labels.instance }}`, `{{ if gt $value 0.5 }}…{{ else }}…{{ end }}`, `{{ printf "%.2f" $value }}`.
What is not known is refused by name when the template is read, and never left out when it is filled in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model_watchdog.promql.faults import PromqlError, Unsupported
from model_watchdog.promql.literals import read_literal
from model_watchdog.promql.template_functions import FUNCTIONS, REFUSED, TemplateError, is_true, show_value

VARIABLES = frozenset({"$labels", "$value", "$externalLabels", "$externalURL"})
FIELDS = {"Labels": "$labels", "Value": "$value", "ExternalLabels": "$externalLabels", "ExternalURL": "$externalURL"}
DEEPEST = 50
"""So many conditions and brackets may stand in each other."""
_ACTION = re.compile(r"\{\{(-(?=\s))?((?:[^\"`}]|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|\}(?!\}))*?)((?<=\s)-)?\}\}", re.DOTALL)
_COMMENT = re.compile(r"\s*/\*.*\*/\s*", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|`[^`]*`)|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])"
    r"|(?P<name>[$.]?\w+(?:\.\w+)*|\.|\$)|(?P<sign>:=|[|()=,]))"
)
_REFUSED_WORDS = frozenset({"range", "with", "define", "template", "block", "break", "continue"})


@dataclass(frozen=True)
class _Pipe:
    """Commands, each of which gets what the one before gives as its last argument."""

    commands: "tuple[tuple[_Term, ...], ...]"


@dataclass(frozen=True)
class _Constant:
    value: Any


@dataclass(frozen=True)
class _Variable:
    name: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class _Function:
    name: str


_Term = _Pipe | _Constant | _Variable | _Function


@dataclass(frozen=True)
class _Condition:
    """Branches with their conditions; the last may be None, for `else`."""

    branches: "tuple[tuple[_Pipe | None, tuple[_Part, ...]], ...]"


_Part = str | _Pipe | _Condition


@dataclass(frozen=True)
class Template:
    """A template that has been read."""

    text: str
    parts: tuple[_Part, ...]

    def fill(self, labels: Mapping[str, str], value: float, external: Mapping[str, str] | None = None, url: str = "") -> str:
        """The text for one alert; where Go would fail, the failure in words in its place, as Prometheus writes it."""
        if not self._has_actions:
            return self.text
        variables = {"$labels": dict(labels), "$value": value, "$externalLabels": dict(external or {}), "$externalURL": url}
        try:
            return "".join(_fill(self.parts, variables))
        except TemplateError as error:
            return f"<error expanding template: {error}>"

    @property
    def _has_actions(self) -> bool:
        return "{{" in self.text


def read_template(text: str) -> Template:
    """Raises PromqlError for a template that is none, and Unsupported that names what is not supported."""
    pieces = list(_split(text)) if "{{" in text else [text]
    return Template(text, _Blocks(pieces).read())


def _split(text: str) -> "list[str | _Action]":
    """Text and actions, the spaces beside a `{{-` and a `-}}` taken away."""
    pieces = list[str | _Action]()
    place, trims = 0, False
    for found in _ACTION.finditer(text):
        before = text[place : found.start()]
        before = before.lstrip() if trims else before
        pieces.append(before.rstrip() if found[1] else before)
        if not _COMMENT.fullmatch(found[2]):
            pieces.append(_Action(found[2].strip()))
        place, trims = found.end(), bool(found[3])
    rest = text[place:]
    if "{{" in rest:
        raise PromqlError(f"a {{{{ is not closed: {rest[rest.index('{{') :][:40]}; write }}}}")
    pieces.append(rest.lstrip() if trims else rest)
    return pieces


@dataclass(frozen=True)
class _Action:
    text: str


class _Blocks:
    """Reads the pieces of a template, the conditions among them, each up to its end."""

    def __init__(self, pieces: "Sequence[str | _Action]") -> None:
        self._pieces = pieces
        self._place = 0

    def read(self) -> tuple[_Part, ...]:
        parts, ended = self._read_until(0)
        if ended:
            raise PromqlError(f"{{{{ {ended} }}}} stands without an if")
        return parts

    def _read_until(self, depth: int) -> tuple[tuple[_Part, ...], str]:
        """The parts up to an `else` or an `end`, and that; "" at the end of all."""
        if depth > DEEPEST:
            raise PromqlError(f"more than {DEEPEST} conditions stand in each other; write it simpler")
        parts = list[_Part]()
        while self._place < len(self._pieces):
            piece = self._pieces[self._place]
            self._place += 1
            if isinstance(piece, str):
                if piece:
                    parts.append(piece)
                continue
            word, _, rest = piece.text.partition(" ")
            if word in ("end", "else"):
                return tuple(parts), piece.text
            if word in _REFUSED_WORDS:
                raise Unsupported(f"{{{{ {word} }}}} in a template", "write what it gives, or use $labels and $value")
            parts.append(self._read_condition(rest, depth) if word == "if" else _read_pipe(piece.text))
        return tuple(parts), ""

    def _read_condition(self, tested: str, depth: int) -> _Condition:
        branches = list[tuple[_Pipe | None, tuple[_Part, ...]]]()
        condition: _Pipe | None = _read_pipe(tested)
        while True:
            parts, ended = self._read_until(depth + 1)
            branches.append((condition, parts))
            if ended == "end":
                return _Condition(tuple(branches))
            if not ended:
                raise PromqlError("an {{ if }} is not closed; write {{ end }}")
            words = ended.split(None, 2)
            if condition is None or (len(words) > 1 and (words[1] != "if" or len(words) < 3)):
                raise PromqlError(f"{{{{ {ended} }}}} cannot stand here; write {{{{ end }}}}")
            condition = _read_pipe(words[2]) if len(words) > 1 else None


def _read_pipe(text: str) -> _Pipe:
    tokens = list[tuple[str, str]]()
    place = 0
    text = text.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise PromqlError(f"this is no template: {{{{ {text} }}}}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    if any(token == ("sign", sign) for token in tokens for sign in (":=", "=")):
        raise Unsupported("a variable of its own in a template", "write the value where it is needed")
    reader = _PipeReader(tokens, text)
    return reader.read()


class _PipeReader:
    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self._tokens, self._text, self._place = tokens, text, 0

    def read(self) -> _Pipe:
        pipe = self._read_pipe(0)
        if self._place < len(self._tokens):
            raise self._wrong()
        return pipe

    def _wrong(self) -> PromqlError:
        return PromqlError(f"this is no template: {{{{ {self._text} }}}}")

    def _read_pipe(self, depth: int) -> _Pipe:
        if depth > DEEPEST:
            raise self._wrong()
        commands = [self._read_command(depth)]
        while self._peek() == ("sign", "|"):
            self._place += 1
            commands.append(self._read_command(depth))
        for command in commands[1:]:
            if not isinstance(command[0], _Function):
                raise PromqlError(f"behind a | there must be a function: {{{{ {self._text} }}}}")
        return _Pipe(tuple(commands))

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _read_command(self, depth: int) -> tuple[_Term, ...]:
        terms = list[_Term]()
        while (token := self._peek()) is not None and token not in (("sign", "|"), ("sign", ")")):
            self._place += 1
            terms.append(self._read_term(token, depth))
        if not terms or (len(terms) > 1 and not isinstance(terms[0], _Function)):
            raise self._wrong()
        return tuple(terms)

    def _read_term(self, token: tuple[str, str], depth: int) -> _Term:
        kind, said = token
        if kind == "text":
            return _Constant(read_literal(said))
        if kind == "number":
            return _Constant(int(said) if said.lstrip("+-").isdigit() else float(said))
        if kind == "name":
            return _read_name(said)
        if said == "(":
            inside = self._read_pipe(depth + 1)
            if self._peek() != ("sign", ")"):
                raise self._wrong()
            self._place += 1
            return inside
        raise self._wrong()


def _read_name(said: str) -> _Term:
    first, *path = said.split(".")
    if said.startswith("$"):
        if first not in VARIABLES:
            raise PromqlError(f"there is no variable {first or '$'} in a template; there are {', '.join(sorted(VARIABLES))}")
        return _Variable(first, tuple(path))
    if said.startswith("."):
        if not path or path[0] not in FIELDS:
            raise PromqlError(f"there is no field {said} in a template; there are {', '.join(f'.{field}' for field in FIELDS)}")
        return _Variable(FIELDS[path[0]], tuple(path[1:]))
    if said in ("true", "false"):
        return _Constant(said == "true")
    if said in REFUSED:
        raise Unsupported(f"{said} in a template", REFUSED[said])
    if said not in FUNCTIONS:
        raise PromqlError(f"there is no function {said} in templates; see Prometheus' template reference")
    return _Function(said)


def _fill(parts: tuple[_Part, ...], variables: Mapping[str, Any]) -> "list[str]":
    filled = list[str]()
    for part in parts:
        if isinstance(part, str):
            filled.append(part)
        elif isinstance(part, _Pipe):
            filled.append(show_value(_run(part, variables)))
        else:
            for condition, inside in part.branches:
                if condition is None or is_true(_run(condition, variables)):
                    filled += _fill(inside, variables)
                    break
    return filled


def _run(pipe: _Pipe, variables: Mapping[str, Any]) -> Any:
    given: list[Any] = []
    for command in pipe.commands:
        head = command[0]
        arguments = [_value_of(term, variables) for term in command[1:]] + given
        given = [FUNCTIONS[head.name](*arguments)] if isinstance(head, _Function) else [_value_of(head, variables)]
    return given[0]


def _value_of(term: _Term, variables: Mapping[str, Any]) -> Any:
    match term:
        case _Constant(value):
            return value
        case _Pipe():
            return _run(term, variables)
        case _Function(name):
            return FUNCTIONS[name]()
        case _Variable(name, path):
            value = variables[name]
            for step in path:
                if not isinstance(value, dict):
                    raise TemplateError(f"can't evaluate field {step} of {name}")
                value = value.get(step, "")
            return value
