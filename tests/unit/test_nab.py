"""The scoring of the Numenta Anomaly Benchmark, by hand; and the sigma rule on six of its series, by the daemon's own code."""

import math
from pathlib import Path

import pytest

from model_watchdog.rules.sigma import AdaptiveSigma, Sigma
from tests.rig.nab import Found, Labelled, detect_with, measure, read

DATA = Path(__file__).resolve().parents[1] / "data" / "nab"
MADE = Labelled("made", tuple(300.0 * row for row in range(1000)), (0.0,) * 1000, ((300, 399), (600, 699)))
"""Two windows of 100 rows; 150 rows are not judged."""


def score(*told: int) -> Found:
    return measure([MADE], lambda times, values: list(told))


def test_silence_is_worth_nothing_and_perfection_a_hundred() -> None:
    assert score().scores == {"standard": 0.0, "reward_low_FP": 0.0}
    assert score(300, 600).scores == {"standard": 100.0, "reward_low_FP": 100.0}
    assert score(149, 300, 305, 600).scores == {"standard": 100.0, "reward_low_FP": 100.0}  # not judged; only the first one counts


def test_a_window_is_worth_less_the_later_it_is_found() -> None:
    def worth(row: int) -> float:
        return score(row).scores["standard"] * 4 / 100 - 1  # one window missed: -1; from -2 to 2

    sigmoid_half = 2 / (1 + math.exp(-2.5)) - 1
    assert worth(300) == pytest.approx(1.0)
    assert worth(350) == pytest.approx(sigmoid_half / (2 / (1 + math.exp(-5)) - 1))
    assert 0 < worth(399) < 0.05


def test_a_false_alert_costs_less_right_behind_a_window() -> None:
    def cost(row: int, profile: str = "standard") -> float:
        return (100.0 - score(row, 300, 600).scores[profile]) * 4 / 100

    assert cost(200) == pytest.approx(0.11) and cost(200, "reward_low_FP") == pytest.approx(0.22)
    assert cost(400) < 0.01 < cost(430) < cost(480) < 0.11
    assert cost(998) == pytest.approx(0.11, rel=0.01)
    found = score(200, 998)
    assert (found.windows, found.found, found.false) == (2, 0, 2)
    assert found.false_a_week == pytest.approx(2 / (300.0 * 849 / (7 * 86400)))


def test_the_defaults_on_real_series_with_labels() -> None:
    series = list(read(DATA))
    assert len(series) == 6 and sum(len(one.windows) for one in series) == 14
    rules = AdaptiveSigma(3.5), AdaptiveSigma(3.5, newness="off"), Sigma(3.0, 10)
    default, bare, plain = (measure(series, detect_with(rule)) for rule in rules)
    assert default.scores == {"standard": pytest.approx(55.9, abs=0.5), "reward_low_FP": pytest.approx(54.4, abs=0.5)}
    assert (default.found, default.false) == (9, 4)
    assert bare.scores == {"standard": pytest.approx(62.9, abs=0.5), "reward_low_FP": pytest.approx(60.6, abs=0.5)}
    assert default.false < bare.false < plain.false and plain.scores["standard"] < 0
