"""How model servers really fail: docs/scenarios.md, each with a real unit that plays its server, all in one night.

The services are watched by their profiles, with nothing changed but the times. They break together, and are judged from outside: by
systemd's journal, and by what `watchdog status` and `watchdog events` say.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from itertools import pairwise
from typing import Any

import pytest
import yaml

from scripts.tables import ROWS
from tests.rig.box import RIG_IN_BOX
from tests.rig.sinks import HttpSink
from tests.rig.stand import MODELS, UNIT_ONLY, Model, Stand
from tests.rig.waiting import holds_for, wait_until

FAST = {"every": "500ms", "timeout": "400ms", "retry_every": "500ms"}
PATIENT = {"every": "1s", "timeout": "1s", "retry_every": "1s"}
"""Where processor time or a heartbeat decides: a machine that is busy with other tests must not make it look still."""
CANARY = {"every": "2s", "timeout": "1s"}
STALL_AFTER = "3s"
LASTS = 22.0
"""Seconds that the night lasts: a wrong watchdog would have restarted each of those that are to be left alone several times."""


@dataclass
class Case:
    """A scenario: the server, its mode while all is well and in trouble, whether it is to be restarted, and the state that says so."""

    server: str
    trouble: str
    state: str
    restart: bool
    cause: str | None = None
    before: str = "ok"
    keys: dict[str, str] = field(default_factory=dict)
    service: str = ""
    heals: bool = True
    probes: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)


SOON = {"every": "1s", "timeout": "1s"}
LOG = {"kind": "log", "path": "{log}", **SOON}
OUT_OF_MEMORY = {
    "metric": 'log_pattern_matches_total{pattern="cuda_out_of_memory"}',
    "over": "5s",
    "as": "increase",
    "above": 3,
    "message": "out of GPU memory, by its log",
}
LEAK = {"metric": "service_memory_bytes", "over": "5s", "as": "range", "above": "60MiB", "times": 1, "then": "restart"}
CASES = {
    "f01": Case("vllm", "work freeze", "stalled", True, "stalled", "work"),
    "f01_one_engine": Case("vllm", "work engine1", "stalled", True, "stalled", "work"),
    "f02": Case("vllm", "freeze", "unhealthy", True, "canary_failed"),
    "f03": Case("vllm", "work freeze burn", "stalled", True, "stalled", "work"),
    "f04": Case("vllm", "work freeze", "stalled", True, "stalled", "work"),
    "f05": Case("vllm", "work freeze 503", "unhealthy", True, None, "work"),
    "f05_exits": Case("vllm", "exit:1", "dead", True, "ended_by_itself"),
    "f06": Case("vllm", "work slow", "busy", False, "health_timeout", "work"),
    "f07": Case("vllm", "lose", "unhealthy", True, "canary_failed"),
    "f11": Case("openai", "errors", "unhealthy", True, "canary_failed"),
    "f12": Case("vllm", "nonsense", "unhealthy", True, "canary_wrong"),
    "f13": Case("sglang", "work freeze", "stalled", True, "stalled", "work", {"stall_after": "6s"}),
    "f14": Case("sglang", "work freeze", "stalled", True, "stalled", "work"),
    "f15": Case("sglang", "prefill work", "busy", False, "health_status", "work"),
    "f16": Case("tgi", "errors", "stalled", True, None),
    "f17": Case("ollama", "freeze", "unhealthy", True, "canary_failed"),
    "f18": Case("ollama", "cpu", "degraded", False),
    "f20": Case("llamacpp", "work freeze ignore-term", "stalled", True, "stalled", "work", service="TimeoutStopSec=1"),
    "f21": Case("llamacpp", "work", "healthy", False, None, "work"),
    "f22": Case("triton", "zombie errors", "stalled", True, "stalled"),
    "f24": Case("openai", "errors", "unhealthy", True, "canary_failed", probes={"log": LOG}, rules={"out-of-memory": OUT_OF_MEMORY}),
    "f39": Case("vllm", "sleep", "sleeping", False),
    "f39_llamacpp": Case("llamacpp", "sleep", "sleeping", False),
    "f39_ollama": Case("ollama", "sleep", "sleeping", False),
    "f40": Case("ollama", "thrash", "", False),
    "leak": Case("openai", "leak", "", True, probes={"used": {"kind": "process", **SOON}}, rules={"leak": LEAK}),
}


@dataclass
class Happened:
    """An event: how many seconds into the night, and what is said of it."""

    after: float
    event: str
    cause: str | None
    reason: str


BAD = ("busy", "degraded", "stalled", "unhealthy", "dead", "sleeping", "unknown")


@dataclass
class Seen:
    """What became of a service over the night: its restarts by systemd's journal, its state and the events in the end."""

    model: Model
    restarts: int
    state: str
    events: list[Happened]

    @property
    def detected(self) -> Happened | None:
        """The first state that was not good."""
        return next((event for event in self.events if event.event in BAD), None)


def zoo(stand: Stand, server: str, service: str = "", *, mode: str, heals: bool) -> Model:
    """A unit that plays this server. One that heals is as before after each start."""
    model = stand.model(mode=mode, program="/bin/true")
    files = " ".join(f"--{what} {MODELS}/{model.name}.{what}" for what in ("mode", "starts", "asked", "log"))
    if heals:
        service += f"\nExecStartPre=/bin/sh -c 'echo {mode} > {MODELS}/{model.name}.mode'"
    model.write(service, program=f"/usr/bin/python3 -I {RIG_IN_BOX}/zoo.py {server} {model.port} {files}")
    return model


def profile_of(server: str) -> dict[str, Any]:
    text = (resources.files("model_watchdog.profiles") / f"{server}.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def configure(model: Model, server: str, pace: dict[str, str] = FAST, case: Case | None = None, **keys: str) -> str:
    """Three lines, and the profile's own probes at the night's pace; and what the case adds."""
    url = f"http://127.0.0.1:{model.port}"
    profile = profile_of(server)
    probes: dict[str, Any] = json.loads(json.dumps(case.probes).replace("{log}", f"{MODELS}/{model.name}.log")) if case else {}
    rules = dict(case.rules) if case else {}
    for name, probe in profile["probes"].items():
        place = probe["url"].replace("{url}", url).replace("{host}:8002", f"http://127.0.0.1:{model.port + 1}")
        probes[name] = {**probe, **{"canary": CANARY, "scrape": PATIENT}.get(probe["kind"], pace), "url": place}
    probes["unit"] = yaml.safe_load(UNIT_ONLY)["unit"]
    lines = {"server": server, "url": url, "startup": "3s", "startup_max": "6s", "probes": json.dumps(probes), **keys}
    if "heartbeat" in profile:
        lines = {"stall_after": STALL_AFTER, **lines}
    if server == "ollama":
        rules["on-cpu"] = {**profile["rules"]["on-cpu"], "for": "1s"}
    if rules:
        lines["rules"] = json.dumps(rules)
    return model.config(**lines)


@pytest.fixture(scope="module")
def night(installed_stand: Stand) -> Iterator[dict[str, Seen]]:
    """All cases under one daemon: well, then in trouble, then judged."""
    stand, sink = installed_stand, HttpSink()
    try:
        models = {name: zoo(stand, case.server, case.service, mode=case.before, heals=case.heals) for name, case in CASES.items()}
        stand.start(*models.values())
        stand.watch(sink, *(configure(model, CASES[name].server, FAST, CASES[name], **CASES[name].keys) for name, model in models.items()))
        stand.wait_state("healthy", *models.values(), timeout=60)
        idle = {model.name for name, model in models.items() if CASES[name].before == "ok"}
        wait_until(lambda: not _list_unproven(stand, idle), 30, lambda: f"no good canary of {_list_unproven(stand, idle)}", every=0.5)
        began = time.time()
        for name, model in models.items():
            model.set(CASES[name].trouble)
        time.sleep(LASTS)
        shown = {service["name"]: service["state"] for service in stand.box.status()["services"]}
        rows = stand.ask_record("SELECT service, at, event, cause, reason FROM event WHERE service IS NOT NULL ORDER BY id")
        events = {model.name: [Happened(at - began, *rest) for name, at, *rest in rows if name == model.name] for model in models.values()}
        yield {name: Seen(model, model.restarts, shown[model.name], events[model.name]) for name, model in models.items()}
    finally:
        stand.end()
        sink.close()


def _list_unproven(stand: Stand, names: set[str]) -> list[str]:
    """Those of them whose canary was never good: what it says later is no evidence."""
    services = [service for service in stand.box.status()["services"] if service["name"] in names]
    return [service["name"] for service in services if any(probe["name"] == "canary" and not probe["ok"] for probe in service["probes"])]


@pytest.fixture
def judge(night: dict[str, Seen], request: pytest.FixtureRequest) -> Callable[[str], Seen]:
    """Holds a case against what became of it, and gives that for more."""

    def hold(name: str) -> Seen:
        case, one = CASES[name], night[name]
        record_row(name, case.server, one, request.node.nodeid)
        story = f"restarts {one.restarts}, {one.state}, {one.events}"
        assert one.restarts == (1 if case.restart else 0), story
        if case.cause is not None:
            assert any(event.cause == case.cause for event in one.events), story
        if case.restart:
            assert one.state == "healthy" and [event.event for event in one.events].count("recovered") == 1, story
        elif case.state:
            assert one.state == case.state, story
        return one

    return hold


def look(stand: Stand, model: Model, began: float) -> Seen:
    """What became of a service since `began`."""
    rows = stand.ask_record(f"SELECT at, event, cause, reason FROM event WHERE service = '{model.name}' AND at > {began} ORDER BY id")
    return Seen(model, model.restarts, str(model.shown()["state"]), [Happened(at - began, *rest) for at, *rest in rows])


def record_row(name: str, server: str, one: Seen, test: str) -> None:
    """One line of the table that `make scenarios` prints."""
    if path := os.environ.get(ROWS):
        found = one.detected
        detected = "" if found is None else f"{found.event} ({found.cause})" if found.cause else found.event
        after = "" if found is None else f"{found.after:.1f} s"
        told = sum(event.event == "told" for event in one.events)
        done = "restarted" if one.restarts else "told" if told else "left alone"
        row = {"scenario": name, "server": server, "detected": detected, "after": after, "done": done, "restarts": one.restarts}
        with open(path, "a") as file:
            file.write(json.dumps({**row, "test": test}) + "\n")


Judge = Callable[[str], Seen]


def test_scenario_f01_a_frozen_engine_behind_a_green_health(judge: Judge) -> None:
    one = judge("f01")
    assert one.detected is not None and one.detected.after < 8, "stall_after is 3 s, and it is seen on three scrapes"
    assert "has made no step for" in one.detected.reason


def test_scenario_f01_one_frozen_engine_of_two(judge: Judge) -> None:
    events = judge("f01_one_engine").events
    assert any("engine 1 has made no step" in event.reason for event in events), events


def test_scenario_f02_frozen_with_gauges_at_zero(judge: Judge) -> None:
    judge("f02")


def test_scenario_f03_a_collective_that_hangs_with_a_busy_processor(judge: Judge) -> None:
    judge("f03")


def test_scenario_f04_a_stuck_kernel_with_all_threads_asleep(judge: Judge) -> None:
    judge("f04")


def test_scenario_f05_the_engine_is_dead_and_the_server_says_503(judge: Judge) -> None:
    judge("f05")


def test_scenario_f05_the_engine_is_dead_and_the_server_ends(judge: Judge) -> None:
    judge("f05_exits")


def test_scenario_f06_saturated(judge: Judge) -> None:
    judge("f06")


def test_scenario_f07_workers_have_crashed_behind_a_green_health(judge: Judge) -> None:
    judge("f07")


def test_scenario_f11_every_request_fails_and_the_process_lives(judge: Judge) -> None:
    judge("f11")


def test_scenario_f12_wrong_answers_with_200(judge: Judge) -> None:
    judge("f12")


def test_scenario_f13_sglangs_own_watchdog_acts_first(judge: Judge) -> None:
    one = judge("f13")
    assert one.detected is not None and one.detected.after >= 5.5, "it is given its time"


def test_scenario_f14_a_deep_health_that_lies(judge: Judge) -> None:
    judge("f14")


def test_scenario_f15_503_under_a_long_prefill(judge: Judge) -> None:
    judge("f15")


def test_scenario_f16_a_dead_shard(judge: Judge) -> None:
    judge("f16")


def test_scenario_f17_ollama_hangs_and_its_version_answers(judge: Judge) -> None:
    judge("f17")


def test_scenario_f18_ollama_on_the_cpu(judge: Judge) -> None:
    events = judge("f18").events
    assert any(event.event == "alert_fired" and "in the host's memory" in event.reason for event in events), events


def test_scenario_f20_llamacpp_hangs_and_ignores_term(judge: Judge) -> None:
    judge("f20")


def test_scenario_f21_slots_go_on_after_their_clients_have_left(judge: Judge) -> None:
    judge("f21")


def test_scenario_f22_tritons_backend_is_a_zombie(judge: Judge) -> None:
    judge("f22")


def test_scenario_f24_out_of_gpu_memory_on_every_request(judge: Judge) -> None:
    one = judge("f24")
    assert any(event.event == "alert_fired" and "by its log" in event.reason for event in one.events), one.events
    details = one.model.box.run("grep", "-c", "显存不足", f"{MODELS}/{one.model.name}.log").stdout
    assert int(details) > 3 and not any("13800138000" in event.reason for event in one.events)


def test_a_leak_is_seen_by_its_slope_and_restarted(judge: Judge) -> None:
    events = judge("leak").events
    assert any(event.event == "restart_started" and "leak" in event.reason for event in events), events


@pytest.mark.parametrize("name", ["f39", "f39_llamacpp", "f39_ollama"])
def test_scenario_f39_asleep(judge: Judge, name: str) -> None:
    one = judge(name)
    assert all(event.event != "alert_fired" for event in one.events), "nobody is told of a service that sleeps"


def test_scenario_f40_models_come_and_go(judge: Judge) -> None:
    judge("f40")


def test_no_real_request_was_sent_while_there_was_work(night: dict[str, Seen]) -> None:
    """The canary's load, by the servers' own count: tiny, and only where nothing else was to be done."""
    for name in ("f06", "f21"):
        asked = night[name].model.box.read(f"{MODELS}/{night[name].model.name}.asked")
        assert asked == "", f"{name}: {asked}"
    lines = night["f12"].model.box.read(f"{MODELS}/{night['f12'].model.name}.asked").splitlines()
    bodies = [json.loads(line.split(" ", 2)[2]) for line in lines]
    assert bodies and all(body["max_tokens"] <= 8 for body in bodies)
    times = [float(line.split()[1]) for line in lines]
    assert min(later - before for before, later in pairwise(times)) >= 1.7, "every 2 s here, every minute by itself"


# ---------------------------------------------------------------- those that use the processor, one at a time
def test_scenario_f08_a_slow_start_is_waited_for(stand: Stand, http_sink: HttpSink, request: pytest.FixtureRequest) -> None:
    began = time.time()
    slow = zoo(stand, "vllm", mode="late:9", heals=False)
    stuck = zoo(stand, "vllm", mode="late-idle", heals=False)
    stand.start(slow, stuck)
    stand.watch(
        http_sink, configure(slow, "vllm", startup="4s", startup_max="20s"), configure(stuck, "vllm", startup="4s", startup_max="20s")
    )
    stand.wait_state("healthy", slow, timeout=25)
    wait_until(lambda: stuck.restarts >= 1, 15, lambda: f"{stuck.shown()}\n{stand.log()}")
    assert slow.restarts == 0, "its port opened after nine seconds, of which startup allows four: it moved"
    record_row("f08", "vllm", look(stand, slow, began), request.node.nodeid)
    record_row("f08_hangs", "vllm", look(stand, stuck, began), request.node.nodeid)


def test_scenario_f23_a_loop_blocked_by_the_services_own_work(stand: Stand, http_sink: HttpSink, request: pytest.FixtureRequest) -> None:
    service = zoo(stand, "plain", mode="ok", heals=False)
    stand.start(service)
    url = f"http://127.0.0.1:{service.port}/health"
    probes = json.dumps({"health": {"kind": "http", "url": url, **PATIENT}, "unit": yaml.safe_load(UNIT_ONLY)["unit"]})
    stand.watch(http_sink, service.config(server="http", url=url, probes=probes, startup="3s"))
    stand.wait_state("healthy", service)
    began = time.time()
    service.set("block")
    stand.wait_state("busy", service)
    holds_for(lambda: service.restarts == 0, 6.0, stand.log, every=0.5)
    record_row("f23", "http", look(stand, service, began), request.node.nodeid)


def test_scenario_f43_health_and_metrics_time_out_together(stand: Stand, http_sink: HttpSink, request: pytest.FixtureRequest) -> None:
    service = zoo(stand, "vllm", mode="work", heals=False)
    stand.start(service)
    stand.watch(http_sink, configure(service, "vllm", pace=PATIENT))
    stand.wait_state("healthy", service)
    began = time.time()
    service.set("work mute burn")
    stand.wait_state("busy", service)
    stand.stays((service, 0), messages=0, seconds=6.0)
    record_row("f43", "vllm", look(stand, service, began), request.node.nodeid)
