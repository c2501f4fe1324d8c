"""What an expression needs to be evaluated: which series, and how far back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from model_watchdog.promql.evaluating import LOOKBACK
from model_watchdog.promql.tree import Node, Range, Selector, children


@dataclass(frozen=True, slots=True)
class Needs:
    """`selectors` are all that are looked at; `span` is how many milliseconds back from now the oldest sample lies that can count."""

    selectors: frozenset[Selector] = frozenset()
    span: int = 0

    @property
    def metrics(self) -> frozenset[str]:
        """The names that are asked for exactly."""
        return frozenset(selector.metric for selector in self.selectors if selector.metric)

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(self.selectors | other.selectors, max(self.span, other.span))


def find_needs(node: Node) -> Needs:
    """Of a whole expression."""
    looks = list(_find_looks(node))
    return Needs(frozenset(selector for selector, _ in looks), max((back for _, back in looks), default=0))


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
