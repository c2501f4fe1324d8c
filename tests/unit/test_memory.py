"""What outlives the daemon comes back as it was, also after a reboot."""

import json
from dataclasses import replace
from typing import Any

import pytest

from model_watchdog.core.alert import Alert, Phase, find_alert
from model_watchdog.core.arrivals import Arrivals
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy
from model_watchdog.core.commands import pause
from model_watchdog.core.decision import Decision, Event, Notification, Reason, Restart, State
from model_watchdog.core.facts import Facts
from model_watchdog.core.host import HostState, end_alerts, set_troubles, step_host
from model_watchdog.core.incident import end_watch
from model_watchdog.core.memory import carry_over, carry_over_host, recall, remember
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Failure, Selector, SeriesId, conclude
from model_watchdog.core.service import step
from model_watchdog.core.state import ProbePlan, Service, ServiceState
from model_watchdog.core.units import Number, Seconds
from model_watchdog.rules.absent import Absent
from model_watchdog.rules.threshold import Threshold
from tests.scenarios.simulation import World, make_service


def a_bad_night() -> World:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(30)
    world.take(pause(world.service, world.state, 600.0, "new weights", 0, world.now))
    return world


def test_what_is_remembered_is_recalled_through_json() -> None:
    world = a_bad_night()
    kept = json.loads(json.dumps(remember(world.state)))
    assert remember(recall(world.service, kept, 0.0, world.now)) == remember(world.state)


def test_after_a_reboot_times_are_moved_to_the_new_steady_clock() -> None:
    world = a_bad_night()
    shift = -100_000.0
    state = recall(world.service, json.loads(json.dumps(remember(world.state))), shift, world.now + shift)
    assert world.state.paused_until is not None
    assert state.paused_until == world.state.paused_until + shift
    assert state.breaker.not_before == world.state.breaker.not_before + shift
    assert state.breaker.restarts == [at + shift for at in world.state.breaker.restarts]


def test_a_restart_under_way_is_cut_by_a_reboot_only() -> None:
    world = World()
    world.run(60)
    world.die()
    world.run(30, until=lambda world: world.state.attempt is not None)
    assert world.state.attempt is not None
    kept = json.loads(json.dumps(remember(world.state)))
    cut = [recall(world.service, kept, shift, world.now + shift).attempt for shift in (0.0, -100.0)]
    assert [attempt.is_cut for attempt in cut if attempt is not None] == [False, True]


def test_alerts_of_rules_that_are_gone_are_forgotten() -> None:
    world = World(health=lambda now: Failure.TLS)
    world.run(100)
    assert world.state.state is State.UNHEALTHY
    kept = remember(world.state)
    assert recall(replace(world.service, rules=()), kept, 0.0, world.now).alerts == {}


# ---------------------------------------------------------------- another configuration, while it runs
def fires(name: str, metric: str = "probe_success", **options: Any) -> Rule:
    return Rule(name, Selector(metric), Threshold(below=Number(1.0)), **options)


def with_alerts(*rules: Rule) -> World:
    """A world whose alerts fire and were told: one of each rule on the probe `health`, and one of a probe `other`."""
    world = World()
    world.run(60)
    world.service = replace(world.service, rules=rules)
    world.state.alerts.clear()
    for rule in rules:
        for probe in ("health", "other"):
            alert = Alert.on(rule, SeriesId.of(rule.selector.metric, {"service": world.service.name, "probe": probe}))
            alert.phase, alert.since, alert.sent, alert.value = Phase.FIRING, 10.0, True, 0.0
            world.state.alerts[alert.key] = alert
    return world


def test_what_is_the_same_stays_as_it_is() -> None:
    world = with_alerts(fires("low", for_=5.0))
    own, of_another = world.state.alerts.values()
    assert carry_over(replace(world.service, startup=Seconds(7.0)), world.state, (), world.now) == []
    assert [alert is own for alert in world.state.alerts.values()] == [True], f"{of_another.series} comes from no probe of its own"
    assert world.state.outcomes and world.state.orphans == [("low", "warning")]


def test_the_alert_of_a_rule_that_is_gone_is_over_and_of_a_changed_one_fires_on() -> None:
    world = with_alerts(fires("gone", severity=Severity.CRITICAL), fires("changed"), fires("elsewhere"))
    rules = (fires("changed", severity=Severity.INFO), fires("elsewhere", "probe_duration_seconds"))
    own = world.state.alerts[f'changed probe_success{{probe="health", service="{world.service.name}"}}']
    for alert in world.state.alerts.values():
        alert.sent = alert.rule.name != "elsewhere"
    decisions = carry_over(replace(world.service, rules=rules), world.state, (), world.now)
    (kept,) = world.state.alerts.values()
    assert kept.rule == rules[0] and kept is own and kept.is_firing and kept.sent and kept.since == 10.0
    assert sorted(world.state.orphans) == [("changed", "warning"), ("gone", "critical"), ("gone", "critical")]
    assert [(decision.event, decision.reason.params["rule"]) for decision in decisions if isinstance(decision, Event)] == [
        ("alert_resolved", "elsewhere"),
        ("alert_resolved", "elsewhere"),
    ]


def test_a_rule_that_judges_otherwise_learns_anew_and_fires_on() -> None:
    world = with_alerts(fires("low"))
    (rule,) = world.service.rules
    other = replace(rule, condition=Threshold(below=Number(0.5)), for_=3.0, times=None)
    own = next(iter(world.state.alerts.values()))
    carry_over(replace(world.service, rules=(other,)), world.state, (), world.now)
    (kept,) = world.state.alerts.values()
    assert kept is not own and kept.rule == other
    assert (kept.phase, kept.since, kept.sent, kept.value) == (Phase.FIRING, 10.0, True, 0.0)


def test_of_a_probe_that_asks_something_else_nothing_is_known() -> None:
    world = with_alerts(fires("down", then=Then.RESTART, times=1))
    state, now = world.state, world.now
    state.failing["health"], state.busy["health"] = 2, 1.0
    carry_over(world.service, state, {"health"}, now)
    assert "health" not in {*state.outcomes, *state.judged, *state.failing, *state.busy, *state.reached}
    (alert,) = state.alerts.values()
    assert not alert.is_firing and alert.sent, "it must confirm itself anew, and what was told will be resolved"
    assert state.watched_since == now


def test_policies_are_those_of_the_new_configuration_and_counts_stay() -> None:
    world = a_bad_night()
    failures, restarts = world.state.breaker.failures, list(world.state.breaker.restarts)
    service = replace(world.service, breaker=BreakerPolicy(failures=9), backoff=BackoffPolicy(first=Seconds(1.0)))
    carry_over(service, world.state, (), world.now)
    assert world.state.breaker.policy == service.breaker and world.state.breaker.backoff == service.backoff
    assert (world.state.breaker.failures, world.state.breaker.restarts) == (failures, restarts) and restarts


def test_silence_is_counted_from_the_reload_on() -> None:
    """A rule that is new has not been listening for as long as the watchdog runs."""
    rule = Rule("gone", Selector("probe_success"), Absent(Seconds(30.0)))
    state = HostState(arrivals=Arrivals(0.0))
    carry_over_host((rule,), state, {"system"}, (), 1000.0)
    assert step_host((rule,), state, [], 1020.0) == []
    assert [type(decision) for decision in step_host((rule,), state, [], 1031.0)] == [Event, Notification]


def test_the_hosts_alerts_of_what_is_gone_are_over() -> None:
    state, rule = HostState(), fires("low", "host_load1")
    alert = Alert.on(rule, SeriesId("host_load1"))
    alert.phase, alert.sent = Phase.FIRING, True
    state.alerts[alert.key] = alert
    set_troubles(state, "gpu", {"gpu-driver": Reason("gpu_driver_silent")}, is_good=False, now=1.0)
    gone = carry_over_host((rule,), state, {"system"}, {"gpu"}, 2.0)
    assert [alert.rule.name for alert in gone] == ["gpu-driver"] and list(state.alerts.values()) == [alert]
    gone += carry_over_host((), state, {"system"}, (), 2.0)
    told = [decision for decision in end_alerts(state, gone) if isinstance(decision, Notification)]
    assert [(notification.about, notification.params["rule"]) for notification in told] == [
        ("alert_resolved", "gpu-driver"),
        ("alert_resolved", "low"),
    ]


def test_a_service_that_is_watched_no_longer_ends_what_was_told_with_one_message() -> None:
    world = a_bad_night()
    world.run(3600)
    assert world.state.gave_up and world.state.incident is not None
    decisions = end_watch(world.service, world.state, Reason("taken_out"))
    (told,) = [decision for decision in decisions if isinstance(decision, Notification)]
    assert told.about == "not_watched" and told.severity is Severity.CRITICAL
    assert [decision.event for decision in decisions if isinstance(decision, Event)][-2:] == ["incident_closed", "not_watched"]
    assert world.state.breaker.restarts and world.state.incident is None and not world.state.gave_up
    assert [type(decision) for decision in end_watch(world.service, world.state, Reason("taken_out"))] == [Event]


def test_what_is_missed_is_missed_after_a_reload_too() -> None:
    rule = Rule("gone", Selector("gpu_temperature_celsius"), Absent(Seconds(120.0)))
    state, told = HostState(), list[str]()

    def look(at: float, *gpus: str) -> None:
        seen = conclude(None, "gpu", at, at + 0.1, [("gpu_temperature_celsius", {"gpu": gpu}, 50.0) for gpu in gpus])
        told.extend(one.about for one in step_host((rule,), state, [seen], at + 0.1) if isinstance(one, Notification))

    for row in range(30):
        look(row * 10.0, "0", *(["1"] if row < 10 else []))
    assert told == ["alert_fired"]
    carry_over_host((rule,), state, {"gpu"}, (), 300.0)
    for row in range(30, 60):
        look(row * 10.0, "0")
    assert told == ["alert_fired"] and [alert.is_firing for alert in state.alerts.values()].count(True) == 1


@pytest.mark.parametrize("changed", [{"then": Then.RESTART}, {"then": Then.RESTART, "condition": Threshold(above=Number(95.0))}])
def test_a_rule_that_restarts_after_a_reload_must_confirm_itself_anew(changed: dict[str, Any]) -> None:
    before = Rule("deep", Selector("queue"), Threshold(above=Number(80.0)), times=3)
    service = make_service(probes=(ProbePlan("c", "command", every=Seconds(30.0)),), unit=None, rules=(before,))
    state = ServiceState.fresh(service, 0.0)

    def look(service: Service, at: float) -> list[Decision]:
        seen = conclude(service.name, "c", at, at + 0.1, [("queue", {}, 99.0)])
        return [one for one in step(service, state, [seen], Facts(), at + 0.2) if isinstance(one, Restart)]

    for at in (1000.0, 1030.0, 1060.0):
        assert look(service, at) == []
    after = replace(service, rules=(replace(before, **changed),))
    carry_over(after, state, set(), 1080.0)
    assert [len(look(after, at)) for at in (1090.0, 1120.0, 1150.0)] == [0, 0, 1]


def test_a_service_that_gave_up_and_comes_back_into_the_configuration_is_told_of() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(300)
    assert world.state.breaker.state == "open"
    world.take(end_watch(world.service, world.state, Reason("taken_out")))
    told = len(world.told)
    world.run(200)
    assert [about for _, about, _ in world.told[told:]] == ["alert_fired"]


def test_the_series_of_one_rule_are_bounded() -> None:
    rule, alerts = Rule("r", Selector("m"), Threshold(above=Number(1.0))), dict[str, Alert]()
    for number in range(1500):
        find_alert(alerts, rule, SeriesId.of("m", {"job": str(number)})).judge(0.0, float(number))
    assert len(alerts) == 1000 and 'r m{job="1499"}' in alerts and 'r m{job="0"}' not in alerts
