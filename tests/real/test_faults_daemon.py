"""Faults of the daemon itself: a stepped clock, a stalled loop, no descriptors, no processes, a full disk, a twin, a bad configuration.

What it watches stays watched and is not restarted for the daemon's own trouble: counted at the endpoint and in systemd's journal.
"""

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import FaultRow
from tests.rig.chaos import Chaos
from tests.rig.sinks import HttpSink
from tests.rig.stand import Model, Stand
from tests.rig.waiting import holds_for, wait_until
from tests.rig.wallclock import IN_BOX, WallClock
from tests.rig.watched_box import CONFIG, DAEMON, USER, WATCHDOG, WatchedBox

ROOT = Path(__file__).resolve().parents[2]
STATE = "/var/lib/model-watchdog"
HOUR, DAY = 3600, 86_400
RESTART_SEC = 2.0
"""Of the shipped unit."""

DropIn = Callable[[str], None]


@pytest.fixture
def drop_in(installed_stand: Stand) -> Iterator[DropIn]:
    """drop_in(text): more lines for the daemon's [Service], for one test."""
    box, path = installed_stand.box, f"/etc/systemd/system/{DAEMON}.d/test.conf"

    def write(text: str) -> None:
        box.write(path, f"[Service]\n{text}\n")
        box.systemctl("daemon-reload")

    yield write
    box.run("rm", "-f", path)
    box.systemctl("daemon-reload")


def watch_both(stand: Stand, sink: HttpSink, chaos: Chaos) -> tuple[Model, Model]:
    """A model whose endpoint counts how often it is asked, every 100 ms, and one that can be broken; both healthy."""
    asked, broken = stand.model(program="/bin/sleep infinity"), stand.model()
    asked.systemctl("start")
    broken.start()
    stand.watch(sink, asked.config(probes=often(chaos.port)), broken.config(stable="300ms", probes=often(broken.port)))
    stand.wait_state("healthy", asked, broken)
    return asked, broken


def often(port: int) -> str:
    """Probes that ask an endpoint ten times a second."""
    health = f"{{kind: http, url: 'http://127.0.0.1:{port}/health', every: 100ms, timeout: 100ms, retry_every: 100ms}}"
    return f"{{unit: {{kind: unit, every: 500ms, retry_every: 300ms}}, health: {health}}}"


def longest_wait(chaos: Chaos, since: float) -> float:
    """Seconds between two questions to the endpoint, at most; `since` is CLOCK_MONOTONIC."""
    times = [since, *(request["at"] for request in chaos.requests("/health") if request["at"] > since), time.monotonic()]
    return max(later - earlier for earlier, later in pairwise(times))


def daemon_restarts(box: WatchedBox) -> int:
    return int(box.show(DAEMON, "NRestarts")["NRestarts"])


# ---------------------------------------------------------------- time
def test_fault_47_the_wall_clock_is_stepped(
    stand: Stand, http_sink: HttpSink, chaos: Chaos, wallclock: WallClock, drop_in: DropIn, fault_row: FaultRow
) -> None:
    box = stand.box
    box.run("mkdir", "-p", IN_BOX)
    library = base64.b64encode((wallclock.directory / "wallclock.so").read_bytes()).decode()
    box.run("sh", "-c", f"base64 -d > {IN_BOX}/wallclock.so", stdin=library)
    box.write(f"{IN_BOX}/offset", "0")
    drop_in("Environment=" + " ".join(f"{name}={value}" for name, value in wallclock.environment(seen_at=IN_BOX).items()))
    asked, broken = watch_both(stand, http_sink, chaos)
    told = 0
    for offset, step in ((HOUR, "+1 h"), (0, "-1 h"), (DAY, "+1 d"), (0, "-1 d")):
        began, before = time.monotonic(), chaos.count()
        box.write(f"{IN_BOX}/offset", str(offset))
        told += 1
        message = http_sink.wait_for(told)[-1]
        time.sleep(max(0.0, began + 1.6 - time.monotonic()))
        checks, seconds = chaos.count() - before, time.monotonic() - began
        assert (seconds - 1.2) * 8 <= checks <= seconds * 10 + 2, f"{step}: {checks} checks in {seconds:.1f} s"
        assert longest_wait(chaos, began) < 1.5, step  # the step is noticed within a second
        assert message.kind == "info" and "the clock was stepped" in message.title
        assert ("forward" if offset else "back") in message.body and ("1 h" if "h" in step else "1 day") in message.body, message.body
        fault_row(47, f"wall clock {step}", asked.restarts + broken.restarts, 1)
    stand.stays((asked, 0), (broken, 0), messages=told, seconds=1.0)
    assert daemon_restarts(box) == 0
    broken.kill()  # and it is as good as before
    stand.message(f"{broken.name} was restarted and is well again")
    assert broken.restarts == 1


# ---------------------------------------------------------------- its loop
def test_fault_50_the_loop_stalls(stand: Stand, http_sink: HttpSink, chaos: Chaos, drop_in: DropIn, fault_row: FaultRow) -> None:
    box = stand.box
    drop_in("WatchdogSec=2\nRestartSec=100ms\nEnvironment=MODEL_WATCHDOG_STALL_AT=/run/model-watchdog/stall-at")
    asked, broken = watch_both(stand, http_sink, chaos)
    box.write("/run/model-watchdog/stall-at", "beat:60", owner=USER)
    wait_until(lambda: daemon_restarts(box) == 1, 10, stand.log, every=0.2)
    assert "Watchdog timeout (limit 2s)!" in stand.log()
    before = chaos.count()
    chaos.wait_for(before + 20)
    stand.stays((asked, 0), (broken, 0), messages=0, seconds=2.0)
    assert daemon_restarts(box) == 1, "one that does not stall is left alone"
    assert "daemon_died" in [event["event"] for event in box.events()]
    fault_row(50, "its loop is blocked for longer than WatchdogSec", asked.restarts + broken.restarts, len(http_sink.messages))
    broken.kill()
    stand.message(f"{broken.name} was restarted and is well again")
    assert broken.restarts == 1


# ---------------------------------------------------------------- its means
def test_fault_51_out_of_descriptors(stand: Stand, http_sink: HttpSink, chaos: Chaos, drop_in: DropIn, fault_row: FaultRow) -> None:
    box = stand.box
    drop_in("WatchdogSec=2")
    asked, broken = watch_both(stand, http_sink, chaos)
    pid = box.main_pid(DAEMON)
    limit_files(box, pid, 3)
    stand.wait_state("unknown", asked, broken)
    broken.kill()  # nothing can be known of it, and nothing be done
    assert "is paused" in box.watchdog("pause", asked.name, "--for", "10m", "--reason", "looked at").stdout
    assert "is no longer paused" in box.watchdog("resume", asked.name).stdout
    shown = box.watchdog("status", check=False)
    assert shown.returncode == 1 and "Too many open files" in shown.stdout, shown.stdout
    holds_for(lambda: (asked.restarts, broken.restarts) == (0, 0), 3.0, stand.log, every=0.5)
    assert {box.service(model.name)["state"] for model in (asked, broken)} == {"unknown"}
    fault_row(51, "prlimit --nofile on the live daemon", asked.restarts + broken.restarts, len(http_sink.messages))
    limit_files(box, pid, 8192)
    stand.message(f"{broken.name} was restarted and is well again")
    stand.wait_state("healthy", asked, broken)
    assert (asked.restarts, broken.restarts, daemon_restarts(box)) == (0, 1, 0)
    assert stand.log().count("control_out_of_descriptors") == 1, "once a minute"


def limit_files(box: WatchedBox, pid: int, most: int) -> None:
    """So many descriptors may a process have from now on; those that it has above that stay open."""
    box.run("prlimit", "--pid", str(pid), f"--nofile={most}:8192", user=USER)


def test_fault_53_disk_full(stand: Stand, http_sink: HttpSink, chaos: Chaos, fault_row: FaultRow) -> None:
    box = stand.box
    box.run("mkdir", "-p", STATE)
    box.run("mount", "-t", "tmpfs", "-o", f"size=512k,mode=750,uid={USER},gid={USER}", "tmpfs", STATE)
    try:
        asked, broken = watch_both(stand, http_sink, chaos)
        fill = f"while :; do cat /dev/zero >> {STATE}/ballast; sleep 0.05; done"  # what the record gives back is taken, too
        box.run("systemd-run", "--unit=ballast", "sh", "-c", fill)
        stand.message("the watchdog cannot do its work")
        began = time.monotonic()
        broken.kill()
        stand.message(f"{broken.name} was restarted and is well again")
        assert broken.restarts == 1
        shown = box.watchdog("status", check=False)
        assert shown.returncode == 1 and "the disk is full" in shown.stdout, shown.stdout
        (problem,) = box.status()["daemon"]["problems"]
        assert problem["cause"] == "record_unwritable" and "df -h" in problem["remedy"]
        assert longest_wait(chaos, began) < 1.0
        box.systemctl("stop", "ballast")
        box.run("rm", f"{STATE}/ballast")
        stand.message("record_unwritable is over", timeout=15)
        assert box.status()["daemon"]["problems"] == []
        assert box.service(broken.name)["breaker"]["restarts"] == 1, "what was done meanwhile is in the record"
        assert "recovered" in [event["event"] for event in box.events(broken.name)]
        stand.stays((asked, 0), (broken, 1), messages=3, seconds=0.5)
        fault_row(53, "its disk is full while a model crashes", broken.restarts, len(http_sink.messages))
    finally:
        box.systemctl("stop", DAEMON, "ballast", check=False)
        box.run("umount", STATE)


def test_fault_57_two_daemons(stand: Stand, http_sink: HttpSink, chaos: Chaos, drop_in: DropIn, fault_row: FaultRow) -> None:
    box = stand.box
    drop_in("RestartSec=100ms")
    asked, broken = watch_both(stand, http_sink, chaos)
    pid = box.main_pid(DAEMON)
    second = box.watchdog("run", user=USER, check=False)
    assert second.returncode == 5
    assert second.stderr.count("\n") == 1 and f"(pid {pid})" in second.stderr, second.stderr
    assert second.stdout == ""
    twin = ("--unit=twin", "--service-type=notify", f"--property=User={USER}", "--property=RuntimeDirectory=model-watchdog")
    kept = ("--property=StateDirectory=model-watchdog", "--property=RuntimeDirectoryPreserve=yes")
    assert box.run("systemd-run", *twin, *kept, WATCHDOG, "run", check=False).returncode != 0
    assert box.show("twin", "ExecMainStatus")["ExecMainStatus"] == "5"
    box.watchdog("pause", broken.name, "--for", "10m", "--reason", "the first one still answers")
    box.watchdog("resume", broken.name)
    assert box.main_pid(DAEMON) == pid
    before = chaos.count()
    chaos.wait_for(before + 5)
    box.kill(DAEMON)  # its lock and socket lie there; they keep nobody out
    wait_until(lambda: daemon_restarts(box) == 1, 10, stand.log)
    wait_until(lambda: box.watchdog("status", check=False).returncode == 0, 10, stand.log)
    fault_row(57, "a second daemon is started; the first is killed", asked.restarts + broken.restarts, 0)
    broken.kill()
    stand.message(f"{broken.name} was restarted and is well again")
    assert (asked.restarts, broken.restarts) == (0, 1)


def test_fault_59_no_process_can_be_started(stand: Stand, http_sink: HttpSink, chaos: Chaos, drop_in: DropIn, fault_row: FaultRow) -> None:
    """Its endpoints can still be asked, so what they say counts; systemd cannot be asked, so nothing is done."""
    box = stand.box
    drop_in("WatchdogSec=2")
    asked, broken = watch_both(stand, http_sink, chaos)
    threads = box.run("grep", "-oP", r"^Threads:\s+\K\d+", f"/proc/{box.main_pid(DAEMON)}/status").stdout.strip()
    box.systemctl("set-property", "--runtime", DAEMON, f"TasksMax={threads}")  # not TasksCurrent: a child may run just now
    try:
        wait_until(lambda: box.service(asked.name)["unit_state"] is None, 10, stand.log)
        began = time.monotonic()
        broken.kill()
        wait_until(lambda: box.service(broken.name)["state"] == "unhealthy", 10, stand.log)
        stand.stays((asked, 0), (broken, 0), messages=0, seconds=2.0)
        assert longest_wait(chaos, began) < 1.0
        assert box.service(asked.name)["state"] == "healthy"
        seen = box.service(broken.name)
        assert seen["state"] == "unhealthy" and seen["breaker"]["restarts"] == 0, seen
        assert box.watchdog("status", check=False).returncode == 2
        fault_row(59, "TasksMax= leaves no room for a child", asked.restarts + broken.restarts, len(http_sink.messages))
    finally:
        box.systemctl("set-property", "--runtime", DAEMON, "TasksMax=256")
    box.watchdog("reset", broken.name)  # or it would wait 10 s before it tries again
    stand.message(f"{broken.name} was restarted and is well again")
    assert (asked.restarts, broken.restarts, daemon_restarts(box)) == (0, 1, 0)


# ---------------------------------------------------------------- its configuration
ONE = "services:\n  a:\n    unit: a.service\n    {}\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{of}'] * 9)}]\n" for of, after in pairwise("abcdefghi")
)
WRONG = {
    60: {
        "invalid YAML": ("services: [a\n", "1:11"),
        "a tab": ("services:\n\ta: {unit: a.service}\n", "2:1"),
        "NUL": ("services: {}\0\n", "1:13"),
        "two documents": ("services: {}\n---\nservices: {}\n", "2:1"),
        "a bad tag": ("services: !!python/object/apply:os.system [reboot]\n", "1:11"),
    },
    61: {
        "an unknown key": (ONE.format("startp: 5m"), '4:5: services.a.startp: no such key; did you mean "startup"'),
        "a key twice": (ONE.format("unit: b.service"), "4:5"),
    },
    62: {
        "no": (ONE.format("startup: no"), "4:14: services.a.startup"),
        "1:30": (ONE.format("startup: 1:30"), "4:14: services.a.startup"),
        "012": (ONE.format("startup: 012"), "4:14: services.a.startup"),
        "1e3": (ONE.format("startup: 1e3"), "4:14: services.a.startup"),
        ".inf": (ONE.format("startup: .inf"), "4:14: services.a.startup"),
        "a date": (ONE.format("startup: 2026-01-01"), "4:14: services.a.startup"),
    },
    63: {"5 MB": ("# " + "x" * 5_000_000 + "\n" + ONE.format(""), "")},
    64: {
        "an alias bomb": (BOMB, "1:4"),
        "a merge key": ("x: &x {unit: a.service}\nservices: {a: {<<: *x}}\n", "1:4"),
        "a depth bomb": ("services: " + "[" * 100_000 + "\n", "1:"),
        "a self reference": ("services: &s {a: *s}\n", "1:11"),
    },
    68: {
        "timeout longer than every": (ONE.format("probes: {p: {kind: unit, every: 2s, timeout: 3s}}"), "4:50: services.a.probes.p.timeout"),
        "for shorter than two samples": (
            ONE.format("rules: {r: {metric: unit_tasks, above: 1, for: 1s, then: restart}}"),
            "4:52: services.a.rules.r.for: 1s is shorter",
        ),
        "max_duration longer than timeout": (
            ONE.format("probes: {h: {kind: http, url: 'http://h/', timeout: 2s, max_duration: 3s}}"),
            "4:75: services.a.probes.h.max_duration: 3s is longer",
        ),
    },
}


def refuse(path: Path, place: str) -> None:
    """The daemon does not start with this configuration, and says why as `watchdog check` does; nothing is made or begun."""
    state, runtime = path.with_name("state"), path.with_name("run")
    options = ("--config", str(path), "--state-dir", str(state), "--runtime-dir", str(runtime))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
    began, ended = time.monotonic(), []
    for command in ("run", "check"):
        argv = (sys.executable, "-m", "model_watchdog", command, *options)
        ended.append(subprocess.Popen(argv, stdout=-1, stderr=-1, text=True, env=environment, stdin=subprocess.DEVNULL))
    (run_out, run_told), (check_told, _) = (child.communicate(timeout=20) for child in ended)
    assert [child.returncode for child in ended] == [2, 2], run_told + check_told
    assert time.monotonic() - began < 5
    told = run_told.splitlines()
    assert run_out == "" and told and "Traceback" not in run_told
    assert all(line.startswith(f"{path}:") for line in told), told
    assert told[0].startswith(f"{path}:{place}"), told
    assert check_told.splitlines()[: len(told)] == told
    assert not state.exists() and not runtime.exists()


def refuse_text(number: int, injection: str, path: Path, fault_row: FaultRow) -> None:
    text, place = WRONG[number][injection]
    path.write_text(text)
    refuse(path, place)
    fault_row(number, injection, 0, 0)


@pytest.mark.parametrize("injection", WRONG[60])
def test_fault_60_not_yaml(tmp_path: Path, injection: str, fault_row: FaultRow) -> None:
    refuse_text(60, injection, tmp_path / "config.yaml", fault_row)


@pytest.mark.parametrize("injection", WRONG[61])
def test_fault_61_unknown_and_duplicate_keys(tmp_path: Path, injection: str, fault_row: FaultRow) -> None:
    refuse_text(61, injection, tmp_path / "config.yaml", fault_row)


@pytest.mark.parametrize("injection", WRONG[62])
def test_fault_62_wrong_types(tmp_path: Path, injection: str, fault_row: FaultRow) -> None:
    refuse_text(62, injection, tmp_path / "config.yaml", fault_row)


@pytest.mark.parametrize("injection", WRONG[63])
def test_fault_63_huge(tmp_path: Path, injection: str, fault_row: FaultRow) -> None:
    refuse_text(63, injection, tmp_path / "config.yaml", fault_row)


@pytest.mark.parametrize("injection", WRONG[64])
def test_fault_64_bombs(tmp_path: Path, injection: str, fault_row: FaultRow) -> None:
    refuse_text(64, injection, tmp_path / "config.yaml", fault_row)


@pytest.mark.parametrize("injection", WRONG[68])
def test_fault_68_contradictory_times(tmp_path: Path, injection: str, fault_row: FaultRow) -> None:
    refuse_text(68, injection, tmp_path / "config.yaml", fault_row)


@pytest.mark.parametrize("injection", ["missing", "a directory", "a fifo", "writable by others"])
def test_fault_65_no_file_to_be_read(tmp_path: Path, injection: str, fault_row: FaultRow) -> None:
    path = tmp_path / "config.yaml"
    if injection == "a directory":
        path.mkdir()
    elif injection == "a fifo":
        os.mkfifo(path)
    elif injection == "writable by others":
        if os.geteuid() != 0:
            pytest.skip("only root must not trust a file that others can write")
        path.write_text(ONE.format(""))
        path.chmod(0o666)
    refuse(path, "")
    fault_row(65, injection, 0, 0)


def test_fault_65_not_for_the_daemon_to_read(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """Its unit ends with 2, once; systemd does not try again, and what is not watched is not touched."""
    box, model = stand.box, stand.model()
    model.start()
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    box.systemctl("stop", DAEMON)
    box.run("chown", "root:root", CONFIG)
    assert box.systemctl("start", DAEMON, check=False).returncode != 0
    shown = box.show(DAEMON, "ActiveState", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    assert f"{CONFIG}: may not be read by this user" in stand.log(), stand.log()
    assert box.watchdog("status", check=False).returncode == 3
    model.kill()
    stand.stays((model, 0), messages=0, seconds=RESTART_SEC + 0.5)
    assert box.show(DAEMON, "ActiveState", "NRestarts") == {"ActiveState": "failed", "NRestarts": "0"}
    fault_row(65, "not readable for the daemon's user, as a unit", model.restarts, len(http_sink.messages))
