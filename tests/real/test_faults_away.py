"""The daemon stopped, ended, starved, without its tools, over a change of the hour: what it watches is not restarted for that."""

import base64
import signal
import time
from datetime import UTC, datetime

import pytest

from tests.conftest import FaultRow
from tests.real.test_faults_daemon import DropIn, daemon_restarts, drop_in, longest_wait, watch_both
from tests.rig.chaos import Chaos
from tests.rig.sinks import HttpSink
from tests.rig.stand import FRESH, SLEEP, Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.wallclock import IN_BOX, WallClock
from tests.rig.watched_box import DAEMON

__all__ = ["drop_in"]  # a fixture

WELL = "was restarted and is well again"
OPEN = "is down and could not be restarted"
SLOW_START = "ExecStartPre=/bin/sh -c '[ ! -e /run/slow-start ] || sleep 4; touch /run/slow-start'"
"""Quick the first time, then slow."""
CHANGE = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()


def test_fault_46_ended_in_the_middle_of_a_restart(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    slow = stand.model(SLOW_START)
    stand.start(slow)
    stand.watch(http_sink, slow.config(startup="20s"))
    stand.wait_state("healthy", slow)
    slow.kill()
    wait_until(lambda: slow.active == "activating", 10, stand.log)
    began = time.monotonic()
    stand.box.systemctl("stop", DAEMON)
    assert time.monotonic() - began < 5
    shown = stand.box.show(DAEMON, "Result", "ExecMainStatus")
    assert shown == {"Result": "success", "ExecMainStatus": "0"}
    assert slow.active == "activating", "systemd's job goes on"
    stand.box.start_watchdog()
    stand.message(f"{slow.name} {WELL}")
    assert slow.restarts == 1 and "verifying" in [event["event"] for event in slow.events()]
    fault_row(46, "SIGTERM while systemctl restart is under way", slow.restarts, len(http_sink.messages))


def test_fault_48_stopped_and_continued(stand: Stand, http_sink: HttpSink, chaos: Chaos, drop_in: DropIn, fault_row: FaultRow) -> None:
    drop_in("WatchdogSec=0")
    asked, broken = watch_both(stand, http_sink, chaos)
    pid = str(stand.box.main_pid(DAEMON))
    stand.box.run("kill", "-STOP", pid)
    broken.set("500")  # and well again before it is looked at again
    time.sleep(5)
    broken.set("ok")
    stand.box.run("kill", "-CONT", pid)
    back = time.monotonic()
    time.sleep(1.0)
    checks = sum(request["at"] > back for request in chaos.requests("/health"))
    assert checks <= 14, f"{checks} checks in a second, ten were due: it makes up for missed ones"
    wait_until(lambda: "held_up" in [event["event"] for event in stand.box.events()], 5, stand.log)
    stand.wait_state("healthy", asked, broken)
    stand.stays((asked, 0), (broken, 0), messages=0, seconds=1)
    fault_row(48, "SIGSTOP for 5 s, then SIGCONT", asked.restarts + broken.restarts, len(http_sink.messages))
    stand.box.run("kill", "-STOP", pid)
    broken.kill()
    time.sleep(4)
    stand.box.run("kill", "-CONT", pid)
    back = time.time()
    stand.message(f"{broken.name} {WELL}")
    (call,) = broken.calls()
    assert call - back > 0.4, "it looks for one interval before it acts"
    assert (asked.restarts, broken.restarts, daemon_restarts(stand.box)) == (0, 1, 0)


def test_fault_48_stopped_for_longer_than_systemd_waits(
    stand: Stand, http_sink: HttpSink, chaos: Chaos, drop_in: DropIn, fault_row: FaultRow
) -> None:
    drop_in("WatchdogSec=1\nTimeoutStopSec=1\nTimeoutAbortSec=1\nRestartSec=100ms")
    asked, broken = watch_both(stand, http_sink, chaos)
    stand.box.run("kill", "-STOP", str(stand.box.main_pid(DAEMON)))
    wait_until(lambda: daemon_restarts(stand.box) == 1, 15, stand.log)
    stand.wait_state("healthy", asked, broken)
    stand.stays((asked, 0), (broken, 0), messages=0, seconds=1)
    fault_row(48, "SIGSTOP for longer than WatchdogSec", asked.restarts + broken.restarts, len(http_sink.messages))


@pytest.fixture
def at_the_change_of_the_hour(stand: Stand, wallclock: WallClock, drop_in: DropIn) -> None:
    """The daemon's clock is a few seconds before Berlin puts its own back from 3 to 2, in 2026."""
    box = stand.box
    library = base64.b64encode((wallclock.directory / "wallclock.so").read_bytes()).decode()
    box.run("mkdir", "-p", IN_BOX)
    box.run("sh", "-c", f"base64 -d > {IN_BOX}/wallclock.so", stdin=library)
    box.write(f"{IN_BOX}/offset", str(int(CHANGE - 15 - time.time())))
    drop_in("Environment=TZ=Europe/Berlin " + " ".join(f"{k}={v}" for k, v in wallclock.environment(seen_at=IN_BOX).items()))


@pytest.mark.usefixtures("at_the_change_of_the_hour")
def test_fault_49_the_hour_that_comes_twice(stand: Stand, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow) -> None:
    asked, broken = watch_both(stand, http_sink, chaos)
    began = time.monotonic()
    broken.kill()
    stand.message(f"{broken.name} {WELL}")
    time.sleep(max(0.0, began + 18 - time.monotonic()))
    broken.kill()
    wait_until(lambda: broken.restarts == 2, 10, stand.log)
    wait_until(lambda: len(http_sink.messages) == 2, 10, stand.log)
    assert longest_wait(chaos, began) < 1.0
    times = [event["at"] for event in stand.box.events()]
    assert times == sorted(times) and all(at.endswith("Z") for at in times)
    assert any(at < "2026-10-25T01:00" for at in times) and any("2026-10-25T01:00" <= at < "2026-10-25T01:05" for at in times), times
    assert "clock_stepped" not in [event["event"] for event in stand.box.events()]
    fault_row(49, "Berlin's clocks go back from 3 to 2", f"{asked.restarts} ({broken.restarts} of what was killed)", 2)


def test_fault_52_out_of_memory(stand: Stand, http_sink: HttpSink, drop_in: DropIn, fault_row: FaultRow) -> None:
    """Killed by its own MemoryMax=, it is started again, and knows what it had given up."""
    drop_in("RestartSec=200ms")
    hopeless, fine = stand.model(program="/bin/false"), stand.model(program=SLEEP)
    stand.start(hopeless, fine)
    stand.watch(http_sink, hopeless.config("failures: 1"), fine.config())
    stand.message(f"{hopeless.name} {OPEN}")
    opened = hopeless.shown()["breaker"]
    assert opened["state"] == "open"
    drop_in("RestartSec=200ms\nMemoryMax=22M\nMemorySwapMax=0")
    stand.box.systemctl("restart", "--no-block", DAEMON)
    wait_until(lambda: daemon_restarts(stand.box) >= 2, 20, stand.log)
    drop_in("RestartSec=200ms\nMemoryMax=200M")
    wait_until(lambda: stand.box.watchdog("status", check=False).returncode == 2, 20, stand.log)
    stand.wait_state("healthy", fine)
    assert hopeless.shown()["breaker"] == opened
    stand.stays((hopeless, 1), (fine, 0), messages=1, seconds=2)
    fault_row(52, "MemoryMax= far below what it needs", fine.restarts, len(http_sink.messages))


@pytest.mark.parametrize("how", ["it hangs", "it is not there"])
def test_fault_58_systemctl(stand: Stand, http_sink: HttpSink, chaos: Chaos, drop_in: DropIn, fault_row: FaultRow, how: str) -> None:
    box = stand.box
    if how == "it hangs":
        box.write("/run/slow/systemctl", "#!/bin/sh\nexec sleep 60\n", mode="755")
    drop_in(f"Environment=PATH={'/run/slow:/usr/bin:/bin' if how == 'it hangs' else '/run/nothing-here'}")
    asked, broken = stand.model(program=SLEEP), stand.model()
    stand.start(asked, broken)
    stand.watch(http_sink, asked.config(probes=often(chaos)), broken.config(probes=often(broken)))
    chaos.wait_for(10)
    began = time.monotonic()
    broken.set("500")
    wait_until(lambda: broken.shown()["probes"][-1]["ok"] is False, 10, stand.log)
    wait_until(lambda: "systemctl" in broken.shown()["reason"], 15, stand.log)
    stand.stays((asked, 0), (broken, 0), messages=len(http_sink.messages), seconds=2)
    assert longest_wait(chaos, began) < 1.0
    assert broken.shown()["breaker"] == FRESH and broken.shown()["state"] == "unknown"
    fault_row(58, f"systemctl: {how}", asked.restarts + broken.restarts, len(http_sink.messages))


def often(of: Chaos | Model) -> str:
    return f"{{health: {{kind: http, url: 'http://127.0.0.1:{of.port}/health', every: 200ms, timeout: 200ms}}}}"


def test_fault_80_a_stale_socket_and_a_client_that_dies(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    box, model = stand.box, stand.model(program=SLEEP)
    stand.start(model)
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    box.kill(DAEMON, signal.SIGKILL)
    wait_until(lambda: daemon_restarts(box) == 1 and box.watchdog("status", check=False).returncode == 0, 15, stand.log)
    dies = (
        "import os, socket, json, struct\n"
        "for command in ('ping', 'doctor', 'notify-test'):\n"
        "    for _ in range(20):\n"
        "        client = socket.socket(socket.AF_UNIX)\n"
        "        client.connect('/run/model-watchdog/control.sock')\n"
        "        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
        "        client.sendall(json.dumps({'command': command}).encode() + b'\\n')\n"
        "        client.close()\n"
    )
    box.run("/usr/bin/python3", "-I", "-c", dies)
    wait_until(lambda: box.watchdog("status", check=False).returncode == 0, 10, stand.log)
    assert model.restarts == 0 and daemon_restarts(box) == 1
    fault_row(80, "a socket of a dead daemon; clients that die before the answer", model.restarts, 0)
