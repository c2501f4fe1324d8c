"""The reason of an alert has the numbers that a person needs to follow it, whichever kind of rule it is."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from model_watchdog.core.alert import Alert, Change
from model_watchdog.core.incident import alert_reason
from model_watchdog.core.rollup import As
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.core.units import Number, Seconds
from model_watchdog.language import speak
from model_watchdog.rules.sigma import AdaptiveSigma, Sigma
from model_watchdog.rules.threshold import Threshold
from model_watchdog.wording import say

CHANCE = random.Random(1)
NOISE = [CHANCE.gauss(100.0, 2.0) for _ in range(300)]
FLAT = [5.0] * 300
LATENCY = Selector("latency")


def tell(condition: Any, values: Sequence[float], more: Sequence[float], **options: Any) -> str:
    """The reason when it fires, after the values that are usual."""
    alert = Alert.on(Rule("slow", LATENCY, condition, **options), SeriesId("latency"))
    for row, value in enumerate([*values, *more]):
        if alert.judge(value, row * 60.0) is Change.FIRED and not alert.muted and row >= len(values):
            return say(alert_reason(alert))
    raise AssertionError("it does not fire")


MANY = [150.0] * 30
OFF = "latency is 150 (108.033 on average of late); normal is 100.306 with a usual deviation of 1.00231; it lies 7.71 times that away"
NEW = (
    "latency is 150 (102.167 on average of late); normal is 100.306 with a usual deviation of 1.00231; it lies 1.86 times that away,"
    " and 45.1 times from every level known"
)
FLOOR = "latency is 150; normal is 100.476 with a usual deviation of 5; it lies 9.9 times that away"
MAX = "the max of latency over 5 min is 150; normal is 103.21 with a usual deviation of 0.866544; it lies 54 times that away"
CASES: list[tuple[Any, Sequence[float], dict[str, Any], str]] = [
    (Sigma(3.0, 10), NOISE, {}, "latency is 150; normal is 100.476 with a usual deviation of 1.65984; it lies 29.8 times that away"),
    (Sigma(3.0, 10, min_absolute=Number(5.0)), NOISE, {}, FLOOR),
    (Sigma(3.0, 10), FLAT, {}, "latency is 150; normal is 5 without any deviation"),
    (Sigma(3.0, 10), NOISE, {"over": 300.0, "as_": As.MAX}, MAX),
    (AdaptiveSigma(3.5), NOISE, {}, OFF),
    (AdaptiveSigma(3.5, newness="off"), NOISE, {}, OFF),
    (AdaptiveSigma(3.5, smooth=30), NOISE, {}, NEW),
    (AdaptiveSigma(3.5, step=Seconds(60.0)), NOISE, {}, OFF),
    (AdaptiveSigma(3.5), [0.0] * 300, {}, "latency is 150 (25 on average of late); normal is 0 without any deviation"),
    (Threshold(above=Number(120.0)), NOISE, {"over": 300.0, "as_": As.AVG}, "the avg of latency over 5 min is 130.47, above 120"),
    (Threshold(below=Number(200.0)), [300.0], {}, "latency is 150, below 200"),
    (Threshold(outside=(Number(1.0), Number(120.0))), NOISE, {}, "latency is 150, outside 1 to 120"),
    (Threshold(equals=Number(150.0)), NOISE, {}, "latency is 150"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "values", "options", "said"), CASES)
def test_it_names_value_normal_deviation_and_how_many_times(condition: Any, values: Sequence[float], options: Any, said: str) -> None:
    assert tell(condition, values, MANY, **options) == said


def test_it_does_so_in_chinese() -> None:
    speak("zh")
    try:
        assert tell(Sigma(3.0, 10), NOISE, MANY) == "latency 为 150；正常值为 100.476，通常偏差 1.65984，相差其 29.8 倍"
        assert tell(Sigma(3.0, 10), FLAT, MANY) == "latency 为 150；正常值为 5，从无偏差"
        assert tell(AdaptiveSigma(3.5, smooth=30), NOISE, MANY).endswith("相差其 1.86 倍，与所有已知水平相差至少 45.1 倍")
    finally:
        speak("en")
