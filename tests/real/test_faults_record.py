"""Faults of the record: read-only, damaged, locked by another program; and who may read it. Judged from outside.

Whatever becomes of it, services are watched, restarted and told of.
"""

import json
import time
from collections.abc import Iterator

import pytest

from tests.conftest import FaultRow
from tests.rig.sinks import HttpSink
from tests.rig.stand import Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, PREFIX, USER, WatchedBox

STATE = "/var/lib/model-watchdog"
RECORD = f"{STATE}/watchdog.db"
WELL = "was restarted and is well again"


def watch(stand: Stand, sink: HttpSink, *, keep: bool = False, model: Model | None = None, stable: str = "300ms") -> Model:
    """A healthy model, and the daemon on it; with the record that is there, if that is to be kept."""
    if model is None:
        model = stand.model()
        model.start()
    stand.watch(sink, model.config("restarts: 1000", stable=stable), keep=keep)
    stand.wait_state("healthy", model)
    return model


def problems(stand: Stand) -> list[dict[str, str]]:
    found: list[dict[str, str]] = stand.box.status()["daemon"]["problems"]
    return found


def break_and_mend(stand: Stand, sink: HttpSink, model: Model, told: int) -> None:
    """The model crashes: it is restarted once and that is told, whatever the record can do."""
    before = model.restarts
    model.kill()
    wait_until(lambda: sum(WELL in title for title in stand.told(model)) == told, 15, stand.log)
    assert model.restarts == before + 1


def python(box: WatchedBox, script: str, *arguments: str, user: str = "root") -> str:
    """What a script of its own prints, run by the system's Python: no code of the project is in it."""
    return box.run("/usr/bin/python3", "-I", "-c", script, *arguments, user=user).stdout.strip()


# ---------------------------------------------------------------- read-only
@pytest.fixture
def file_system(installed_stand: Stand) -> Iterator[WatchedBox]:
    """The state directory on a file system of its own, which a test can make read-only while nobody writes to it."""
    box = installed_stand.box
    box.systemctl("stop", DAEMON)
    box.run("mkdir", "-p", STATE)
    box.run("mount", "-t", "tmpfs", "-o", f"size=16m,mode=750,uid={USER},gid={USER}", "tmpfs", STATE)
    yield box
    box.systemctl("stop", DAEMON, check=False)
    box.run("umount", STATE)


@pytest.mark.parametrize("ended", ["stopped", "killed"])
def test_fault_54_read_only_store(stand: Stand, file_system: WatchedBox, http_sink: HttpSink, ended: str, fault_row: FaultRow) -> None:
    """Read-only when the daemon starts: after a clean stop, and after kill -9 with a write-ahead log beside the record."""
    box, model = file_system, watch(stand, http_sink)
    break_and_mend(stand, http_sink, model, 1)
    if ended == "killed":
        box.systemctl("kill", "--signal=KILL", DAEMON)  # systemd starts it again after 2 s
    box.systemctl("stop", DAEMON)
    if ended == "killed":
        box.run("test", "-s", f"{RECORD}-wal")
    box.run("mount", "-o", "remount,ro", STATE)
    watch(stand, http_sink, keep=True, model=model)
    wait_until(lambda: problems(stand), 10, stand.log)
    (problem,) = problems(stand)
    assert problem["cause"] == "record_unwritable" and f"make {STATE} writable" in problem["reason"]
    shown = box.watchdog("status", check=False)
    assert shown.returncode == 1 and f"make {STATE} writable" in shown.stdout, shown.stdout
    stand.message("the watchdog cannot do its work")
    break_and_mend(stand, http_sink, model, 2)
    assert box.show(DAEMON, "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    box.run("mount", "-o", "remount,rw", STATE)
    in_its_namespace = ("nsenter", f"--target={box.main_pid(DAEMON)}", "--mount")
    box.run(*in_its_namespace, "mount", "-o", "remount,bind,rw", STATE)
    stand.message("record_unwritable is over", timeout=15)
    wait_until(lambda: problems(stand) == [], 5, stand.log)
    assert box.service(model.name)["breaker"]["restarts"] == 2, "known from before, and what was done meanwhile"
    assert [event["event"] for event in box.events(model.name)].count("recovered") == 2
    stand.stays((model, 2), messages=4, seconds=0.5)
    fault_row(54, f"its file system is read-only at the start; the run before was {ended}", model.restarts, len(http_sink.messages))


# ---------------------------------------------------------------- damaged
DAMAGES = {
    "header": "data[:64] = os.urandom(64)",
    "pages": "data[4096 : 4096 * 8] = os.urandom(4096 * 7)",
    "truncated": "del data[len(data) // 2 + 100 :]",
}
DAMAGE = "import os, sys; path = {path!r}; data = bytearray(open(path, 'rb').read()); {damage}; open(path, 'wb').write(data)"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("heals", [True, False], ids=["a restart helps", "no restart helps"])
def test_fault_55_corrupt_store(stand: Stand, http_sink: HttpSink, damage: str, heals: bool, fault_row: FaultRow) -> None:
    """How often the service was restarted before is not known any more: one restart is allowed, and if that fails no other."""
    box, model = stand.box, watch(stand, http_sink)
    break_and_mend(stand, http_sink, model, 1)
    box.systemctl("stop", DAEMON)
    python(box, DAMAGE.format(path=RECORD, damage=DAMAGES[damage]), user=USER)
    damaged = box.run("sha256sum", RECORD).stdout.split()[0]
    watch(stand, http_sink, keep=True, model=model, stable="4s")
    message = stand.message("the record has been replaced")
    aside = box.run("sh", "-c", f"ls {RECORD}.corrupt-*").stdout.split()
    assert len(aside) == 1 and aside[0] in message.body
    assert box.run("sha256sum", aside[0]).stdout.split()[0] == damaged, "it is kept as it was"
    seen = box.service(model.name)
    assert (seen["breaker"]["state"], seen["recovery"]["phase"]) == ("half_open", "idle")
    assert box.watchdog("status", check=False).returncode == 0
    if heals:
        model.kill()
        wait_until(lambda: sum(WELL in title for title in stand.told(model)) == 2, 15, stand.log)
        stand.stays((model, 2), messages=3, seconds=0.5)
        assert box.service(model.name)["breaker"]["state"] == "closed"
    else:
        model.write(program="/bin/false")
        box.systemctl("daemon-reload")
        model.kill()
        stand.message("is down and could not be restarted")
        stand.stays((model, 2), messages=3)
        assert box.service(model.name)["breaker"]["state"] == "open"
    fault_row(55, f"its record: {damage}; {'a' if heals else 'no'} restart helps", model.restarts - 1, len(http_sink.messages) - 1)


def test_fault_55_zero_length(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    box, model = stand.box, watch(stand, http_sink)
    box.systemctl("stop", DAEMON)
    box.run("truncate", "--size=0", RECORD)
    watch(stand, http_sink, keep=True, model=model)
    assert "the record was empty (0 bytes); a new one has begun" in stand.message("the record").body
    assert box.run("sh", "-c", f"ls {RECORD}.corrupt-*", check=False).returncode != 0
    break_and_mend(stand, http_sink, model, 1)
    stand.stays((model, 1), messages=2, seconds=0.5)
    fault_row(55, "its record: zero length", model.restarts, len(http_sink.messages))


SOON = f"""[Service]
ExecStart=
ExecStart={PREFIX}/bin/python -c "import sys, model_watchdog.store as store; store.CHECK_SECONDS = 2.0; \\
    from model_watchdog.cli.main import main; sys.exit(main())" run
"""
"""The daily look at the whole file, every 2 s."""


@pytest.fixture
def looks_often(installed_stand: Stand) -> Iterator[None]:
    box, path = installed_stand.box, f"/etc/systemd/system/{DAEMON}.d/often.conf"
    box.write(path, SOON)
    box.systemctl("daemon-reload")
    yield
    box.run("rm", path)
    box.systemctl("daemon-reload")


@pytest.mark.usefixtures("looks_often")
def test_fault_55_damaged_while_it_runs(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """Pages in the middle are overwritten, which no write notices: the daily check does. The daemon still knows everything, and writes
    it into a new file: what it counts, what is open.
    """
    box, model, gone = stand.box, stand.model(), stand.model()
    model.start()
    gone.write(program="/bin/false")
    gone.systemctl("start", check=False)
    stand.watch(http_sink, model.config("restarts: 1000", stable="300ms"), gone.config())
    stand.message(f"{gone.name} is down and could not be restarted")
    break_and_mend(stand, http_sink, model, 1)
    before = box.service(gone.name)["breaker"]
    incidents = box.status()["incidents"]
    assert (before["state"], len(incidents)) == ("open", 1)
    checkpoint = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone())"
    python(box, checkpoint, RECORD, user=USER)
    in_place = DAMAGE.replace("'wb'", "'r+b'")
    python(box, in_place.format(path=RECORD, damage="data[4096 * 2 :] = os.urandom(len(data) - 4096 * 2)"), user=USER)
    stand.message("the record has been replaced")
    wait_until(lambda: box.service(gone.name).get("breaker") == before, 5, stand.log)
    assert box.service(model.name)["breaker"]["restarts"] == 1
    assert box.status()["incidents"] == incidents
    box.systemctl("restart", DAEMON)
    assert box.service(gone.name)["breaker"] == before, "the next run has it from the new file"
    assert box.service(model.name)["breaker"]["state"] == "closed"
    assert problems(stand) == []
    break_and_mend(stand, http_sink, model, 2)
    stand.stays((model, 2), (gone, 3), messages=4, seconds=1.0)
    fault_row(55, "pages of its record are overwritten while it runs", model.restarts, 2)


def test_fault_55_deleted_while_it_runs(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """By a colleague who makes room. All that is known is written into a new one."""
    box, model = stand.box, watch(stand, http_sink)
    break_and_mend(stand, http_sink, model, 1)
    box.run("sh", "-c", f"rm {STATE}/*")
    assert "was deleted or moved away" in stand.message("the record has been replaced").body
    wait_until(lambda: box.service(model.name).get("breaker", {}).get("restarts") == 1, 5, stand.log)
    break_and_mend(stand, http_sink, model, 2)
    stand.stays((model, 2), messages=3, seconds=0.5)
    fault_row(55, "its record is deleted while it runs", model.restarts, len(http_sink.messages))


# ---------------------------------------------------------------- locked
LOCKER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute(sys.argv[2])
print("locked", flush=True)
sys.stdin.readline()
"""


def test_fault_56_locked_by_another_tool(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    box, model = stand.box, watch(stand, http_sink)
    locker = box.popen("/usr/bin/python3", "-I", "-c", LOCKER, RECORD, "BEGIN EXCLUSIVE", user=USER, stdin=-1, stdout=-1)
    assert locker.stdout is not None
    assert locker.stdout.readline() == "locked\n"
    began = time.monotonic()
    model.kill()
    stand.message(WELL)
    assert time.monotonic() - began < 12, "an intent is waited for, and not for ever"
    assert model.restarts == 1
    wait_until(lambda: problems(stand), 10, stand.log)
    (problem,) = problems(stand)
    assert problem["cause"] == "record_unwritable" and f"another program has locked it; end that one (fuser {RECORD}" in problem["reason"]
    stand.message("the watchdog cannot do its work")
    assert box.watchdog("status", check=False).returncode == 1
    locker.communicate("\n", timeout=10)
    stand.message("record_unwritable is over", timeout=15)
    wait_until(lambda: problems(stand) == [], 5, stand.log)
    assert box.service(model.name)["breaker"]["restarts"] == 1, "what was done meanwhile is in the record"
    assert [event["event"] for event in box.events(model.name)].count("recovered") == 1
    stand.stays((model, 1), messages=3, seconds=0.5)
    fault_row(56, "another process holds BEGIN EXCLUSIVE while the model crashes", model.restarts, len(http_sink.messages))


def test_fault_56_locked_when_it_starts(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """Locked for reading too, so that nothing is known of the run before: as with a damaged record, one restart is allowed."""
    box, model = stand.box, watch(stand, http_sink)
    break_and_mend(stand, http_sink, model, 1)
    box.systemctl("stop", DAEMON)
    lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; SELECT count(*) FROM event"
    script = LOCKER.replace("connection.execute(sys.argv[2])", "[connection.execute(one) for one in sys.argv[2].split(';')]")
    locker = box.popen("/usr/bin/python3", "-I", "-c", script, RECORD, lock, user=USER, stdin=-1, stdout=-1)
    assert locker.stdout is not None
    assert locker.stdout.readline() == "locked\n"
    stand.watch(http_sink, model.config("restarts: 1000", stable="300ms"), keep=True)
    stand.message("the watchdog cannot do its work")
    break_and_mend(stand, http_sink, model, 2)
    locker.communicate("\n", timeout=10)
    stand.message("record_unwritable is over", timeout=20)
    assert ask(box, "SELECT count(*) FROM restart WHERE result = 'recovered'") == 2, "the new one has not taken the number of the old one"
    assert box.status()["incidents"] == []
    wait_until(lambda: problems(stand) == [], 5, stand.log)
    assert box.service(model.name)["state"] == "healthy"
    stand.stays((model, 2), messages=4, seconds=0.5)
    fault_row(56, "another process has locked it for reading, too, when the daemon starts", model.restarts, len(http_sink.messages))


# ---------------------------------------------------------------- who may read it
MEMBER, STRANGER = "mira", "stan"
READ = """
import json, sys
from model_watchdog.record import Record
with Record.open("/var/lib/model-watchdog") as record:
    print(json.dumps([len(record.series()), len(record.samples(sys.argv[1], {"service": sys.argv[2]}))]))
"""


def reads(box: WatchedBox, user: str) -> dict[str, object]:
    """What a user gets of each reading command; the history's length, too."""
    status = box.watchdog("status", "--json", user=user, check=False)
    events = box.watchdog("events", "--json", user=user, check=False)
    history = box.run(f"{PREFIX}/bin/python", "-c", READ, "unit_active", "m1", user=user, check=False)
    return {
        "running": json.loads(status.stdout)["daemon"]["running"] if status.stdout.startswith("{") else status.stderr,
        "services": len(json.loads(status.stdout)["services"]) if status.stdout.startswith("{") else 0,
        "events": len(events.stdout.splitlines()) or events.stderr,
        "history": json.loads(history.stdout) if history.returncode == 0 else history.stderr.splitlines()[-1],
    }


@pytest.mark.parametrize("end", ["running", "killed", "stopped"])
def test_a_member_of_the_group_reads_the_record(stand: Stand, http_sink: HttpSink, end: str) -> None:
    """With the modes as shipped: the directory 0750, the file 0640, and whatever SQLite keeps beside it no wider."""
    box, model = stand.box, watch(stand, http_sink)
    box.add_user(MEMBER, USER)
    box.add_user(STRANGER)
    wait_until(lambda: ask(box, "SELECT count(*) FROM sample_head") > 3, 10, stand.log)
    if end == "killed":
        box.write(f"/run/systemd/system/{DAEMON}.d/once.conf", "[Service]\nRestart=no\n")
        box.systemctl("daemon-reload")
        box.systemctl("kill", "--signal=KILL", DAEMON)
        box.wait(DAEMON, "ActiveState", "failed")
        box.run("test", "-s", f"{RECORD}-wal")
    elif end == "stopped":
        box.systemctl("stop", DAEMON)
        assert box.run("ls", STATE).stdout.split() == ["lock", "watchdog.db"], "no write-ahead log"
    try:
        modes = box.run("sh", "-c", f"stat -c '%a %U %G' {STATE} {STATE}/*").stdout.splitlines()
        assert modes[0] == f"750 {USER} {USER}" and sorted(set(modes[1:])) == [f"600 {USER} {USER}", f"640 {USER} {USER}"], "600: the lock"
        seen = reads(box, MEMBER)
        assert (seen["running"], seen["services"]) == (end == "running", 1), seen
        assert isinstance(seen["events"], int) and seen["events"] >= 2, seen
        series = ask(box, "SELECT count(*) FROM series")
        assert isinstance(seen["history"], list) and seen["history"][0] == series, seen
        stranger = reads(box, STRANGER)
        assert stranger["services"] == 0 and not isinstance(stranger["events"], int), stranger
        assert "become a member of the group model-watchdog" in str(stranger["history"]), stranger
    finally:
        box.run("rm", "-f", f"/run/systemd/system/{DAEMON}.d/once.conf")
        box.systemctl("daemon-reload")
        box.systemctl("reset-failed", DAEMON, check=False)
    assert model.restarts == 0


def ask(box: WatchedBox, query: str) -> int:
    """A number from the record, as root."""
    script = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"
    return int(python(box, script, RECORD, query, user=USER))
