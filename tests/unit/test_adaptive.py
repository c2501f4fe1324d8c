"""The adaptive baseline: against its definition in a few plain lines, and what it does on made series (seeded)."""

import itertools
import math
import random
import statistics
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from model_watchdog.core.alert import Alert, Change
from model_watchdog.core.rule import Judgement, Rule
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.core.units import Number, Seconds
from model_watchdog.rules.sigma import LET_GO, AdaptiveSigma, AdaptiveWatch

SERIES = SeriesId("value")
EVERY = 30.0


def make_alert(sigma: float = 3.5, times: int = 1, **options: Any) -> Alert:
    return Alert.on(Rule("rule", Selector("value"), AdaptiveSigma(sigma, **options), times=times), SERIES)


def find_told(values: Sequence[float], sigma: float = 3.5, times: int = 1, **options: Any) -> list[int]:
    """The samples at which people would be told, by the daemon's own code."""
    alert, told = make_alert(sigma, times, **options), []
    for row, value in enumerate(values):
        change = alert.judge(value, row * EVERY)
        if change is Change.DUE or (change is Change.FIRED and not alert.muted):
            told.append(row)
    return told


def make_noise(count: int, seed: int, mean: float = 100.0) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(mean, 1.0) for _ in range(count)]


# by its definition


def follow_definition(values: Sequence[float], rule: AdaptiveSigma, times: int = 1) -> tuple[list[float], list[int]]:
    """Scores, and the samples that are told: as the rule is written down, with nothing clever."""
    assert rule.bar is not None
    c, magnitude, v = values[0], abs(values[0]), 0.0
    levels: list[list[float]] = []  # value, sample that met it
    distances: list[float] = []
    scores: list[float] = []
    told: list[int] = []
    in_a_row, episode, episode_told, wait, last = 0, False, False, float(rule.cooldown), -math.inf
    for n, x in enumerate(values):
        y = statistics.fmean(values[max(0, n + 1 - rule.smooth) : n + 1])
        d = y - c
        s = max(math.sqrt(v), rule.min_relative * magnitude, rule.min_absolute, 1e-9)
        z = d / s if n >= rule.warmup else 0.0
        off = {"both": abs(z), "above": max(0.0, z), "below": max(0.0, -z)}[rule.direction]
        levels = [level for level in levels if n - level[1] <= rule.forget]
        nearest = min(levels, key=lambda level: abs(x - level[0]), default=None)
        e = abs(x - nearest[0]) / s if nearest else 0.0
        if nearest and e <= rule.near:
            nearest[1] = n
        else:
            if len(levels) == rule.levels:
                levels.remove(min(levels, key=lambda level: level[1]))
            levels.append([x, n])
        distances.append(e)
        r = max(distances[-rule.hold :])
        score = max(math.sqrt(off * r) / rule.bar, off / rule.always) if rule.newness == "on" else off / rule.sigma
        scores.append(score)
        q = max(-rule.clip * s, min(rule.clip * s, d)) if rule.clip and n >= rule.warmup else d
        a = max(1 / (n + 1), 2 / (rule.spread + 1))
        v, magnitude = (1 - a) * v + a * q**2, magnitude + a * (abs(x) - magnitude)
        c += max(1 / (n + 1), 2 / (rule.center + 1)) * (x - c)
        in_a_row = in_a_row + 1 if score > 1 else 0
        if episode and score < LET_GO:
            episode = episode_told = False
        if in_a_row >= times:
            episode = True
        if episode and not episode_told and score > 1 and n - last >= wait:
            told.append(n)
            wait = min(2 * wait, rule.cooldown * rule.backoff) if n - last < 4 * wait else float(rule.cooldown)
            last, episode_told = n, True
    return scores, told


rules = some.builds(
    AdaptiveSigma,
    sigma=some.sampled_from([1.5, 3.5]),
    direction=some.sampled_from(["both", "above", "below"]),
    min_absolute=some.sampled_from([Number(0.0), Number(0.5)]),
    smooth=some.integers(1, 8),
    center=some.sampled_from([5, 40]),
    spread=some.sampled_from([10, 200]),
    clip=some.sampled_from([0.0, 2.0]),
    warmup=some.integers(1, 30),
    cooldown=some.sampled_from([0, 5, 20]),
    newness=some.sampled_from(["on", "off"]),
    levels=some.integers(1, 6),
    hold=some.integers(1, 8),
    forget=some.sampled_from([20, 100_000]),
)


@settings(max_examples=150, deadline=None)
@given(rules, some.integers(0, 10_000), some.integers(1, 3))
def test_it_is_what_its_definition_says(rule: AdaptiveSigma, seed: int, times: int) -> None:
    chance = random.Random(seed)
    values = [chance.gauss(chance.choice([10.0, 10.0, 10.0, 14.0]), 1.0) + (20.0 if chance.random() < 0.02 else 0.0) for _ in range(300)]
    scores, told = follow_definition(values, rule, times)
    watch = rule.watch()
    found = []
    for row, value in enumerate(values):
        watch.judge(value, row * EVERY, False)
        found.append(watch.score)
    assert found == pytest.approx(scores, rel=1e-6, abs=1e-9)
    alert = Alert.on(Rule("rule", Selector("value"), rule, times=times), SERIES)
    changes = [(row, alert.judge(value, row * EVERY), alert.muted) for row, value in enumerate(values)]
    assert [row for row, change, muted in changes if change is Change.DUE or (change is Change.FIRED and not muted)] == told


# what it does


def test_it_says_nothing_while_it_warms_up() -> None:
    jumping = [float(row % 7) * 1000 for row in range(100)]
    watch = AdaptiveSigma(3.5).watch()
    assert {watch.judge(value, 0.0, False).judgement for value in jumping} == {Judgement.UNKNOWN}
    assert watch.judge(1e6, 0.0, False).judgement is Judgement.BREACH


@pytest.mark.parametrize(("percent", "newness", "told"), [(0.5, "off", []), (2.0, "off", []), (4.0, "off", [2005])])
def test_flat_data_is_held_against_a_share_of_its_level(percent: float, newness: str, told: list[int]) -> None:
    values = [100.0] * 2000 + [100.0 + percent] * 50 + [100.0] * 300
    assert find_told(values, newness=newness) == told


@pytest.mark.parametrize(("percent", "told"), [(0.5, []), (2.0, []), (4.0, [2001])])
def test_with_newness_flat_data_is_silent_up_to_a_little_more(percent: float, told: list[int]) -> None:
    assert find_told([100.0] * 2000 + [100.0 + percent] * 50 + [100.0] * 300) == told


def test_flat_zero_needs_an_absolute_floor() -> None:
    values = [0.0] * 2000 + [1.0] + [0.0] * 50
    assert find_told(values) == [2000]
    assert find_told(values, min_absolute=Number(5.0)) == []


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e200])
def test_what_is_no_number_is_neither_judged_nor_learnt(odd: float) -> None:
    with_gaps, without = make_alert(), make_alert()
    for row, value in enumerate(make_noise(300, 1)):
        assert with_gaps.judge(odd, row * EVERY) is None
        assert with_gaps.judge(value, row * EVERY) == without.judge(value, row * EVERY)
    assert isinstance(with_gaps.watch, AdaptiveWatch) and isinstance(without.watch, AdaptiveWatch)
    with_gaps.judge(150.0, 0.0), without.judge(150.0, 0.0)
    assert with_gaps.watch.score == without.watch.score > 1


@pytest.mark.parametrize("shift", [5.0, 10.0, 50.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_shift_is_told_once_and_the_step_back_again(shift: float, seed: int) -> None:
    noise = make_noise(5000, seed)
    values = [value + (shift if 3000 <= row < 4000 else 0.0) for row, value in enumerate(noise)]
    there, back = [row for row in find_told(values, newness="off", min_relative=0.0) if row >= 2900]
    assert 3000 <= there <= 3002 and 4000 <= back <= 4005


@pytest.mark.parametrize(("shift", "after"), [(5.0, 100), (10.0, 120), (50.0, 210)])
def test_a_new_level_becomes_normal(shift: float, after: int) -> None:
    watch = AdaptiveSigma(3.5, newness="off", min_relative=0.0).watch()
    noise = make_noise(4000, 4)
    firing = [
        watch.judge(value + (shift if row >= 3000 else 0.0), 0.0, True).judgement is Judgement.BREACH for row, value in enumerate(noise)
    ]
    last = max(row for row in range(3000, 3400) if firing[row])
    assert 0.5 * after <= last - 3000 <= 2 * after and not any(firing[3400:])


@pytest.mark.parametrize(("gap", "told"), [(10, 1), (50, 1), (150, 2), (300, 2)])
@pytest.mark.parametrize("newness", ["on", "off"])
def test_what_comes_soon_after_an_alert_is_not_told(gap: int, told: int, newness: str) -> None:
    values = make_noise(4000, 2)
    values[3000] += 100.0
    for row in range(3000 + gap, 3006 + gap):
        values[row] += 8.0
    assert len([row for row in find_told(values, newness=newness, min_relative=0.0) if 3000 <= row < 3400]) == told


def test_one_sample_far_off_is_seen_through_the_smoothing() -> None:
    told = 0
    for seed in range(50):
        values = make_noise(1500, seed)
        values[1400] += 10.0
        told += any(1400 <= row <= 1405 for row in find_told(values, newness="off", min_relative=0.0))
    assert told >= 44


def test_a_leak_is_told_when_it_is_faster_than_the_centre_follows() -> None:
    fast, slow = ([value + slope * max(0, row - 3000) for row, value in enumerate(make_noise(4000, 3))] for slope in (0.05, 0.002))
    assert 10 <= next(row for row in find_told(fast, newness="off", min_relative=0.0) if row > 2990) - 3000 <= 60
    assert len([row for row in find_told(slow, newness="off", min_relative=0.0) if row > 2990]) <= 2


@pytest.mark.parametrize(("sigma", "least", "most"), [(3.5, 20, 50), (4.0, 2, 15), (4.5, 0, 4)])
def test_false_alerts_on_white_noise(sigma: float, least: int, most: int) -> None:
    assert least <= len(find_told(make_noise(100_000, 7), sigma, newness="off", min_relative=0.0)) <= most


def test_newness_leaves_almost_none_of_them() -> None:
    assert len(find_told(make_noise(100_000, 7), min_relative=0.0)) <= 3
    chance = random.Random(3)
    heavy = [chance.lognormvariate(0.0, 0.5) for _ in range(100_000)]
    assert len(find_told(heavy, min_relative=0.0)) * 5 < len(find_told(heavy, newness="off", min_relative=0.0))


def test_a_fault_at_a_known_level_is_told_again_only_where_it_is_extreme() -> None:
    def again(height: float) -> list[int]:
        one = make_noise(2000, 5)
        for row in range(1500, 1520):
            one[row] = 100.0 + height
        return [row for row in find_told(one + one) if row >= 1990]

    assert again(5.0) == [] and again(50.0) == [3500]


def test_a_level_is_forgotten() -> None:
    one = make_noise(2000, 5)
    one[1500:1520] = [105.0] * 20
    (again,) = [row for row in find_told(one + one, forget=1000) if row >= 1990]
    assert 3500 <= again <= 3505


def test_an_alert_that_comes_again_and_again_is_told_ever_less() -> None:
    values = make_noise(6000, 6)
    for row in range(1000, 5000, 120):
        values[row] += 60.0
    told = [row for row in find_told(values, newness="off", min_relative=0.0) if row >= 1000]
    gaps = [later - one for one, later in itertools.pairwise(told)]
    assert gaps[:3] == [120, 240, 480] and set(gaps[3:]) == {480}


def test_an_episode_that_outlasts_the_wait_is_told_then() -> None:
    values = [100.0] * 1000 + [200.0] * 6 + [100.0] * 30 + [300.0] * 200
    alert = make_alert(newness="off", center=100_000, spread=100_000)
    changes = [(row, alert.judge(value, 0.0), alert.muted) for row, value in enumerate(values)]
    assert [(row, change, muted) for row, change, muted in changes if change] == [
        (1000, Change.FIRED, False),
        (1011, Change.RESOLVED, False),
        (1036, Change.FIRED, True),
        (1100, Change.DUE, False),
    ]


def test_times_counts_samples_over_the_bar_in_a_row() -> None:
    values = [100.0] * 500 + [200.0] * 20
    assert find_told(values, times=1) == [500] and find_told(values, times=4) == [503]


@pytest.mark.parametrize(
    ("direction", "change", "told"), [("above", 50.0, 1), ("above", -50.0, 0), ("below", -50.0, 1), ("below", 50.0, 0)]
)
def test_it_looks_in_its_direction(direction: str, change: float, told: int) -> None:
    assert len(find_told([100.0] * 500 + [100.0 + change] * 10, direction=direction)) == told


def test_after_a_silence_the_recent_average_starts_anew() -> None:
    def first_score(max_gap: Seconds | None) -> float:
        watch = AdaptiveSigma(3.5, max_gap=max_gap, newness="off").watch()
        for row in range(500):
            watch.judge(100.0, row * EVERY, False)
        watch.judge(110.0, 500 * EVERY + 3600.0, False)
        return watch.score

    assert first_score(None) * 6 == pytest.approx(first_score(Seconds(600.0))) == pytest.approx(10.0 / 3.5)


# what it costs


def test_a_sample_costs_little_whatever_the_spans() -> None:
    def cost(**options: Any) -> float:
        values, best = make_noise(20_000, 8), math.inf
        for _ in range(3):
            alert = make_alert(**options)
            begun = time.process_time()
            for value in values:
                alert.judge(value, 0.0)
            best = min(best, time.process_time() - begun)
        return best / len(values)

    usual = cost()
    assert usual < 10e-6
    assert cost(smooth=2000, center=100_000, spread=1_000_000, hold=500) < 2 * usual


def test_a_series_takes_little_memory_and_does_not_grow() -> None:
    rule = AdaptiveSigma(3.5)
    chance = random.Random(9)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    watches = [rule.watch() for _ in range(8)]

    def feed(count: int) -> float:
        for _ in range(count):
            for watch in watches:
                watch.judge(chance.lognormvariate(0.0, 2.0), 0.0, False)
        return (tracemalloc.get_traced_memory()[0] - before) / len(watches)

    early, late = feed(3000), feed(3000)
    tracemalloc.stop()
    assert early < 8000 and late < early + 200
