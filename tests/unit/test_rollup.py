"""The last minutes of a series as one number: against plain arithmetic over the same samples."""

import itertools
import math
import random
import statistics
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from model_watchdog.core.rollup import MOST, As, Rollup

OVER = 60.0


def reckon(as_: As, samples: list[tuple[float, float]], now: float) -> float:
    """By hand: `samples` are time and value, oldest first."""
    inside = [value for at, value in samples if now - OVER < at <= now]
    if not as_.is_of_counters:
        ordered = sorted(inside)
        place = 0.95 * (len(ordered) - 1)
        below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
        return {
            As.AVG: statistics.fmean(inside),
            As.MIN: min(inside),
            As.MAX: max(inside),
            As.RANGE: max(inside) - min(inside),
            As.P95: below + (place - math.floor(place)) * (above - below),
        }[as_]
    base = max(number for number, (at, _) in enumerate(samples) if at <= now - OVER)
    counted = samples[base:]
    grown = sum(new - old if new >= old else new for (_, old), (_, new) in itertools.pairwise(counted))
    return grown / (counted[-1][0] - counted[0][0]) if as_ is As.RATE else grown


@settings(max_examples=60, deadline=None)
@given(some.sampled_from(list(As)), some.lists(some.tuples(some.floats(0.5, 25.0), some.integers(0, 1000)), min_size=5, max_size=80))
def test_it_is_what_the_last_minutes_say(as_: As, steps: list[tuple[float, int]]) -> None:
    rollup, samples, now = Rollup(OVER, as_), [], 1000.0
    for pause, value in steps:
        now += pause
        samples.append((now, float(value)))
        found = rollup.push(float(value), now)
        if now - samples[0][0] < OVER:
            assert found is None
        else:
            assert found == pytest.approx(reckon(as_, samples, now), rel=1e-9, abs=1e-9)


def test_a_counter_goes_on_over_its_reset() -> None:
    rate, increase = Rollup(OVER, As.RATE), Rollup(OVER, As.INCREASE)
    values = [100.0, 110.0, 120.0, 5.0, 15.0, 25.0, 35.0]
    told = [(rate.push(value, row * 10.0), increase.push(value, row * 10.0)) for row, value in enumerate(values)]
    assert told[:6] == [(None, None)] * 6
    assert told[6] == (pytest.approx(55.0 / 60.0), 55.0)


def test_after_a_silence_it_begins_anew() -> None:
    mean = Rollup(OVER, As.AVG)
    for row in range(10):
        mean.push(1.0, row * 10.0)
    assert mean.push(9.0, 90.0 + OVER + 1.0) is None
    assert mean.push(9.0, 90.0 + 2 * OVER + 1.0) == 9.0


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_is_left_out(odd: float) -> None:
    mean = Rollup(OVER, As.AVG)
    found = [mean.push(odd if row % 2 else 4.0, row * 10.0) for row in range(13)]
    assert set(found[1::2]) == {None} and found[-1] == 4.0


def test_a_mean_keeps_its_digits() -> None:
    mean, found = Rollup(OVER, As.AVG), None
    for row in range(50_000):
        found = mean.push(1e9 + (row % 2) * 1e-3, row * 10.0)
    assert found == pytest.approx(1e9 + 0.5e-3, abs=2e-7)


@pytest.mark.parametrize("as_", list(As))
def test_space_is_bounded_and_a_sample_costs_little(as_: As) -> None:
    chance = random.Random(1)
    values = [chance.random() for _ in range(3 * MOST)]
    rollup = Rollup(1e9, as_)
    tracemalloc.start()
    for row, value in enumerate(values[: 2 * MOST]):
        rollup.push(value, row * 0.1)
    full = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    begun = time.process_time()
    for row, value in enumerate(values[2 * MOST :]):
        rollup.push(value, (2 * MOST + row) * 0.1)
    assert full < 1_500_000 and (time.process_time() - begun) / MOST < 20e-6
