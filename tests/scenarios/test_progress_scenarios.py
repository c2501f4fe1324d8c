"""A model server with a heartbeat, and a canary: what is decided while its engine works, stands still, sleeps, or talks nonsense."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from model_watchdog.core.canary import find_objection
from model_watchdog.core.decision import Cause, State
from model_watchdog.core.progress import STALLED_SECONDS, ProgressPlan
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import UNSEEN, Failure, Outcome, Selector, conclude
from model_watchdog.core.state import ProbePlan, Service
from model_watchdog.core.units import Number, Seconds
from model_watchdog.core.vitals import Vitals
from model_watchdog.rules.threshold import Threshold
from model_watchdog.wording import say
from tests.scenarios.simulation import DOWN, UNHEALTHY, World, make_service

STALL = Rule("stalled", Selector(STALLED_SECONDS), Threshold(above=Number(120.0)), Severity.CRITICAL, Then.RESTART, times=1)
BELOW = Threshold(below=Number(1.0))
CANARY = Rule("canary-failed", Selector.parse('probe_success{probe="canary"}'), BELOW, Severity.CRITICAL, Then.RESTART, times=2)
WRONG = Rule("wrong-answers", Selector.parse("canary_answer_correct"), BELOW, Severity.CRITICAL, Then.RESTART, times=3)
ASLEEP = Rule("asleep", Selector.parse("sleeping"), Threshold(equals=Number(1.0)), Severity.INFO, means="sleeping")


def engine_service(*, heartbeat: bool = True, attempts: bool = False, rules: tuple[Rule, ...] = ()) -> Service:
    scrape = ProbePlan("metrics", "scrape", every=Seconds(10.0), timeout=Seconds(5.0))
    plan = ProgressPlan(("steps_total",), ("running", "waiting"), ("failures_total",) if attempts else ())
    return make_service(
        probes=(
            ProbePlan("health", "http", every=Seconds(10.0), timeout=Seconds(3.0)),
            *((scrape,) if heartbeat else ()),
            ProbePlan("canary", "canary", every=Seconds(60.0), timeout=Seconds(30.0)),
            ProbePlan("unit", "unit", every=Seconds(10.0)),
        ),
        rules=(UNHEALTHY, DOWN, STALL, CANARY, WRONG, *rules),
        progress=plan if heartbeat else None,
    )


@dataclass
class Engine(World):
    """A service that counts its steps: `speed` a second and engine, `work` of requests, `canary` what becomes of a real request."""

    speed: dict[str, float] = field(default_factory=lambda: {"": 10.0})
    work: float = 3.0
    tries: float = 0.0
    page: Failure | None = None
    page_late: float = 0.0
    sleeping: float | None = None
    canary: Callable[[float], tuple[Failure | None, float]] = lambda now: (None, 1.0)
    asked: list[float] = field(default_factory=list)
    steps: dict[str, float] = field(default_factory=dict)
    failures: float = 0.0
    advanced_at: float = 100_000.0

    def _see_health(self, name: str) -> Outcome:
        if name == "metrics":
            return self._scrape()
        return self._ask() if name == "canary" else super()._see_health(name)

    def start(self) -> None:
        super().start()
        self.steps.clear()
        self.speed = dict.fromkeys(self.speed, 10.0)
        self.failures = self.tries = 0.0

    def _scrape(self) -> Outcome:
        passed, self.advanced_at = self.now - self.advanced_at, self.now
        self.failures += self.tries * passed
        measured: list[tuple[str, dict[str, str], float]] = []
        for name, speed in self.speed.items():
            labels = {"engine": name} if name else {}
            self.steps[name] = self.steps.get(name, 0.0) + speed * passed
            measured += [("steps_total", labels, self.steps[name]), ("running", labels, self.work), ("waiting", labels, 0.0)]
        measured.append(("failures_total", {}, self.failures))
        if self.sleeping is not None:
            measured.append(("sleeping", {}, self.sleeping))
        answers = self.active == "active" and self.now - self.started_at >= self.load_seconds + self.page_late
        failure = self.page or (None if answers else Failure.REFUSED)
        took = 5.0 if failure is Failure.TIMEOUT else 0.01
        vitals = Vitals(self.cores, self.gpus) if failure is Failure.TIMEOUT else UNSEEN
        measured = measured if failure is None else []
        return conclude("model", "metrics", self.now, self.now + took, measured, failure, str(failure or ""), vitals)

    def _ask(self) -> Outcome:
        against = find_objection(self.service, self.state)
        if against is not None:
            return Outcome("canary", self.now, self.now, None, detail=say(against))
        self.asked.append(self.now)
        failure, correct = self.canary(self.now)
        measured: list[tuple[str, dict[str, str], float]] = [("canary_answer_correct", {}, correct)] if failure is None else []
        return conclude("model", "canary", self.now, self.now + 0.5, measured, failure, str(failure or ""))


def told(world: World) -> list[str]:
    return [what for _, what, _ in world.told]


def test_a_frozen_engine_behind_a_green_health_is_restarted_within_two_and_a_half_minutes() -> None:
    world = Engine(service=engine_service())
    world.run(600)
    assert world.state.state is State.HEALTHY and world.restarts == []
    frozen_at, world.speed = world.now, {"": 0.0}
    world.run(600, until=lambda world: bool(world.restarts))
    assert world.state.cause is Cause.STALLED and world.restarts[0] - frozen_at <= 150
    world.run(300)
    assert world.state.state is State.HEALTHY and len(world.restarts) == 1 and told(world) == ["recovered"]


@pytest.mark.parametrize("phase", [0.1, 3.0, 6.0, 9.9])
def test_with_less_patience_a_stall_is_found_within_45_seconds(phase: float) -> None:
    """Whenever between two scrapes, ten seconds apart, it begins."""
    stalled = Rule("stalled", Selector(STALLED_SECONDS), Threshold(above=Number(20.0)), Severity.CRITICAL, Then.RESTART, times=1)
    usual = engine_service()
    rules = tuple(stalled if rule.name == "stalled" else rule for rule in usual.rules)
    assert usual.progress is not None
    world = Engine(service=replace(usual, rules=rules, progress=replace(usual.progress, stall_after=Seconds(20.0))))
    world.run(300 + phase)
    world.speed = {"": 0.0}
    frozen_at = world.now
    world.run(100, until=lambda world: bool(world.restarts))
    assert 20 <= world.restarts[0] - frozen_at <= 45


def test_one_frozen_engine_of_two_is_seen() -> None:
    world = Engine(service=engine_service(), speed={"0": 10.0, "1": 10.0})
    world.run(300)
    world.speed = {"0": 10.0, "1": 0.0}
    world.run(150, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1
    assert any("engine 1" in say(one.reason) for one in world.decisions if hasattr(one, "reason"))


def test_idle_is_no_stall_and_an_end_of_the_work_forgets_it() -> None:
    world = Engine(service=engine_service(), work=0.0, speed={"": 0.0})
    world.run(3600)
    assert world.restarts == [] and world.state.state is State.HEALTHY
    for _ in range(20):
        world.work = 1.0
        world.run(100)
        world.work = 0.0
        world.run(20)
    assert world.restarts == [] and told(world) == []


@pytest.mark.parametrize("failure", [Failure.TIMEOUT, Failure.STATUS])
def test_bad_health_beside_a_moving_heartbeat_is_busy_and_never_restarted(failure: Failure) -> None:
    world = Engine(service=engine_service())
    world.run(60)
    world.health = lambda now: failure
    world.run(7200)
    assert world.restarts == [] and world.state.state is State.BUSY
    assert told(world) == ["alert_fired"], "after two minutes, once"
    world.health = lambda now: None
    world.run(120)
    assert world.state.state is State.HEALTHY and told(world) == ["alert_fired", "alert_resolved"]


def test_refused_is_dead_whatever_was_counted() -> None:
    world = Engine(service=engine_service())
    world.run(60)
    world.health = lambda now: Failure.REFUSED
    world.page = Failure.REFUSED
    world.run(60, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1


def test_health_and_metrics_that_time_out_together_leave_it_to_the_vital_signs() -> None:
    world = Engine(service=engine_service(), cores=1.0)
    world.run(60)
    world.health, world.page = lambda now: Failure.TIMEOUT, Failure.TIMEOUT
    world.run(600)
    assert world.restarts == [] and world.state.state is State.BUSY
    world.cores = 0.0
    world.run(120, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1, "nothing moves any more"


def test_an_idle_engine_that_answers_no_real_request_is_restarted() -> None:
    world = Engine(service=engine_service(), work=0.0, speed={"": 0.0})
    world.run(300)
    world.canary = lambda now: (Failure.TIMEOUT, 0.0)
    world.run(300, until=lambda world: bool(world.restarts))
    assert world.state.cause is Cause.CANARY_FAILED
    world.canary = lambda now: (None, 1.0)
    world.run(300)
    assert len(world.restarts) == 1 and world.state.state is State.HEALTHY


def test_a_real_request_that_waits_behind_others_restarts_nothing() -> None:
    world = Engine(service=engine_service(), work=0.0, speed={"": 10.0})
    world.canary = lambda now: (Failure.TIMEOUT, 0.0)
    ask = world._ask

    def ask_beside_others() -> Outcome:
        outcome = ask()
        for engine in world.state.progress.engines.values():
            engine.moved_at = outcome.at  # as the look after the request sees it
        return outcome

    world._ask = ask_beside_others  # type: ignore[method-assign]
    world.run(1800)
    assert len(world.asked) > 20 and world.restarts == []


def test_no_real_request_is_sent_while_there_is_work_and_at_most_one_a_minute() -> None:
    world = Engine(service=engine_service())
    world.run(1800)
    assert world.asked == []
    world.work = 0.0
    world.run(1800)
    assert 28 <= len(world.asked) <= 31
    assert all(later - before >= 54 for before, later in zip(world.asked, world.asked[1:], strict=False))


def test_wrong_answers_restart_after_three_of_them() -> None:
    world = Engine(service=engine_service(heartbeat=False))
    world.run(300)
    world.canary = lambda now: (None, 0.0)
    wrong_at = world.now
    world.run(600, until=lambda world: bool(world.restarts))
    assert world.state.cause is Cause.CANARY_WRONG and 110 <= world.restarts[0] - wrong_at <= 190


def test_asleep_it_is_not_asked_not_restarted_and_nobody_is_told() -> None:
    world = Engine(service=engine_service(rules=(ASLEEP,)), sleeping=0.0, work=0.0, speed={"": 0.0})
    world.run(120)
    world.sleeping = 1.0
    world.run(20)
    asked = len(world.asked)
    world.run(3600)
    assert world.state.state is State.SLEEPING and world.restarts == [] and told(world) == [] and len(world.asked) == asked
    assert world.state.incident is None
    world.sleeping = 0.0
    world.run(120)
    assert world.state.state is State.HEALTHY and len(world.asked) > asked


def test_requests_that_only_fail_are_work_that_is_not_done() -> None:
    world = Engine(service=engine_service(attempts=True), work=0.0)
    world.run(300)
    world.speed, world.tries = {"": 0.0}, 1.0
    world.run(300, until=lambda world: bool(world.restarts))
    assert world.state.cause is Cause.STALLED
    lonely = Engine(service=engine_service(attempts=True), work=0.0, speed={"": 0.0})
    lonely.run(300)
    lonely.failures += 1
    lonely.run(3600)
    assert lonely.restarts == [], "one request that failed, and silence: nobody waits"


def test_a_page_that_shows_nothing_is_told_once_and_restarts_nothing() -> None:
    world = Engine(service=engine_service(), page=Failure.BODY)
    world.run(3600)
    assert world.restarts == [] and world.state.state is State.HEALTHY
    assert told(world) == ["alert_fired"] and [cause for _, what, cause in world.events if what == "alert_fired"] == ["evidence_missing"]
    world.page = None
    world.run(60)
    assert told(world) == ["alert_fired", "alert_resolved"]


@pytest.mark.parametrize("seconds", [12.0, 45.0, 99.0])
def test_a_page_that_is_not_there_while_the_service_loads_is_no_news(seconds: float) -> None:
    """Its health may answer a moment before its page does."""
    world = Engine(service=engine_service(), load_seconds=seconds, page_late=6.0)
    world.run(300)
    world.die()
    world.run(300)
    assert len(world.restarts) == 1 and world.state.state is State.HEALTHY
    assert told(world) == ["recovered"] and "evidence_missing" not in [cause for _, _, cause in world.events]


def test_a_page_without_the_heartbeat_is_told_with_its_names() -> None:
    world = Engine(service=engine_service(), speed={})
    world.run(3600)
    assert told(world) == ["alert_fired"]
    assert any("steps_total" in say(one.reason) for one in world.decisions if hasattr(one, "reason"))


def test_a_smaller_counter_is_a_server_that_began_anew() -> None:
    world = Engine(service=engine_service())
    world.run(110)
    world.steps[""] = 5.0
    world.speed = {"": 0.0}
    stalled_at = world.now
    world.run(300, until=lambda world: bool(world.restarts))
    assert world.restarts[0] - stalled_at > 110, "the time before counts no longer"


def test_a_daemon_that_starts_anew_does_not_count_a_stall_from_before() -> None:
    world = Engine(service=engine_service())
    world.run(300)
    world.speed = {"": 0.0}
    world.run(100)
    world.restart_daemon()
    world.run(100)
    assert world.restarts == []
    world.run(100, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1


def test_failures_with_work_between_them_are_not_in_a_row() -> None:
    """Twice it failed while nobody asked for anything; between them it served others for an hour."""
    world = Engine(service=engine_service(), work=0.0, speed={"": 0.0})
    world.run(300)
    for _ in range(5):
        asked = len(world.asked)
        world.canary = lambda now: (Failure.TIMEOUT, 0.0)
        world.run(120, until=lambda world, asked=asked: len(world.asked) > asked)  # type: ignore[misc]
        world.canary, world.work, world.speed = (lambda now: (None, 1.0)), 3.0, {"": 10.0}
        world.run(3600)
        world.work, world.speed = 0.0, {"": 0.0}
        world.run(20)
    assert world.restarts == [] and world.state.state is State.HEALTHY


def test_wrong_answers_count_although_the_engine_works_between_them() -> None:
    world = Engine(service=engine_service(), work=0.0, speed={"": 0.0})
    world.run(300)
    world.canary = lambda now: (None, 0.0)
    for _ in range(4):
        asked = len(world.asked)
        world.run(120, until=lambda world, asked=asked: len(world.asked) > asked)  # type: ignore[misc]
        world.work, world.speed = 3.0, {"": 10.0}
        world.run(600)
        world.work, world.speed = 0.0, {"": 0.0}
    assert len(world.restarts) == 1


def test_a_service_without_a_unit_that_stalled_is_well_after_its_restart() -> None:
    service = replace(engine_service(), unit=None)
    world = Engine(service=replace(service, probes=tuple(plan for plan in service.probes if plan.kind != "unit"), rules=(UNHEALTHY, STALL)))
    world.run(300)
    world.speed = {"": 0.0}
    world.run(300, until=lambda world: bool(world.restarts))
    assert world.state.cause is Cause.STALLED and world.state.progress.find_stalled(120.0) is None
    world.run(0.1)
    assert world.state.state is not State.STALLED
    world.run(300)
    assert len(world.restarts) == 1 and world.state.state is State.HEALTHY and told(world) == ["recovered"]


class TwoPages(Engine):
    """The server and its exporter, each with a page of its own; only the server's has the heartbeat."""

    def _see_health(self, name: str) -> Outcome:
        if name == "exporter":
            return conclude("model", name, self.now, self.now + 0.01, [("exporter_up", {}, 1.0)])
        return super()._see_health(name)


def test_of_two_pages_one_may_be_without_the_heartbeat() -> None:
    service = engine_service()
    exporter = ProbePlan("exporter", "scrape", every=Seconds(15.0), timeout=Seconds(5.0))
    world = TwoPages(service=replace(service, probes=(*service.probes, exporter)))
    world.run(3600)
    assert told(world) == [] and world.state.state is State.HEALTHY
    world.speed = {}
    world.run(3600)
    assert told(world) == ["alert_fired"]


class Processes(Engine):
    """Two processes behind one port answer by turns, each with counters of its own."""

    def _scrape(self) -> Outcome:
        self.turn = not getattr(self, "turn", False)
        found = super()._scrape()
        if not self.turn:
            return found
        samples = tuple(replace(one, value=one.value + 1e6) if one.series.metric == "steps_total" else one for one in found.samples)
        return replace(found, samples=samples)


def test_processes_behind_one_port_do_not_hide_a_stall_by_answering_in_turn() -> None:
    world = Processes(service=engine_service())
    world.run(600)
    assert world.restarts == [] and world.state.state is State.HEALTHY
    frozen_at, world.speed = world.now, {"": 0.0}
    world.run(600, until=lambda world: bool(world.restarts))
    assert world.state.cause is Cause.STALLED and world.restarts[0] - frozen_at <= 170


class PagesOfTheirOwn(Engine):
    """Each engine has a page."""

    def _see_health(self, name: str) -> Outcome:
        if name not in ("metrics", "second"):
            return super()._see_health(name)
        found = super()._see_health("metrics")
        engine = {"metrics": "0", "second": "1"}[name]
        mine = tuple(one for one in found.samples if dict(one.series.labels).get("engine", engine) == engine)
        return replace(found, probe=name, samples=mine)


def test_engines_with_pages_of_their_own_are_seen_to_stall() -> None:
    service = engine_service()
    second = ProbePlan("second", "scrape", every=Seconds(10.0), timeout=Seconds(5.0))
    world = PagesOfTheirOwn(service=replace(service, probes=(*service.probes, second)), speed={"0": 10.0, "1": 10.0})
    world.run(300)
    assert world.restarts == []
    world.speed = {"0": 10.0, "1": 0.0}
    world.run(200, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1 and world.state.cause is Cause.STALLED


def test_what_has_slept_is_not_stalled_when_it_wakes() -> None:
    world = Engine(service=engine_service(rules=(ASLEEP,)), sleeping=0.0, work=0.0, speed={"": 0.0})
    world.run(120)
    world.sleeping, world.work = 1.0, 1.0
    world.run(3400)
    assert world.state.state is State.SLEEPING and world.restarts == []
    world.sleeping = 0.0
    world.run(25)
    world.speed = {"": 10.0}
    world.run(600)
    assert world.restarts == [] and world.state.state is State.HEALTHY


def test_what_clients_have_cancelled_is_no_work() -> None:
    usual = engine_service(attempts=True)
    assert usual.progress is not None
    plan = replace(usual.progress, attempts=('failures_total{reason="BACKEND"}',))
    world = Engine(service=replace(usual, progress=plan), work=0.0, speed={"": 0.0})
    world.run(300)
    world.tries = 1.0
    world.run(3600)
    assert world.restarts == []


def test_a_page_that_no_longer_tells_of_work_is_told_and_no_request_is_sent() -> None:
    usual = engine_service()
    assert usual.progress is not None
    world = Engine(service=replace(usual, progress=replace(usual.progress, work=("renamed",))))
    world.run(3600)
    assert world.restarts == [] and world.asked == [] and told(world) == ["alert_fired"]
    assert any("renamed" in say(one.reason) for one in world.decisions if hasattr(one, "reason"))


def test_work_without_an_engine_is_everybodys() -> None:
    usual = engine_service()
    world = Engine(service=usual, speed={"0": 10.0, "1": 10.0})
    scrape = world._scrape

    def unlabelled() -> Outcome:
        found = scrape()
        keep = [one for one in found.samples if one.series.metric not in ("running", "waiting")]
        work = conclude("model", "metrics", found.started, found.at, [("running", {}, world.work), ("waiting", {}, 0.0)]).samples[:2]
        return replace(found, samples=(*keep, *work))

    world._scrape = unlabelled  # type: ignore[method-assign]
    world.run(300)
    assert world.asked == [] and told(world) == []
    world.speed = {"0": 10.0, "1": 0.0}
    world.run(200, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1


@pytest.mark.parametrize(("cores", "restarts"), [(0.0, 1), (1.0, 0)])
def test_a_page_that_is_not_answered_any_more_while_there_was_work(cores: float, restarts: int) -> None:
    """Its health is green: the page waits for the engine, and health does not."""
    world = Engine(service=engine_service(), cores=cores)
    world.run(300)
    world.page = Failure.TIMEOUT
    world.run(180)
    assert len(world.restarts) == restarts
    if restarts:
        assert any(cause == "stalled" for _, _, cause in world.events)


@pytest.mark.parametrize("asks", [True, False])
def test_a_page_that_the_engine_itself_makes_is_a_request(asks: bool) -> None:
    usual = engine_service()
    assert usual.progress is not None
    world = Engine(service=replace(usual, progress=replace(usual.progress, page_asks_engine=asks)), work=0.0, speed={"": 0.0})
    world.run(300)
    world.page = Failure.TIMEOUT
    world.run(180)
    assert len(world.restarts) == asks


class Misdirected(World):
    """Answers 404 where it is asked for its health."""

    code = 404

    def _see_health(self, name: str) -> Outcome:
        failure = self.health(self.now)
        measured: list[tuple[str, dict[str, str], float]] = [("probe_http_status_code", {}, float(self.code if failure else 200))]
        return conclude("model", name, self.now, self.now + 0.001, measured, failure, f"status {self.code}" if failure else "")


def test_a_page_that_has_never_been_there_is_told_and_restarts_nothing() -> None:
    world = Misdirected()
    world.health = lambda now: Failure.STATUS
    world.run(7200)
    assert world.restarts == [] and world.state.state is State.UNHEALTHY and told(world) == ["alert_fired"]
    assert any("is it the right url" in say(one.reason) for one in world.decisions if hasattr(one, "reason"))
    world.health = lambda now: None
    world.run(60)
    assert told(world) == ["alert_fired", "alert_resolved"]
    world.restart_daemon()
    world.health = lambda now: Failure.STATUS
    world.run(60, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1, "it was there, and is not any more"


@pytest.mark.parametrize("code", [500, 503])
def test_a_server_that_was_never_good_and_says_so_is_restarted(code: int) -> None:
    world = Misdirected()
    world.code = code
    world.health = lambda now: Failure.STATUS
    world.run(180, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1


@pytest.mark.parametrize("answer", [(Failure.STATUS, 0.0), (None, 0.0)])
def test_a_canary_that_was_never_right_is_told_and_restarts_nothing(answer: tuple[Failure | None, float]) -> None:
    world = Engine(service=engine_service(heartbeat=False))
    world.canary = lambda now: answer
    world.run(7200)
    assert world.restarts == [] and told(world) == ["alert_fired"]
    world.canary = lambda now: (None, 1.0)
    world.run(120)
    assert told(world) == ["alert_fired", "alert_resolved"]
    world.canary = lambda now: answer
    world.run(600, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1


def test_a_real_request_that_times_out_while_the_service_works_never_restarts_it() -> None:
    """Saturated for hours, health green, and no heartbeat that would tell."""
    world = Engine(service=engine_service(heartbeat=False))
    world.run(300)
    ask = world._ask

    def waits() -> Outcome:
        return replace(ask(), vitals=Vitals(1.0, ()))

    world._ask = waits  # type: ignore[method-assign]
    world.canary = lambda now: (Failure.TIMEOUT, 0.0)
    world.run(7200)
    assert world.restarts == [] and world.state.state is State.HEALTHY


def test_a_503_after_a_wait_in_which_the_service_worked_is_busy() -> None:
    """SGLang says 503 after 20 s in which no token came, under a long prefill too."""
    world = World()
    world.run(60)
    see = world._see_health

    def slowly(name: str) -> Outcome:
        return replace(see(name), vitals=Vitals(1.0, ()))

    world._see_health = slowly  # type: ignore[method-assign]
    world.health = lambda now: Failure.STATUS
    world.run(600)
    assert world.restarts == [] and world.state.state is State.BUSY
    world._see_health = see  # type: ignore[method-assign]
    world.run(60, until=lambda world: bool(world.restarts))
    assert len(world.restarts) == 1


@pytest.mark.parametrize("cores", [None, 0.0, 1.0])
def test_a_stall_is_seen_although_half_of_the_scrapes_fail(cores: float | None) -> None:
    """Whatever moves meanwhile: a page that does come says that no step was made."""
    world = Engine(service=engine_service(), cores=cores)
    world.run(300)
    world.speed = {"": 0.0}
    scrape = world._scrape
    frozen_at, turns = world.now, iter(range(10_000))

    def half() -> Outcome:
        world.page = Failure.TIMEOUT if next(turns) % 2 else None
        return scrape()

    world._scrape = half  # type: ignore[method-assign]
    world.run(400, until=lambda world: bool(world.restarts))
    assert world.restarts[0] - frozen_at <= 200


def test_what_stood_still_before_a_long_silence_of_the_page_says_nothing() -> None:
    world = Engine(service=engine_service(), cores=1.0)
    world.run(300)
    world.speed = {"": 0.0}
    world.run(50)
    world.page = Failure.TIMEOUT
    world.run(400)
    world.page = None
    world.run(40)
    assert world.restarts == [], "it worked all the while, and is back"
    world.speed = {"": 10.0}
    world.run(600)
    assert world.restarts == [] and world.state.state is State.HEALTHY
