"""What no script of Prometheus tests: functions of our own, what is said beside a result, and what must hold of every series."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model_watchdog.promql import EvaluationError, Memory, Notes, parse
from model_watchdog.promql.arithmetic import ARITHMETIC, DATES, MATH
from model_watchdog.promql.buckets import find_quantile
from model_watchdog.promql.summing import add_up, take_mean, take_quantile, take_variance


def remember(values: list[float], metric: str = "a", every: int = 10, **labels: str) -> Memory:
    memory = Memory()
    for place, value in enumerate(values):
        memory.append(metric, tuple(sorted(labels.items())), place * every, value)
    return memory


def value_of(text: str, memory: Memory, at: float) -> Any:
    """The one value of a vector; None where it is empty."""
    result = parse(text).evaluate(memory, at)
    assert isinstance(result, list)
    return result[0][1] if result else None


# ---------------------------------------------------------------- rolling_sigma
def test_rolling_sigma_is_the_distance_from_the_mean_before_in_deviations() -> None:
    memory = remember([10, 12, 8, 10, 16])
    assert value_of("rolling_sigma(a[50s])", memory, 40) == pytest.approx(6 / math.sqrt(2))
    assert value_of("rolling_sigma(a[50s])", remember([10, 12, 8, 10, 4]), 40) == pytest.approx(-6 / math.sqrt(2))


def test_rolling_sigma_says_nothing_of_too_few_or_of_a_flat_line() -> None:
    memory = remember([10, 12, 8, 10])
    assert value_of("rolling_sigma(a[40s])", memory, 30) == pytest.approx(0.0)
    assert value_of("rolling_sigma(a[30s])", memory, 30) is None, "two earlier samples"
    assert value_of("rolling_sigma(a[50s])", remember([5, 5, 5, 5, 9]), 40) is None
    assert value_of("rolling_sigma(missing[50s])", memory, 30) is None


def test_rolling_sigma_drops_the_name_as_other_functions_do() -> None:
    assert parse("rolling_sigma(a[50s])").evaluate(remember([1, 2, 3, 4, 5], x="y"), 40) == [((("x", "y"),), pytest.approx(3.0, rel=1))]


# ---------------------------------------------------------------- what is said beside the result
@pytest.mark.parametrize(
    ("text", "warnings", "infos"),
    [
        ("rate(a[1m])", 0, 1),
        ("rate(a_total[1m])", 0, 0),
        ("quantile(2, a)", 1, 0),
        ("quantile_over_time(-1, a[1m])", 1, 0),
        ("histogram_quantile(0.5, a)", 1, 0),
        ("histogram_quantile(NaN, missing)", 1, 0),
        ("a > 1", 0, 0),
    ],
)
def test_what_is_odd_is_noted(text: str, warnings: int, infos: int) -> None:
    notes = Notes()
    parse(text).evaluate(remember([1, 2, 3]), 20, notes)
    assert (len(notes.warnings), len(notes.infos)) == (warnings, infos)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{__name__=~"a|b"} + 1', "same labelset"),
        ("a + on () {__name__=~'a|b'}", "found duplicate series for the match group {} on the right hand-side"),
        ("{__name__=~'a|b'} + on () a", "many-to-one matching must be explicit"),
        ("{__name__=~'a|b'} * on () group_left () c", "grouping labels must ensure unique matches"),
        ("topk(NaN, a)", "Parameter value is NaN"),
        ("label_replace(a, 'b', '$1', 'c', '(')", "invalid regular expression in label_replace()"),
        ("label_replace(a, '', '', '', '')", "invalid destination label name"),
    ],
)
def test_what_these_series_give_no_answer_to_is_said_in_prometheus_words(text: str, said: str) -> None:
    memory = Memory()
    for name in "abc":
        memory.append(name, (), 0, 1.0)
    with pytest.raises(EvaluationError) as failed:
        parse(text).evaluate(memory, 0)
    assert said in str(failed.value)


# ---------------------------------------------------------------- numbers
@pytest.mark.parametrize(
    ("operator", "left", "right", "result"),
    [
        *(("/", 1.0, 0.0, math.inf), ("/", 1.0, -0.0, -math.inf), ("/", 0.0, 0.0, math.nan), ("/", -5.0, 0.0, -math.inf)),
        *(("%", 5.0, 0.0, math.nan), ("%", -5.0, 3.0, -2.0), ("%", 5.0, math.inf, 5.0), ("%", math.inf, 5.0, math.nan)),
        *(("^", 0.0, -1.0, math.inf), ("^", -0.0, -1.0, -math.inf), ("^", -8.0, 1 / 3, math.nan), ("^", 1e200, 2.0, math.inf)),
        *(("^", -1e200, 3.0, -math.inf), ("^", 0.0, 0.0, 1.0), ("*", 1e200, 1e200, math.inf), ("-", math.inf, math.inf, math.nan)),
    ],
)
def test_arithmetic_never_fails(operator: str, left: float, right: float, result: float) -> None:
    found = ARITHMETIC[operator](left, right)
    assert found == result or (math.isnan(found) and math.isnan(result))


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_no_number_makes_a_function_fail(left: float, right: float) -> None:
    for function in (*MATH.values(), *DATES.values()):
        assert isinstance(function(left), float)
    for operation in ARITHMETIC.values():
        assert isinstance(operation(left, right), float)


@pytest.mark.parametrize(
    ("seconds", "date"),
    [
        (0, (1970, 1, 1, 1)),
        (951_782_400, (2000, 2, 29, 60)),
        (4_107_542_399, (2100, 2, 28, 59)),
        (-1, (1969, 12, 31, 365)),
        (-86_401, (1969, 12, 30, 364)),
    ],
)
def test_dates_are_those_of_the_calendar(seconds: int, date: tuple[int, ...]) -> None:
    found = [DATES[name](float(seconds)) for name in ("year", "month", "day_of_month", "day_of_year")]
    assert tuple(found) == date


FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=50))
def test_sums_keep_their_small_digits(values: list[float]) -> None:
    exact = sum(map(Fraction, values), Fraction())
    assert abs(Fraction(add_up(values)) - exact) <= abs(exact) / 10**15 + Fraction(1, 10**6)
    assert take_mean(values) == pytest.approx(float(exact / len(values)), rel=1e-12, abs=1e-6)
    assert min(values) - 1e-6 <= take_mean(values) <= max(values) + 1e-6
    assert take_variance(values) >= 0


@given(st.lists(FINITE, min_size=1, max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_grow_with_their_share_and_lie_between_the_extremes(values: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    slack = 1e-6
    assert take_quantile(low, values) <= take_quantile(high, values) + slack
    assert min(values) - slack <= take_quantile(one, values) <= max(values) + slack


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=10), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_of_buckets_grow_with_their_share(counts: list[int], one: float, other: float) -> None:
    total, buckets = 0, list[tuple[float, float]]()
    for place, count in enumerate(counts):
        total += count
        buckets.append((math.inf if place == len(counts) - 1 else float(place + 1), float(total)))
    assume(total > 0 and counts[0] > 0)  # the quantile 0 of an empty bucket is NaN
    low, high = sorted((one, other))
    assert find_quantile(low, buckets)[0] <= find_quantile(high, buckets)[0] + 1e-9
    assert find_quantile(one, buckets)[1] is False


def test_the_quantile_0_where_the_first_bucket_is_empty_is_none() -> None:
    assert math.isnan(find_quantile(0.0, [(1.0, 0.0), (math.inf, 1.0)])[0])


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=30), st.integers(0, 20))
def test_a_counter_that_is_reset_never_has_a_negative_rate(values: list[float], cut: int) -> None:
    counter = sorted(values[cut:]) + sorted(values[:cut])
    memory = remember(counter, "a_total")
    for text in ("rate(a_total[5m])", "increase(a_total[5m])", "irate(a_total[5m])", "resets(a_total[5m])"):
        assert value_of(text, memory, len(values) * 10) >= 0


@given(st.lists(FINITE, min_size=2, max_size=20))
def test_what_is_filtered_and_what_is_left_make_the_whole(values: list[float]) -> None:
    memory = Memory()
    for place, value in enumerate(values):
        memory.append("a", (("place", str(place)),), 0, value)
    parts = [parse(text).evaluate(memory, 1) for text in ("a > 0", "a <= 0", "a", "a > 0 or a <= 0", "a unless a > 0", "a and a > 0")]
    more, less, whole, both, without, within = (sorted(part) for part in parts if isinstance(part, list))
    assert sorted(more + less) == whole == both
    assert without == less and within == more
