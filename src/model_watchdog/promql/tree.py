"""An expression as a tree of plain values. Times and spans are whole milliseconds, as Prometheus counts them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from model_watchdog.patterns import Whole
from model_watchdog.promql.labels import NAME


class Kind(StrEnum):
    """What evaluating gives."""

    SCALAR = "scalar"
    VECTOR = "vector"
    RANGE = "range vector"
    TEXT = "string"


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; `operator` is one of `= != =~ !~`, and `pattern` what the last two must match wholly."""

    label: str
    operator: str
    value: str
    pattern: Whole | None = field(default=None, compare=False, repr=False)

    def holds(self, value: str) -> bool:
        if self.pattern is None:
            return (value == self.value) == (self.operator == "=")
        return self.pattern.matches(value) == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series, and how long ago they are looked at (`offset`, milliseconds; negative for ahead)."""

    matchers: tuple[Matcher, ...]
    offset: int = 0

    @property
    def metric(self) -> str:
        """The name it asks for; "" where it asks for a pattern of names, or for none."""
        return next((matcher.value for matcher in self.matchers if matcher.label == NAME and matcher.operator == "="), "")


@dataclass(frozen=True, slots=True)
class Range:
    """The samples of the last `span` milliseconds: of the window that is open on its left."""

    selector: Selector
    span: int


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    of: "Node"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`labels` are those of `by`, or those that `without` takes away."""

    operator: str
    of: "Node"
    parameter: "Node | None" = None
    without: bool = False
    labels: frozenset[str] = frozenset()


class Cardinality(StrEnum):
    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "many-to-one"  # group_left
    ONE_TO_MANY = "one-to-many"  # group_right
    MANY_TO_MANY = "many-to-many"  # and, or, unless


@dataclass(frozen=True, slots=True)
class Matching:
    """How the series of two vectors find each other; `labels` are those of `on`, or those that `ignoring` leaves out."""

    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    on: bool = False
    labels: frozenset[str] = frozenset()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: "Node"
    right: "Node"
    as_bool: bool = False
    matching: Matching = Matching()


Node = Number | Text | Selector | Range | Call | Negation | Aggregation | Binary

SET_OPERATORS = frozenset({"and", "or", "unless"})
SCALAR_FUNCTIONS = frozenset({"time", "scalar", "pi"})


def kind_of(node: Node) -> Kind:
    """What evaluating a node gives."""
    match node:
        case Number():
            return Kind.SCALAR
        case Text():
            return Kind.TEXT
        case Range():
            return Kind.RANGE
        case Call(function):
            return Kind.SCALAR if function in SCALAR_FUNCTIONS else Kind.VECTOR
        case Negation(of):
            return kind_of(of)
        case Binary(left=left, right=right):
            return Kind.SCALAR if kind_of(left) == kind_of(right) == Kind.SCALAR else Kind.VECTOR
        case _:
            return Kind.VECTOR


def children(node: Node) -> "tuple[Node, ...]":
    """The expressions inside a node."""
    match node:
        case Call(_, arguments):
            return arguments
        case Range(selector):
            return (selector,)
        case Negation(of):
            return (of,)
        case Aggregation(of=of, parameter=parameter):
            return (of,) if parameter is None else (parameter, of)
        case Binary(left=left, right=right):
            return (left, right)
        case _:
            return ()


def walk(node: Node) -> "Iterator[Node]":
    """A node and all that is inside it."""
    yield node
    for child in children(node):
        yield from walk(child)
