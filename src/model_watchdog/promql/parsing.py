"""Text to tree: `promql-parser` reads it, and what it read becomes values of our own, or is refused by name."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from typing import Any

import promql_parser

from model_watchdog.patterns import Whole
from model_watchdog.promql.faults import PromqlError
from model_watchdog.promql.labels import NAME
from model_watchdog.promql.literals import rewrite_literals
from model_watchdog.promql.refusals import (
    refuse_alternatives,
    refuse_at,
    refuse_fill,
    refuse_function,
    refuse_subquery,
    refuse_unparsed,
)
from model_watchdog.promql.tree import (
    SET_OPERATORS,
    Aggregation,
    Binary,
    Call,
    Cardinality,
    Matcher,
    Matching,
    Negation,
    Node,
    Number,
    Range,
    Selector,
    Text,
)

_MATCHES = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_CARDINALITIES = {
    "VectorMatchCardinality.OneToOne": Cardinality.ONE_TO_ONE,
    "VectorMatchCardinality.ManyToOne": Cardinality.MANY_TO_ONE,
    "VectorMatchCardinality.OneToMany": Cardinality.ONE_TO_MANY,
    "VectorMatchCardinality.ManyToMany": Cardinality.MANY_TO_MANY,
}
_LONGEST = 200 * 365 * 24 * 3600 * 1000
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_NUMBER = r"(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
_SUBQUERY = re.compile(r"\[[^\]]*:[^\]]*\]")
_BEFORE_SPAN = r"(?:\boffset|@|\[)\s*[-+]?\s*"
_SPAN = re.compile(rf"{_BEFORE_SPAN}{_NUMBER}(ms|[smhdwy]|(?![\w.]))|(?<![\w.:]){_NUMBER}(ms|[smhdwy])", re.IGNORECASE)
_NO_SPAN = re.compile(rf"{_BEFORE_SPAN}(nan|inf)\b", re.IGNORECASE)
LONGEST_TEXT = 20_000
DEEPEST, MOST_OPERATORS = 50, 200
"""So many brackets may stand in each other, and so many operators in an expression: the parser and the evaluation go down one by one, and
the parser ends the process where its stack does."""
_BRACED = re.compile(r"\{[^}]*\}")
_OPERATOR = re.compile(r"[-+*/%^]|[=!<>]=?|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def read_tree(text: str, functions: frozenset[str]) -> Node:
    """The tree of an expression; `functions` are those that can be evaluated.

    Raises PromqlError where it is none, and Unsupported, which names it, where it needs what is not supported.
    """
    if len(text) > LONGEST_TEXT:
        raise PromqlError(f"the expression is longer than {LONGEST_TEXT} letters; split it with record: rules")
    whole, bare = rewrite_literals(text)
    if _depth(bare) > DEEPEST or len(_OPERATOR.findall(_BRACED.sub("", bare))) > MOST_OPERATORS:
        raise _too_deep()
    if _SUBQUERY.search(bare):  # before the parser, which panics at some
        raise refuse_subquery()
    if found := _NO_SPAN.search(bare):
        raise PromqlError(f"{found[1]} is no duration; write it as 5m or 1h30m")
    if any(_is_too_long(span) for span in _SPAN.finditer(bare)):
        raise _too_long()
    _register_own_functions()
    try:
        return _Reader(functions).read(promql_parser.parse(whole))
    except ValueError as error:
        said = str(error)
        raise refuse_unparsed(bare, said) or _explain(said, functions) from None
    except RecursionError:
        raise _too_deep() from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the parser's own end, which is no Exception
            raise
        raise PromqlError("the parser cannot read this expression; write it differently") from None


@cache
def _register_own_functions() -> None:
    """The parser takes functions of ours once a process."""
    matrix, vector = promql_parser.ValueType.Matrix, promql_parser.ValueType.Vector
    promql_parser.register_extra_functions([promql_parser.Function("rolling_sigma", [matrix], vector)])


def _is_too_long(span: "re.Match[str]") -> bool:
    """The parser panics at spans that its numbers do not hold."""
    number, unit = (span[1], span[2]) if span[1] else (span[3], span[4])
    return float(number) * UNITS[unit.lower() or "s"] > _LONGEST


def _too_deep() -> PromqlError:
    return PromqlError(
        f"the expression has more than {DEEPEST} brackets in each other, or {MOST_OPERATORS} operators; split it with record: rules"
    )


def _too_long() -> PromqlError:
    return PromqlError("a duration is longer than 200 years; write a shorter one")


def _depth(bare: str) -> int:
    depth = deepest = 0
    for letter in bare:
        if letter in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in ")]}":
            depth -= 1
    return deepest


def _explain(said: str, functions: frozenset[str]) -> PromqlError:
    said = " ".join(said.split())
    mark = "unknown function with name '"
    if mark in said:
        name = said.split(mark, 1)[1].rstrip("'")
        near = get_close_matches(name, functions, 1)
        return PromqlError(
            f"there is no function {name}()" + (f"; did you mean {near[0]}()?" if near else "; see Prometheus' list of them")
        )
    return PromqlError(f"this is no PromQL expression: {said}")


class _Reader:
    def __init__(self, functions: frozenset[str]) -> None:
        self._functions = functions

    def read(self, parsed: Any) -> Node:
        readers: dict[str, Callable[[Any], Node]] = {
            "NumberLiteral": lambda number: Number(number.val),
            "StringLiteral": lambda text: Text(text.val),
            "ParenExpr": lambda parens: self.read(parens.expr),
            "UnaryExpr": lambda unary: Negation(self.read(unary.expr)),  # a plus is dropped by the parser
            "VectorSelector": _read_selector,
            "MatrixSelector": lambda matrix: Range(_read_selector(matrix.vector_selector), _milliseconds(matrix.range)),
            "Call": self._read_call,
            "AggregateExpr": self._read_aggregation,
            "BinaryExpr": self._read_binary,
        }
        name = type(parsed).__name__
        if name not in readers:
            raise PromqlError(f"the parser read a {name}, which nothing is known of; write it differently")
        return readers[name](parsed)

    def _read_call(self, parsed: Any) -> Node:
        name = parsed.func.name
        if refused := refuse_function(name):
            raise refused
        if name not in self._functions:
            raise PromqlError(f"there is no function {name}(); see Prometheus' list of them")
        return Call(name, tuple(self.read(argument) for argument in parsed.args))

    def _read_aggregation(self, parsed: Any) -> Node:
        operator = str(parsed.op)
        if refused := refuse_function(operator):
            raise refused
        modifier = parsed.modifier
        return Aggregation(
            operator,
            self.read(parsed.expr),
            None if parsed.param is None else self.read(parsed.param),
            modifier is not None and str(modifier.type) == "AggModifierType.Without",
            frozenset(modifier.labels if modifier is not None else ()),
        )

    def _read_binary(self, parsed: Any) -> Node:
        operator, modifier = str(parsed.op), parsed.modifier
        left, right = self.read(parsed.lhs), self.read(parsed.rhs)
        if modifier is None:
            several = Cardinality.MANY_TO_MANY if operator in SET_OPERATORS else Cardinality.ONE_TO_ONE
            return Binary(operator, left, right, matching=Matching(several))
        fill = modifier.fill_values
        if fill is not None and (fill.lhs is not None or fill.rhs is not None):
            raise refuse_fill()
        named = modifier.matching
        matching = Matching(
            Cardinality.MANY_TO_MANY if operator in SET_OPERATORS else _CARDINALITIES[str(modifier.card)],
            named is not None and str(named.type) == "LabelModifierType.Include",
            frozenset(named.labels if named is not None else ()),
            tuple(modifier.group_labels or ()),
        )
        return Binary(operator, left, right, modifier.return_bool, matching)


def _read_selector(parsed: Any) -> Selector:
    if parsed.at is not None:
        raise refuse_at()
    if parsed.matchers.or_matchers:
        raise refuse_alternatives()
    matchers = [Matcher(NAME, "=", parsed.name)] if parsed.name else []
    for matcher in parsed.matchers.matchers:
        operator = _MATCHES[str(matcher.op)]
        try:
            pattern = Whole(matcher.value) if operator in ("=~", "!~") else None
        except ValueError as error:
            raise PromqlError(str(error)) from None
        matchers.append(Matcher(matcher.name, operator, matcher.value, pattern))
    return Selector(tuple(matchers), _milliseconds(parsed.offset) if parsed.offset is not None else 0)


def _milliseconds(span: Any) -> int:
    milliseconds: int = round(span.total_seconds() * 1000)
    if abs(milliseconds) > _LONGEST:
        raise _too_long()
    return milliseconds
