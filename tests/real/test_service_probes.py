"""The probes `process`, `tcp` and `command` through the installed daemon, as its own user in its own sandbox; judged from outside."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import FaultRow
from tests.rig.sinks import HttpSink
from tests.rig.stand import MODELS, UNIT_ONLY, Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import WatchedBox

SOON = "every: 300ms, timeout: 300ms, retry_every: 300ms"
UNIT = UNIT_ONLY[1:-1]
SIZE = 48 << 20
WORKER = f"""import os, threading, time
kept = b"x" * {SIZE}
files = [os.dup(0) for _ in range(50)]
for _ in range(6): threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
while True: sum(range(10_000))"""
NOTHING_WAITS = """import os, time
if os.fork():  # what systemd starts ends when all is ready, as Type=forking wants it
    while not os.path.exists("PIDFILE"): time.sleep(0.01)
    os._exit(0)
child = os.fork()
if child == 0: time.sleep(1e6)
with open("PIDFILE.new", "w") as file: file.write(str(child))
os.rename("PIDFILE.new", "PIDFILE")
time.sleep(1e6)  # and never waits for it"""
CHECK = """#!/bin/sh
# as a check of an operator's: its answer stands in a file
. "$1"
echo "queue_depth{model=\\"a\\"} $depth"
echo "$said"
exit $code
"""


def firing(stand: Stand, model: Model) -> dict[str, dict[str, Any]]:
    """The model's alerts that fire, by their rules."""
    alerts = stand.box.status()["alerts"]
    return {alert["name"]: alert for alert in alerts if alert["service"] == model.name and alert["state"] == "firing"}


def wait_firing(stand: Stand, model: Model, *rules: str) -> dict[str, dict[str, Any]]:
    wait_until(lambda: firing(stand, model).keys() >= set(rules), 15, lambda: f"{firing(stand, model)}\n{stand.log()}", every=0.2)
    return firing(stand, model)


def program(stand: Stand, name: str, code: str) -> str:
    """A Python program in the box; gives its command line."""
    stand.box.write(f"{MODELS}/{name}.py", code)
    return f"/usr/bin/python3 -I {MODELS}/{name}.py"


# ---------------------------------------------------------------- process
@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_what_a_units_processes_use(make_box: Callable[..., WatchedBox], http_sink: HttpSink, mode: str) -> None:
    """The unit is another user's: nothing of this needs a right."""
    stand = Stand(make_box(cgroup=mode))
    assert stand.box.cgroup == mode
    stand.install()
    model = stand.model("Nice=10", program=program(stand, "worker", WORKER))
    stand.start(model)
    levels = {"cpu_percent": 2, "memory_bytes": 1, "open_files": 1, "threads": 1, "stuck_tasks": -1}
    rules = ", ".join(f"{name}: {{metric: service_{name}, above: {level}}}" for name, level in levels.items() if level >= 0)
    probes = f"{{{UNIT}, used: {{kind: process, every: 1s}}}}"
    stand.watch(http_sink, model.config(probes=probes, rules=f"{{{rules}, stuck: {{metric: service_stuck_tasks, below: 1}}}}"))
    stand.wait_state("healthy", model)
    fired = wait_firing(stand, model, "cpu_percent", "memory_bytes", "open_files", "threads", "stuck")
    assert fired["threads"]["value"] == 7
    assert 2 < fired["cpu_percent"]["value"] < 130
    assert SIZE < fired["memory_bytes"]["value"] < 3 * SIZE
    pid = stand.box.main_pid(model.unit)
    assert fired["open_files"]["value"] == len(stand.box.run("ls", f"/proc/{pid}/fd").stdout.split())
    assert fired["stuck"]["value"] == 0
    (used,) = [probe for probe in model.shown()["probes"] if probe["name"] == "used"]
    assert used["detail"] == "1 process"
    stand.end()


def test_fault_43_a_zombie_main_process_is_dead_though_systemd_believes_it_alive(
    stand: Stand, http_sink: HttpSink, fault_row: FaultRow
) -> None:
    pidfile = f"{MODELS}/forking.pid"
    command = program(stand, "forking", NOTHING_WAITS.replace("PIDFILE", pidfile))
    model = stand.model(f"Type=forking\nPIDFile={pidfile}\nExecStartPre=/bin/rm -f {pidfile}\nTimeoutStopSec=1s", program=command)
    stand.start(model)
    rule = "rules: {gone: {metric: 'probe_success{probe=\"used\"}', below: 1, times: 2, severity: critical, then: restart}}"
    probes = f"{{{UNIT}, used: {{kind: process, every: 1s, retry_every: 300ms}}}}"
    stand.watch(http_sink, model.config(probes=probes) + f"\n  {rule}")
    stand.wait_state("healthy", model)
    before = stand.box.main_pid(model.unit)
    model.kill()
    assert stand.box.show(model.unit, "ActiveState", "MainPID") == {"ActiveState": "active", "MainPID": str(before)}, "systemd noticed"
    message = stand.message(f"{model.name} was restarted and is well again")
    assert f"the main process (pid {before}) has ended, and systemd does not know" in message.body
    assert ("dead", "ended_by_itself") in {(event["event"], event["cause"]) for event in model.events()}
    stand.stays((model, 1), messages=1, seconds=1)
    fault_row(43, "its main process becomes a zombie that its parent does not wait for; systemd shows it as active", model.restarts, 1)


# ---------------------------------------------------------------- tcp
def test_a_port_without_a_listener_is_restarted_where_a_rule_says_so(stand: Stand, http_sink: HttpSink) -> None:
    ruled, told = stand.model(heals=True), stand.model(heals=True)
    stand.start(ruled, told)

    def config(model: Model) -> str:
        return model.config(probes=f"{{{UNIT}, port: {{kind: tcp, address: 'localhost:{model.port}', {SOON}}}}}")

    rule = "rules: {port: {metric: 'probe_success{probe=\"port\"}', below: 1, times: 3, severity: critical, then: restart}}"
    stand.watch(http_sink, f"{config(ruled)}\n  {rule}", config(told))
    stand.wait_state("healthy", ruled, told)
    for model in (ruled, told):
        model.set("refuse")
    assert "port: connection refused" in stand.message(f"{ruled.name} was restarted and is well again").body
    stand.wait_state("unhealthy", told)
    assert told.shown()["cause"] == "health_refused"
    stand.stays((ruled, 1), (told, 0), messages=1)


# ---------------------------------------------------------------- command
def test_what_a_program_says_and_the_numbers_that_it_prints(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(program="/bin/sleep infinity")
    stand.start(model)
    answer, script = f"{MODELS}/{model.name}.answer", f"{MODELS}/check"
    stand.box.write(script, CHECK, mode="755")

    def say(code: int, said: str, depth: int) -> None:
        stand.box.write(answer, f"code={code} said='{said}' depth={depth}\n")

    say(0, "all well", 3)
    probe = f"queue: {{kind: command, command: [{script}, {answer}], metrics: [queue_depth], every: 1s, retry_every: 300ms}}"
    rules = (
        "deep: {metric: 'queue_depth{model=\"a\"}', above: 100}",
        "stands: {metric: 'probe_success{probe=\"queue\"}', below: 1, times: 3, severity: critical, then: restart}",
    )
    stand.watch(http_sink, model.config(probes=f"{{{UNIT}, {probe}}}", rules=f"{{{', '.join(rules)}}}"))
    stand.wait_state("healthy", model)
    assert [probe["detail"] for probe in model.shown()["probes"] if probe["name"] == "queue"] == ["all well"]

    say(0, "long, but it moves", 250)
    alert = wait_firing(stand, model, "deep")["deep"]
    assert (alert["value"], alert["labels"]) == (250, {"service": model.name, "model": "a"})
    stand.message(f"{model.name}: deep fires")

    say(3, "no idea", 250)
    stand.wait_state("unknown", model)
    assert f"{script} cannot tell: exit code 3, no idea" in model.shown()["reason"]
    stand.stays((model, 0), messages=1)

    say(1, "it stands still", 0)
    stand.wait_restarts(model, 1)
    say(0, "all well", 0)
    assert "queue: it stands still" in stand.message(f"{model.name} was restarted and is well again").body
    assert model.restarts == 1
