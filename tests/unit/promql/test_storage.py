"""Samples in memory: what is kept, what is let go, and what a window holds."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_watchdog.promql import STALE, Memory, Track, parse
from model_watchdog.promql.storage import is_stale


def test_the_stale_marker_is_one_nan_of_many() -> None:
    assert struct.pack("<d", STALE) == struct.pack("<Q", 0x7FF0000000000002)
    assert is_stale(STALE) and not is_stale(math.nan) and not is_stale(1.0)
    track = Track(())
    track.append(1, STALE)
    assert is_stale(track.values[0]), "it survives being stored"


def test_a_window_is_open_on_its_left_and_holds_no_stale_markers() -> None:
    track = Track(())
    for at, value in ((0, 1.0), (10, 2.0), (20, STALE), (30, math.nan), (40, 5.0)):
        assert track.append(at, value)
    assert track.window(0, 40)[0] == [10, 30, 40]
    assert track.window(-1, 10) == ([0, 10], [1.0, 2.0])
    assert track.window(40, 90) == ([], [])
    assert track.find_last(0, 10) == (10, 2.0)
    assert track.find_last(10, 19) is None, "too old"
    assert track.find_last(0, 25) is None, "stale"
    assert track.find_last(0, 99) == (40, 5.0)
    assert Track(()).find_last(0, 9) is None


def test_a_sample_that_is_not_newer_is_left_out() -> None:
    track = Track(())
    assert track.append(10, 1.0)
    assert not track.append(10, 2.0)
    assert not track.append(5, 3.0)
    assert track.window(0, 10) == ([10], [1.0])


def test_only_what_is_wanted_is_kept() -> None:
    memory = Memory(parse('a{b="c"} + sum(d)').needs.selectors)
    assert memory.append("a", (("b", "c"),), 1, 1.0)
    assert not memory.append("a", (("b", "other"),), 1, 1.0)
    assert memory.append("d", (), 1, 1.0)
    assert not memory.append("e", (), 1, 1.0)
    assert len(memory) == 2


def test_a_series_is_one_in_whatever_order_its_labels_come() -> None:
    memory = Memory()
    memory.append("a", (("b", "1"), ("c", "2")), 1, 1.0)
    memory.append("a", (("c", "2"), ("b", "1")), 2, 2.0)
    assert len(memory) == 1
    assert parse("count_over_time(a[5m])").evaluate(memory, 2) == [((("b", "1"), ("c", "2")), 2.0)]


def test_what_the_span_does_not_hold_is_let_go_and_the_rest_stays_bounded() -> None:
    expression = parse("count_over_time(a[100s])")
    memory = Memory(expression.needs.selectors, expression.needs.span)
    for at in range(5000):
        memory.append("a", (), at, 1.0)
        if at > 100:
            assert expression.evaluate(memory, at) == [((), 100.0)]
    (track,) = memory.find(next(iter(expression.needs.selectors)))
    assert len(track.times) < 500


def test_series_that_have_ended_are_forgotten_and_found_again_when_they_come_back() -> None:
    expression = parse("a")
    memory = Memory(expression.needs.selectors, expression.needs.span)
    memory.append("a", (("b", "1"),), 0, 1.0)
    memory.append("a", (("b", "2"),), 400, 1.0)
    memory.append("unwanted", (), 400, 1.0)
    assert len(expression.evaluate(memory, 1)) == 1  # type: ignore[arg-type]
    assert memory.forget(400) == 2
    assert len(memory) == 1
    assert memory.append("a", (("b", "1"),), 401, 1.0)
    assert len(expression.evaluate(memory, 402)) == 2  # type: ignore[arg-type]


SAMPLES = st.lists(st.tuples(st.integers(1, 40), st.floats(-1e6, 1e6) | st.just(math.nan) | st.just(STALE)), min_size=1, max_size=60)
EXPRESSIONS = (
    *("a", "a offset 30s", "rate(a[1m])", "avg_over_time(a[90s] offset 10s)", "changes(a[1m])", "sum(a) > 0 or vector(1)"),
    *("stddev_over_time(a[2m])", "rolling_sigma(a[2m])", "timestamp(a)", "absent_over_time(a[20s])", "quantile_over_time(0.9, a[1m])"),
)


@pytest.mark.parametrize("text", EXPRESSIONS)
@settings(max_examples=40, deadline=None)
@given(samples=SAMPLES)
def test_a_memory_of_what_is_needed_gives_what_a_memory_of_all_gives(text: str, samples: list[tuple[int, float]]) -> None:
    expression = parse(text)
    small, large = Memory(expression.needs.selectors, expression.needs.span), Memory()
    at = 0
    for step, value in samples:
        at += step
        small.append("a", (), at, value)
        large.append("a", (), at, value)
        small.forget(at)
        assert repr(expression.evaluate(small, at + 0.5)) == repr(expression.evaluate(large, at + 0.5))
