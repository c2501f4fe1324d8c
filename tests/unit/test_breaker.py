"""The circuit breaker as a state machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy, BreakerState, CircuitBreaker, Permit
from model_watchdog.core.units import Seconds


def make_breaker(**policy: int) -> CircuitBreaker:
    per, retry_after = Seconds(3600.0), Seconds(1800.0)
    numbers = {"failures": 3, "restarts": 6, **policy}
    return CircuitBreaker(BreakerPolicy(per=per, retry_after=retry_after, **numbers), BackoffPolicy(Seconds(10.0), Seconds(600.0)))


def fail(breaker: CircuitBreaker, at: float, jitter: float = 0.0) -> bool:
    assert breaker.ask(at) in (Permit.YES, Permit.TRIAL)
    breaker.started(at)
    return breaker.failed(at, jitter)


def test_back_off_doubles_up_to_its_limit_and_jitters_by_a_fifth() -> None:
    breaker = make_breaker(failures=20, restarts=100)
    at, waits = 0.0, []
    for _ in range(8):
        fail(breaker, at)
        waits.append(breaker.not_before - at)
        assert breaker.ask(breaker.not_before - 0.1) is Permit.BACKOFF
        at = breaker.not_before
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600]
    fail(breaker, at, jitter=1.0)
    assert breaker.not_before - at == pytest.approx(720)


def test_it_opens_after_failures_in_a_row_and_half_opens_for_one_trial() -> None:
    breaker = make_breaker()
    assert [fail(breaker, at) for at in (0.0, 100.0, 200.0)] == [False, False, True]
    assert breaker.ask(1999.0) is Permit.OPEN and breaker.ask(2000.0) is Permit.TRIAL
    assert breaker.state is BreakerState.HALF_OPEN


def test_a_failed_trial_doubles_the_wait_up_to_a_day() -> None:
    breaker = make_breaker()
    for at in (0.0, 100.0, 200.0):
        fail(breaker, at)
    waits = []
    for _ in range(8):
        assert breaker.retry_at is not None
        at = breaker.retry_at
        assert not fail(breaker, at), "people were told already"
        waits.append(breaker.retry_at - at)
    assert waits == [3600, 7200, 14400, 28800, 57600, 86400, 86400, 86400]


def test_a_good_trial_closes_it_and_leaves_only_the_restarts_of_the_hour() -> None:
    breaker = make_breaker()
    for at in (0.0, 100.0, 200.0):
        fail(breaker, at)
    breaker.ask(2000.0)
    breaker.started(2000.0)
    breaker.succeeded()
    assert (breaker.state, breaker.failures, breaker.retry_after, len(breaker.restarts)) == (BreakerState.CLOSED, 0, 0.0, 4)


def test_too_many_restarts_open_it_even_if_each_helped() -> None:
    breaker = make_breaker()
    for number in range(6):
        assert breaker.ask(number * 60.0) is Permit.YES
        breaker.started(number * 60.0)
        breaker.succeeded()
    assert breaker.ask(400.0) is Permit.TOO_MANY and breaker.state is BreakerState.OPEN


def test_restarts_older_than_per_do_not_count() -> None:
    breaker = make_breaker()
    for number in range(12):
        assert breaker.ask(number * 900.0) is Permit.YES
        breaker.started(number * 900.0)
        breaker.succeeded()


def test_an_hour_of_health_forgets_the_counts_and_a_bad_moment_starts_it_anew() -> None:
    breaker = make_breaker()
    fail(breaker, 0.0)
    breaker.healthy(100.0)
    breaker.healthy(3600.0)
    breaker.unhealthy()
    breaker.healthy(3700.0)
    breaker.healthy(7200.0)
    assert breaker.failures == 1
    breaker.healthy(7300.0)
    assert breaker.failures == 0


def test_a_restart_that_was_never_made_does_not_count() -> None:
    breaker = make_breaker()
    breaker.ask(0.0)
    breaker.started(0.0)
    breaker.withdrawn()
    assert breaker.restarts == []


@given(
    some.lists(some.tuples(some.floats(min_value=0, max_value=900), some.booleans(), some.floats(min_value=-1, max_value=1)), max_size=200)
)
def test_never_more_than_its_restarts_within_per_whatever_happens(story: list[tuple[float, bool, float]]) -> None:
    breaker, now, made = make_breaker(), 0.0, []
    for pause, good, jitter in story:
        now += pause
        permit = breaker.ask(now)
        if permit not in (Permit.YES, Permit.TRIAL):
            continue
        breaker.started(now)
        made.append((now, permit))
        if good:
            breaker.succeeded()
        else:
            breaker.failed(now, jitter)
    for at, permit in made:
        if permit is Permit.YES:
            assert sum(1 for other, _ in made if at - 3600 < other <= at) <= 6
