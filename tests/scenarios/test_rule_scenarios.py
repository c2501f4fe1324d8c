"""Stories of the rules that alert: what people are told of them, and what not."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from model_watchdog.core.decision import Decision, Event, Notification
from model_watchdog.core.host import HostState, step_host
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Outcome, Selector, conclude
from model_watchdog.core.units import Number
from model_watchdog.rules.sigma import AdaptiveSigma
from tests.scenarios.simulation import DOWN, UNHEALTHY, World, make_service

SLOW = Rule("slow", Selector.parse('probe_duration_seconds{probe="health"}'), AdaptiveSigma(4.5, "above", Number(0.02)))


@dataclass
class SlowWorld(World):
    """Its health answers well, after `latency` seconds."""

    latency: Callable[[float], float] = lambda now: 0.05

    def _see_health(self, name: str) -> Outcome:
        outcome = super()._see_health(name)
        return conclude("model", name, outcome.started, outcome.started + self.latency(self.now), (), outcome.failure, outcome.detail)


def make_slow_world(latency: Callable[[float], float]) -> SlowWorld:
    return SlowWorld(make_service(rules=(UNHEALTHY, DOWN, SLOW)), latency=latency)


def test_fault_16_slower_than_it_used_to_be() -> None:
    chance, slow_from = random.Random(1), 100_000.0 + 3600.0
    world = make_slow_world(lambda now: chance.gauss(0.05, 0.004) + (0.4 if now >= slow_from else 0.0))
    world.run(3595.0)
    assert world.told == [] and world.happened("alert_fired") == 0
    world.run(200.0)
    assert [(about, severity) for _, about, severity in world.told] == [("alert_fired", "warning")]
    assert world.told[0][0] <= slow_from + 30.0 and world.state.incident is not None
    world.run(7200.0)
    assert world.told_about("alert_resolved") == 1 and world.state.incident is None  # what it has long been is its usual
    assert world.restarts == [] and world.state.state == "healthy"


def test_what_comes_again_soon_fires_without_a_message_and_without_an_incident() -> None:
    def latency(now: float) -> float:
        since = now - 103_600.0
        return 0.45 if 0 <= since < 60 or 600 <= since < 660 else 0.05

    world = make_slow_world(latency)
    world.run(4000.0)
    opened = world.happened("incident_opened")
    assert (world.told_about("alert_fired"), world.told_about("alert_resolved"), opened) == (1, 1, 1)
    world.run(600.0)
    assert world.happened("alert_fired") == world.happened("alert_resolved") == 2
    assert (len(world.told), world.happened("incident_opened")) == (2, 1)


def test_what_fires_too_soon_and_stays_is_told_when_its_time_comes() -> None:
    world = make_slow_world(lambda now: 0.45 if 103_600.0 <= now < 103_660.0 or now >= 104_200.0 else 0.05)
    world.service = replace(
        world.service, rules=(UNHEALTHY, DOWN, replace(SLOW, condition=AdaptiveSigma(4.5, newness="off", center=100_000)))
    )
    world.run(4800.0)
    fired = [at for at, about, _ in world.told if about == "alert_fired"]
    assert len(fired) == 2 and 103_600.0 + 1000.0 <= fired[1] <= 103_600.0 + 1020.0  # 100 samples after the first
    assert world.happened("incident_opened") == 2 and world.state.incident is not None


def test_of_the_host_too_only_what_is_due_is_told() -> None:
    rule = Rule("load", Selector("host_load1"), AdaptiveSigma(3.5, newness="off", center=100_000, spread=100_000))
    state, decisions = HostState(), list[Decision]()
    for row in range(1200):
        value = 200.0 if 1000 <= row < 1006 or row >= 1036 else 100.0
        decisions += step_host((rule,), state, [conclude(None, "system", row * 10.0, row * 10.0 + 0.001, [("host_load1", {}, value)])])
    assert [d.event for d in decisions if isinstance(d, Event)] == ["alert_fired", "alert_resolved", "alert_fired"]
    assert [d.about for d in decisions if isinstance(d, Notification)] == ["alert_fired", "alert_resolved", "alert_fired"]
