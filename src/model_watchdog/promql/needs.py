"""What an expression needs to be evaluated: which series, and how far back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from model_watchdog.promql.evaluating import LOOKBACK
from model_watchdog.promql.tree import Binary, Call, Node, Range, Selector, children

COUNTING = frozenset({"changes", "count_over_time", "increase", "resets", "sum_over_time"})
"""Functions that give less where less of the range was seen."""
WANTING_LESS = frozenset({"<", "<=", "==", "!="})


@dataclass(frozen=True, slots=True)
class Needs:
    """`selectors` are all that are looked at; `span` is how many milliseconds back from now the oldest sample lies that can count.

    For `whole` milliseconds back everything must have been seen, or what was not seen is taken for what is not there: `absent_over_time`,
    and a count of which few are the fault, such as `increase(x[1h]) == 0`. 0: nothing is taken for that.
    """

    selectors: frozenset[Selector] = frozenset()
    span: int = 0
    whole: int = 0

    @property
    def metrics(self) -> frozenset[str]:
        """The names that are asked for exactly."""
        return frozenset(selector.metric for selector in self.selectors if selector.metric)

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(self.selectors | other.selectors, max(self.span, other.span), max(self.whole, other.whole))


def find_needs(node: Node) -> Needs:
    """Of a whole expression."""
    looks, nodes = list(_find_looks(node)), list(_walk(node))
    less = any(isinstance(one, Binary) and one.operator in WANTING_LESS for one in nodes)
    asks = {"absent_over_time"} | (COUNTING if less else frozenset())
    ranges = [one.arguments for one in nodes if isinstance(one, Call) and one.function in asks]
    whole = max((back for arguments in ranges for argument in arguments for _, back in _find_looks(argument)), default=0)
    return Needs(frozenset(selector for selector, _ in looks), max((back for _, back in looks), default=0), whole)


def add_needs(all_needs: Iterable[Needs]) -> Needs:
    """Of several expressions together."""
    whole = Needs()
    for needs in all_needs:
        whole |= needs
    return whole


def _find_looks(node: Node) -> Iterator[tuple[Selector, int]]:
    match node:
        case Selector(_, offset):
            yield node, max(0, offset) + LOOKBACK
        case Range(selector, span):
            yield selector, max(0, selector.offset) + span
        case _:
            for child in children(node):
                yield from _find_looks(child)


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _walk(child)
