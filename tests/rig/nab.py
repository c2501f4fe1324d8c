"""The Numenta Anomaly Benchmark: its series, and its scoring written down from its definition (Lavin and Ahmad, 2015, section III).

Each labelled window is worth 1 where it is found at its first row, less the later it is found, and -1 where it is missed; a false
alert costs up to `false` (less right after a window). The score is 0 for a detector that never speaks and 100 for one that finds
each window at once and says nothing else.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from model_watchdog.core.alert import Alert, Change
from model_watchdog.core.rule import Condition, Rule
from model_watchdog.core.sample import Selector, SeriesId

PROFILES = {"standard": 0.11, "reward_low_FP": 0.22}
"""What a false alert costs."""
WEEK = 7 * 86400.0

Detect = Callable[[Sequence[float], Sequence[float]], list[int]]
"""Times (in seconds) and values of a series to the rows that are told."""


@dataclass(frozen=True)
class Labelled:
    """A series with its windows, as first and last row of each; rows before `probation` are not judged."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        return min(int(0.15 * len(self.values)), 750)


@dataclass(frozen=True)
class Found:
    """What a detector did on some series: the score in each profile, windows found, false alerts, and those a week a series."""

    scores: dict[str, float]
    windows: int
    found: int
    false: int
    false_a_week: float


def read(directory: Path) -> Iterator[Labelled]:
    """The series below `data/`, by name, with their windows from `combined_windows.json`."""
    labels = json.loads((directory / "combined_windows.json").read_text())
    for path in sorted((directory / "data").glob("*/*.csv")):
        lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
        times = tuple(_seconds(stamp) for stamp, _ in lines)
        rows = {at: row for row, at in reversed(list(enumerate(times)))}
        name = f"{path.parent.name}/{path.name}"
        windows = tuple((rows[_seconds(first)], rows[_seconds(last)]) for first, last in labels[name])
        yield Labelled(name, times, tuple(float(value) for _, value in lines), windows)


def measure(series: Sequence[Labelled], detect: Detect) -> Found:
    """Runs a detector over the series and scores it."""
    raw = dict.fromkeys(PROFILES, 0.0)
    windows = found = false = 0
    weeks = 0.0
    for one in series:
        told = [row for row in detect(one.times, one.values) if row >= one.probation]
        weeks += (one.times[-1] - one.times[one.probation]) / WEEK
        gains, losses = _gains(one, told), _losses(one, told)
        windows += len(one.windows)
        found += sum(gain is not None for gain in gains)
        false += len(losses)
        for profile, cost in PROFILES.items():
            raw[profile] += sum(-1.0 if gain is None else gain for gain in gains) + cost * sum(losses)
    scores = {profile: 100.0 * (points + windows) / (2 * windows) for profile, points in raw.items()}
    return Found(scores, windows, found, false, false / weeks)


def detect_with(condition: Condition) -> Detect:
    """The rows on which people would be told, by the daemon's own code."""
    rule = Rule("rule", Selector("value"), condition)

    def detect(times: Sequence[float], values: Sequence[float]) -> list[int]:
        alert = Alert.on(rule, SeriesId("value"))
        told = []
        for row, (at, value) in enumerate(zip(times, values, strict=True)):
            change = alert.judge(value, at)
            if change is Change.DUE or (change is Change.FIRED and not alert.muted):
                told.append(row)
        return told

    return detect


def _gains(one: Labelled, told: Sequence[int]) -> list[float | None]:
    """For each window what its first alert is worth, None where there is none."""
    gains: list[float | None] = []
    for first, last in one.windows:
        row = next((row for row in told if first <= row <= last), None)
        width = last - first + 1
        gains.append(None if row is None else _sigmoid(-(last - row + 1) / width) / _sigmoid(-1.0))
    return gains


def _losses(one: Labelled, told: Sequence[int]) -> list[float]:
    """For each alert outside all windows between -1 and 0: the nearer to the end of the window before, the less it counts."""
    losses = []
    for row in told:
        if any(first <= row <= last for first, last in one.windows):
            continue
        before = [(first, last) for first, last in one.windows if last < row]
        if not before:
            losses.append(-1.0)
            continue
        first, last = before[-1]
        losses.append(_sigmoid((row - last) / (last - first)))
    return losses


def _sigmoid(position: float) -> float:
    """The worth of an alert at a place relative to a window: -1 is its first row, 0 just behind its last."""
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
