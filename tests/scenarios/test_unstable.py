"""A service that goes bad and well again and again: one incident, one message, until it was calm."""

from model_watchdog.core.decision import Notification, State
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Failure, Selector
from model_watchdog.core.units import Number, Seconds
from model_watchdog.core.unstable import UnstablePolicy
from model_watchdog.rules.threshold import Threshold
from tests.scenarios.simulation import DOWN, World, make_service

BAD = Rule("bad", Selector.parse('probe_success{probe="health"}'), Threshold(below=Number(1.0)), Severity.WARNING, Then.ALERT, times=1)


def flap(world: World, times: int, pause: float = 100.0) -> None:
    """It is bad for 20 s, and then well for `pause`."""
    for _ in range(times):
        world.health = lambda now: Failure.STATUS
        world.run(20)
        world.health = lambda now: None
        world.run(pause)


def titles(world: World) -> list[str]:
    return [f"{one.params.get('rule')} {one.about}" for one in world.decisions if isinstance(one, Notification)]


def test_it_is_told_once_until_it_was_calm() -> None:
    world = World(make_service(rules=(BAD, DOWN), unstable=UnstablePolicy(4, Seconds(1800.0))))
    world.run(100)
    flap(world, 10)
    told = titles(world)
    assert told == [*["bad alert_fired", "bad alert_resolved"] * 3, "bad alert_fired", "unstable alert_fired", "bad alert_resolved"]
    assert world.happened("incident_opened") == 4 and world.state.incident is not None, "it is one incident from then on"
    world.run(2000)
    assert titles(world)[-1] == "unstable alert_resolved" and len(titles(world)) == len(told) + 1
    assert world.state.incident is None and world.state.state is State.HEALTHY


def test_a_few_times_are_each_told() -> None:
    world = World(make_service(rules=(BAD, DOWN)))
    world.run(100)
    flap(world, 4)
    assert titles(world) == ["bad alert_fired", "bad alert_resolved"] * 4


def test_far_apart_they_are_each_told() -> None:
    world = World(make_service(rules=(BAD, DOWN)))
    world.run(100)
    flap(world, 12, pause=600)
    assert titles(world) == ["bad alert_fired", "bad alert_resolved"] * 12


def test_what_stays_bad_is_told_when_it_is_unstable_no_more() -> None:
    world = World(make_service(rules=(BAD, DOWN), unstable=UnstablePolicy(3, Seconds(600.0))))
    world.run(100)
    flap(world, 5)
    told = len(titles(world))
    world.health = lambda now: Failure.STATUS
    world.run(900)
    assert titles(world)[told:] == ["unstable alert_resolved", "bad alert_fired"]


def test_restarts_that_help_again_and_again_are_one_message_and_giving_up_is_loud() -> None:
    world = World(make_service(stable=Seconds(10.0), unstable=UnstablePolicy(3, Seconds(3600.0))))
    world.run(100)
    for _ in range(8):
        if world.active == "active":
            world.die()
        world.run(200)
    assert world.told_about("recovered") == 2, "the third time it is unstable"
    assert world.told_about("gave_up") == 1, "too many restarts"


def test_it_outlives_the_daemon_and_can_be_off() -> None:
    world = World(make_service(rules=(BAD, DOWN), unstable=UnstablePolicy(4, Seconds(1800.0))))
    world.run(100)
    flap(world, 3)
    world.restart_daemon()
    flap(world, 3)
    assert titles(world).count("unstable alert_fired") == 1
    world = World(make_service(rules=(BAD, DOWN), unstable=None))
    world.run(100)
    flap(world, 12)
    assert titles(world) == ["bad alert_fired", "bad alert_resolved"] * 12
