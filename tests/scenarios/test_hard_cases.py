"""Sequences in which it would be easy to be wrong: several probes, several rules, systemd's own restarts, reboots."""

from collections.abc import Callable

from model_watchdog.core.breaker import BreakerState
from model_watchdog.core.decision import Cause, State
from model_watchdog.core.memory import recall, remember
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Failure, Outcome, Selector, conclude
from model_watchdog.core.state import ProbePlan, Service
from model_watchdog.core.unit import Ending, UnitFacts
from model_watchdog.core.units import Number, Seconds
from model_watchdog.rules.threshold import Threshold
from tests.scenarios.simulation import DOWN, World, make_service


class TwoProbes(World):
    """A service with two health probes; `others` gives the failure of the second."""

    others: Callable[[float], Failure | None] = staticmethod(lambda now: None)

    def _see_health(self, name: str) -> Outcome:
        if name != "other":
            return super()._see_health(name)
        failure = self.others(self.now) if self.active == "active" else Failure.REFUSED
        return conclude("model", name, self.now, self.now + 0.001, (), failure, str(failure or ""), self.cores)


def two_probes(*, other_restarts: bool = True) -> Service:
    names = "health|other" if other_restarts else "health"
    unhealthy = Rule(
        "unhealthy",
        Selector.parse(f'probe_success{{probe=~"{names}"}}'),
        Threshold(below=Number(1)),
        Severity.CRITICAL,
        Then.RESTART,
        times=3,
    )
    plans = tuple(ProbePlan(name, "http", every=Seconds(10.0), timeout=Seconds(3.0)) for name in ("health", "other"))
    return make_service(probes=(*plans, ProbePlan("unit", "unit", every=Seconds(10.0))), rules=(unhealthy, DOWN))


def test_one_blip_beside_a_bad_certificate_restarts_nothing() -> None:
    world = TwoProbes(service=two_probes())
    world.run(60)
    world.health = lambda now: Failure.TLS
    world.run(300)
    blips = iter([Failure.STATUS])
    world.others = lambda now: next(blips, None)
    world.run(600)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["alert_fired"]


def test_one_blip_after_a_bad_certificate_restarts_nothing_and_three_do() -> None:
    world = World()
    world.run(60)
    world.health = lambda now: Failure.TLS
    world.run(300)
    answers = iter([Failure.STATUS, Failure.STATUS, None])
    world.health = lambda now: next(answers, None)
    world.run(300)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["alert_fired", "alert_resolved"]
    world.health = lambda now: None if world.restarts else Failure.STATUS
    world.run(60)
    assert len(world.restarts) == 1


def test_a_busy_service_is_not_restarted_because_another_probe_is_slow() -> None:
    world = TwoProbes(service=two_probes(other_restarts=False), cores=1.0)
    world.run(60)
    world.health, world.others = lambda now: Failure.TIMEOUT, lambda now: Failure.SLOW
    world.run(800)
    assert world.restarts == []


def test_a_service_without_a_unit_may_load_after_a_reboot() -> None:
    service = make_service(unit=None, probes=(ProbePlan("health", "http", every=Seconds(10.0)),))
    world = World(service=service)
    world.run(600)
    world.state = recall(service, remember(world.state), -50_000.0, world.now)
    loading_until = world.now + 100
    world.health = lambda now: Failure.REFUSED if now < loading_until else None
    world.run(300)
    assert world.restarts == [] and world.state.state is State.HEALTHY


def memory_rule(then: Then = Then.RESTART, *, times: int | None = None, for_: float | None = None) -> Rule:
    return Rule("memory", Selector("unit_memory_bytes"), Threshold(above=Number(60)), then=then, times=times, for_=for_)


class Growing(World):
    """A service whose memory `grows`: what it uses at a time."""

    grows: Callable[[float], float] = staticmethod(lambda now: 70.0)

    def _see_unit(self, unit: UnitFacts | None) -> Outcome:
        outcome = super()._see_unit(unit)
        if unit is None or not unit.is_up:
            return outcome
        measured: list[tuple[str, dict[str, str], float]] = [("unit_active", {}, 1.0), ("unit_memory_bytes", {}, self.grows(self.now))]
        return conclude("model", "unit", outcome.started, outcome.at, measured)


def test_a_rule_that_restarts_confirms_itself_anew_after_the_restart() -> None:
    world = Growing(service=make_service(rules=(memory_rule(for_=600.0),)))
    world.run(3_000)
    assert len(world.restarts) <= 4 and all(
        later - earlier >= 600 for earlier, later in zip(world.restarts, world.restarts[1:], strict=False)
    )


def test_a_rule_that_fires_on_a_healthy_service_makes_no_storm() -> None:
    world = Growing(service=make_service(rules=(memory_rule(times=3),)))
    world.run(86_400)
    assert len(world.told) < 100 and len(world.restarts) < 60


def test_an_attempt_ends_although_systemd_restarts_it_again_and_again() -> None:
    world = World()
    world.run(60)
    world.die()

    def keep_dying(seconds: float) -> None:
        end = world.now + seconds
        while world.now < end:
            world.run(3)
            world.active, world.sub, world.result, world.exit_code, world.exit_status = "activating", "auto-restart", "exit-code", 1, 1
            world.run(5)
            world.systemd_restarts += 1
            world.start()

    world.run(10, until=lambda world: bool(world.restarts))
    keep_dying(600)
    assert world.concluded[:1] == ["failed"]


def test_a_restart_that_was_not_proved_in_time_is_told_when_all_is_well() -> None:
    world = World(load_seconds=0)
    world.run(60)
    world.health = lambda now: Failure.STATUS if not world.restarts or now < world.restarts[0] + 130 else None
    world.run(900)
    assert len(world.restarts) == 1 and [what for _, what, _ in world.told] == ["recovered"]


def test_down_for_long_in_systemds_hands_is_told_once() -> None:
    world = World()
    world.run(60)
    world.active, world.sub, world.result, world.exit_code, world.exit_status = "activating", "auto-restart", "exit-code", 1, 1
    world.run(6 * 3600)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["alert_fired"]
    world.start()
    world.run(300)
    assert [what for _, what, _ in world.told] == ["alert_fired", "alert_resolved"]


def test_a_slow_loop_under_systemd_does_not_flap_itself() -> None:
    world = World()
    world.run(60)
    for _ in range(120):
        world.systemd_restarts += 1
        world.start()
        world.run(130)
    assert world.restarts == [] and len(world.told) <= 2


def test_what_was_measured_of_a_process_that_ended_fires_no_longer() -> None:
    world = Growing(service=make_service(rules=(memory_rule(Then.ALERT, times=1), DOWN)))
    world.run(60)
    assert world.told_about("alert_fired") == 1
    world.end(Ending.OPERATOR_STOP)
    world.run(60)
    assert world.told_about("alert_resolved") == 1 and world.state.incident is None


def test_inhibited_while_dead_is_told() -> None:
    world = World(inhibited="gpu-lost")
    world.run(60)
    world.die()
    world.run(3600)
    assert world.restarts == [] and [what for _, what, _ in world.told] == ["alert_fired"]


def test_busy_that_turns_into_a_hang_is_not_told_to_be_over() -> None:
    world = World(health=lambda now: Failure.TIMEOUT, cores=1.0)
    world.run(300)
    world.cores = 0.0
    world.run(60)
    assert [what for _, what, _ in world.told] == ["alert_fired"]
    world.health = lambda now: None
    world.run(300)
    assert sorted(what for _, what, _ in world.told) == ["alert_fired", "alert_resolved", "recovered"]


def test_an_alert_on_health_does_not_fire_while_it_is_stopped_on_purpose() -> None:
    telling = Rule("health-bad", Selector("probe_success"), Threshold(below=Number(1)), Severity.CRITICAL, Then.ALERT, times=3)
    world = World(service=make_service(rules=(telling, DOWN)))
    world.run(60)
    world.end(Ending.OPERATOR_STOP)
    world.run(3600)
    assert [what for _, what, _ in world.told] == ["operator_stop"] and not any(alert.is_firing for alert in world.state.alerts.values())


def test_a_rule_that_was_taken_out_while_it_fired_is_over() -> None:
    world = World(health=lambda now: Failure.TLS)
    world.run(100)
    assert world.told_about("alert_fired") == 1
    kept = remember(world.state)
    world.service = make_service(rules=(DOWN,))
    world.state = recall(world.service, kept, 0.0, world.now)
    world.run(30)
    assert world.told_about("alert_resolved") == 1


def test_a_process_that_cannot_be_killed_is_remembered_over_a_crash_of_the_daemon() -> None:
    world = World()
    world.run(60)
    world.die()
    world.run(20, until=lambda world: world.phase == "verifying")
    assert world.state.attempt is not None
    world.state.attempt.old_processes = ((4711, 99),)
    world.restart_daemon()
    assert world.state.attempt is not None and world.state.attempt.old_processes == ((4711, 99),)
    world.left_over = (4711,)
    world.run(600)
    assert world.state.breaker.state is BreakerState.OPEN and Cause.OLD_PROCESS_LEFT in world.state.problems
    world.left_over = ()
    world.run(100)
    assert world.state.breaker.state is BreakerState.CLOSED and world.state.problems == {}


def after_a_lost_record() -> World:
    """What an earlier run of the daemon knew could not be read."""
    world = World()
    world.state.breaker.distrust()
    return world


def test_after_a_lost_record_a_service_that_is_well_is_trusted_again_and_nobody_is_told() -> None:
    world = after_a_lost_record()
    world.run(30)
    assert world.state.breaker.state is BreakerState.HALF_OPEN
    world.run(60)
    assert world.state.breaker.state is BreakerState.CLOSED
    assert world.told == [] and world.restarts == []


def test_after_a_lost_record_one_restart_is_allowed_and_no_more() -> None:
    world = after_a_lost_record()
    world.on_restart = lambda world: False
    world.die()
    world.run(1500)
    assert len(world.restarts) == 1, "the restarts before may have been many"
    assert (world.told_about("gave_up"), world.state.breaker.state) == (1, BreakerState.OPEN)
    world.run(1800)
    assert len(world.restarts) == 2, "then trials, as ever"
    assert world.told_about("gave_up") == 1


def test_after_a_lost_record_a_restart_that_helps_is_told_as_any_other() -> None:
    world = after_a_lost_record()
    world.die()
    world.run(600)
    assert len(world.restarts) == 1 and world.concluded == ["recovered"]
    assert [what for _, what, _ in world.told] == ["recovered"]
    assert world.state.breaker.state is BreakerState.CLOSED
