"""Many samples at once, where they provably change nothing: what makes a replay fast.

A sample changes nothing of an alert where its phase is the same behind it and nothing is to be told. A level that no value of a stretch
crosses is known by the smallest and the largest of them alone; any other rule judges each of them, as it always does, and gives the
stretch up, unchanged, where one of them brings a change. Whoever skips a stretch feeds what is left to `step`, in smaller ones.
"""

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

from model_watchdog.core.alert import FORGOTTEN, Alert, Phase
from model_watchdog.core.rule import Then
from model_watchdog.core.series import MOST


class Levels(Protocol):
    """A condition that remembers nothing and looks at the value alone."""

    def spares(self, low: float, high: float, firing: bool) -> bool:
        """No value from `low` to `high` is in breach."""

    def condemns(self, low: float, high: float, firing: bool) -> bool:
        """Every value from `low` to `high` is."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples of one series, in the order of their times."""

    times: Sequence[float]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.times)


class Kept:
    """Alerts as they were before a stretch, for the case that it has to be given up."""

    def __init__(self) -> None:
        self._kept: list[tuple[Alert, dict[str, Any]]] = []

    def keep(self, alert: Alert) -> None:
        fields = {name: getattr(alert, name) for name in Alert.__slots__}
        watch: Any = alert.watch  # asked by hand: isinstance() of a protocol takes longer than all the rest
        if _find_levels(alert) is None:
            fields["watch"] = watch.fork() if hasattr(watch, "fork") else deepcopy(watch)
        if alert.pace is not None:
            fields["pace"] = copy(alert.pace)
        if alert.rollup is not None:
            fields["rollup"] = deepcopy(alert.rollup)
        fields["numbers"] = dict(alert.numbers)
        self._kept.append((alert, fields))

    def restore(self) -> None:
        for alert, fields in reversed(self._kept):
            for name, value in fields.items():
                setattr(alert, name, value)
        self._kept.clear()


def pass_over(alert: Alert, stretch: Stretch, kept: Kept) -> float | None:
    """Moves the alert behind the stretch where nothing in it changes it. Else it gives the time of what does, and `kept` must be restored.

    `kept` takes the alert before it is touched.
    """
    if not stretch:
        return None
    if alert.judged_at is not None and stretch.times[0] - alert.judged_at > FORGOTTEN:
        return stretch.times[0]
    kept.keep(alert)
    levels = _find_levels(alert)
    if levels is not None and _stays(alert, levels, stretch):
        _take_last(alert, stretch)
        return None
    judge, phase = alert.judge, alert.phase
    for value, at in zip(stretch.values, stretch.times, strict=True):
        if judge(value, at) is not None or alert.phase is not phase:
            return at
    return None


def can_absorb(alert: Alert, at: float) -> bool:
    """Whether `absorb` can be asked for samples from this time on: the watch knows a quick way, and the alert is at rest."""
    if alert.phase is not Phase.INACTIVE or alert.sent or alert.rollup is not None or alert.pace is not None:
        return False
    is_known = alert.judged_at is None or at - alert.judged_at <= FORGOTTEN
    return is_known and bool(getattr(alert.watch, "can_absorb", False))


def absorb(alert: Alert, stretch: Stretch) -> int:
    """Moves the alert up to the first sample that would change it; how many come before that one."""
    watch: Any = alert.watch
    count: int = watch.absorb(stretch.values)
    place = count - 1
    while place >= 0 and not -MOST < stretch.values[place] < MOST:
        place -= 1
    if place >= 0:
        alert.stay(stretch.values[place], stretch.times[place])
    return count


def pass_over_difference(alert: Alert, stretch: Stretch, other: Stretch, kept: Kept) -> bool:
    """The same for a rule that judges how far one series lies above another, by the extremes of both; their times must be the same."""
    condition = _find_levels(alert)
    if condition is None or alert.phase is not Phase.INACTIVE or alert.sent:
        return False
    if alert.judged_at is not None and stretch.times[0] - alert.judged_at > FORGOTTEN:
        return False
    low, high = min(stretch.values) - max(other.values), max(stretch.values) - min(other.values)
    last = stretch.values[-1] - other.values[-1]
    if low != low or high != high or last != last or stretch.times != other.times or not condition.spares(low, high, False):
        return False
    kept.keep(alert)
    alert.judge(last, stretch.times[-1])
    return True


def _find_levels(alert: Alert) -> Levels | None:
    """What the rule judges each value by, where that is all it does."""
    condition: Any = alert.rule.condition
    return condition if alert.rollup is None and hasattr(condition, "spares") else None


def _stays(alert: Alert, condition: Levels, stretch: Stretch) -> bool:
    """Whether the extremes alone prove that it changes nothing."""
    low, high = min(stretch.values), max(stretch.values)
    if low != low or high != high:  # NaN came first; later ones do not show, and change nothing
        return False
    if alert.phase is Phase.INACTIVE and not alert.sent:
        return condition.spares(low, high, False)
    steady = alert.phase is Phase.FIRING and not alert.muted and alert.rule.then is not Then.RESTART
    return steady and condition.condemns(low, high, True)


def _take_last(alert: Alert, stretch: Stretch) -> None:
    """As the newest sample leaves it: in breach where the alert fires, and not where it is quiet. One that is NaN was no verdict."""
    place = len(stretch) - 1
    while stretch.values[place] != stretch.values[place]:
        place -= 1
    alert.judge(stretch.values[place], stretch.times[place])
