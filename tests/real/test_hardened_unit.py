"""The shipped unit, in a real systemd: what the daemon must be able to do in it works, and what it must not do does not.

Each test runs a small program in the daemon's place: a drop-in replaces ExecStart, everything else is the unit as shipped.
"""

import json
import re
import stat
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from model_watchdog.cli.installation import fill_rule, resource
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, PREFIX, USER, WatchedBox

ROOT = Path(__file__).resolve().parents[2]
UNIT_TEXT = (ROOT / "systemd" / DAEMON).read_text()
IN_ITS_PLACE = f"""[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecStart=
ExecStart={PREFIX}/bin/python -I /run/program.py
StandardOutput=truncate:/run/answer
StandardError=truncate:/run/complaint
"""
MODEL = "[Service]\nUser=modeler\nExecStart=/bin/sh -c 'echo a line of the model; exec sleep infinity'\n"


@pytest.fixture(scope="module")
def box(module_box: WatchedBox) -> WatchedBox:
    """A box with the unit and the rule as shipped, two units of another user's, of which the rule names the first."""
    module_box.add_user("modeler")
    module_box.add_user(USER)
    module_box.run("mount", "--make-rshared", "/")  # as on a real machine; systemd mounts the credentials for the unit from outside
    module_box.write(f"/etc/systemd/system/{DAEMON}", resource(DAEMON))
    module_box.write("/etc/polkit-1/rules.d/50-model-watchdog.rules", fill_rule(resource("50-model-watchdog.rules"), ["model.service"]))
    module_box.run("install", "-d", "-o", USER, "/srv/its-own")
    module_box.unit("model.service", MODEL)
    module_box.unit("other.service", MODEL)
    module_box.systemctl("start", "model.service", "other.service")
    return module_box


def in_unit(box: WatchedBox, program: str, drop_in: str = "") -> Any:
    """Runs `program` as the daemon would run, and gives what it left in `answer`."""
    box.write("/run/program.py", "import json, os, socket, subprocess, sys\n" + dedent(program) + "\nprint(json.dumps(answer))\n")
    use_drop_in(box, IN_ITS_PLACE + drop_in)
    started = box.systemctl("start", DAEMON, check=False)
    assert started.returncode == 0, f"{box.read('/run/complaint')}{box.read('/run/answer')}{box.log(DAEMON)}"
    return json.loads(box.read("/run/answer"))


def use_drop_in(box: WatchedBox, text: str) -> None:
    box.write(f"/etc/systemd/system/{DAEMON}.d/test.conf", text)
    box.systemctl("stop", DAEMON)
    box.systemctl("reset-failed", DAEMON, check=False)
    box.systemctl("daemon-reload")


def without_drop_in(box: WatchedBox) -> None:
    box.run("rm", "-rf", f"/etc/systemd/system/{DAEMON}.d")
    box.systemctl("daemon-reload")


# ---------------------------------------------------------------- the unit as systemd reads it
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("User", USER),
        ("Group", USER),
        ("SupplementaryGroups", "systemd-journal"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectProc", "default"),
        ("ProcSubset", "all"),
        ("PrivateDevices", "no"),
        ("PrivateUsers", "no"),
        ("ProtectClock", "no"),
        ("DevicePolicy", "auto"),
        ("DeviceAllow", ""),
        ("OOMScoreAdjust", "-900"),
        ("OOMPolicy", "continue"),
        ("KillMode", "mixed"),
        ("TimeoutStopUSec", "10s"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", "2 5"),
        ("StartLimitIntervalUSec", "0"),
        ("MemoryMax", str(200 * 1024 * 1024)),
        ("StateDirectory", "model-watchdog"),
        ("StateDirectoryMode", "0750"),
        ("RuntimeDirectory", "model-watchdog"),
        ("RuntimeDirectoryMode", "0750"),
        ("RuntimeDirectoryPreserve", "yes"),
    ],
)
def test_setting(box: WatchedBox, name: str, value: str) -> None:
    without_drop_in(box)
    assert box.show(DAEMON, name).get(name, "") == value


def test_no_device_is_ever_denied() -> None:
    settings = [line.partition("=")[0] for line in UNIT_TEXT.splitlines() if "=" in line and not line.startswith("#")]
    assert not {"DeviceAllow", "DevicePolicy", "ProtectClock"} & set(settings)  # each of them makes a list of devices


def test_the_commands_of_the_unit() -> None:
    assert "\nExecStart=/opt/model-watchdog/bin/watchdog run\n" in UNIT_TEXT
    assert "\nExecStartPre=-+/usr/bin/nvidia-modprobe -c 0\n" in UNIT_TEXT
    assert "\nAfter=nvidia-persistenced.service\n" in UNIT_TEXT
    assert "\nWatchdogSec=30\n" in UNIT_TEXT  # systemd shows it only while the unit runs


def test_systemd_finds_no_fault_in_it(box: WatchedBox) -> None:
    without_drop_in(box)
    verified = box.run("systemd-analyze", "verify", f"/etc/systemd/system/{DAEMON}", check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_exposure_is_at_most_2(box: WatchedBox) -> None:
    without_drop_in(box)
    analyzed = box.run("systemd-analyze", "security", "--no-pager", "--threshold=20", DAEMON, check=False)
    assert analyzed.returncode == 0, analyzed.stdout
    level = re.search(r"exposure level for .*: ([\d.]+)", analyzed.stdout)
    assert level
    assert float(level[1]) <= 2.0


# ---------------------------------------------------------------- what it must be able to do
def test_runs_as_its_user_without_any_privilege(box: WatchedBox) -> None:
    answer = in_unit(
        box,
        """
        import grp, pwd, resource
        status = dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
        answer = {
            "user": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name,
            "groups": sorted(grp.getgrgid(gid).gr_name for gid in os.getgroups()),
            "capabilities": {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0},
            "no_new_privileges": status["NoNewPrivs"].strip(), "seccomp": status["Seccomp"].strip(),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "state": os.environ["STATE_DIRECTORY"], "run": os.environ["RUNTIME_DIRECTORY"],
        }
        """,
    )
    assert answer == {
        "user": USER,
        "group": USER,
        "groups": sorted([USER, "systemd-journal"]),
        "capabilities": True,
        "no_new_privileges": "1",
        "seccomp": "2",
        "core": [0, 0],
        "state": "/var/lib/model-watchdog",
        "run": "/run/model-watchdog",
    }


def test_imports_everything_that_the_daemon_is_made_of(box: WatchedBox) -> None:
    answer = in_unit(
        box,
        """
        import pkgutil, asyncio, sqlite3, ssl
        import apscheduler.schedulers.asyncio, httpx, psutil, tenacity, yaml, model_watchdog
        ssl.create_default_context()
        asyncio.run(asyncio.sleep(0))
        names = [module.name for module in pkgutil.walk_packages(model_watchdog.__path__, "model_watchdog.")]
        for name in set(names) - {"model_watchdog.__main__"}:
            __import__(name)
        answer = len(names)
        """,
    )
    assert answer > 20


def test_reads_the_journal_of_other_units(box: WatchedBox) -> None:
    box.run("journalctl", "--sync")
    answer = in_unit(
        box,
        """
        answer = subprocess.run(["journalctl", "-u", "model.service", "-o", "cat", "--no-pager"], capture_output=True, text=True).stdout
        """,
    )
    assert "a line of the model" in answer
    assert "Started model.service" in answer


def test_asks_systemd(box: WatchedBox) -> None:
    answer = in_unit(
        box,
        """
        def ask(*words): return subprocess.run(["systemctl", *words], capture_output=True, text=True, check=True).stdout
        answer = [ask("show", "-p", "ActiveState", "--value", "model.service", "other.service").split(), ask("is-system-running").strip()]
        """,
    )
    assert answer == [["active", "active"], "running"]


CALL = """
def call(*words):
    done = subprocess.run(["systemctl", "--no-ask-password", *words], capture_output=True, text=True)
    return [done.returncode, done.stderr]
"""


def test_restarts_its_unit_and_no_other(box: WatchedBox) -> None:
    before = {unit: box.show(unit, "InvocationID", "MainPID") for unit in ("model.service", "other.service")}
    answer = in_unit(box, CALL + "answer = [call('restart', 'model.service'), call('restart', 'other.service')]")
    assert answer[0] == [0, ""]
    assert answer[1][0] == 4
    assert "Access denied" in answer[1][1]
    after = {unit: box.show(unit, "InvocationID", "MainPID") for unit in ("model.service", "other.service")}
    assert after["model.service"]["InvocationID"] != before["model.service"]["InvocationID"]
    assert after["other.service"] == before["other.service"]


def test_kills_what_is_left_of_its_unit_and_clears_its_failure(box: WatchedBox) -> None:
    program = CALL + dedent(
        """
        import time
        def state(): return subprocess.run(["systemctl", "is-failed", "model.service"], capture_output=True, text=True).stdout.strip()
        killed, end = call("kill", "--kill-who=all", "--signal=KILL", "model.service"), time.monotonic() + 10
        while state() != "failed" and time.monotonic() < end:
            time.sleep(0.05)
        failed = state()
        answer = [killed, failed, call("reset-failed", "model.service"), state(), call("start", "model.service"), state()]
        """
    )
    assert in_unit(box, program) == [[0, ""], "failed", [0, ""], "inactive", [0, ""], "active"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_connects_over_tcp(box: WatchedBox, address: str) -> None:
    answer = in_unit(
        box,
        f"""
        family = socket.AF_INET6 if ":" in {address!r} else socket.AF_INET
        with socket.create_server(({address!r}, 0), family=family) as server, socket.create_connection(server.getsockname()[:2]) as client:
            accepted, _ = server.accept()
            client.sendall(b"ping")
            answer = accepted.recv(4).decode()
        """,
    )
    assert answer == "ping"


def test_resolves_names(box: WatchedBox) -> None:
    box.run("sh", "-c", "cp /etc/hosts /etc/hosts.before; echo '127.0.0.9 gpu-box-7.example' >> /etc/hosts")
    answer = in_unit(
        box,
        """
        def resolve(name, flags=0): return sorted({found[4][0] for found in socket.getaddrinfo(name, 80, flags=flags)})
        answer = [resolve("gpu-box-7.example"), resolve("gpu-box-7.example", socket.AI_ADDRCONFIG), "127.0.0.1" in resolve("localhost")]
        """,
    )
    box.run("mv", "/etc/hosts.before", "/etc/hosts")
    assert answer == [["127.0.0.9"], ["127.0.0.9"], True]


def test_keeps_its_record(box: WatchedBox) -> None:
    answer = in_unit(
        box,
        """
        import sqlite3
        path = os.environ["STATE_DIRECTORY"] + "/record.db"
        database = sqlite3.connect(path)
        mode = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        database.execute("CREATE TABLE IF NOT EXISTS t (x)")
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
        answer = [mode, database.execute("SELECT count(*) > 0 FROM t").fetchone()[0], oct(os.stat(path).st_mode)]
        """,
    )
    assert answer == ["wal", 1, "0o100640"]
    assert box.run("stat", "-c", "%a %U:%G", "/var/lib/model-watchdog").stdout.strip() == f"750 {USER}:{USER}"


SOCKET = """
import struct, time
path = os.environ["RUNTIME_DIRECTORY"] + "/control.sock"
if os.path.exists(path): os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
os.chmod(path, 0o660)
server.listen()
server.settimeout(20)
open(os.environ["RUNTIME_DIRECTORY"] + "/ready", "w").close()
peer, _ = server.accept()
answer = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
"""


def test_answers_at_its_control_socket_to_members_of_its_group_only(box: WatchedBox) -> None:
    box.add_user("colleague", USER)
    box.write("/run/program.py", "import json, os, socket\n" + SOCKET + "print(json.dumps(answer))\n")
    use_drop_in(box, IN_ITS_PLACE)
    box.run("rm", "-f", "/run/model-watchdog/ready")
    box.systemctl("start", "--no-block", DAEMON)
    wait_until(lambda: box.run("test", "-e", "/run/model-watchdog/ready", check=False).returncode == 0, 20)
    knock = ("python3", "-c", "import socket; socket.socket(socket.AF_UNIX).connect('/run/model-watchdog/control.sock')")
    refused = box.run(*knock, user="modeler", check=False)
    assert "PermissionError" in refused.stderr
    box.run(*knock, user="colleague")
    box.wait(DAEMON, "ActiveState", "inactive")
    assert json.loads(box.read("/run/answer")) == int(box.run("id", "-u", "colleague").stdout)
    assert box.run("stat", "-c", "%a %U:%G", "/run/model-watchdog").stdout.strip() == f"750 {USER}:{USER}"


def test_spawns_watches_and_ends_children(box: WatchedBox) -> None:
    answer = in_unit(
        box,
        """
        import signal, select
        child = subprocess.Popen(["/bin/sleep", "60"])
        with open(f"/proc/{child.pid}/oom_score_adj", "w") as file: file.write("500")
        descriptor = os.pidfd_open(child.pid)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        ended = bool(select.select([descriptor], [], [], 10)[0])
        answer = [ended, child.wait(10)]
        """,
    )
    assert answer == [True, -9]


def test_sees_processes_and_cgroups_of_other_users_units(box: WatchedBox) -> None:
    pid = box.main_pid("model.service")
    cgroup = box.show("model.service", "ControlGroup")["ControlGroup"]
    answer = in_unit(
        box,
        f"""
        import glob
        stat = open("/proc/{pid}/stat").read()
        os.pidfd_open({pid})
        lists = glob.glob("/sys/fs/cgroup{cgroup}/cgroup.procs") + glob.glob("/sys/fs/cgroup/*{cgroup}/cgroup.procs")
        answer = [stat.split()[:2], os.stat("/proc/{pid}").st_uid == os.getuid(), "model.service" in open("/proc/{pid}/cgroup").read(),
                  [open(path).read().split() for path in lists][0]]
        """,
    )
    assert answer == [[str(pid), "(sleep)"], False, True, [str(pid)]]


def test_measures_the_host(box: WatchedBox) -> None:
    box.run("mount", "-t", "tmpfs", "-o", "size=7m", "home", "/home")
    answer = in_unit(
        box,
        """
        import psutil
        answer = [psutil.disk_usage("/home").total, psutil.disk_usage("/").total > 0, psutil.virtual_memory().total > 0,
                  psutil.swap_memory().total >= 0, psutil.cpu_times().user > 0, len(psutil.getloadavg()),
                  "lo" in psutil.net_io_counters(pernic=True), psutil.disk_io_counters() is None]
        """,
    )
    box.run("umount", "/home")
    assert answer[0] == 7 * 1024 * 1024  # the disk that is mounted there, not an empty stand-in
    assert answer[1:7] == [True, True, True, True, 3, True]


def test_uses_a_device_that_appears_after_its_start(box: WatchedBox) -> None:
    program = """
    import time
    open("/run/model-watchdog/waits", "w").close()
    end = time.monotonic() + 20
    while not os.path.exists("/dev/nvidia9") and time.monotonic() < end:
        time.sleep(0.02)
    with open("/dev/nvidia9", "wb") as device:
        answer = device.write(b"hello")
    """
    box.write("/run/program.py", "import json, os\n" + dedent(program) + "\nprint(json.dumps(answer))\n")
    use_drop_in(box, IN_ITS_PLACE)
    box.run("rm", "-f", "/run/model-watchdog/waits")
    box.systemctl("start", "--no-block", DAEMON)
    wait_until(lambda: box.run("test", "-e", "/run/model-watchdog/waits", check=False).returncode == 0, 20)
    box.run("mknod", "-m", "666", "/dev/nvidia9", "c", "1", "3")  # the numbers of /dev/null
    box.wait(DAEMON, "ActiveState", "inactive", timeout=25)
    box.run("rm", "/dev/nvidia9")
    assert box.show(DAEMON, "Result")["Result"] == "success", box.read("/run/complaint")
    assert box.read("/run/answer").strip() == "5"


def test_reads_a_credential_that_only_root_can_read(box: WatchedBox) -> None:
    box.write("/root/secret", "hush", mode="600")
    answer = in_unit(
        box,
        """
        try:
            direct = open("/root/secret").read()
        except PermissionError:
            direct = "denied"
        answer = [open(os.environ["CREDENTIALS_DIRECTORY"] + "/ops-url").read(), direct]
        """,
        drop_in="LoadCredential=ops-url:/root/secret\n",
    )
    assert answer == ["hush", "denied"]


def test_calls_libraries_that_call_back(box: WatchedBox) -> None:
    """ctypes is how NVML is asked."""
    answer = in_unit(
        box,
        """
        import ctypes
        compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(lambda a, b: a[0] - b[0])
        numbers = (ctypes.c_int * 4)(4, 1, 3, 2)
        ctypes.CDLL(None).qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), compare)
        answer = list(numbers)
        """,
    )
    assert answer == [1, 2, 3, 4]


def test_runs_recovery_commands_that_compile_as_they_run(box: WatchedBox) -> None:
    """pm2 is Node.js."""
    answer = in_unit(
        box,
        """
        import mmap
        answer = len(mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
        """,
    )
    assert answer == 4096


def test_talks_to_systemd_and_is_restarted_when_it_hangs(box: WatchedBox) -> None:
    hangs = """
    import socket, os, time
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = os.environ["NOTIFY_SOCKET"]
    link.sendto(b"READY=1\\nSTATUS=here\\nWATCHDOG=1", address.replace("@", "\\0", 1) if address.startswith("@") else address)
    open(os.environ["RUNTIME_DIRECTORY"] + "/lock", "a").close()
    time.sleep(60)
    """
    box.write("/run/program.py", dedent(hangs))
    use_drop_in(box, f"[Service]\nExecStart=\nExecStart={PREFIX}/bin/python -I /run/program.py\nWatchdogSec=1\nRestartSec=50ms\n")
    box.systemctl("start", DAEMON)
    assert box.show(DAEMON, "StatusText")["StatusText"] == "here"
    lock = box.run("stat", "-c", "%i", "/run/model-watchdog/lock").stdout
    wait_until(lambda: int(box.show(DAEMON, "NRestarts")["NRestarts"]) >= 1, 20)
    assert "Watchdog timeout" in box.log(DAEMON)
    assert box.run("stat", "-c", "%i", "/run/model-watchdog/lock").stdout == lock  # the same file: its lock means something
    box.systemctl("stop", DAEMON)


@pytest.mark.parametrize(("code", "tries_again"), [(2, False), (5, False), (1, True), (70, True)])
def test_is_started_again_unless_that_would_mend_nothing(box: WatchedBox, code: int, tries_again: bool) -> None:
    use_drop_in(box, f"[Service]\nType=simple\nExecStart=\nExecStart=/bin/sh -c 'exit {code}'\nRestartSec=300\n")
    box.systemctl("start", DAEMON, check=False)
    expected = ("activating", "auto-restart") if tries_again else ("failed", "failed")
    wait_until(lambda: tuple(box.show(DAEMON, "ActiveState", "SubState").values()) == expected, 10, lambda: box.log(DAEMON))
    box.systemctl("stop", DAEMON)


def test_stops_at_once_and_takes_a_stubborn_child_along(box: WatchedBox) -> None:
    program = """
    import subprocess, os, signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    child = subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    open("/run/model-watchdog/child", "w").write(str(child.pid))
    time.sleep(60)
    """
    box.write("/run/program.py", dedent(program))
    box.run("rm", "-f", "/run/model-watchdog/child")
    use_drop_in(box, f"[Service]\nType=simple\nWatchdogSec=0\nExecStart=\nExecStart={PREFIX}/bin/python -I /run/program.py\n")
    box.systemctl("start", DAEMON)
    child = wait_until(lambda: box.read("/run/model-watchdog/child"), 10)
    box.systemctl("stop", DAEMON, timeout=8)  # TimeoutStopSec is 10 s
    assert box.run("kill", "-0", child, check=False).returncode != 0
    assert box.show(DAEMON, "Result")["Result"] == "success"


# ---------------------------------------------------------------- what it must not do
@pytest.mark.parametrize(
    "attempt",
    [
        "open('/srv/its-own/was-here', 'w')",  # its user may, its unit may not
        "open('/etc/model-watchdog-was-here', 'w')",
        "open('/usr/bin/model-watchdog-was-here', 'w')",
        "open('/var/lib/model-watchdog-was-here', 'w')",
        f"open('{PREFIX}/was-here', 'w')",
        "open('/proc/sys/kernel/hostname', 'w')",
        "open('/proc/1/environ').read()",
        "open('/etc/shadow').read()",
        "time.clock_settime(time.CLOCK_REALTIME, time.time())",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        "socket.create_server(('127.0.0.1', 81))",
        "os.nice(1)",  # by the system call filter
        "os.setuid(0)",
        "os.chroot('/tmp')",
        "os.kill(1, 0)",
        "os.mknod('/tmp/null', 0o600 | stat.S_IFCHR, os.makedev(1, 3))",
        "subprocess.run(['unshare', '--user', 'true'], check=True, stderr=-3)",
        "subprocess.run(['mount', '-t', 'tmpfs', 'x', '/tmp'], check=True, stderr=-3)",
        "os.chmod(os.environ['STATE_DIRECTORY'], 0o6755)",
    ],
)
def test_is_kept_from(box: WatchedBox, attempt: str) -> None:
    answer = in_unit(
        box,
        f"""
        import stat, time
        try:
            {attempt}
            answer = "done"
        except (OSError, subprocess.CalledProcessError) as error:
            answer = "refused"
        """,
    )
    assert answer == "refused"


def test_has_a_tmp_of_its_own(box: WatchedBox) -> None:
    box.write("/tmp/seen", "from outside")
    assert in_unit(box, "answer = os.listdir('/tmp')") == []


def test_files_of_systemd_are_plain() -> None:
    for name in (DAEMON, "50-model-watchdog.rules"):
        path = ROOT / "systemd" / name
        assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0
        assert path.read_text().isascii()


def test_a_report_can_be_made_in_it(box: WatchedBox) -> None:
    answer = in_unit(
        box,
        """
        import asyncio
        from pathlib import Path
        from model_watchdog.reporting import ask_child, prepare
        from model_watchdog.store import Store

        state = Path("/var/lib/model-watchdog")
        store = Store.open(state / "watchdog.db")
        asyncio.run(store.commit())
        store.close()
        path = state / "reports" / "report-x.html"
        prepare(path.parent)
        text = asyncio.run(ask_child(["report", "--since", "7d", "-o", str(path)], state, "zh"))
        answer = [text, path.read_text()[:15], oct(path.stat().st_mode), oct(path.parent.stat().st_mode)]
        """,
    )
    assert "运行报告" in answer[0]
    assert answer[1:] == ["<!doctype html>", "0o100640", "0o40750"]
