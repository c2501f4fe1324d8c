"""Rules that are valid, and would never fire: told as warnings, at their lines."""

from collections.abc import Sequence
from typing import Any

from model_watchdog.config.context import Context
from model_watchdog.config.document import Table
from model_watchdog.config.model import ProbeConfig
from model_watchdog.config.values import write_number, write_seconds
from model_watchdog.core.rollup import As
from model_watchdog.core.rule import Rule

FROM_0_TO_1 = ("probe_success", "unit_active", "gpu_up", "canary_answer_correct")
"""Metrics that are 1 or 0."""
BEYOND_100 = ("service_cpu_percent",)
"""100 is one core."""
BELOW_0 = ("probe_tls_expiry_seconds",)
"""Seconds that may be over."""
LATE = 1.0
"""Seconds by which a probe may be measured to have taken longer than its time-out."""


def warn_of_vain(context: Context, table: Table, path: str, rule: Rule, givers: Sequence[ProbeConfig], *, ours: bool) -> None:
    """Warns of a level that the metric cannot reach, and of a `for` that is longer than the record keeps samples. `ours`: what values the
    metric may have is known here."""
    if rule.for_ is not None and rule.for_ > context.kept:
        text = f"{write_seconds(rule.for_)} is longer than the record keeps samples: record: {{raw: {write_seconds(context.kept)}}}"
        context.literal.faults.warn(table.entries["for"].value.place, f"{path}.for", text)
    if not ours or rule.minus is not None or rule.as_ in (As.RATE, As.INCREASE):
        return
    metric = rule.selector.metric
    low, high = _find_range(metric, givers)
    for name, fault in _find_vain(rule.condition, low, high, LATE if metric == "probe_duration_seconds" else 0.0):
        context.literal.faults.warn(table.entries[name].value.place, f"{path}.{name}", fault)


def _find_range(metric: str, givers: Sequence[ProbeConfig]) -> tuple[float | None, float | None]:
    """The least and the largest value that it can have; None where there is no bound."""
    if metric in FROM_0_TO_1:
        return 0.0, 1.0
    if metric == "probe_duration_seconds" and givers:
        return 0.0, max(float(probe.timeout) for probe in givers)
    if metric.endswith("_percent"):
        return 0.0, None if metric in BEYOND_100 else 100.0
    is_amount = metric.endswith(("_bytes", "_seconds", "_total", "_watts", "_hertz", "_seconds_total"))
    return (0.0 if is_amount and metric not in BELOW_0 else None), None


def _find_vain(condition: Any, low: float | None, high: float | None, slack: float) -> list[tuple[str, str]]:
    """The options of a threshold that no value meets, each with what is wrong. The largest value may be more by `slack`."""
    found = []
    above, below, equals, outside = (getattr(condition, name, None) for name in ("above", "below", "equals", "outside"))
    if above is not None and high is not None and above >= high + slack:
        found.append(("above", f"is never above {write_number(above)}, so that the rule never fires; the most is {write_number(high)}"))
    if below is not None and low is not None and below <= low:
        found.append(("below", f"is never below {write_number(below)}, so that the rule never fires; the least is {write_number(low)}"))
    if equals is not None and ((low is not None and equals < low) or (high is not None and equals > high + slack)):
        found.append(("equals", f"is never {write_number(equals)}, so that the rule never fires"))
    if outside is not None and low is not None and high is not None and outside[0] <= low and outside[1] >= high + slack:
        found.append(("outside", "is never outside of these, so that the rule never fires"))
    return found
