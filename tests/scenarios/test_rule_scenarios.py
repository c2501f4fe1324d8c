"""Stories of the rules that alert: what people are told of them, and what not."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from model_watchdog.config.rule_section import make_host_rules
from model_watchdog.core.decision import Decision, Event, Notification
from model_watchdog.core.host import HostState, step_host
from model_watchdog.core.memory import recall_host, remember_host
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Outcome, Selector, conclude
from model_watchdog.core.state import ProbePlan
from model_watchdog.core.unit import Ending
from model_watchdog.core.units import Number, Seconds
from model_watchdog.rules.absent import Absent
from model_watchdog.rules.sigma import AdaptiveSigma
from model_watchdog.rules.threshold import Threshold
from model_watchdog.wording import say
from tests.conftest import FaultRow
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


def test_what_fired_too_soon_is_told_after_a_restart_of_the_daemon() -> None:
    rule = Rule("load", Selector("host_load1"), AdaptiveSigma(3.5, newness="off", center=100_000, spread=100_000))
    state, told = HostState(), list[int]()

    def look(row: int, value: float) -> None:
        seen = conclude(None, "system", row * 10.0, row * 10.0 + 0.001, [("host_load1", {}, value)])
        told.extend(row for decision in step_host((rule,), state, [seen], seen.at) if isinstance(decision, Notification))

    for row in range(1050):
        look(row, 200.0 if 1000 <= row < 1006 or row >= 1036 else 100.0)
    assert told == [1000, 1011]  # fired and resolved; what came at 1036 was too soon
    state = recall_host((rule,), remember_host(state), 0.0, 0.0)
    for row in range(1050, 1180):
        look(row, 100.0 if row < 1150 else 200.0)
    assert told[2:] == [1150]


def test_of_the_host_too_only_what_is_due_is_told() -> None:
    rule = Rule("load", Selector("host_load1"), AdaptiveSigma(3.5, newness="off", center=100_000, spread=100_000))
    state, decisions = HostState(), list[Decision]()
    for row in range(1200):
        value = 200.0 if 1000 <= row < 1006 or row >= 1036 else 100.0
        seen = conclude(None, "system", row * 10.0, row * 10.0 + 0.001, [("host_load1", {}, value)])
        decisions += step_host((rule,), state, [seen], seen.at)
    assert [d.event for d in decisions if isinstance(d, Event)] == ["alert_fired", "alert_resolved", "alert_fired"]
    assert [d.about for d in decisions if isinstance(d, Notification)] == ["alert_fired", "alert_resolved", "alert_fired"]


FULL = Rule("full", Selector("host_disk_percent"), Threshold(above=Number(95.0)), then=Then.ALERT, times=1)


def look_at_disks(state: HostState, at: float, **disks: float) -> list[Decision]:
    measured = [("host_disk_percent", {"mount": name}, value) for name, value in disks.items()]
    return step_host((FULL,), state, [conclude(None, "system", at, at + 0.001, measured)], at)


def test_what_is_not_measured_any_more_is_over_after_five_minutes_and_forgotten() -> None:
    state, told = HostState(), list[tuple[float, str]]()
    for row in range(60):
        disks = {"root": 50.0} | ({"data": 99.0} if row < 10 else {})
        decisions = look_at_disks(state, row * 10.0, **disks)
        told += [(row * 10.0, say(one.reason)) for one in decisions if isinstance(one, Notification)]
    assert [at for at, _ in told] == [0.0, 390.0]
    assert told[1][1] == 'full is over: host_disk_percent{mount="data"} is no longer measured'
    assert [dict(series.labels).get("mount") for series in state.newest if series.metric == "host_disk_percent"] == ["root"]
    for day in range(1, 3):
        look_at_disks(state, 600.0 + day * 86_400.0, root=50.0)
    assert [alert.key for alert in state.alerts.values()] == ['full host_disk_percent{mount="root"}']


def test_devices_that_come_and_go_leave_nothing_behind() -> None:
    state = HostState()
    for row in range(1000):
        look_at_disks(state, row * 600.0, **{f"veth{row}": 1.0})
    assert len(state.newest) < 10 and len(state.alerts) <= 86_400 / 600 + 2


def test_a_rule_of_the_host_that_is_gone_is_over_after_a_restart_of_the_daemon() -> None:
    state = HostState()
    assert [one.about for one in look_at_disks(state, 0.0, root=99.0) if isinstance(one, Notification)] == ["alert_fired"]
    later = recall_host((), remember_host(state), 0.0, 0.0)
    seen = conclude(None, "system", 10.0, 10.001, [("host_disk_percent", {"mount": "root"}, 99.0)])
    told = [one.about for one in step_host((), later, [seen], 10.0) if isinstance(one, Notification)]
    assert told == ["alert_resolved"]


QUIET = Rule("quiet", Selector("probe_http_status_code"), Absent(Seconds(120.0)))


@dataclass
class TalkingWorld(World):
    """Its health tells a status code while `talks`."""

    talks: Callable[[float], bool] = lambda now: True

    def _see_health(self, name: str) -> Outcome:
        outcome = super()._see_health(name)
        measured = [("probe_http_status_code", dict[str, str](), 200.0)] if self.talks(self.now) and outcome.ok else []
        return conclude("model", name, outcome.started, outcome.at, measured, outcome.failure, outcome.detail)


def make_talking_world(talks: Callable[[float], bool]) -> TalkingWorld:
    return TalkingWorld(make_service(rules=(UNHEALTHY, DOWN, QUIET)), talks=talks)


def test_what_stops_arriving_is_told_and_so_is_its_return() -> None:
    world = make_talking_world(lambda now: not 100_100.0 <= now < 100_400.0)
    world.run(90.0)
    last = max(arrived for arrived in world.state.arrivals.seen["quiet"].values())  # type: ignore[union-attr]
    world.run(910.0)
    assert [(round(at - last), about) for at, about, _ in world.told] == [(120, "alert_fired"), (400 - 90, "alert_resolved")]
    assert world.restarts == []


def test_what_never_arrives_is_missed_from_the_start() -> None:
    world = make_talking_world(lambda now: now >= 100_600.0)
    world.run(119.0)
    assert world.told == []
    world.run(2.0)
    assert world.told_about("alert_fired") == 1
    world.restart_daemon()
    world.run(400.0)
    assert world.told_about("alert_fired") == 1 and world.told_about("alert_resolved") == 0
    world.run(100.0)
    assert world.told_about("alert_resolved") == 1


def test_it_is_woken_to_notice_silence_even_where_no_probe_runs_then() -> None:
    plans = (ProbePlan("health", "http", every=Seconds(50.0), timeout=Seconds(3.0), retry_every=Seconds(50.0)), make_service().probes[1])
    world = make_talking_world(lambda now: now < 100_040.0)
    world.service = replace(world.service, probes=(plans[0], replace(plans[1], every=Seconds(500.0))))
    world.run(1000.0)
    (told,) = [at for at, _, _ in world.told]
    assert 100_120.0 <= told <= 100_121.0


def test_nothing_is_expected_of_a_service_that_is_down_or_loading() -> None:
    world = make_talking_world(lambda now: True)
    world.run(300.0)
    world.end(Ending.OPERATOR_STOP)
    world.run(3600.0)
    world.load_seconds, world.talks = 100.0, lambda now: False
    world.start()
    begun = world.now
    world.run(200.0)
    assert world.told_about("alert_fired") == 0
    world.run(200.0)
    (told,) = [at for at, about, _ in world.told if about == "alert_fired"]
    assert begun + 100.0 + 110.0 <= told <= begun + 100.0 + 130.0


def see_host(at: float, disks: dict[str, float]) -> Outcome:
    return conclude(None, "system", at, at + 0.001, [("host_disk_percent", {"mount": mount}, value) for mount, value in disks.items()])


def test_each_series_of_the_host_is_missed_by_itself() -> None:
    rule = Rule("gone", Selector("host_disk_percent"), Absent(Seconds(30.0)), Severity.CRITICAL, Then.INHIBIT)
    state, told = HostState(), list[tuple[float, str]]()

    def look(at: float, *outcomes: Outcome) -> None:
        for decision in step_host((rule,), state, outcomes, at):
            if isinstance(decision, Notification):
                told.append((at, f"{decision.about} {decision.reason.params.get('series', '')}".strip()))

    for at in range(0, 60, 10):
        look(at, see_host(at, {"/": 1.0, "/data": 2.0} if at < 20 else {"/": 1.0}))
    assert told == [(50, 'alert_fired host_disk_percent{mount="/data"}')]
    assert state.wake_at is not None and 80.0 < state.wake_at < 80.1 and state.inhibited(40.0) == "gone"
    kept = remember_host(state)
    state = recall_host((rule,), kept, 0.0, 55.0, {"/", "/data"})
    for at in range(60, 130, 10):
        look(at, see_host(at, {"/": 1.0}))
    assert told[1:] == [], "a restart of the daemon does not bring it back"
    look(200)
    assert told[1:] == [(200, 'alert_fired host_disk_percent{mount="/"}')]
    look(210, see_host(210, {"/": 1.0, "/data": 2.0}))
    assert [about for _, about in told[2:]] == ["alert_resolved"] * 2
    state = recall_host((rule,), kept, 0.0, 55.0, {"/"})
    look(220, see_host(220, {"/": 1.0}))
    assert told[4:] == [(220, "alert_resolved")], "one that is configured no longer need not come back"


def test_fault_42_what_is_no_number_teaches_the_rule_nothing() -> None:
    rule = Rule("load", Selector("host_load1"), AdaptiveSigma(3.5))
    state = HostState()
    for row in range(600):
        value = (math.nan, math.inf, -math.inf)[row % 3] if row % 2 else 100.0
        seen = conclude(None, "system", row * 10.0, row * 10.0 + 0.1, [("host_load1", {}, value)])
        assert step_host((rule,), state, [seen], seen.at) == []
    seen = conclude(None, "system", 7000.0, 7000.1, [("host_load1", {}, 150.0)])
    assert [d.event for d in step_host((rule,), state, [seen], 7000.1) if isinstance(d, Event)] == ["alert_fired"]


def test_a_gpu_near_its_own_limit_is_hot() -> None:
    limit = Selector.parse('gpu_temperature_limit_celsius{kind="slowdown"}')
    rule = Rule("gpu-hot", Selector("gpu_temperature_celsius"), Threshold(above=Number(-5), clear=Number(-8)), minus=limit)
    state = HostState()

    def look(at: float, temperature: float, limits: dict[str, float]) -> list[str]:
        measured: list[tuple[str, dict[str, str], float]] = [("gpu_temperature_celsius", {"gpu": "0"}, temperature)]
        measured += [("gpu_temperature_limit_celsius", {"gpu": "0", "kind": kind}, limit) for kind, limit in limits.items()]
        decisions = step_host((rule,), state, [conclude(None, "gpu", at, at, measured)], at)
        return [say(decision.reason) for decision in decisions if isinstance(decision, Event)]

    assert look(1.0, 86.0, {"slowdown": 90.0, "shutdown": 95.0}) == [
        'gpu_temperature_celsius{gpu="0"} less gpu_temperature_limit_celsius{kind="slowdown"} is -4, above -5'
    ]
    assert look(2.0, 84.0, {"slowdown": 90.0}) == []
    assert look(3.0, 20.0, {"shutdown": 95.0}) == []  # a card that cannot tell its limit is not judged
    assert look(4.0, 80.0, {"slowdown": 90.0}) == ["gpu-hot is over"]


def test_fault_30_it_is_told_once_and_restarts_nothing(fault_row: FaultRow) -> None:
    (rule,) = [rule for name, rule in make_host_rules({"gpu": "nvml"}).items() if name == "gpu-memory-held"]
    state, told, restarts = HostState(), list[tuple[float, str]](), 0
    for round_ in range(100):
        at = round_ * 10.0
        held = {"0": 3.0 * 2**30 if 10 <= round_ < 80 else 0.0, "1": 2.0**30 if round_ % 4 < 3 else 0.0}
        measured = [("gpu_memory_held_bytes", {"gpu": gpu, "uuid": f"GPU-{gpu}"}, value) for gpu, value in held.items()]
        for decision in step_host((rule,), state, [conclude(None, "gpu", at, at, measured)], at):
            restarts += not isinstance(decision, (Event, Notification))
            if isinstance(decision, Notification):
                told.append((at, f"{decision.about} {say(decision.reason)}"))
    fault_row(30, "dead processes hold memory of a GPU for 12 minutes (simulated)", restarts, len(told))
    assert (
        restarts == 0
        and rule.then is Then.ALERT
        and told
        == [
            (130.0, "alert_fired processes that have ended hold 3.0 GiB of the memory of GPU 0"),
            (800.0, 'alert_resolved gpu-memory-held is over: gpu_memory_held_bytes{gpu="0", uuid="GPU-0"} is 0'),
        ]
    ), "the driver may take its time: what GPU 1 shows is a process that ends now and then"
