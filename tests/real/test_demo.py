"""`watchdog demo`: all legs as they must be, and one leg spoilt at a time. All runs go side by side, since each takes its time."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rig.box import Box
from tests.rig.watched_box import WATCHDOG, WatchedBox

SPOILT = {
    "systemctl": "1 of 3: it crashes: a new process runs",
    "service": "1 of 3: it crashes: it answers, and is proved",
    "sink": "1 of 3: it crashes: message: message delivered",
    "probe": "2 of 3: it hangs: a new process runs",
}


@dataclass
class Told:
    code: int
    output: str


@pytest.fixture(scope="module")
def demos(module_box: WatchedBox) -> dict[str, Told]:
    """The demo in the box, whole and spoilt."""
    running = {
        spoil: module_box.popen(WATCHDOG, "demo", *(["--spoil", spoil] if spoil else []), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for spoil in ("", *SPOILT)
    }
    told = {spoil: process.communicate(timeout=180)[0] for spoil, process in running.items()}
    return {spoil: Told(process.returncode, told[spoil]) for spoil, process in running.items()}


def test_every_leg_goes_as_it_must(demos: dict[str, Told]) -> None:
    told = demos[""]
    assert told.code == 0, told.output
    assert "Every leg went as it must" in told.output and "✘" not in told.output
    assert "(unit watchdog-demo-" in told.output, "with a real unit, since systemd runs here"
    assert "in a browser, while this runs (--stay: until Ctrl-C): http://127.0.0.1:" in told.output
    for words in (
        "exactly 3 restarts",
        "was restarted and is well again",
        "is down and could not be restarted",
        "CRITICAL: demo-model dead",
    ):
        assert words in told.output


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_leg_is_named_and_the_exit_code_is_1(demos: dict[str, Told], spoil: str) -> None:
    told = demos[spoil]
    assert told.code == 1, told.output
    assert f"FAILED  {SPOILT[spoil]}" in told.output


def test_nothing_is_left_behind(demos: dict[str, Told], module_box: WatchedBox) -> None:
    assert demos
    assert "watchdog-demo" not in module_box.systemctl("list-units", "--all", "--no-legend").stdout
    assert module_box.run("ls", "/tmp").stdout.split() == []
    assert left_running(module_box) == ""


def test_interrupted_it_leaves_nothing_behind_either(module_box: WatchedBox) -> None:
    process = module_box.popen(WATCHDOG, "demo", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout
    for line in process.stdout:
        if "fault: kill -9" in line:
            break
    module_box.run("pkill", "-INT", "-f", f"{WATCHDOG} demo")
    process.wait(timeout=30)
    assert "watchdog-demo" not in module_box.systemctl("list-units", "--all", "--no-legend").stdout
    assert module_box.run("ls", "/tmp").stdout.split() == [] and left_running(module_box) == ""


def left_running(box: Box) -> str:
    return box.run("pgrep", "-af", "model_watchdog|demo/service", check=False).stdout


def test_without_systemd_it_uses_a_child_of_its_own(tmp_path: Path) -> None:
    """Also where the path of its directory is longer than a socket's may be."""
    tmp_path = tmp_path / ("long" * 20)
    tmp_path.mkdir()
    if Path("/run/systemd/system").is_dir() and os.geteuid() == 0:
        pytest.skip("systemd may be used here; the demo would use it")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command, told = [sys.executable, "-m", "model_watchdog", "demo", "--stay"], list[str]()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if address := re.search(r"until Ctrl-C: .*  (http://[^ ]+/report[^ ]+)\n", line):
                break
        else:
            pytest.fail("".join(told))
        with urllib.request.urlopen(address[1], timeout=30) as answer:
            report = answer.read().decode()
        process.send_signal(signal.SIGINT)
        told += process.stdout.readlines()
        assert process.wait(30) == 0, "".join(told)
    assert "demo-model" in report and report.count("<tr>") > 8, "a report of what was seen"
    assert "no systemd may be used here" in "".join(told) and list(tmp_path.iterdir()) == []
