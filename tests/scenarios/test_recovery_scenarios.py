"""The whole story of a service, minute by minute, on a simulated clock."""

import itertools
from collections.abc import Callable

import pytest

from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy, BreakerState
from model_watchdog.core.commands import pause, reset
from model_watchdog.core.decision import Cause, Reason, Restart, State
from model_watchdog.core.sample import Failure
from model_watchdog.core.unit import Ending
from model_watchdog.core.units import Seconds
from model_watchdog.wording import say
from tests.scenarios.simulation import World, make_service


def always(failure: Failure) -> Callable[[float], Failure | None]:
    return lambda now: failure


def test_a_healthy_service_is_left_alone_for_a_day() -> None:
    world = World()
    world.run(86_400)
    assert world.restarts == [] and world.told == [] and world.state.state is State.HEALTHY


def test_a_crash_is_restarted_at_once_proved_and_told_once() -> None:
    world = World()
    world.run(60)
    world.die()
    died = world.now
    world.run(300)
    assert len(world.restarts) == 1 and world.restarts[0] - died <= 10.0
    assert world.told == [(pytest.approx(world.restarts[0] + 60, abs=11), "recovered", "warning")]
    assert world.state.state is State.HEALTHY and world.state.incident is None


def test_three_refusals_restart_once() -> None:
    world = World()
    world.run(60)
    bad_since = world.now
    world.health = lambda now: Failure.REFUSED if not world.restarts else None
    world.run(600)
    assert len(world.restarts) == 1 and world.restarts[0] - bad_since <= 25
    assert world.told_about("recovered") == 1


def test_while_a_restart_is_under_way_nothing_asks_for_another() -> None:
    class SlowCall(World):
        def restart(self) -> None:
            """`systemctl restart` has not answered yet: the old process is being stopped."""
            self.restarts.append(self.now)

    world = SlowCall()
    world.run(60)
    world.health = always(Failure.REFUSED)
    world.run(600)
    assert len(world.restarts) == 1


@pytest.mark.parametrize("leaving", [False, True])
def test_a_service_whose_configuration_waits_for_the_end_of_its_restart_is_not_restarted_once_more(leaving: bool) -> None:
    """Even where nothing has to be waited for between two restarts."""
    world = World(service=make_service(backoff=BackoffPolicy(first=Seconds(0.0), max=Seconds(0.0))), on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(60, until=lambda world: bool(world.restarts))
    world.leaving = leaving
    world.run(600)
    assert world.concluded == (["failed"] if leaving else ["failed"] * 3)
    assert len(world.restarts) == len(world.concluded)


def test_two_bad_answers_are_not_three() -> None:
    world = World()
    world.run(55)
    bad = iter([Failure.STATUS, Failure.STATUS])
    world.health = lambda now: next(bad, None)
    world.run(600)
    assert world.restarts == []


def test_what_never_comes_back_gets_exactly_three_restarts_one_message_and_a_trial() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(1700)
    assert len(world.restarts) == 3 and world.told_about("gave_up") == 1
    first, second, third = world.restarts
    assert 10 <= second - first <= 30 and 20 <= third - second <= 50
    assert world.state.breaker.state is BreakerState.OPEN
    world.run(200)
    assert len(world.restarts) == 4, "one trial when retry_after has passed"
    world.run(3500)
    assert len(world.restarts) == 4, "retry_after is doubled"
    world.run(300)
    assert len(world.restarts) == 5 and world.told_about("gave_up") == 1


def test_a_trial_that_succeeds_closes_the_breaker_and_says_so() -> None:
    world = World(on_restart=lambda world: len(world.restarts) > 3)
    world.run(60)
    world.die()
    world.run(4000)
    assert len(world.restarts) == 4 and world.state.breaker.state is BreakerState.CLOSED
    assert world.told_about("gave_up") == 1 and world.told_about("back") == 1


def test_after_a_reset_the_end_of_what_was_given_up_is_told_as_urgently_as_its_beginning() -> None:
    world = World(on_restart=lambda world: len(world.restarts) > 3)
    world.run(60)
    world.die()
    world.run(300)
    world.take(reset(world.state, 0))
    world.run(300)
    assert len(world.restarts) == 4 and world.state.breaker.state is BreakerState.CLOSED
    assert [(what, severity) for _, what, severity in world.told] == [("gave_up", "critical"), ("back", "critical")]


def test_what_is_given_up_again_after_a_reset_is_told_again() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(300)
    world.take(reset(world.state, 0))
    world.run(300)
    assert len(world.restarts) == 6 and world.told_about("gave_up") == 2


def test_back_by_another_hand_closes_the_breaker() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(300)
    assert world.state.breaker.state is BreakerState.OPEN
    world.start()
    world.run(200)
    assert world.state.breaker.state is BreakerState.CLOSED and world.told_about("back") == 1 and len(world.restarts) == 3


def test_more_than_six_restarts_an_hour_open_the_breaker() -> None:
    world = World(service=make_service(backoff=BackoffPolicy(first=Seconds(1.0), max=Seconds(1.0))))
    world.run(60)
    for _ in range(10):
        world.die()
        world.run(200)
    assert len(world.restarts) == 6 and world.told_about("gave_up") == 1


def test_loading_is_waited_for() -> None:
    world = World(load_seconds=110)
    world.run(60)
    world.die()
    world.run(400)
    assert len(world.restarts) == 1 and world.state.state is State.HEALTHY


def test_a_service_that_was_started_long_ago_is_not_loading_when_the_daemon_starts() -> None:
    world = World(health=always(Failure.REFUSED))
    world.run(30)
    assert len(world.restarts) == 1, "the age of an invocation is read from systemd"


def test_not_good_within_startup_is_a_failed_restart() -> None:
    world = World(load_seconds=1e9, health=always(Failure.REFUSED))
    world.run(1000)
    assert world.concluded[0] == "failed"
    assert len(world.restarts) >= 2 and world.restarts[1] - world.restarts[0] >= 120


def test_bad_again_within_stable_is_a_failed_restart() -> None:
    world = World(on_restart=lambda world: True)
    world.run(60)
    world.die()
    world.run(40, until=lambda world: world.phase == "holding")
    world.die()
    world.run(20)
    assert world.concluded == ["failed"]


def test_busy_is_told_after_two_minutes_and_never_restarted_within_its_patience() -> None:
    world = World(health=always(Failure.TIMEOUT), cores=1.0)
    world.run(119)
    assert world.state.state is State.BUSY and world.told == []
    world.run(60)
    assert world.told_about("alert_fired") == 1
    world.run(700)
    assert world.restarts == []
    world.run(120)
    assert len(world.restarts) == 1, "patience ends"


def reason_of_restart(world: World) -> Reason:
    return next(decision.reason for decision in world.decisions if isinstance(decision, Restart))


def test_busy_by_its_gpu_alone() -> None:
    """The host waits for a long kernel, and uses next to no processor time meanwhile."""
    world = World(health=always(Failure.TIMEOUT), cores=0.01, gpus=("1",))
    world.run(200)
    assert world.state.state is State.BUSY and say(world.state.reason) == "health: timeout, but GPU 1 is working"
    world.cores = 1.04
    world.run(60)
    assert say(world.state.reason) == "health: timeout, but 1.0 cores and GPU 1 are working"
    world.cores = 0.0
    world.run(500)
    assert world.restarts == []
    world.run(240)
    assert len(world.restarts) == 1, "patience ends"
    assert "although GPU 1 works" in say(reason_of_restart(world))


def test_busy_while_its_gpus_cannot_be_read() -> None:
    """The driver is silent, or hides whose process is where: that proves nothing against the service."""
    world = World(health=always(Failure.TIMEOUT), cores=0.0, gpus=None)
    world.run(200)
    assert world.state.state is State.BUSY and say(world.state.reason) == "health: timeout, and its GPUs cannot be read"
    assert world.told_about("alert_fired") == 1
    world.run(600)
    assert world.restarts == []
    world.run(240)
    assert len(world.restarts) == 1, "patience ends"
    assert "and the service's GPUs cannot be read" in say(reason_of_restart(world))


@pytest.mark.parametrize(("cores", "said"), [(0.0, True), (None, False)])
def test_that_nothing_moved_is_said_only_where_all_was_looked_at(cores: float | None, said: bool) -> None:
    world = World(cores=cores)
    world.run(60)
    world.health = lambda now: Failure.TIMEOUT if not world.restarts else None
    world.run(40)
    assert ("nothing moved" in say(reason_of_restart(world))) is said


def test_a_hang_with_nothing_moving_is_restarted() -> None:
    world = World()
    world.run(60)
    world.health = lambda now: Failure.TIMEOUT if not world.restarts else None
    world.run(40)
    assert len(world.restarts) == 1


def test_moving_now_and_then_is_not_hung() -> None:
    world = World()
    world.run(60)
    world.health = always(Failure.TIMEOUT)
    for turn in range(60):
        world.cores = 1.0 if turn % 2 else 0.0
        world.run(5)
    assert world.restarts == []


@pytest.mark.parametrize("failure", [Failure.DNS, Failure.WATCHER])
def test_a_blind_watcher_restarts_nothing(failure: Failure) -> None:
    world = World()
    world.run(60)
    world.health = always(failure)
    world.run(3600)
    assert world.restarts == [] and world.state.state is State.UNKNOWN and world.told_about("alert_fired") == 1


def test_a_bad_certificate_is_told_once_and_nothing_is_restarted() -> None:
    world = World()
    world.run(60)
    world.health = always(Failure.TLS)
    world.run(3600)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["alert_fired"]
    assert (world.state.state, world.state.cause) == (State.UNHEALTHY, Cause.HEALTH_TLS)
    world.health = lambda now: None
    world.run(60)
    assert [what for _, what, _ in world.told] == ["alert_fired", "alert_resolved"]


def test_a_firing_alert_with_nothing_new_restarts_nothing() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(15, until=lambda world: world.concluded == ["failed"])
    count = len(world.restarts)
    world.now += 60
    for _ in range(20):
        world.step()
    assert len(world.restarts) == count


def test_a_sample_is_judged_once_however_often_it_is_seen() -> None:
    world = World()
    world.run(60)
    world.health = always(Failure.REFUSED)
    world.tick(["health"])
    for _ in range(10):
        world.step()
    assert world.restarts == []


def test_the_operators_stop_is_left_alone() -> None:
    world = World()
    world.run(60)
    world.end(Ending.OPERATOR_STOP)
    world.run(7200)
    assert world.restarts == [] and (world.state.state, world.state.cause) == (State.STOPPED, Cause.OPERATOR_STOP)
    world.start()
    world.run(60)
    assert world.state.state is State.HEALTHY and world.restarts == []


def test_an_operators_stop_that_failed_is_left_alone() -> None:
    world = World()
    world.run(60)
    world.end(Ending.OPERATOR_STOP, status=1)
    world.run(3600)
    assert world.restarts == []


@pytest.mark.parametrize("phase", ["verifying", "holding"])
def test_an_operators_stop_in_the_middle_of_a_restart_is_no_failure(phase) -> None:
    world = World(service=make_service(breaker=BreakerPolicy(failures=1)), load_seconds=20)
    world.run(60)
    world.die()
    world.run(60, until=lambda world: world.phase == phase)
    world.end(Ending.OPERATOR_STOP)
    world.run(3600)
    assert len(world.restarts) == 1 and world.concluded == ["withdrawn"]
    assert world.told_about("gave_up") == 0 and world.told_about("operator_stop") == 1
    assert world.state.breaker.state is BreakerState.CLOSED and len(world.state.breaker.restarts) == 1


def test_starting_for_too_long_is_told_and_not_touched() -> None:
    world = World()
    world.run(60)
    world.active, world.sub = "activating", "start"
    world.invocation += 1
    world.started_at = world.now
    world.run(3600)
    assert world.restarts == [] and world.told_about("alert_fired") == 1 and world.state.cause is Cause.START_TIMEOUT
    world.active, world.sub = "active", "running"
    world.run(60)
    assert world.told_about("alert_resolved") == 1


def test_a_unit_whose_file_was_removed_is_told_once_and_not_restarted() -> None:
    world = World(health=always(Failure.STATUS))
    world.load = "not-found"
    world.run(3600)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["cannot_act"]
    world.load = "loaded"
    world.run(20)
    assert len(world.restarts) == 1


def test_ended_by_itself_with_success_is_restarted() -> None:
    world = World()
    world.run(60)
    world.end(Ending.BY_ITSELF)
    world.run(60)
    assert len(world.restarts) == 1


def test_never_started_is_started() -> None:
    world = World()
    world.end(Ending.NEVER_STARTED)
    world.run(60)
    assert len(world.restarts) == 1


def test_a_failed_dependency_is_told_with_its_name_and_not_restarted() -> None:
    world = World()
    world.run(60)
    world.end(Ending.DEPENDENCY_FAILED, detail="db.service")
    world.run(3600)
    assert world.restarts == [] and world.told_about("alert_fired") == 1


def test_not_proved_is_told_once_and_not_restarted() -> None:
    world = World()
    world.run(60)
    world.end(Ending.NOT_PROVED)
    world.run(3600)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["alert_fired"]
    assert world.state.state is State.STOPPED


def test_masked_while_down_is_stopped() -> None:
    world = World()
    world.run(60)
    world.end(Ending.BY_ITSELF)
    world.load = "masked"
    world.run(3600)
    assert world.restarts == [] and world.state.cause is Cause.MASKED


def test_paused_is_watched_but_not_restarted_and_acted_upon_when_the_pause_ends() -> None:
    world = World()
    world.run(60)
    world.take(pause(world.service, world.state, 600.0, "new weights", 0, world.now))
    world.die()
    world.run(590)
    assert world.restarts == [] and world.state.state is State.DEAD
    world.run(60)
    assert len(world.restarts) == 1


def test_a_pause_outlives_the_daemon() -> None:
    world = World()
    world.run(60)
    world.take(pause(world.service, world.state, 600.0, "new weights", 0, world.now))
    world.restart_daemon()
    world.die()
    world.run(500)
    assert world.restarts == []


def test_a_stopping_host_restarts_nothing_and_tells_nobody() -> None:
    world = World()
    world.run(60)
    world.host_stopping = True
    world.die()
    world.run(600)
    assert world.restarts == [] and world.told == []


def test_inhibited_is_not_restarted() -> None:
    world = World(inhibited="gpu-lost")
    world.run(60)
    world.die()
    world.run(600)
    assert world.restarts == []
    world.inhibited = ""
    world.run(20)
    assert len(world.restarts) == 1


def test_a_right_that_is_missing_is_told_once_with_what_mends_it() -> None:
    world = World(permitted=False)
    world.run(60)
    world.die()
    world.run(3600)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["cannot_act"]
    world.permitted = None
    world.take(reset(world.state, 0))
    world.run(20)
    assert len(world.restarts) == 1


def test_flapping_is_told_and_not_restarted() -> None:
    world = World()
    world.run(60)
    answers = itertools.cycle([None, Failure.STATUS])
    world.health = lambda now: next(answers)
    world.run(600)
    assert world.restarts == [] and world.told_about("alert_fired") == 1


def test_a_loop_under_systemd_is_told_and_not_added_to() -> None:
    world = World()
    world.run(60)
    for _ in range(20):
        world.systemd_restarts += 1
        world.start()
        world.run(10)
    world.die()
    world.run(30)
    assert world.restarts == [] and world.told_about("alert_fired") == 1
    assert world.state.alerts["flapping_under_systemd "].is_firing


def test_an_old_process_that_cannot_be_killed_ends_all_restarts() -> None:
    world = World()
    world.run(60)
    world.health = always(Failure.TIMEOUT)
    world.left_over = (4711,)
    world.run(20_000)
    assert len(world.restarts) == 1 and world.told_about("gave_up") == 1
    assert world.state.breaker.state is BreakerState.OPEN


def test_systemctl_that_answers_0_and_does_nothing_is_a_failed_restart() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.health = always(Failure.STATUS)
    world.run(300)
    assert "failed" in world.concluded and len(world.restarts) <= 3 and world.told_about("recovered") == 0


def test_an_unfinished_restart_is_verified_after_a_crash_of_the_daemon_not_repeated() -> None:
    world = World()
    world.run(60)
    world.die()
    world.run(20, until=lambda world: world.phase == "verifying" or world.phase == "holding")
    world.restart_daemon()
    world.run(300)
    assert len(world.restarts) == 1 and world.concluded == ["recovered"] and world.told_about("recovered") == 1


def test_breaker_counts_outlive_the_daemon() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    for _ in range(20):
        world.run(50)
        world.restart_daemon()
    assert len(world.restarts) == 3 and world.told_about("gave_up") == 1


def test_a_message_that_something_fires_is_followed_by_its_end_also_after_a_crash_of_the_daemon() -> None:
    world = World()
    world.run(60)
    world.health = always(Failure.TLS)
    world.run(120)
    world.restart_daemon()
    world.run(60)
    world.health = lambda now: None
    world.run(120)
    assert [what for _, what, _ in world.told] == ["alert_fired", "alert_resolved"]


def test_busy_told_before_a_crash_of_the_daemon_is_resolved_after_it() -> None:
    world = World(health=always(Failure.TIMEOUT), cores=1.0)
    world.run(200)
    world.restart_daemon()
    world.health = lambda now: None
    world.run(120)
    assert [what for _, what, _ in world.told] == ["alert_fired", "alert_resolved"]


def test_an_hour_of_health_forgets_the_counts() -> None:
    world = World(service=make_service(breaker=BreakerPolicy(failures=3, restarts=6, per=Seconds(36_000.0))))
    world.run(60)
    for _ in range(4):
        world.die()
        world.run(200)
    assert len(world.state.breaker.restarts) == 4
    world.run(3700)
    assert world.state.breaker.restarts == []


def test_systemd_unreachable_is_not_the_services_failure() -> None:
    world = World()
    world.run(60)
    world.systemd_error = "Failed to connect to bus"
    world.run(3600)
    assert world.restarts == [] and world.state.state is State.HEALTHY


def test_activating_is_not_touched() -> None:
    world = World()
    world.run(60)
    world.active, world.sub = "activating", "auto-restart"
    world.result, world.exit_code, world.exit_status = "exit-code", 1, 1
    world.run(3600)
    assert world.restarts == []


def test_restarts_between_daemon_ticks_by_somebody_else_begin_a_new_loading_phase() -> None:
    world = World(load_seconds=100)
    world.run(200)
    world.start()
    world.run(90)
    assert world.restarts == [] and world.state.state is State.LOADING
    world.run(60)
    assert world.state.state is State.HEALTHY
