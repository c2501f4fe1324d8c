"""`make bench`: what the watchdog costs and how fast it is, from outside, with Monit beside it on the same work.

Figures, not tests: nothing here fails. Arguments name parts to run (latency hang status memory load gpus clock record reading promql
report web); all by default.
`crash` runs only when it is named: it takes a quarter of an hour.
Runs as root, for the box with a real systemd.
"""

import json
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.crash import KILLS, kill_around_recoveries
from bench.measuring import HERE, Target, children, machine, processor_seconds, resident_mib, share_of_core, spread, target, time_command
from bench.promql import measure_rules
from bench.reading import measure_log, measure_pages
from bench.record import measure_day
from bench.report import measure_report
from bench.warming import measure_warming
from bench.web import measure_flood, measure_page
from tests.rig import box as boxes
from tests.rig import installed
from tests.rig.fakenvml import IN_BOX, FakeNvml
from tests.rig.waiting import wait_until
from tests.rig.wallclock import WallClock
from tests.rig.watched_box import DAEMON, PREFIX, WATCHDOG, WatchedBox

SLEEPER = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\nTimeoutStopSec=2\n"
SPIED = "[Service]\nEnvironment=PATH=/opt/bench:/usr/local/bin:/usr/bin:/bin\nReadWritePaths=/opt/bench\n"
rows: list[tuple[str, str, str, str]] = []


def note(what: str, measured: str, reach: str, monit: str = "") -> None:
    rows.append((what, measured, reach, monit))
    print(f"  {what}: {measured}" + (f"   (Monit: {monit})" if monit else ""), flush=True)


class Rig:
    """The project as installed, and boxes with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prefix = installed.build(directory / "installed")
        self._boxes = 0

    @contextmanager
    def box(
        self, config: str, units: dict[str, str], overrides: str = "", start: bool = True, binds: tuple[tuple[Path, str], ...] = ()
    ) -> Iterator[WatchedBox]:
        """A box with these units running and the daemon ready; `binds` are read-only."""
        self._boxes += 1
        shared = self.directory / f"shared{self._boxes}"
        shared.mkdir()
        shared.chmod(0o777)
        box = WatchedBox(
            self.directory / f"box{self._boxes}", binds=[(shared, "/opt/bench")], read_only_binds=[(self.prefix, PREFIX), *binds]
        )
        box.shared = shared  # type: ignore[attr-defined]
        with box:
            if overrides:
                build_spy(shared)
            box.install_watchdog(config, units, overrides, start=False)
            for unit in units:
                box.systemctl("start", unit)
            if start:
                box.start_watchdog()
            yield box


def build_spy(shared: Path) -> None:
    defines = ['-DREAL="/usr/bin/systemctl"', '-DSPY_LOG="/opt/bench/restarts"']
    subprocess.run(["cc", "-O1", *defines, "-o", str(shared / "systemctl"), str(HERE / "spy.c")], check=True)
    (shared / "systemctl").chmod(0o755)


def outer_pid(box: WatchedBox, unit: str) -> int:
    """A unit's main process as this machine numbers it: box pids are those of its own namespace."""
    inner = box.main_pid(unit)
    root = int((box.directory / "pid").read_text())
    namespace = Path(f"/proc/{root}/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "ns/pid").readlink() != namespace:
                    continue
                numbers = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:")).split()
            except OSError:
                continue
            if int(numbers[-1]) == inner:
                return int(entry.name)
    raise SystemExit(f"{unit}: no process {inner} in the box")


def services(count: int, every: str, port: int, *, more: str = "") -> tuple[str, dict[str, str]]:
    """A configuration of so many services with a unit and an http probe each, and the units."""
    lines, units = ["services:"], {}
    timeout = every if every in ("100ms", "1s") else "2s"
    for number in range(count):
        units[f"model-{number}.service"] = SLEEPER
        lines += [
            f"  model-{number}:",
            f"    unit: model-{number}.service",
            f"    probes: {{health: {{kind: http, url: 'http://127.0.0.1:{port}/{number}', every: {every}, timeout: {timeout}}}}}",
        ]
    return "\n".join(lines) + "\n" + more, units


def measure_latency(rig: Rig, runs: int = 30) -> None:
    """kill -9 of the main process to the call of `systemctl restart`."""
    config = (
        "services:\n  model:\n    unit: model.service\n    probes: {}\n"
        "    recovery: {stable: 100ms, backoff: {first: 100ms, max: 100ms}, breaker: {restarts: 100000, per: 1h}}\n"
    )
    overrides = SPIED
    with rig.box(config, {"model.service": SLEEPER}, overrides) as box:
        log = box.shared / "restarts"  # type: ignore[attr-defined]
        times = []
        box.wait_state("model", "healthy")
        for run in range(runs):
            wait_until(lambda: box.service("model").get("recovery", {}).get("phase") == "idle", 20, "the last restart was not proved")
            pid = outer_pid(box, "model.service")
            time.sleep(0.05)
            begun = time.monotonic()
            subprocess.run(["kill", "-9", str(pid)], check=True)
            wait_until(lambda run=run: log.exists() and len(log.read_text().split()) > run, 10, lambda: box.log(DAEMON))  # type: ignore[misc]
            times.append((float(log.read_text().split()[run]) - begun) * 1000)
        note("kill -9 to systemctl restart called", spread(times, "ms"), "median ≤ 20, max ≤ 60 ms", measure_monit_latency(box))


def measure_monit_latency(box: WatchedBox, runs: int = 10) -> str:
    """The same with Monit at its shortest cycle, 1 s."""
    if shutil.which("monit") is None:
        return "not installed"
    box.systemctl("stop", DAEMON)
    monitrc = (
        "set daemon 1\nset pidfile /run/monit.pid\nset statefile /run/monit.state\nset idfile /run/monit.id\n"
        'check process sleeper matching "sleep infinity"\n'
        '  start program = "/opt/bench/systemctl restart model.service"\n  stop program = "/bin/true"\n'
    )
    box.write("/root/monitrc", monitrc, mode="600")
    log, times = box.shared / "restarts", []  # type: ignore[attr-defined]
    running = box.popen("monit", "-I", "-c", "/root/monitrc", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(3)
    for _ in range(runs):
        before = len(log.read_text().split())
        begun = time.monotonic()
        box.kill("model.service")
        wait_until(lambda before=before: len(log.read_text().split()) > before, 30, "Monit did not restart")  # type: ignore[misc]
        times.append((float(log.read_text().split()[before]) - begun) * 1000)
        time.sleep(random.uniform(2.5, 4.5))  # any moment of its cycle is as good as another
    running.terminate()
    return spread(times, "ms")


def measure_hang(rig: Rig) -> None:
    """A service that accepts and never answers, with nothing moving."""
    times = []
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        config, units = services(1, "1s", silent.getsockname()[1])
        config += "    startup: 1s\n    recovery: {stable: 1s, backoff: {first: 1s, max: 1s}}\n"
        for _ in range(3):
            with target() as good:
                config, units = services(1, "1s", good.port)
                config += "    recovery: {stable: 1s}\n"
                with rig.box(config, units, SPIED) as box:
                    box.wait_state("model-0", "healthy")
                    log = box.shared / "restarts"  # type: ignore[attr-defined]
                    begun = time.monotonic()
                    subprocess.run(["kill", "-STOP", str(good._process.pid)], check=True)
                    wait_until(log.exists, 20, "no restart")
                    times.append(float(log.read_text().split()[0]) - begun)
                    subprocess.run(["kill", "-CONT", str(good._process.pid)], check=True)
    note("hang, every 1s, timeout 1s, 3 times, to restart called", spread(times, "s", 1), "≤ 6 s")


def measure_status(rig: Rig) -> None:
    with target() as checked:
        config, units = services(20, "10s", checked.port)
        with rig.box(config, units) as box:
            box.wait_state("model-19", "healthy")
            inside = ["nsenter", "-t", (box.directory / "pid").read_text().strip(), "-m", "-p", "-u", "-i"]
            plain = time_command([*inside, "/bin/true"], 30)
            as_json = time_command([*inside, WATCHDOG, "status", "--json"], 40)
            cost = statistics.median(plain)
            figure = f"median {statistics.median(as_json) - cost:.0f}, min {as_json[0] - cost:.0f} ms (n=40)"
            note("watchdog status --json, 20 services", figure, "≤ 45 ms")
            table = time_command([*inside, "script", "-qec", f"{WATCHDOG} status", "/dev/null"], 20)
            none = time_command([*inside, "script", "-qec", "/bin/true", "/dev/null"], 20)
            cost = statistics.median(none)
            note("watchdog status, the table on a terminal", f"median {statistics.median(table) - cost:.0f} ms (n=20)", "≤ 100 ms")


def measure_memory(rig: Rig) -> None:
    """After 10,000 ticks and one alert, and what the next 10,000 add. A tick is one run of the probes of one service."""
    with target() as checked, target() as sink:
        more = f"notifiers:\n  ops: {{kind: apprise, url: 'json://127.0.0.1:{sink.port}'}}\n"
        config, units = services(20, "100ms", checked.port, more=more)
        config = config.replace("  model-0:\n", "  model-0:\n    startup: 5s\n    recovery: {stable: 1s}\n")
        with rig.box(config, units) as box:
            box.wait_state("model-0", "healthy")
            box.kill("model-0.service")
            wait_until(lambda: sink.count() >= 1, 30, "no message arrived")
            pid = outer_pid(box, DAEMON)
            sizes = []
            for _ in range(2):
                begun = checked.count()
                wait_until(lambda begun=begun: checked.count() - begun >= 10_000, 300, "too few checks")  # type: ignore[misc]
                sizes.append(resident_mib(pid))
            note("memory after 10,000 ticks and one alert", f"{sizes[0]:.1f} MiB RSS", "≤ 45 MiB")
            note("growth over the next 10,000 ticks", f"{sizes[1] - sizes[0]:.2f} MiB", "< 1 MiB")


def measure_load(rig: Rig) -> None:
    per_check = {}
    for count, every, seconds, window in ((20, "10s", 10, 120), (10, "5s", 5, 60), (100, "5s", 5, 60)):
        with target() as checked:
            config, units = services(count, every, checked.port)
            with rig.box(config, units) as box:
                box.wait_state(f"model-{count - 1}", "healthy")
                pid = outer_pid(box, DAEMON)
                time.sleep(seconds)
                before, cpu, begun = checked.count(), processor_seconds(pid), time.monotonic()
                time.sleep(window)
                passed = time.monotonic() - begun
                made, cpu = checked.count() - before, processor_seconds(pid) - cpu
                share = cpu / passed * 100
                per_check[count] = cpu / made * 1000
                due = count * int(window / seconds)
                monit = measure_monit_load(count, seconds, checked, window)
                what = f"{count} services @ {every} and the host, children included"
                reach = {20: "≤ 0.4 % of a core", 10: "", 100: "≤ 5 % of a core"}[count]
                note(what, f"{share:.2f} % of a core, {resident_mib(pid):.1f} MiB", reach, monit)
                if count == 100:
                    note("100 services @ 5 s: checks made, counted at the target", f"{made} of {due} ({made / due:.2%})", "≥ 99.9 %")
    ratio = per_check[100] / per_check[10]
    note("cost per check at 100 services against that at 10", f"{ratio:.2f} ({per_check[100]:.2f} against {per_check[10]:.2f} ms)", "≤ 1.2")


def measure_gpus(rig: Rig) -> None:
    """The same with eight GPUs; their driver's library is the tests' own, which answers at once."""
    directory = rig.directory / "fakenvml"
    directory.mkdir()
    directory.chmod(0o755)
    fake = FakeNvml(directory)
    fake.set("count=8")
    seen = f"[Service]\nEnvironment=LD_LIBRARY_PATH={IN_BOX}\n"
    with target() as checked:
        config, units = services(20, "10s", checked.port)
        with rig.box(config, units, seen, binds=((directory, IN_BOX),)) as box:
            box.wait_state("model-19", "healthy")
            wait_until(lambda: count_gpus(box) == 8, 30, "the GPUs are not seen")
            pid = outer_pid(box, DAEMON)
            time.sleep(10)
            share = share_of_core(pid, 120)
            (child,) = children(pid)
            what = "20 services @ 10s, the host and 8 (fake) GPUs, children included"
            note(what, f"{share:.2f} % of a core", "≤ 0.6 % of a core")
            note("daemon; NVML child", f"{resident_mib(pid):.1f}; {resident_mib(child):.1f} MiB", "≤ 48; ≤ 16 MiB")


def count_gpus(box: WatchedBox) -> int:
    return sum(metric["metric"] == "gpu_up" for metric in box.status()["host"]["metrics"])


def measure_monit_load(count: int, seconds: int, checked: Target, window: int) -> str:
    """Monit making the same http checks at the same interval, on this machine."""
    if shutil.which("monit") is None:
        return "not installed"
    with tempfile.TemporaryDirectory() as directory:
        rc = Path(directory, "monitrc")
        lines = [f"set daemon {seconds}", *(f"set {what}file {directory}/{what}" for what in ("pid", "state", "id"))]
        for number in range(count):
            lines.append(f"check host h{number} with address 127.0.0.1")
            lines.append(f'  if failed port {checked.port} protocol http request "/{number}" with timeout 2 seconds then alert')
        rc.write_text("\n".join(lines) + "\n")
        rc.chmod(0o600)
        running = subprocess.Popen(["monit", "-I", "-c", str(rc)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(seconds * 2)
            before = checked.count()
            share = share_of_core(running.pid, window)
            made = checked.count() - before
            return f"{share:.2f} % of a core, {resident_mib(running.pid):.1f} MiB, {made} checks"
        finally:
            running.terminate()
            running.wait()


def measure_clock(rig: Rig) -> None:
    """The wall clock stepped under a daemon with 100 probes: does polling go on, and how long is the loop away?"""
    clock_dir = rig.directory / "clock"
    clock_dir.mkdir()
    clock_dir.chmod(0o755)
    wallclock = WallClock(clock_dir)
    with target() as checked, tempfile.TemporaryDirectory() as directory:
        config, _ = services(100, "1s", checked.port)
        config = config.replace("unit: model-", "recovery: {kind: command, command: [/bin/false]} #")
        path = Path(directory, "config.yaml")
        path.write_text(config)
        path.chmod(0o600)
        options = ["--config", str(path), "--state-dir", f"{directory}/state", "--runtime-dir", f"{directory}/run"]
        with Path(directory, "log").open("w") as log:
            environment = {"PATH": "/usr/bin:/bin", **wallclock.environment()}
            daemon = subprocess.Popen([sys.executable, "-m", "model_watchdog", "run", *options], env=environment, stdout=log, stderr=log)
        try:
            time.sleep(8)
            for name, step in (("+1 h", 3600), ("-1 h", 0), ("-1 d", -86_400), ("+1 d", 0)):
                before = checked.count()
                wallclock.step_to(step)
                lag = longest_ping(f"{directory}/run/control.sock", 10.0)
                made = checked.count() - before
                note(
                    f"wall clock stepped {name}, 100 probes @ 1s",
                    f"{made} checks in 10 s, loop lag {lag * 1000:.0f} ms",
                    "polling goes on, < 100 ms",
                )
            restarts = Path(directory, "log").read_text().count("event=restart_started")
            note("restarts while the clock was stepped", str(restarts), "0")
        finally:
            daemon.terminate()
            daemon.wait()


def longest_ping(path: str, seconds: float) -> float:
    """The longest that the daemon's loop took to answer its control socket."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(json.dumps({"command": "ping"}).encode() + b"\n")
            connection.recv(1000)
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.02)
    return longest


def measure_crash(rig: Rig) -> None:
    """kill -9 of the daemon at random moments around recoveries."""
    toll = kill_around_recoveries(rig.directory, rig.prefix, lambda text: print(f"  {text}", flush=True))
    around = f"{toll.kills} kills of the daemon around {toll.crashes} crashes"
    note(f"{around}: double restarts; messages lost", f"{toll.double_restarts}; {toll.lost}", "0; 0")
    note("messages told twice; most copies of one", f"{toll.duplicates}; {toll.most_copies}", f"≤ {KILLS}; ≤ 2")
    note("restarts without a result in the record; integrity", f"{toll.unfinished}; {toll.integrity}", "0; ok")


def measure_record(rig: Rig) -> None:
    """What every sample of a day costs."""
    for count in (60, 400):
        with tempfile.TemporaryDirectory() as directory:
            measure_day(Path(directory), count, note)


def measure_reading(rig: Rig) -> None:
    """Pages of metrics, and logs."""
    measure_pages(note)
    with tempfile.TemporaryDirectory() as directory:
        measure_log(Path(directory), note)


def measure_promql(rig: Rig) -> None:
    """Rules with an expression, and what they know of the past."""
    measure_rules(note)
    with tempfile.TemporaryDirectory() as directory:
        measure_warming(Path(directory), note)


def measure_month(rig: Rig) -> None:
    """A report over a month that the store's own code has written."""
    with tempfile.TemporaryDirectory(dir=rig.directory) as directory:
        measure_report(Path(directory), note)


def measure_web(rig: Rig) -> None:
    """The page over a month, and flooded."""
    measure_page(note)
    measure_flood(note)


PARTS: dict[str, Callable[[Rig], None]] = {
    "latency": measure_latency,
    "hang": measure_hang,
    "status": measure_status,
    "memory": measure_memory,
    "load": measure_load,
    "gpus": measure_gpus,
    "clock": measure_clock,
    "record": measure_record,
    "reading": measure_reading,
    "promql": measure_promql,
    "report": measure_month,
    "web": measure_web,
    "crash": measure_crash,
}
LONG = ("crash",)


def main() -> int:
    if reason := boxes.why_not():
        print(f"bench: no box with a real systemd can be had here: {reason}", file=sys.stderr)
        return 1
    chosen = sys.argv[1:] or [part for part in PARTS if part not in LONG]
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="watchdog-bench-") as directory:
        Path(directory).chmod(0o755)
        rig = Rig(Path(directory))
        for part in chosen:
            print(part, flush=True)
            PARTS[part](rig)
    widths = [max(len(row[column]) for row in [*rows, ("what", "measured", "reach", "Monit")]) for column in range(3)]
    print()
    for row in [("what", "measured", "reach", "Monit"), *rows]:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
