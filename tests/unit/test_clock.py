"""Steady and wall time, and the guard that notices a step."""

import time

import pytest

from model_watchdog.clock import STEP, Clock, ClockGuard, boot_id


def test_a_clock_that_runs_is_not_stepped() -> None:
    guard = ClockGuard()
    assert [guard.check(100.0 + second, 1e9 + second * 1.0005) for second in range(5)] == [0.0] * 5


@pytest.mark.parametrize("step", [3600.0, -3600.0, 86400.0, -86400.0, STEP + 0.1])
def test_a_step_is_told_once_and_by_how_much(step: float) -> None:
    guard = ClockGuard()
    guard.check(100.0, 1e9)
    guard.check(101.0, 1e9 + 1)
    assert guard.check(102.0, 1e9 + 2 + step) == pytest.approx(step, abs=1e-3)
    assert guard.check(103.0, 1e9 + 3 + step) == 0.0


def test_a_small_step_and_slow_slewing_are_not_told() -> None:
    guard = ClockGuard()
    wall = 1e9
    for second in range(1000):
        wall += 1.1  # a tenth of a second a second, 100 s in all
        assert guard.check(float(second), wall) == 0.0


def test_a_long_pause_is_no_step() -> None:
    """SIGSTOP stops neither clock."""
    guard = ClockGuard()
    guard.check(100.0, 1e9)
    assert guard.check(160.0, 1e9 + 60) == 0.0


def test_steady_times_are_comparable_with_systemds() -> None:
    assert Clock().steady() == pytest.approx(time.clock_gettime(time.CLOCK_MONOTONIC), abs=0.5)


def test_past_times_have_one_wall_time() -> None:
    clock = Clock()
    first = clock.to_wall(12.5)
    assert first == pytest.approx(time.time() - (time.monotonic() - 12.5), abs=0.1)
    assert all(clock.to_wall(12.5) == first for _ in range(100))


def test_past_times_follow_a_wall_clock_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.to_wall(12.5)
    monkeypatch.setattr(Clock, "wall", lambda self: time.time() + 3600)
    assert clock.to_wall(12.5) == pytest.approx(before + 3600, abs=0.1)


def test_within_one_boot_times_are_kept() -> None:
    clock = Clock()
    assert clock.anchor()[0] == boot_id() != ""
    assert clock.shift(clock.anchor()) == 0.0
    assert clock.shift([boot_id(), 1.0, 2.0]) == 0.0


def test_after_another_boot_times_are_moved_by_the_wall_clock() -> None:
    """Written down at steady 5000, ten minutes ago by the wall clock: what was 30 s old then is 630 s old now."""
    clock = Clock()
    shift = clock.shift(["another boot", 5000.0, time.time() - 600])
    assert 4970.0 + shift == pytest.approx(time.monotonic() - 630, abs=0.1)


def test_after_another_boot_a_wall_clock_that_went_back_puts_nothing_into_the_future() -> None:
    clock = Clock()
    shift = clock.shift(["another boot", 5000.0, time.time() + 86400])
    assert 5000.0 + shift <= time.monotonic()
