"""What an evaluation hands from one step to the next, and what it gives in the end."""

from dataclasses import dataclass, field

from model_watchdog.promql.faults import DUPLICATES, EvaluationError
from model_watchdog.promql.labels import Labels, without_name

Element = tuple[Labels, float, bool]
"""One series of a vector: its labels, its value, and whether its name goes when all is done.

The name goes last, as with Prometheus' delayed removal of names: until then `by (__name__)` and `label_replace` can use it.
"""
Elements = list[Element]

Vector = list[tuple[Labels, float]]
"""A result: label sets, each once, with their values."""


def finish(elements: Elements) -> Vector:
    """The result, without the names that go; raises EvaluationError where that leaves one label set twice."""
    vector = [(without_name(labels) if nameless else labels, value) for labels, value, nameless in elements]
    if len(vector) > 1 and len({labels for labels, _ in vector}) < len(vector):
        raise EvaluationError(DUPLICATES)
    return vector


@dataclass(slots=True)
class Notes:
    """What an evaluation says beside its result: each text once, in the order in which they came up."""

    warnings: dict[str, None] = field(default_factory=dict)
    infos: dict[str, None] = field(default_factory=dict)

    def warn(self, text: str) -> None:
        self.warnings[text] = None

    def inform(self, text: str) -> None:
        self.infos[text] = None
