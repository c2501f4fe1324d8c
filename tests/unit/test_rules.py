"""How a series is judged: the plain rolling window, exactly, and thresholds."""

import math
import statistics
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from model_watchdog.core.rule import Judgement, Watch
from model_watchdog.core.series import RollingWindow
from model_watchdog.core.units import Number
from model_watchdog.rules.sigma import Sigma
from model_watchdog.rules.threshold import Threshold

values = some.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


def judge_all(watch: Watch, samples: Sequence[float]) -> list[Judgement]:
    return [watch.judge(sample, 0.0, False).judgement for sample in samples]


@given(some.lists(values, min_size=2, max_size=200), some.integers(min_value=2, max_value=20))
def test_the_window_has_the_mean_and_deviation_of_its_last_values(samples: list[float], size: int) -> None:
    window = RollingWindow(size)
    for count, sample in enumerate(samples, start=1):
        window.push(sample)
        last = samples[max(0, count - size) : count]
        scale = max(1.0, *(abs(value) for value in samples))
        assert window.mean == pytest.approx(statistics.fmean(last), abs=1e-9 * scale)
        assert window.deviation == pytest.approx(statistics.pstdev(last), abs=1e-6 * scale)


def test_the_window_keeps_its_digits_far_from_zero() -> None:
    window = RollingWindow(10)
    samples = [1e6 + math.sin(n) * 0.4 for n in range(100_000)]
    for sample in samples:
        window.push(sample)
    assert window.deviation == pytest.approx(statistics.pstdev(samples[-10:]), rel=1e-6)


def test_a_sample_costs_the_same_at_any_window() -> None:
    def cost(size: int) -> float:
        window = RollingWindow(size)
        for n in range(size):
            window.push(float(n))
        best = math.inf
        for _ in range(5):
            begun = time.process_time()
            for n in range(20_000):
                window.push(float(n % 7))
            best = min(best, time.process_time() - begun)
        return best

    assert cost(10_000) < 4 * cost(10)


def test_sigma_judges_against_the_samples_before_the_one_judged() -> None:
    watch = Sigma(sigma=3, window=10).watch()
    before = [10.0, 11.0, 9.0, 10.0, 11.0, 9.0, 10.0, 11.0, 9.0, 10.0]
    assert judge_all(watch, before) == [Judgement.UNKNOWN] * 10
    verdict = watch.judge(13.0, 0.0, False)
    mean, usual = statistics.fmean(before), statistics.pstdev(before)
    assert verdict.judgement is Judgement.BREACH and 13.0 - mean > 3 * usual
    assert verdict.numbers["mean"] == pytest.approx(mean) and verdict.numbers["usual"] == pytest.approx(usual)


def test_every_finite_sample_enters_the_window_a_breach_too() -> None:
    watch = Sigma(sigma=3, window=5).watch()
    assert judge_all(watch, [0.0] * 5 + [100.0, 100.0]) == [Judgement.UNKNOWN] * 5 + [Judgement.BREACH, Judgement.OK]


@pytest.mark.parametrize(
    ("direction", "sample", "expected"),
    [("above", 20.0, "breach"), ("above", 0.0, "ok"), ("below", 0.0, "breach"), ("below", 20.0, "ok"), ("both", 0.0, "breach")],
)
def test_sigma_looks_in_its_direction(direction: str, sample: float, expected: str) -> None:
    watch = Sigma(sigma=3, window=4, direction=direction).watch()  # type: ignore[arg-type]
    judge_all(watch, [9.0, 11.0, 9.0, 11.0])
    assert watch.judge(sample, 0.0, False).judgement == expected


@pytest.mark.parametrize(("floor", "expected"), [({}, "breach"), ({"min_absolute": Number(0.5)}, "ok"), ({"min_relative": 0.01}, "ok")])
def test_a_floor_keeps_flat_data_quiet(floor: dict[str, float], expected: str) -> None:
    watch = Sigma(sigma=3, window=10, **floor).watch()  # type: ignore[arg-type]
    judge_all(watch, [100.0] * 10)
    assert watch.judge(101.4, 0.0, False).judgement == expected


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_neither_judged_nor_learnt(odd: float) -> None:
    watch, same = Sigma(sigma=3, window=3).watch(), Sigma(sigma=3, window=3).watch()
    assert judge_all(watch, [1.0, odd, 2.0, 3.0, odd]) == ["unknown", "unknown", "unknown", "unknown", "unknown"]
    judge_all(same, [1.0, 2.0, 3.0])
    assert watch.judge(9.0, 0.0, False) == same.judge(9.0, 0.0, False)


@pytest.mark.parametrize(
    ("rule", "sample", "expected"),
    [
        (Threshold(above=Number(80)), 80.0, "ok"),
        (Threshold(above=Number(80)), 80.1, "breach"),
        (Threshold(below=Number(1)), 1.0, "ok"),
        (Threshold(below=Number(1)), 0.0, "breach"),
        (Threshold(above=Number(80)), math.nan, "unknown"),
        (Threshold(equals=Number(2)), 2.0, "breach"),
        (Threshold(equals=Number(2)), 2.1, "ok"),
        (Threshold(equals=Number(2)), math.nan, "unknown"),
        (Threshold(outside=(Number(1), Number(2))), 1.0, "ok"),
        (Threshold(outside=(Number(1), Number(2))), 2.0, "ok"),
        (Threshold(outside=(Number(1), Number(2))), 0.9, "breach"),
        (Threshold(outside=(Number(1), Number(2))), math.inf, "breach"),
    ],
)
def test_a_threshold(rule: Threshold, sample: float, expected: str) -> None:
    assert rule.judge(sample, 0.0, False).judgement == expected


def test_a_firing_alert_ends_at_clear() -> None:
    hot = Threshold(above=Number(80), clear=Number(75))
    assert (
        hot.judge(77.0, 0.0, False).judgement == "ok"
        and hot.judge(77.0, 0.0, True).judgement == "breach"
        and hot.judge(75.0, 0.0, True).judgement == "ok"
    )
    low = Threshold(below=Number(10), clear=Number(20))
    assert (
        low.judge(15.0, 0.0, False).judgement == "ok"
        and low.judge(15.0, 0.0, True).judgement == "breach"
        and low.judge(20.0, 0.0, True).judgement == "ok"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Threshold(),
        lambda: Threshold(above=Number(1), below=Number(2)),
        lambda: Threshold(equals=Number(1), outside=(Number(1), Number(2))),
        lambda: Threshold(outside=(Number(2), Number(1))),
        lambda: Threshold(outside=(Number(2),)),
        lambda: Threshold(equals=Number(1), clear=Number(1)),
        lambda: Threshold(above=Number(80), clear=Number(90)),
        lambda: Threshold(below=Number(10), clear=Number(5)),
        lambda: Sigma(sigma=0, window=10),
        lambda: Sigma(sigma=3, window=1),
        lambda: Sigma(sigma=3, window=10, min_absolute=Number(-1)),
    ],
)
def test_a_rule_that_could_never_be_right_is_refused(wrong: "type[object]") -> None:
    with pytest.raises(ValueError):
        wrong()
