"""Which alerts cried wolf: they ended by themselves, and nobody and nothing had done anything about them. And what to change."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10
from statistics import median
from typing import Any

from model_watchdog.config.values import write_number, write_seconds
from model_watchdog.core.incident import CONDITION
from model_watchdog.language import phrase
from model_watchdog.wording import duration

Row = dict[str, Any]
Usual = Callable[[Row, str], float | None]

LEAST_WOLVES = 2
"""Once is no habit."""
SHORT = 900.0
"""Seconds: what ends within it is told later with a longer `for`; what lasts longer asks for another level."""
AGAIN_WITHIN = 600.0
NICE_SECONDS = (30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0)
COMPELLING = 0.9
"""So much of the false alarms a change should have spared."""


@dataclass(slots=True)
class Firing:
    """One alert from its beginning to its end, unix seconds; `until` is None where it fired to the end of the period."""

    service: str | None
    rule: str
    series: str
    at: float
    reason: str
    incident: int | None = None
    until: float | None = None
    acted: bool = False

    @property
    def is_wolf(self) -> bool:
        return self.until is not None and not self.acted

    @property
    def seconds(self) -> float:
        return (self.until or self.at) - self.at


@dataclass(slots=True)
class Wolf:
    """A rule that cried wolf `count` of `fired` times; `advice` says what to change, as the YAML would say it and in words."""

    service: str | None
    rule: str
    fired: int
    count: int
    median_seconds: float
    longest_seconds: float
    again: int
    change: str = ""
    advice: str = ""
    spared: int = 0
    firings: list[Firing] = field(default_factory=list)


def pair_alerts(events: Iterable[Row]) -> list[Firing]:
    """Firings from the events `alert_fired` and `alert_resolved`, oldest first, by their `matter`; those without one are left out."""
    firings, open_ = list[Firing](), dict[tuple[str | None, str], Firing]()
    for row in events:
        matter = row["matter"]
        rule, _, series = matter.partition(" ")
        if not matter:
            continue
        if row["event"] == "alert_fired":
            made = Firing(row["service"], rule, series, row["at"], row["reason"], row["incident"])
            firings.append(made)
            open_[row["service"], matter] = made
        elif series == "*":  # its rule is configured no longer
            for key in [key for key in open_ if key[0] == row["service"] and key[1].startswith(f"{rule} ")]:
                open_.pop(key).until = row["at"]
        elif (found := open_.pop((row["service"], matter), None)) is not None:
            found.until = row["at"]
    return firings


ACTIONS = ("paused", "restarted_elsewhere", "breaker_reset", "restart_started", "trial_started", "not_watched")
"""Events of a service that show that somebody or something did something about it."""


def find_acted(firings: Iterable[Firing], acts: Sequence[Row], acknowledged: set[int], roots: dict[int, int]) -> None:
    """Marks the firings during which something was done: `acts` are the events that show it, `acknowledged` the incidents taken on.

    `roots` names the incident that another one follows from.
    """
    by_service: dict[str | None, list[float]] = {}
    for row in acts:
        stopped = row["event"] == "stopped" and row["cause"] in ("operator_stop", "masked")
        if row["event"] in ACTIONS or stopped:
            by_service.setdefault(row["service"], []).append(row["at"])
    for times in by_service.values():
        times.sort()
    for firing in firings:
        root = roots.get(firing.incident, firing.incident) if firing.incident is not None else None
        until = firing.until if firing.until is not None else float("inf")
        times = by_service.get(firing.service, [])
        place = bisect_left(times, firing.at - 1)
        during = place < len(times) and times[place] <= until + 1
        firing.acted = firing.acted or during or (root is not None and root in acknowledged)


def find_wolves(firings: Iterable[Firing], levels: Sequence[Row], usual: Usual) -> list[Wolf]:
    """The rules that cried wolf at least twice, the worst first. `levels` is what the record tells of the rules (see `levels`).

    `usual` gives the value that one sample in a hundred passes, of the series that a rule is about, on its side (`above`, `below`).
    """
    by_rule: dict[tuple[str | None, str], list[Firing]] = {}
    for firing in firings:
        by_rule.setdefault((firing.service, firing.rule), []).append(firing)
    wolves = []
    for (service, rule), all_ in by_rule.items():
        level = next((one for one in levels if one["rule"] == rule and one["service"] == service), None)
        false = [firing for firing in all_ if firing.is_wolf]
        if len(false) < LEAST_WOLVES or (level is not None and level.get("then", "alert") == "inhibit"):
            continue
        lasting = [firing.seconds for firing in false]
        wolf = Wolf(service, rule, len(all_), len(false), median(lasting), max(lasting), _count_again(false), firings=false)
        _advise(wolf, lasting, level, usual)
        wolves.append(wolf)
    return sorted(wolves, key=lambda wolf: (-wolf.count, wolf.service or "", wolf.rule))


def _count_again(firings: Sequence[Firing]) -> int:
    """How many began soon after the one before of the same series had ended."""
    last: dict[str, float] = {}
    again = 0
    for firing in firings:
        again += firing.at - last.get(firing.series, float("-inf")) <= AGAIN_WITHIN
        last[firing.series] = firing.until or firing.at
    return again


def _advise(wolf: Wolf, lasting: Sequence[float], level: Row | None, usual: Usual) -> None:
    """What would have kept most of them quiet: a longer `for`, where they were short; else a level further off; else to be asked less."""
    if level is None and all(firing.series.startswith(CONDITION) or not firing.series for firing in wolf.firings):
        wolf.advice = phrase("it comes from the state of the service: look at why it changes, and at how long its probes wait")
        return
    if level is None:
        wolf.advice = phrase("it is configured no longer")
        return
    waits = float(level.get("for") or 0.0)
    needed = sorted(lasting)[max(0, ceil(COMPELLING * len(lasting)) - 1)] + waits
    longer = next((seconds for seconds in NICE_SECONDS if seconds > needed and seconds > waits), None)
    if needed - waits <= SHORT and longer is not None:
        wolf.spared = sum(seconds + waits < longer for seconds in lasting)
        wolf.change = f"for: {write_seconds(longer)}"
        told = phrase("{spared} of {count} were over before it", spared=wolf.spared, count=wolf.count)
        wolf.advice = told if not waits else phrase("{told}; it is {now} now", told=told, now=write_seconds(waits))
    else:
        wolf.change = _find_level(level, usual)
        text = "99 of 100 samples were below it" if level.get("above") is not None else "99 of 100 samples were above it"
        wolf.advice = phrase(text) if wolf.change else ""
    if wolf.again * 2 >= wolf.count and not wolf.change:
        wolf.change = f"keep_firing_for: {write_seconds(AGAIN_WITHIN)}"
        wolf.advice = phrase("{count} of them came again within {duration}: as one alert they are told once", **_again(wolf))
    elif not wolf.change:
        wolf.change = "severity: info"
        wolf.advice = phrase("nobody did anything about it: is it worth telling at all?")


def _again(wolf: Wolf) -> dict[str, object]:
    return {"count": wolf.again, "duration": duration(AGAIN_WITHIN)}


def _find_level(level: Row, usual: Usual) -> str:
    """`above: 85`, or nothing where what is usual lies on the right side of the level already."""
    for side, sign in (("above", 1), ("below", -1)):
        value = usual(level, side) if level.get(side) is not None else None
        if value is not None and (value - level[side]) * sign > 0 and isfinite(value):
            return f"{side}: {write_number(round_off(value, sign))}"
    return ""


def round_off(value: float, sign: int) -> float:
    """To two digits, away from what is usual: up for `above`, down for `below`."""
    if value == 0:
        return 0.0
    step = 10.0 ** (floor(log10(abs(value))) - 1)
    places = (ceil if sign > 0 else floor)(value / step)
    return round(places * step, max(0, 1 - floor(log10(abs(value)))))
