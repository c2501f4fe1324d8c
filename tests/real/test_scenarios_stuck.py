"""A model server that nothing can end."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import MakeBox
from tests.real.test_faults_stuck import FROZEN, OPEN, freezable
from tests.real.test_scenarios import configure, look, record_row, zoo
from tests.rig.sinks import HttpSink
from tests.rig.stand import Stand
from tests.rig.waiting import wait_until

__all__ = ["freezable"]  # a fixture


def test_scenario_f19_uninterruptible_sleep(
    make_box: MakeBox, freezable: Path, http_sink: HttpSink, request: pytest.FixtureRequest
) -> None:
    """One restart is tried, the old process is found to live on, and the breaker opens: only a reboot helps."""
    stand = Stand(make_box(binds=[(freezable, FROZEN)]))
    stand.install()
    ollama = zoo(stand, "ollama", "TimeoutStopSec=1\nSendSIGKILL=yes", mode="ok", heals=False)
    stand.start(ollama)
    stand.watch(http_sink, configure(ollama, "ollama", startup="10s", startup_max="20s"))
    stand.wait_state("healthy", ollama)
    began = time.time()
    subprocess.run(["fsfreeze", "-f", freezable], check=True)
    old = stand.box.main_pid(ollama.unit)
    ollama.set(f"stuck:{FROZEN}/file")
    message = stand.message(f"{ollama.name} {OPEN}", timeout=40)
    assert f"(pid {old})" in message.body and "reboot the host" in message.body, message.body
    ollama.set("ok")
    stand.stays((ollama, 1), messages=1, seconds=4)
    record_row("f19", "ollama", look(stand, ollama, began), request.node.nodeid)
    subprocess.run(["fsfreeze", "-u", freezable], check=True)
    wait_until(lambda: stand.box.run("kill", "-0", str(old), check=False).returncode != 0, 10, "the old process lives")
    stand.end()
