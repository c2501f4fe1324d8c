"""What is usual: kept over a restart of the daemon, frozen while the service is not well, opened anew with each invocation."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from model_watchdog.clock import Clock
from model_watchdog.config.model import ServiceConfig
from model_watchdog.core.alert import Alert, Change
from model_watchdog.core.decision import State
from model_watchdog.core.incident import alert_reason
from model_watchdog.core.learning import recall_learnt, remember_learnt
from model_watchdog.core.memory import recall, remember
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Failure, Outcome, Selector, SeriesId, conclude
from model_watchdog.core.units import Number, Seconds
from model_watchdog.learnt import Learnt
from model_watchdog.recalling import Past, recall_service
from model_watchdog.recoveries.command import Command
from model_watchdog.rules.sigma import AdaptiveSigma, AdaptiveWatch, Sigma, SigmaWatch
from model_watchdog.rules.threshold import Threshold
from model_watchdog.store import Store
from model_watchdog.wording import say
from model_watchdog.writes import service_state, setting
from tests.scenarios.simulation import DOWN, UNHEALTHY, World, make_service

SERIES = SeriesId("value")
EVERY = 30.0


def make_rule(condition: Any, **options: Any) -> Rule:
    return Rule("rule", Selector("value"), condition, **options)


def through_json(alerts: list[Alert]) -> list[Any]:
    found: list[Any] = json.loads(json.dumps(remember_learnt(alerts)))
    return found


# ---------------------------------------------------------------- kept
@settings(max_examples=60, deadline=None)
@given(
    some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=250),
    some.sampled_from(
        [
            AdaptiveSigma(2.0, warmup=5, smooth=3, cooldown=4, levels=3, forget=30),
            AdaptiveSigma(3.5, newness="off", warmup=10),
            AdaptiveSigma(3.5, warmup=5, max_gap=Seconds(45.0)),
        ]
    ),
    some.integers(0, 250),
)
def test_a_baseline_that_is_kept_goes_on_as_if_nothing_had_been(values: list[float], condition: AdaptiveSigma, cut: int) -> None:
    rule = make_rule(condition)
    one, shift = Alert.on(rule, SERIES), 5_000.0
    for row, value in enumerate(values[:cut]):
        one.judge(value, row * EVERY)
    kept: dict[str, Alert] = {}
    recall_learnt(kept, [rule], through_json([one]), shift)
    other = kept[one.key]
    other.phase, other.since, other.muted, other.count = one.phase, one.since, one.muted, one.count  # those are kept elsewhere
    for row, value in enumerate(values[cut:], cut):
        assert one.judge(value, row * EVERY) == other.judge(value, row * EVERY + shift)
        assert isinstance(one.watch, AdaptiveWatch) and isinstance(other.watch, AdaptiveWatch)
        assert one.watch.score == other.watch.score


def test_a_plain_window_is_kept_up_to_a_size() -> None:
    small, large = (Alert.on(make_rule(Sigma(3.0, window)), SERIES) for window in (10, 5000))
    for alert in (small, large):
        for row in range(5001):
            alert.judge(float(row % 7), row * EVERY)
    assert len(through_json([small, large])) == 1
    kept: dict[str, Alert] = {}
    recall_learnt(kept, [small.rule], through_json([small]), 0.0)
    watch, other = small.watch, kept[small.key].watch
    assert isinstance(watch, SigmaWatch) and isinstance(other, SigmaWatch)
    watch.judge(8.5, 0.0, False), other.judge(8.5, 0.0, False)
    assert watch.score == pytest.approx(other.score) and watch.score > 0


def test_a_rule_that_judges_otherwise_now_learns_anew() -> None:
    alert = Alert.on(make_rule(AdaptiveSigma(3.5)), SERIES)
    alert.judge(1.0, 0.0)
    for rule in (make_rule(AdaptiveSigma(4.0)), make_rule(Threshold(above=Number(1.0))), replace(alert.rule, name="another")):
        kept: dict[str, Alert] = {}
        recall_learnt(kept, [rule], through_json([alert]), 0.0)
        assert kept == {}
    recall_learnt(kept, [replace(alert.rule, times=3)], through_json([alert]), 0.0)
    assert list(kept) == [alert.key]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = Store.open(tmp_path / "watchdog.db")
    yield made
    made.close()


def recall_from(store: Store, world: World, *, invocation: str = "1", text: str | None = None) -> Any:
    """As the daemon does at its start, with what an earlier run wrote."""
    clock = Clock()
    anchor = [clock.boot, world.now, clock.wall()]
    learnt = remember_learnt(world.state.alerts.values())
    store.put(service_state("model", json.dumps([anchor, remember(world.state)])))
    store.put(setting("learnt model", json.dumps([anchor, invocation, learnt]) if text is None else text))
    assert store.close()
    again = Store.open(store.path)
    config = ServiceConfig(world.service, (), "command", Command(("/bin/true",)))
    try:
        return recall_service(config, Past.read(again), clock, again, 0.0)
    finally:
        again.close()


SLOW = Rule("slow", Selector.parse('probe_duration_seconds{probe="health"}'), AdaptiveSigma(4.5, "above", Number(0.02)))


@dataclass
class SlowWorld(World):
    """Its health answers after `latency` seconds."""

    latency: float = 0.05

    def _see_health(self, name: str) -> Outcome:
        outcome = super()._see_health(name)
        return conclude("model", name, outcome.started, outcome.started + self.latency, (), outcome.failure, outcome.detail)


def make_world(**changes: Any) -> SlowWorld:
    return SlowWorld(make_service(rules=(UNHEALTHY, DOWN, SLOW)), **changes)


def find_watch(state: Any) -> AdaptiveWatch:
    (alert,) = (alert for alert in state.alerts.values() if alert.rule.name == "slow")
    assert isinstance(alert.watch, AdaptiveWatch)
    return alert.watch


def test_a_daemon_that_comes_back_knows_what_is_usual(store: Store) -> None:
    world = make_world()
    world.run(1500.0)
    state = recall_from(store, world)
    assert find_watch(state).remember() == find_watch(world.state).remember()


def test_what_was_learnt_of_another_invocation_is_not_taken_up(store: Store) -> None:
    world = make_world()
    world.run(1500.0)
    assert recall_from(store, world, invocation="0").alerts == {}


@pytest.mark.parametrize("text", ["", "[]", '[["", 0, 0], "1", [{"rule": "slow"}]]', '[["", 0, 0], "1", 7]'])
def test_what_cannot_be_read_is_learnt_anew(store: Store, text: str) -> None:
    world = make_world()
    world.run(1500.0)
    state = recall_from(store, world, text=text)
    assert state.state is State.HEALTHY and state.alerts == {}


# ---------------------------------------------------------------- frozen
def test_nothing_is_learnt_while_the_service_is_not_well() -> None:
    world = make_world()
    world.run(3000.0)
    before = find_watch(world.state).remember()
    world.health = lambda now: Failure.TLS  # nothing restarts it
    world.latency = 3.0
    world.run(6000.0)
    assert world.state.state is State.UNHEALTHY
    assert find_watch(world.state).remember()[:4] == before[:4]
    assert any(alert.rule.name == "slow" and alert.is_firing for alert in world.state.alerts.values())  # it is judged all the same
    world.health, world.latency = lambda now: None, 0.05
    world.run(60.0)
    assert world.state.state is State.HEALTHY and not any(alert.is_firing for alert in world.state.alerts.values())
    world.run(3000.0)
    assert find_watch(world.state).remember()[1] == pytest.approx(0.05, abs=0.001)
    assert sum(about == "alert_fired" and "slow" in str(at) for at, about, _ in world.told) <= 1


@pytest.mark.parametrize("means", ["degraded", "sleeping"])
def test_a_state_that_a_rule_declares_ends_when_the_new_level_is_usual(means: str) -> None:
    """Else it would keep itself from ever learning that."""
    world = SlowWorld(make_service(rules=(UNHEALTHY, DOWN, replace(SLOW, means=means))))
    world.run(3000.0)
    world.latency = 0.4
    world.run(100.0)
    assert world.state.state.value == means
    world.run(7200.0)
    assert world.state.state is State.HEALTHY


def test_a_rule_that_declares_a_state_learns_nothing_of_a_service_that_is_ill() -> None:
    world = SlowWorld(make_service(rules=(UNHEALTHY, DOWN, replace(SLOW, means="degraded"))))
    world.run(3000.0)
    before = find_watch(world.state).remember()
    world.health, world.latency = lambda now: Failure.TLS, 3.0
    world.run(3000.0)
    assert world.state.state is State.UNHEALTHY and find_watch(world.state).remember()[:4] == before[:4]


def test_a_new_invocation_opens_it_anew() -> None:
    world = make_world()
    world.run(3000.0)
    assert find_watch(world.state).remember()[0] > 100
    world.start()
    world.run(30.0)
    assert find_watch(world.state).remember()[0] < 10


@settings(max_examples=80, deadline=None)
@given(
    some.lists(some.tuples(some.floats(-1e3, 1e3), some.booleans()), min_size=1, max_size=200),
    some.sampled_from(
        [AdaptiveSigma(2.0, warmup=3, smooth=2, levels=3, forget=9), AdaptiveSigma(2.0, warmup=3, newness="off"), Sigma(2.0, 5)]
    ),
)
def test_what_is_only_looked_at_leaves_no_trace(samples: list[tuple[float, bool]], condition: AdaptiveSigma | Sigma) -> None:
    """Those that are learnt from are judged, and learnt, as if the others had not been."""
    with_looks, without = condition.watch(), condition.watch()
    for value, learns in samples:
        if learns:
            one, other = with_looks.judge(value, 0.0, False), without.judge(value, 0.0, False)
            assert one == other and with_looks.score == without.score
        else:
            with_looks.look(value, 0.0, False)
    assert json.dumps(with_looks.remember()) == json.dumps(without.remember())


def test_a_look_is_averaged_and_held_against_known_levels_as_any_sample() -> None:
    chance = random.Random(1)
    values = [chance.gauss(100.0, 1.0) for _ in range(500)] + [109.0] * 3
    judged, looked = AdaptiveSigma(3.5).watch(), AdaptiveSigma(3.5).watch()
    for value in values[:500]:
        judged.judge(value, 0.0, False), looked.judge(value, 0.0, False)
    judged.judge(109.0, 0.0, False), looked.look(109.0, 0.0, False)
    assert looked.score == judged.score > 0
    scores = []
    for _ in range(20):
        looked.look(109.0, 0.0, False)
        scores.append(looked.score)
    assert scores[0] > judged.score and scores[-1] == scores[6] > 1  # nothing becomes usual, and nothing known


# ---------------------------------------------------------------- averaged
def find_told(values: list[float], every: float, **options: Any) -> list[float]:
    alert, told = Alert.on(make_rule(AdaptiveSigma(3.5, min_relative=0.0, **options)), SERIES), []
    for row, value in enumerate(values):
        change = alert.judge(value, row * every)
        if change is Change.DUE or (change is Change.FIRED and not alert.muted):
            told.append(row * every)
    return told


def test_samples_of_seconds_are_averaged_to_minutes() -> None:
    chance = random.Random(5)
    noise = [chance.gauss(100.0, 1.0) for _ in range(200_000)]  # 11 days at one in 5 s
    plain, averaged = find_told(noise, 5.0, newness="off"), find_told(noise, 5.0, newness="off", step=Seconds(60.0))
    assert len(plain) > 40 and len(averaged) <= 12
    shifted = [value + (2.0 if row >= 100_000 else 0.0) for row, value in enumerate(noise)]
    assert [at for at in find_told(shifted, 5.0, step=Seconds(60.0)) if 500_000 <= at < 500_600]  # 2 of its deviations, 7 of a minute's


@pytest.mark.parametrize("every", [55.0, 60.0, 300.0])
def test_samples_that_come_slower_are_taken_as_they_come(every: float) -> None:
    chance = random.Random(6)
    values = [chance.gauss(100.0, 1.0) + (9.0 if 1000 <= row < 1010 else 0.0) for row in range(2000)]
    assert find_told(values, every, step=Seconds(60.0)) == find_told(values, every) != []


def test_a_mean_over_a_pause_is_of_what_came_after_it() -> None:
    watch = AdaptiveSigma(3.5, warmup=1, smooth=1, step=Seconds(60.0), newness="off").watch()
    for row in range(100):
        watch.judge(100.0, row * 60.0, False)
    watch.judge(1e6, 5950.0, False)
    watch.judge(100.0, 9000.0, False)
    assert watch.score == 0.0


def test_a_mean_with_one_sample_of_a_service_that_is_not_well_is_not_learnt() -> None:
    watch = AdaptiveSigma(3.5, warmup=1, step=Seconds(60.0)).watch()
    for row in range(12):
        watch.judge(100.0, row * 10.0, False)
    before = watch.remember()
    watch.look(900.0, 120.0, False)
    assert watch.remember() == before and watch.score > 1
    for row in range(13, 19):
        watch.judge(100.0, row * 10.0, False)
    assert watch.remember()[0] == before[0] + 1


# ---------------------------------------------------------------- told
def test_the_reason_says_how_many_usual_deviations() -> None:
    alert = Alert.on(make_rule(Sigma(3.0, 10)), SERIES)
    for row in range(10):
        alert.judge(100.0 + row % 2, row * EVERY)
    alert.judge(110.5, 400.0)
    assert say(alert_reason(alert)) == "value is 110.5; normal is 100.5 with a usual deviation of 0.5; it lies 20 times that away"
    flat = Alert.on(make_rule(Sigma(3.0, 2)), SERIES)
    for row in range(3):
        flat.judge(float(row // 2), row * EVERY)
    assert "normal is 0 without any deviation" in say(alert_reason(flat)) and not math.isnan(flat.value)


def test_the_reason_of_an_adaptive_rule_counts_from_the_average_of_late(chinese: None) -> None:
    alert = Alert.on(make_rule(AdaptiveSigma(3.5, warmup=10, smooth=2)), SERIES)
    for row in range(20):
        alert.judge(100.0, row * EVERY)
    alert.judge(120.0, 700.0)
    assert say(alert_reason(alert)) == "value 为 120（近期平均 110）；正常值为 100，通常偏差 1，相差其 10 倍"


def test_alerts_are_kept_without_what_they_learnt_in_the_state_that_is_written_with_each_step() -> None:
    world = make_world()
    world.run(3000.0)
    assert "slow" not in json.dumps(remember(world.state))
    assert recall(world.service, remember(world.state), 0.0, world.now).alerts == {}


# ---------------------------------------------------------------- written down
class Steady(Clock):
    """A clock whose steady time a test sets."""

    now = 1000.0

    def steady(self) -> float:
        return self.now


def make_keeper(store: Store, series: int, *, dry_run: bool = False) -> tuple[Learnt, Steady, Callable[..., None]]:
    """What writes it down, its clock, and a look at whether it is time for a service with so many series."""
    clock = Steady()
    means: Any = SimpleNamespace(store=store, clock=clock, dry_run=dry_run)
    alerts = {f"{number}": Alert.on(make_rule(AdaptiveSigma(3.5)), SeriesId.of("value", {"n": f"{number}"})) for number in range(series)}
    for alert in alerts.values():
        for row in range(50):
            alert.judge(float(row), row * EVERY)
    watch: Any = SimpleNamespace(service=SimpleNamespace(name="model"), state=SimpleNamespace(invocation="1", alerts=alerts))
    host: Any = SimpleNamespace(state=SimpleNamespace(alerts={}))
    learnt = Learnt(means)
    return learnt, clock, lambda **options: learnt.write([watch], host, **options)


def count_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []
    put = store.put

    def see(*writes: Any) -> None:
        written.extend(str(write.params[0]) for write in writes)
        put(*writes)

    monkeypatch.setattr(store, "put", see)
    return written


@pytest.mark.parametrize(("series", "pause"), [(1, 300.0), (100, 600.0)])
def test_it_is_written_rarely_and_what_has_learnt_much_more_rarely(
    store: Store, monkeypatch: pytest.MonkeyPatch, series: int, pause: float
) -> None:
    monkeypatch.setattr("model_watchdog.learnt.BYTES_A_SECOND", 20.0)
    _, clock, write = make_keeper(store, series)
    written = count_written(store, monkeypatch)
    write()
    clock.now += pause - 10.0
    write()
    assert written == ["learnt model"]
    clock.now += 5000.0
    write()
    assert written == ["learnt model"] * 2
    write(at_once=True)
    assert written == ["learnt model"] * 3


def test_a_dry_run_and_a_service_that_learns_nothing_write_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written = count_written(store, monkeypatch)
    for series, dry_run in ((1, True), (0, False)):
        make_keeper(store, series, dry_run=dry_run)[2](at_once=True)
    assert written == []
