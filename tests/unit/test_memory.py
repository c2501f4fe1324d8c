"""What outlives the daemon comes back as it was, also after a reboot."""

import json

from model_watchdog.core.commands import pause
from model_watchdog.core.decision import State
from model_watchdog.core.memory import recall, remember
from model_watchdog.core.sample import Failure
from tests.scenarios.simulation import World


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
    from dataclasses import replace

    assert recall(replace(world.service, rules=()), kept, 0.0, world.now).alerts == {}
