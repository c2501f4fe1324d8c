"""Alerts over time: for, times, clear, and what counts as new."""

import pytest

from model_watchdog.core.alert import Alert, Change, Phase
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Failure, Sample, Selector, SeriesId, conclude
from model_watchdog.core.units import Number
from model_watchdog.rules.threshold import Threshold

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
