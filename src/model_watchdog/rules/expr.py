"""Does an expression have a result? Judged is whether a label set is in it; the probe of the expressions says when it is no more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from model_watchdog.core.rule import OK, Judgement, Verdict
from model_watchdog.core.sample import is_stale

KIND = "expr"
"""What the rules, the probe that evaluates them, and the series that it gives are called."""
_IN_IT = "the expression says it itself"


@dataclass(frozen=True, slots=True)
class Expr:
    """`expr`, a PromQL alerting expression over what this host has measured."""

    expr: str

    refuses: ClassVar[Mapping[str, str]] = dict.fromkeys(("metric", "over", "as", "minus"), _IN_IT) | {"times": "state for"}
    """Keys of every rule that mean nothing here."""

    def watch(self) -> "Expr":
        """It remembers nothing: it is its own watch."""
        return self

    def pace(self) -> None:
        """Each is told."""

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        """In breach with any value but the stale marker, which says that its label set is in the result no more."""
        return OK if is_stale(value) else Verdict(Judgement.BREACH, {"expr": self.expr})


@dataclass(frozen=True, slots=True)
class Alerted(Expr):
    """One of a rule file, which has words of its own: texts by name, with `fill(labels, value)`."""

    annotations: tuple[tuple[str, Any], ...] = ()

    def tell(self, labels: Mapping[str, str], value: float) -> str:
        """Its summary and its description; or whatever it says. "" where it says nothing."""
        filled = {name: " ".join(template.fill(labels, value).split()) for name, template in self.annotations}
        said = [filled[name] for name in ("summary", "description", "message") if filled.get(name)]
        return ": ".join(dict.fromkeys(said)) or next(iter(filled.values()), "")


def metric_of(rule: str) -> str:
    """The name of the series that a rule judges; no probe of another kind can give it."""
    return f"{KIND}:{rule}"
