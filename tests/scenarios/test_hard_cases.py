"""Sequences in which it would be easy to be wrong: several probes, several rules, systemd's own restarts, reboots."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from model_watchdog.core.breaker import BreakerState
from model_watchdog.core.commands import pause
from model_watchdog.core.decision import Cause, Notification, State
from model_watchdog.core.facts import Facts
from model_watchdog.core.gap import begin_after_gap
from model_watchdog.core.gathering import gather
from model_watchdog.core.memory import recall, remember
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Failure, Outcome, Selector, conclude
from model_watchdog.core.state import ProbePlan, Service
from model_watchdog.core.unit import Ending, UnitFacts
from model_watchdog.core.units import Number, Seconds
from model_watchdog.core.vitals import Vitals
from model_watchdog.rules.threshold import Threshold
from model_watchdog.wording import say
from tests.scenarios.simulation import DOWN, UNHEALTHY, World, make_service


class TwoProbes(World):
    """A service with two health probes; `others` gives the failure of the second."""

    others: Callable[[float], Failure | None] = staticmethod(lambda now: None)

    def _see_health(self, name: str) -> Outcome:
        if name != "other":
            return super()._see_health(name)
        failure = self.others(self.now) if self.active == "active" else Failure.REFUSED
        return conclude("model", name, self.now, self.now + 0.001, (), failure, str(failure or ""), Vitals(self.cores))


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


def test_an_operators_restart_seen_between_its_stop_and_its_start_is_left_to_them() -> None:
    world = World()
    world.run(60)
    world.end(Ending.BY_ITSELF)  # what the journal would be taken to say of it
    world.job = 4711
    world.run(100)
    assert world.restarts == [] and world.told == [] and world.state.incident is None
    world.job = 0
    world.start()
    world.run(60)
    assert world.restarts == [] and world.told == [] and world.state.state is State.HEALTHY


def events_since(world: World, began: float) -> list[str]:
    return [event for at, event, _ in world.events if at >= began]


@pytest.mark.parametrize("first", ["unit", "health"])
def test_a_daemon_that_starts_says_nothing_of_a_service_that_goes_on_as_before(first: str) -> None:
    world = World()
    world.run(600)
    since, began = world.state.since, world.now
    world.restart_daemon()
    world.tick([first])
    assert world.state.state is State.HEALTHY
    world.run(60)
    assert events_since(world, began) == [] and world.state.since == since


@pytest.mark.parametrize("age", [5_000.0, 1.0])
def test_what_is_up_and_good_when_the_first_daemon_starts_is_healthy_at_once(age: float) -> None:
    world = World()
    world.started_at = world.now - age
    world.tick(["unit"])
    world.run(60)
    assert events_since(world, 0.0) == ["healthy"]


def test_being_blind_from_the_start_is_told_after_two_minutes_however_long_the_unit_is_up() -> None:
    world = World(health=lambda now: Failure.DNS)
    world.run(119)
    assert world.told == []
    world.run(20)
    assert [what for _, what, _ in world.told] == ["alert_fired"]


def test_what_loads_when_the_daemon_starts_is_shown_as_loading() -> None:
    world = World(load_seconds=100)
    world.started_at = world.now - 30
    world.tick(["unit"])
    world.run(30)
    assert world.state.state is State.LOADING and world.state.since == world.started_at
    world.run(60)
    assert events_since(world, 0.0) == ["loading", "healthy"] and world.restarts == []


def test_what_was_restarted_while_no_daemon_watched_is_healthy_since_then() -> None:
    world = World()
    world.run(600)
    began = world.now
    world.start()
    started_at = world.now
    world.restart_daemon(seconds=50)
    world.tick(["unit"])
    world.run(60)
    assert events_since(world, began) == ["restarted_elsewhere"]
    assert world.state.state is State.HEALTHY and world.state.since == started_at


@pytest.mark.parametrize("first", ["unit", "health"])
def test_what_was_told_before_a_restart_of_the_daemon_and_goes_on_is_not_told_to_be_over(first: str) -> None:
    world = World(health=lambda now: Failure.TIMEOUT, cores=1.0)
    world.run(300)
    since = world.state.since
    world.restart_daemon()
    world.tick([first])
    world.run(120)
    assert [what for _, what, _ in world.told] == ["alert_fired"] and world.state.since == since


def test_why_nothing_is_restarted_is_recorded_once_over_a_restart_of_the_daemon() -> None:
    world = World(on_restart=lambda world: False)
    world.run(60)
    world.die()
    world.run(300)
    began = world.now
    world.restart_daemon()
    world.run(60)
    assert world.state.breaker.state is BreakerState.OPEN and events_since(world, began) == []


def test_a_probe_that_never_speaks_after_the_start_of_the_daemon_is_not_taken_for_a_good_one() -> None:
    world = World()
    world.run(600)
    world.restart_daemon()
    for _ in range(5):
        world.tick(["unit"])
        world.now += 10
    assert world.state.state is State.UNKNOWN and world.state.reason.key == "silent"


def test_a_port_where_nobody_ever_answered_is_asked_about() -> None:
    world = World(health=lambda now: Failure.REFUSED)
    world.run(7)
    asks = "has never answered; is the port in its address right?"
    assert say(world.state.reason) == f"health: refused (2 of 3; {asks})"
    world.restart_daemon()
    world.run(3000)
    assert world.told_about("gave_up") == 1
    gave_up = next(told for told in world.decisions if isinstance(told, Notification) and told.about == "gave_up")
    assert say(gave_up.reason) == f"health was not good within 2 min: refused ({asks})"


@pytest.mark.parametrize("answer", [None, Failure.STATUS, Failure.CONNECTION_LOST])
def test_a_port_that_ever_answered_is_not_asked_about(answer: Failure | None) -> None:
    world = World(health=lambda now: answer)
    world.run(5)
    world.restart_daemon()
    world.health = lambda now: Failure.REFUSED
    world.run(10)
    assert say(world.state.reason).startswith("health: refused (") and "never" not in say(world.state.reason)


def test_what_a_probe_says_before_the_restarted_unit_was_looked_at_is_no_news() -> None:
    def take_a_second(world: World) -> bool:
        world.now += 1
        return True

    world = World(health=lambda now: Failure.STATUS, on_restart=take_a_second)
    world.run(60, until=lambda world: len(world.restarts) == 1)
    seen = world.happened("unhealthy")
    world.health = lambda now: Failure.REFUSED
    world.now += 0.005
    world.tick(["health"])
    assert world.happened("unhealthy") == seen and world.state.cause is Cause.HEALTH_STATUS
    world.tick(["unit"])
    assert world.state.state is State.LOADING


def test_what_was_counted_before_a_gap_says_nothing() -> None:
    """Two bad answers, then the host slept for an hour: the third does not make three, and a restart is confirmed anew."""
    world = World()
    world.run(60)
    bad = iter([Failure.STATUS] * 3)
    world.health = lambda now: next(bad, None)
    world.run(17)
    world.now += 3600
    begin_after_gap(world.service, world.state, world.now)
    world.run(600)
    assert world.restarts == [] and world.state.state is State.HEALTHY


def test_after_a_gap_it_looks_for_an_interval_before_it_acts() -> None:
    world = World()
    world.run(60)
    world.die()
    world.now += 60
    begin_after_gap(world.service, world.state, world.now)
    back = world.now
    world.run(60)
    assert len(world.restarts) == 1 and 10 <= world.restarts[0] - back <= 21
    assert world.happened("not_restarted") == 1


def test_a_restart_that_was_being_proved_has_its_time_anew_after_a_gap() -> None:
    world = World(load_seconds=100)
    world.run(300)
    world.die()
    world.run(60, until=lambda world: bool(world.restarts))
    world.now += 3600
    world.started_at += 3600  # the host slept, and the service with it
    begin_after_gap(world.service, world.state, world.now)
    world.run(400)
    assert world.concluded == ["recovered"]


def test_a_start_that_waits_in_the_queue_is_no_failure_and_is_told_when_it_takes_too_long() -> None:
    world = World()
    world.end(Ending.NEVER_STARTED)
    world.job = 77
    world.run(119)
    assert world.restarts == [] and world.told == [] and world.state.state is State.LOADING
    world.run(60)
    assert world.restarts == [] and world.told_about("alert_fired") == 1
    world.job = 0
    world.run(60)
    assert len(world.restarts) == 1, "the job has gone, and nothing was started"


def test_after_a_restart_that_ran_out_of_memory_the_next_waits_three_times_as_long() -> None:
    waits = []
    for result in ("signal", "oom-kill"):
        world = World(on_restart=lambda world: False)
        world.run(60)
        world.die()
        world.result = result
        world.run(200)
        waits.append(world.restarts[1] - world.restarts[0])
    assert waits[1] > 2 * waits[0]


NOT_NOW = Rule("not-now", Selector("probe_duration_seconds"), Threshold(above=Number(-1)), Severity.WARNING, Then.INHIBIT, times=3)
"""Fires as soon as the third sample is there: in the very moment in which three failures would restart."""


@pytest.mark.parametrize("first", [NOT_NOW, UNHEALTHY], ids=["it stands first", "it stands last"])
def test_a_rule_of_the_service_that_forbids_restarts_holds_from_the_moment_in_which_it_fires(first: Rule) -> None:
    last = UNHEALTHY if first is NOT_NOW else NOT_NOW
    world = World(make_service(rules=(first, last, DOWN)), health=lambda now: Failure.STATUS)
    world.run(600)
    assert world.restarts == [] and world.happened("not_restarted") == 1


def test_what_forbids_restarts_does_so_also_for_the_daemon_that_starts_after_a_crash() -> None:
    world = World(make_service(rules=(UNHEALTHY, DOWN, NOT_NOW)))
    world.run(120)
    world.restart_daemon()
    world.die()
    world.tick(["unit"])
    assert world.restarts == []


class Mute(World):
    """One whose health probe gives nothing at all while the unit is down, instead of the word that it was not asked."""

    def _leave_out(self, name: str) -> None:
        self._left_out.add(name)
        self._newest[name] = replace(self._newest[name], started=self.now)  # judged before


def test_a_probe_that_was_not_asked_says_nothing() -> None:
    """Through a bad night: with that word or without any, the same is decided, told and remembered."""
    worlds = World(), Mute()
    for world in worlds:
        world.run(60)
        world.on_restart = lambda world: len(world.restarts) > 3
        world.die()
        world.run(4000)
        world.end(Ending.OPERATOR_STOP)
        world.run(600)
        assert world.state.state is State.STOPPED
        assert (world.state.outcomes["health"].ok is None) is (type(world) is World)
        world.start()
        world.run(600)
    spoken, mute = worlds
    assert (spoken.events, spoken.told, spoken.restarts, spoken.concluded) == (mute.events, mute.told, mute.restarts, mute.concluded)
    assert (len(spoken.restarts), spoken.told_about("back"), spoken.state.state) == (4, 1, State.HEALTHY)


def test_a_probe_that_was_not_asked_is_not_silent() -> None:
    world = World()
    world.run(60)
    world.end(Ending.OPERATOR_STOP)
    world.run(600)
    assert gather(world.service, world.state, Facts(), world.now).silent == frozenset()


class Forgotten(World):
    """systemd forgets a unit that ended with success: it names no life of it any more."""

    def facts(self) -> UnitFacts:
        facts = super().facts()
        return replace(facts, invocation="") if self.active == "inactive" else facts


def test_the_life_that_systemd_has_forgotten_is_not_taken_for_the_one_that_the_restart_began() -> None:
    def take_a_second(world: World) -> bool:
        world.now += 1
        return True

    world = Forgotten(on_restart=take_a_second)
    world.run(60)
    world.end(Ending.BY_ITSELF)
    world.run(60, until=lambda world: len(world.restarts) == 1)
    world.tick(["health"])  # before the unit is looked at
    world.run(100)
    assert world.concluded == ["recovered"] and world.state.breaker.failures == 0


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


def test_time_in_which_the_watcher_was_blind_is_no_time_in_breach() -> None:
    """One bad answer, a quarter of an hour out of descriptors, and one more: a rule that asks for ten minutes has seen two moments."""
    rule = replace(UNHEALTHY, times=None, for_=Seconds(600.0))
    bad, blind = (100_030.0, 100_935.0), (100_040.0, 100_930.0)

    def health(now: float) -> Failure | None:
        if blind[0] <= now <= blind[1]:
            return Failure.WATCHER
        return Failure.STATUS if any(at <= now < at + 10 for at in bad) else None

    world = World(service=make_service(rules=(rule, DOWN)), health=health)
    world.run(1500)
    assert world.restarts == []
    world.health = lambda now: Failure.STATUS
    world.run(650)
    assert len(world.restarts) == 1


@pytest.mark.parametrize(("away", "restarts"), [(1.0, 1), (3600.0, 0)])
def test_after_the_daemon_was_away_one_bad_answer_is_one_of_three(away: float, restarts: int) -> None:
    """It is paused, and bad; the daemon is stopped, and the service well for an hour; then one bad answer at the start."""
    world = World()
    world.run(60)
    world.take(pause(world.service, world.state, 300.0, "x", 0, world.now))
    world.health = lambda now: Failure.STATUS
    world.run(290)
    back = world.now + away + 20
    world.health = lambda now: Failure.STATUS if now < back else None
    world.restart_daemon(away)
    world.state.paused_until = None
    world.health = lambda now, first=world.now: Failure.STATUS if now <= first + 1 else None  # type: ignore[misc]
    world.run(120)
    assert len(world.restarts) == restarts


def test_an_alert_of_a_probe_that_has_another_name_now_is_over() -> None:
    slow = Rule("slow", Selector("probe_success"), Threshold(below=Number(1.0)), Severity.WARNING, Then.ALERT, times=1)
    world = World(service=make_service(rules=(slow,)), health=lambda now: Failure.STATUS)
    world.run(60)
    assert [about for _, about, _ in world.told] == ["alert_fired"]
    kept = remember(world.state)
    plans = tuple(replace(plan, name="other") if plan.name == "health" else plan for plan in world.service.probes)
    state = recall(replace(world.service, probes=plans), kept, 0.0, world.now)
    assert state.alerts == {} and state.orphans == [("slow", "warning")]
