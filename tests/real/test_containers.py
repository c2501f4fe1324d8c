"""A unit whose work is done in a container: it runs a monitor as podman's, the model is in a scope of its own. Judged from outside."""

import hashlib

from tests.rig.sinks import HttpSink
from tests.rig.stand import MODELS, UNIT_ONLY, Model, Stand
from tests.rig.waiting import wait_until

MONITOR = """import subprocess, sys
scope = f"libpod-{sys.argv[2]}.scope"
run = ["systemd-run", "--quiet", "--scope", "--collect", f"--unit={scope}", *sys.argv[sys.argv.index("--") + 1 :]]
container = subprocess.Popen(run)
sys.exit(container.wait() and 1)
"""
BUSY_PATIENCE = "60s"


def number(name: str) -> str:
    """The container's, as an engine would give it."""
    return hashlib.sha256(name.encode()).hexdigest()


def run_in_container(stand: Stand, name: str, seconds: str = "300ms") -> tuple[Model, str]:
    """The model, and its part of the configuration."""
    model = stand.model()
    stand.box.write(f"{MODELS}/monitor.py", MONITOR)
    monitor = f"@/usr/bin/python3 conmon -I {MODELS}/monitor.py -c {number(name)} -n {name} -- {model.program}"
    ends = f"TimeoutStopSec=5s\nExecStopPost=-/usr/bin/systemctl stop libpod-{number(name)}.scope"
    model.write(f"{ends}\nExecStartPre=/bin/sh -c 'echo ok > {MODELS}/{model.name}.mode'", program=monitor)
    health = f"{{kind: http, url: 'http://127.0.0.1:{model.port}/health', every: {seconds}, timeout: {seconds}}}"
    probes = f"{UNIT_ONLY[:-1]}, health: {health}, used: {{kind: process, every: 500ms}}}}"
    return model, model.config(probes=probes, container="vllm", busy_patience=BUSY_PATIENCE)


def test_what_works_in_a_container_is_busy_and_what_hangs_in_one_is_restarted(stand: Stand, http_sink: HttpSink) -> None:
    model, config = run_in_container(stand, "vllm", "1s")
    stand.start(model)
    stand.watch(http_sink, config)
    stand.wait_state("healthy", model)
    wait_until(lambda: any(probe["detail"] == "2 processes" for probe in model.shown()["probes"]), 10, model.shown)
    model.set("busy")
    stand.wait_state("busy", model)
    stand.stays((model, 0), messages=0, seconds=6)
    model.set("ok")
    stand.wait_state("healthy", model)
    model.set("hang")
    stand.wait_restarts(model, 1)
    stand.message("was restarted and is well again")
    stand.wait_state("healthy", model)
    stand.box.systemctl("stop", f"libpod-{number('vllm')}.scope")


def test_a_container_that_is_not_found_is_told_once(stand: Stand, http_sink: HttpSink) -> None:
    model, config = run_in_container(stand, "other")
    stand.start(model)
    stand.watch(http_sink, config)
    assert "the container vllm is not found" in stand.message("evidence").body
    stand.stays((model, 0), messages=1)
    assert model.shown()["state"] == "healthy"
    stand.box.systemctl("stop", f"libpod-{number('other')}.scope")
