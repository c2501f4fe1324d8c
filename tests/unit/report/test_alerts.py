"""Which alerts cried wolf, and what would have kept them quiet."""

from typing import Any

import pytest

from model_watchdog.report.alerts import Firing, find_acted, find_wolves, pair_alerts, round_off

Row = dict[str, Any]
SLOW = 'slow probe_duration_seconds{probe="health", service="chat"}'
LEVEL: Row = {
    "rule": "slow",
    "service": "chat",
    "severity": "warning",
    "metric": "probe_duration_seconds",
    "selector": "probe_duration_seconds",
    "above": 1.0,
    "below": None,
    "sigma": None,
    "window": None,
    "then": "alert",
    "for": None,
    "times": 1,
    "keep_firing_for": None,
}


def event(at: float, name: str, service: str | None = "chat", matter: str = SLOW, incident: int | None = None, cause: str = "") -> Row:
    return {"at": at, "event": name, "service": service, "matter": matter, "reason": "r", "incident": incident, "cause": cause}


def firings(*lasting: float, every: float = 10_000.0, matter: str = SLOW, service: str | None = "chat") -> list[Firing]:
    events = []
    for number, seconds in enumerate(lasting):
        events.append(event(number * every, "alert_fired", service, matter, number))
        events.append(event(number * every + seconds, "alert_resolved", service, matter, number))
    return pair_alerts(events)


def nothing_usual(level: Row, side: str) -> None:
    return None


def test_each_end_belongs_to_the_beginning_of_the_same_series() -> None:
    other = SLOW.replace("health", "models")
    events = [event(1, "alert_fired"), event(2, "alert_fired", matter=other), event(3, "alert_resolved", matter=other)]
    events += [event(4, "alert_resolved"), event(5, "alert_fired"), event(6, "alert_resolved", "other"), event(7, "alert_fired", matter="")]
    assert [(one.series.split('"')[1], one.at, one.until) for one in pair_alerts(events)] == [
        ("health", 1, 4),
        ("models", 2, 3),
        ("health", 5, None),
    ]


def test_a_rule_that_is_taken_out_ends_all_of_its_alerts() -> None:
    events = [event(1, "alert_fired"), event(2, "alert_fired", matter="slower x"), event(3, "alert_resolved", matter="slow *")]
    assert [one.until for one in pair_alerts(events)] == [3, None]


@pytest.mark.parametrize(
    "act",
    [
        event(10_005, "restart_started", matter=""),
        event(10_005, "restarted_elsewhere", matter=""),
        event(10_005, "paused", matter=""),
        event(10_005, "stopped", matter="", cause="operator_stop"),
    ],
    ids=lambda row: row["event"],
)
def test_where_something_was_done_it_was_no_false_alarm(act: Row) -> None:
    fired = firings(10, 10, 10)
    find_acted(fired, [act, event(10_005, "stopped", matter="", cause="ended"), event(5, "paused", "other", "")], set(), {})
    assert [one.is_wolf for one in fired] == [True, False, True]


def test_where_somebody_took_the_incident_on_or_that_which_it_follows_from_it_was_none() -> None:
    fired = firings(10, 10, 10)
    find_acted(fired, [], {0, 77}, {2: 77})
    assert [one.is_wolf for one in fired] == [False, True, False]


def test_what_fires_on_is_no_false_alarm_yet() -> None:
    assert not pair_alerts([event(1, "alert_fired")])[0].is_wolf


def test_short_ones_ask_for_a_longer_for_and_it_is_said_how_many_it_would_have_spared() -> None:
    (wolf,) = find_wolves(firings(*[40.0] * 9, 4000.0), [LEVEL], nothing_usual)
    assert (wolf.fired, wolf.count, wolf.median_seconds, wolf.longest_seconds) == (10, 10, 40, 4000)
    assert (wolf.change, wolf.spared, wolf.advice) == ("for: 1m", 9, "9 of 10 were over before it")


def test_a_for_that_is_there_already_counts() -> None:
    (wolf,) = find_wolves(firings(40, 50, 100), [{**LEVEL, "for": 60.0}], nothing_usual)
    assert (wolf.change, wolf.advice) == ("for: 3m", "3 of 3 were over before it; it is 1m now")


@pytest.mark.parametrize(
    ("side", "level", "usual", "change"),
    [("above", 1.0, 1.734, "above: 1.8"), ("below", 90.0, 87.2, "below: 87"), ("above", 80.0, 84.0, "above: 84")],
)
def test_long_ones_ask_for_another_level(side: str, level: float, usual: float, change: str) -> None:
    levels = [{**LEVEL, "above": None, "below": None, side: level}]
    (wolf,) = find_wolves(firings(4000, 5000, every=50_000), levels, lambda one, asked: usual if asked == side else None)
    assert wolf.change == change


def test_long_ones_of_a_level_that_is_seldom_passed_ask_whether_it_is_worth_telling() -> None:
    (wolf,) = find_wolves(firings(4000, 5000, every=50_000), [LEVEL], lambda level, side: 0.5)
    assert wolf.change == "severity: info"


def test_what_comes_again_and_again_is_told_as_one() -> None:
    (wolf,) = find_wolves(firings(4700, 5000, 4700, every=5100), [LEVEL], nothing_usual)
    assert (wolf.again, wolf.change) == (2, "keep_firing_for: 10m")


def test_what_comes_from_the_state_has_no_option_to_change() -> None:
    (wolf,) = find_wolves(firings(10, 10, matter="busy watchdog_condition"), [LEVEL], nothing_usual)
    assert wolf.change == "" and wolf.advice.startswith("it comes from the state")


def test_once_is_no_habit_and_the_worst_comes_first() -> None:
    both = [*firings(1, matter="one x"), *firings(1, 1, matter="two x"), *firings(1, 1, 1, matter="three x", service=None)]
    assert [(wolf.service, wolf.rule) for wolf in find_wolves(both, [], nothing_usual)] == [(None, "three"), ("chat", "two")]


@pytest.mark.parametrize(
    ("value", "sign", "rounded"),
    [(1.734, 1, 1.8), (0.0123, 1, 0.013), (87.2, -1, 87.0), (123456.0, 1, 130000.0), (-5.55, -1, -5.6), (0, 1, 0)],
)
def test_levels_are_rounded_away_from_what_is_usual(value: float, sign: int, rounded: float) -> None:
    assert round_off(value, sign) == rounded


def test_a_rule_that_is_configured_no_longer_has_nothing_to_be_changed() -> None:
    (wolf,) = find_wolves(firings(10, 10), [], nothing_usual)
    assert (wolf.change, wolf.advice) == ("", "it is configured no longer")
