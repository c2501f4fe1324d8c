"""What got slowly worse is told with its numbers; chance, the course of a day and a few bad days are not."""

import math
import random

import pytest

from model_watchdog.report.figures import Figures
from model_watchdog.report.period import Period
from model_watchdog.report.trends import find_chance, find_trend, fit_line, mean_by_day, which_is_worse
from model_watchdog.rollups import DAY, HOUR

END = 1_764_000_000.0


def find(days: int, value: object, metric: str = "service_memory_bytes") -> object:
    assert callable(value)
    begin = END - days * DAY
    means = [(begin + hour * HOUR, value(hour / 24), 360) for hour in range(days * 24)]
    values = [mean for _, mean, _ in means]
    figures = Figures(metric, {}, 1, min(values), 1.0, max(values), values[-1], means=means)
    return find_trend(figures, Period(begin, END))


def test_a_leak_is_found_with_its_slope() -> None:
    chance = random.Random(1)
    trend = find(30, lambda day: 8e9 + 2e8 * day + chance.gauss(0, 1e8))
    assert trend.per_day == pytest.approx(2e8, rel=0.02)  # type: ignore[attr-defined]
    assert trend.begin == pytest.approx(8.1e9, rel=0.01)  # type: ignore[attr-defined]
    assert trend.end == pytest.approx(8.1e9 + 29 * 2e8, rel=0.01)  # type: ignore[attr-defined]
    assert trend.days == 30 and trend.chance < 1e-9  # type: ignore[attr-defined]


def test_a_week_is_enough_for_what_is_plain() -> None:
    assert find(7, lambda day: 60 + 2 * day, "host_disk_percent").full_in_days == pytest.approx((100 - 73) / 2, abs=1.5)  # type: ignore[attr-defined]
    assert find(6, lambda day: 60 + 2 * day, "host_disk_percent") is None


@pytest.mark.parametrize(
    "value",
    [
        lambda day: 8e9,
        lambda day: 8e9 + 3e9 * math.sin(2 * math.pi * day),
        lambda day: 8e9 - 2e8 * day,
        lambda day: 8e9 + 5e9 * (10 < day < 13),
        lambda day: 8e9 + 1e6 * day,
    ],
    ids=["stands", "the course of a day", "gets better", "two bad days", "by too little"],
)
def test_what_is_none(value: object) -> None:
    assert find(30, value) is None


def test_chance_alone_is_seldom_told() -> None:
    chance = random.Random(2)

    def walk() -> object:
        levels = [chance.gauss(8e9, 1e9) for _ in range(31)]
        return lambda day: levels[int(day)]

    assert sum(find(30, walk()) is not None for _ in range(200)) <= 3


def test_a_few_bad_days_do_not_bend_the_line() -> None:
    points = [(float(day), 100.0 + day + (1e6 if day in (3, 17, 22) else 0)) for day in range(30)]
    slope, start = fit_line(points)
    assert (slope, start) == (pytest.approx(1.0), pytest.approx(100.0))


def test_the_chance_is_that_of_the_mann_kendall_test() -> None:
    values = [5.0, 3.0, 6.0, 2.0, 8.0, 7.0, 9.0, 4.0, 10.0, 11.0]
    score = sum((b > a) - (b < a) for place, a in enumerate(values) for b in values[place + 1 :])
    z = (score - 1) / math.sqrt(10 * 9 * 25 / 18)
    assert find_chance(values) == pytest.approx(2 * (1 - 0.5 * (1 + math.erf(z / math.sqrt(2)))))
    assert find_chance([1.0] * 10) == 1.0


def test_days_are_counted_back_from_the_end_and_half_a_day_is_none() -> None:
    period = Period(END - 2.25 * DAY, END)
    means = [(END - 2.25 * DAY + hour * HOUR, 1.0 if hour < 30 else 3.0, 1) for hour in range(54)]
    assert mean_by_day(means, period) == [(0.0, 1.0), (1.0, 3.0)]


@pytest.mark.parametrize(
    ("metric", "labels", "sign"),
    [
        ("probe_duration_seconds", {}, 1),
        ("canary_tokens_per_second", {}, -1),
        ("host_memory_available_bytes", {}, -1),
        ("gpu_temperature_celsius", {}, 1),
        ("gpu_utilization_percent", {}, 0),
        ("log_field", {"field": "inference_time_ms"}, 1),
        ("log_field", {"field": "score"}, 0),
        ("http_requests_total", {}, 0),
    ],
)
def test_which_way_is_worse(metric: str, labels: dict[str, str], sign: int) -> None:
    assert which_is_worse(metric, labels) == sign
