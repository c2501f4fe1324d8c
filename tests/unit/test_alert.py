"""Alerts over time: for, times, clear, and what counts as new."""

import pytest

from model_watchdog.core.alert import Alert, Change, Phase
from model_watchdog.core.incident import alert_reason, find_inhibiting
from model_watchdog.core.rollup import As
from model_watchdog.core.rule import Rule, Then
from model_watchdog.core.sample import Failure, Sample, Selector, SeriesId, conclude
from model_watchdog.core.units import Number, Seconds
from model_watchdog.rules.absent import Absent
from model_watchdog.rules.threshold import Threshold
from model_watchdog.wording import say

HOT = SeriesId.of("heat", {})


def make_alert(*, times: int | None = None, for_: float | None = None, clear: float | None = None) -> Alert:
    condition = Threshold(above=Number(80), clear=None if clear is None else Number(clear))
    return Alert.on(Rule("hot", Selector("heat"), condition, times=times, for_=for_), HOT)


def feed(alert: Alert, values: list[float], every: float = 10.0) -> list[Change | None]:
    return [alert.take(Sample(HOT, value, at * every)) for at, value in enumerate(values)]


def test_times_counts_in_a_row() -> None:
    assert feed(make_alert(times=3), [90, 90, 70, 90, 90, 90]) == [None, None, None, None, None, Change.FIRED]


def test_for_waits_for_the_duration() -> None:
    assert feed(make_alert(for_=20), [90, 90, 90, 70]) == [None, None, Change.FIRED, Change.RESOLVED]
    assert feed(make_alert(for_=0), [90]) == [Change.FIRED]


def test_a_series_around_the_line_fires_once_where_clear_is_lower() -> None:
    swinging = [81, 79, 81, 79, 81, 74]
    changes = [change for change in feed(make_alert(times=1, clear=75), [float(value) for value in swinging]) if change]
    assert changes == [Change.FIRED, Change.RESOLVED]


def test_it_goes_on_firing_for_a_while_and_a_breach_begins_that_anew() -> None:
    alert = Alert.on(Rule("hot", Selector("heat"), Threshold(above=Number(80)), keep_firing_for=25.0), HOT)
    assert feed(alert, [90, 70, 70, 90, 70, 70, 70]) == [Change.FIRED, *[None] * 6]
    assert alert.is_firing and alert.value == 70
    assert alert.take(Sample(HOT, 70.0, 70.0)) is Change.RESOLVED
    feed(alert, [90])
    assert alert.resolve(1.0) is Change.RESOLVED  # for a reason that is not in the series, it does not


def test_what_goes_on_firing_goes_on_forbidding_restarts_while_its_series_arrives() -> None:
    rule = Rule("hot", Selector("heat"), Threshold(above=Number(80)), then=Then.INHIBIT, keep_firing_for=600.0)
    alert = Alert.on(rule, HOT)
    feed(alert, [90, *[70] * 20])
    assert find_inhibiting([alert], 170.0) == ["hot"] and find_inhibiting([alert], 201.0) == []


def test_it_judges_what_the_last_seconds_make_of_it() -> None:
    alert = Alert.on(Rule("hot", Selector("heat"), Threshold(above=Number(80)), over=30.0, as_=As.MIN), HOT)
    assert feed(alert, [90, 90, 90, 90, 70, 90, 90]) == [None, None, None, Change.FIRED, Change.RESOLVED, None, None]
    assert alert.value == 70.0
    assert alert.take(Sample(HOT, 90.0, 70.0)) is Change.FIRED


@pytest.mark.parametrize(
    ("then", "as_", "kept"), [(Then.ALERT, As.INCREASE, True), (Then.RESTART, As.INCREASE, False), (Then.ALERT, As.MAX, False)]
)
def test_over_a_new_process_only_what_bears_a_reset_counts_on(then: Then, as_: As, kept: bool) -> None:
    alert = Alert.on(Rule("restarts", Selector("heat"), Threshold(above=Number(2)), then=then, over=30.0, as_=as_), HOT)
    assert feed(alert, [0, 1, 2]) == [None, None, None]
    alert.begin_anew()
    assert (alert.take(Sample(HOT, 3.0, 30.0)) is Change.FIRED) is kept


def test_one_metric_less_another_of_the_same_thing() -> None:
    rule = Rule("near", Selector("heat"), Threshold(above=Number(-5)), minus=Selector.parse('limit{kind="slow"}'))
    labels = {"gpu": "1"}
    heat = Sample(SeriesId.of("heat", labels), 88.0, 1.0)
    others = [
        Sample(SeriesId.of("limit", {"gpu": "0", "kind": "slow"}), 70.0, 1.0),
        Sample(SeriesId.of("limit", {"gpu": "1", "kind": "off"}), 99.0, 1.0),
        Sample(SeriesId.of("limit", {"gpu": "1", "kind": "slow"}), 90.0, 1.0),
    ]
    assert rule.find_value(heat, others) == -2.0
    assert rule.find_value(heat, others[:2]) is None


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("GPU {gpu} is at {value} °C", "GPU 3 is at 90 °C"),
        ("{{gpu}} {gpu}{none}.", "{gpu} 3."),
        ("{uuid}", "{value} of {gpu}"),  # what is filled in is not read again
    ],
)
def test_a_rule_speaks_in_its_own_words(message: str, said: str) -> None:
    series = SeriesId.of("heat", {"gpu": "3", "uuid": "{value} of {gpu}"})
    alert = Alert.on(Rule("hot", Selector("heat"), Threshold(above=Number(80)), message=message), series)
    alert.take(Sample(series, 90.0, 1.0))
    assert say(alert_reason(alert)) == said


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        (Rule("r", Selector("heat"), Threshold(equals=Number(3))), 3.0, "heat is 3"),
        (Rule("r", Selector("heat"), Threshold(outside=(Number(1), Number(2)))), 3.0, "heat is 3, outside 1 to 2"),
        (Rule("r", Selector("heat"), Absent(Seconds(90.0))), 130.0, "heat has not arrived for 2 min 10 s"),
        (Rule("r", Selector("heat"), Threshold(above=Number(-5)), minus=Selector("limit")), -3.0, "heat less limit is -3, above -5"),
    ],
)
def test_what_is_said_of_an_alert(rule: Rule, value: float, said: str) -> None:
    alert = Alert.on(rule, HOT)
    assert alert.judge(value, 1.0) is Change.FIRED and say(alert_reason(alert)) == said


def test_what_is_said_of_the_last_minutes() -> None:
    alert = Alert.on(Rule("r", Selector("heat"), Threshold(above=Number(1)), over=300.0, as_=As.MAX), HOT)
    alert.judge(2.0, 0.0), alert.judge(3.0, 300.0)
    assert say(alert_reason(alert)) == "the max of heat over 5 min is 3, above 1"


def test_what_is_unknown_changes_nothing() -> None:
    alert = make_alert(times=2)
    feed(alert, [90, float("nan"), 90])
    assert alert.phase is Phase.FIRING


def test_an_excuse_ends_counting_but_not_firing() -> None:
    counting, firing = make_alert(times=3), make_alert(times=1)
    feed(counting, [90, 90])
    feed(firing, [90])
    counting.excuse()
    firing.excuse()
    assert (counting.phase, counting.count, firing.phase) == (Phase.INACTIVE, 0, Phase.FIRING)


@pytest.mark.parametrize("failure", [Failure.DNS, Failure.WATCHER])
def test_a_blind_probe_gives_no_success_sample(failure: Failure) -> None:
    outcome = conclude("model", "health", 0.0, 1.0, (), failure)
    assert outcome.ok is None and outcome.samples == ()


def test_an_outcome_has_success_and_duration_around_what_was_measured() -> None:
    outcome = conclude("model", "health", 1.0, 1.5, [("probe_http_status_code", {}, 503.0)], Failure.STATUS)
    found = {str(sample.series): sample.value for sample in outcome.samples}
    labels = '{probe="health", service="model"}'
    assert found == {
        f"probe_http_status_code{labels}": 503.0,
        f"probe_success{labels}": 0.0,
        f"probe_duration_seconds{labels}": 0.5,
    }


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("heat", True),
        ('heat{gpu="0"}', True),
        ('heat{gpu!="0"}', False),
        ('heat{gpu=~"0|1", name!~"b.*"}', True),
        ('heat{gpu=~"[1-9]"}', False),
        ('heat{absent=""}', True),
        ("cold", False),
    ],
)
def test_selectors_match_as_prometheus_has_it(selector: str, matches: bool) -> None:
    assert Selector.parse(selector).matches(SeriesId.of("heat", {"gpu": "0", "name": "a"})) is matches


@pytest.mark.parametrize("wrong", ["", "1up", "heat{", "heat{gpu}", 'heat{gpu="0" name="a"}', 'heat{gpu=~"("}', "heat > 3"])
def test_what_is_no_selector_is_refused_in_words(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        Selector.parse(wrong)
