"""PromQL over what this host has measured: instant alerting expressions, evaluated exactly or refused by name.

    expression = parse('rate(http_requests_total{status=~"5.."}[5m]) > 0.5')
    memory = Memory(expression.needs.selectors, expression.needs.span)
    memory.append("http_requests_total", (("status", "500"),), at, value)
    for labels, value in expression.evaluate(memory, at): ...

What is supported is what alerts are made of: selectors with all matchers and `offset`, the range and instant functions, all operators with
their matching, all aggregations. Subqueries, `@`, native histograms and what Prometheus calls experimental are refused. `rolling_sigma` is
ours: by how many deviations the last sample lies off the mean of the earlier ones.
"""

from dataclasses import dataclass
from functools import cached_property

from model_watchdog.promql.elements import Notes, Vector, finish
from model_watchdog.promql.evaluating import FUNCTIONS, Evaluation
from model_watchdog.promql.faults import EvaluationError, PromqlError, Unsupported
from model_watchdog.promql.labels import Labels
from model_watchdog.promql.needs import Needs, add_needs, find_needs
from model_watchdog.promql.parsing import read_tree
from model_watchdog.promql.storage import STALE, Memory, Source, Track
from model_watchdog.promql.tree import Kind, Node, kind_of

__all__ = [
    "FUNCTIONS",
    "STALE",
    "EvaluationError",
    "Expression",
    "Kind",
    "Labels",
    "Memory",
    "Needs",
    "Notes",
    "PromqlError",
    "Source",
    "Track",
    "Unsupported",
    "Vector",
    "add_needs",
    "parse",
    "parse_rule",
]


@dataclass(frozen=True)
class Expression:
    """A parsed expression: its text, its tree, and the kind of its result."""

    text: str
    tree: Node
    kind: Kind

    @cached_property
    def needs(self) -> Needs:
        """The series that it looks at, and how far back."""
        return find_needs(self.tree)

    def evaluate(self, source: Source, at: float, notes: Notes | None = None) -> Vector | float | str:
        """The result at a moment, in seconds since 1970: a vector, or a number or a text where the expression is one.

        Raises EvaluationError where these series have no answer to it. Warnings go to `notes`.
        """
        evaluation = Evaluation(source, round(at * 1000), notes if notes is not None else Notes())
        value = evaluation.evaluate(self.tree)
        return finish(value) if isinstance(value, list) else value


def parse(text: str) -> Expression:
    """Raises PromqlError that says what is wrong, or Unsupported that names what is not supported, each with its remedy."""
    tree = read_tree(text, FUNCTIONS)
    return Expression(text, tree, kind_of(tree))


def parse_rule(text: str) -> Expression:
    """The same for the expression of a rule: what gives no vector and no number is refused, too."""
    expression = parse(text)
    if expression.kind in (Kind.RANGE, Kind.TEXT):
        raise PromqlError(f"the expression gives a {expression.kind}; a rule needs a vector or a number")
    return expression
