"""The record, read: by another process, by a member of the group, while the daemon lives and when it is dead."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_watchdog import record as record_module
from model_watchdog import writes
from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record
from model_watchdog.store import Store
from tests.rig.waiting import wait_until

SRC = Path(record_module.__file__).parents[1]
NOBODY = 65534


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


def write(state_dir: Path, *rows: writes.Write) -> Store:
    store = Store.open(state_dir / "watchdog.db", wall=lambda: 100.0)
    assert asyncio.run(store.commit(*rows))
    return store


def an_event(number: int, service: str | None = "chatglm") -> writes.Write:
    return writes.event(float(number), service, "restarted", "crashed", f"event {number}", 17)


def test_it_imports_little():
    """What `watchdog status` waits for before it can read: sqlite3 and json, what they need, and what every Python has loaded."""
    code = (
        "import sys, os, json, sqlite3; before = set(sys.modules); import model_watchdog.record; print(*sorted(set(sys.modules) - before))"
    )
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["__future__", *(f"model_watchdog{name}" for name in ("", ".errors", ".language", ".record"))]


def test_events_come_oldest_first_and_chosen(state_dir):
    store = write(state_dir, *[an_event(number, "bert" if number % 2 else "chatglm") for number in range(1, 11)], an_event(11, None))
    with Record.open(state_dir) as record:
        first = record.events()[0]
        assert first == {
            "id": 1,
            "at": 1.0,
            "service": "bert",
            "event": "restarted",
            "cause": "crashed",
            "reason": "event 1",
            "incident": 17,
        }
        assert [event["id"] for event in record.events()] == list(range(1, 12))
        assert [event["id"] for event in record.events(limit=3)] == [9, 10, 11], "the newest"
        assert [event["id"] for event in record.events(service="bert", since=4.0)] == [5, 7, 9]
        assert [event["id"] for event in record.events(after_id=4, limit=3)] == [5, 6, 7], "the next"
        assert record.events(after_id=11) == []
        assert record.events(service="nobody") == []
    store.close()


def test_incidents_restarts_and_messages(state_dir):
    rows = [writes.incident_open(number, "chatglm", float(number), "down") for number in (1, 2, 3)]
    rows += [writes.incident_close(2, 9.0)]
    rows += [writes.restart_intent(number, "chatglm", float(number), "watchdog", "crashed", "r") for number in (4, 5)]
    rows += [writes.restart_result(4, "failed", "exit 1", 9.0)]
    for key, notifier, state in (("a", "ops", "sent"), ("b", "ops", "queued"), ("c", "ops", "undeliverable"), ("a", "mail", "queued")):
        rows += [writes.outbox_add(key, notifier, "warning", "t", "b", 5.0)]
        rows += [writes.outbox_update(key, notifier, state, 2, 6.0, "" if state == "sent" else "error=500")]
    rows += [writes.outbox_add("d", "ops", "warning", "t", "b", 5.0), writes.outbox_update("d", "ops", "sent", 1, 8.0, "")]
    store = write(state_dir, *rows)
    with Record.open(state_dir) as record:
        assert [incident["id"] for incident in record.incidents()] == [1, 3]
        assert [incident["closed_at"] for incident in record.incidents(only_open=False)] == [None, 9.0, None]
        assert [(row["id"], row["result"]) for row in record.restarts()] == [(4, "failed"), (5, None)]
        assert record.notifications() == {"queued": 2, "undeliverable": 1}
        assert record.sent(since=6.0) == {"ops": 2}
        assert record.sent(since=6.5) == {"ops": 1}
        assert record.sent(since=8.5) == {}
    store.close()


def test_an_empty_record_is_no_error(state_dir):
    Store.open(state_dir / "watchdog.db").close()
    with Record.open(state_dir) as record:
        assert record.daemon() is None
        assert record.updated_at() is None
        assert record.services() == record.host() == record.alerts() == record.incidents() == record.events() == []
        assert record.notifications() == {"queued": 0, "undeliverable": 0}
        assert record.setting("nothing") is None


def test_what_cannot_be_read_is_named_with_cause_and_remedy(state_dir):
    with pytest.raises(WatchdogError, match=r"watchdog\.db: no record there; is --state-dir right"):
        Record.open(state_dir)
    state_dir.mkdir()
    file = state_dir / "watchdog.db"
    file.mkdir()
    with pytest.raises(WatchdogError, match=r"watchdog\.db: the record cannot be read"):
        Record.open(state_dir)
    file.rmdir()
    file.write_bytes(b"")
    with pytest.raises(WatchdogError, match=r"the record is empty; start the daemon once"):
        Record.open(state_dir)
    file.write_bytes(b"this is a text file\n" * 100)
    with pytest.raises(WatchdogError, match=r"the record is damaged .*; restart model-watchdog\.service"):
        Record.open(state_dir)


def test_what_another_user_put_in_its_place_cannot_hold_the_reader_up(state_dir, monkeypatch):
    write(state_dir, an_event(1)).close()
    file = state_dir / "watchdog.db"
    connection = sqlite3.connect(file)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, 1 AS at, '{}' AS json FROM n"
    connection.executescript(f"DROP TABLE host; CREATE VIEW host AS {endless} WHERE i < 0;")
    connection.close()
    monkeypatch.setattr(record_module, "LONGEST_QUERY", 0.3)
    began = time.monotonic()
    with Record.open(state_dir) as record, pytest.raises(WatchdogError, match="the record cannot be read: interrupted"):
        record.host()
    assert time.monotonic() - began < 3
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(WatchdogError, match="it is not a regular file; move it away"):
        Record.open(state_dir)


@pytest.mark.parametrize("name", ["plain", "with space", "a%20b", "question?mark", "hash#mark", "模型"])
def test_any_directory_will_do(tmp_path, name):
    write(tmp_path / name, an_event(1)).close()
    with Record.open(tmp_path / name) as record:
        assert len(record.events()) == 1


def test_one_that_stays_open_sees_the_daemon_stop_and_start(state_dir):
    """As `events --follow` does: there is a write-ahead log, then none, then one again."""
    store = write(state_dir, an_event(1))
    with Record.open(state_dir) as record:
        assert [event["id"] for event in record.events()] == [1]
        store.close()
        assert [event["id"] for event in record.events()] == [1]
        store = write(state_dir, an_event(2))
        assert [event["id"] for event in record.events()] == [1, 2]
        store.close()
    write(state_dir, an_event(3)).close()
    assert not (state_dir / "watchdog.db-wal").exists()
    with Record.open(state_dir) as record:
        assert len(record.events()) == 3
        store = write(state_dir, an_event(4))
        assert [event["id"] for event in record.events()] == [1, 2, 3, 4]
        store.close()
        store = write(state_dir, an_event(5))
        assert len(record.events()) == 5
        store.close()


def test_one_that_stays_open_sees_the_new_file_in_the_place_of_a_damaged_one(state_dir):
    store = write(state_dir, *[an_event(number) for number in range(500)])
    with Record.open(state_dir) as record:
        assert len(record.events()) == 500
        with sqlite3.connect(state_dir / "watchdog.db") as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with (state_dir / "watchdog.db").open("r+b") as file:
            file.seek(8192)
            file.write(os.urandom(16_000))
        store._check_at = 0.0  # the daily look
        assert asyncio.run(store.commit(an_event(500)))
        wait_until(lambda: store._damage, 5, "nobody has seen the damage")
        assert asyncio.run(store.commit(an_event(501)))
        assert (store.replaced, store.is_lost) == (1, False)
        assert "damaged" in store.note
        assert [event["reason"] for event in record.events()] == ["event 501"]
    store.close()


def test_a_reader_holds_no_transaction(state_dir):
    store = write(state_dir, *[an_event(number) for number in range(100)])
    with Record.open(state_dir) as record:
        assert len(record.events()) == 100
        with sqlite3.connect(state_dir / "watchdog.db") as other:
            busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        other.close()
        assert busy == 0
        assert len(record.events()) == 100
    store.close()


READER = """
import sys
from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record
try:
    with Record.open(sys.argv[1]) as record:
        print(len(record.events()), record.services())
except WatchdogError as error:
    print(error)
"""

DAEMON = """
import asyncio, sys
from pathlib import Path
from model_watchdog import writes
from model_watchdog.store import Store

async def main():
    store = Store.open(Path(sys.argv[1]) / "watchdog.db", wall=lambda: 100.0)
    assert await store.commit(writes.event(1.0, "s", "x", None, "r"), writes.service_status("s", "{}", 1.0))
    print("written", flush=True)
    if sys.stdin.readline():
        print(store.close(), flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="OTHER-USER TEST NOT RUN: it takes root and setpriv")
def test_a_member_of_the_group_reads_it_alive_stopped_and_killed(tmp_path):
    """The group may read and write nothing: not the directory, not the file, not SQLite's own files beside it."""
    for parent in (tmp_path, *tmp_path.parents):  # pytest keeps its directories to itself
        if parent.stat().st_mode & 0o005 != 0o005:
            parent.chmod(parent.stat().st_mode | 0o005)
    code = tmp_path / "code"
    shutil.copytree(SRC / "model_watchdog", code / "model_watchdog", ignore=shutil.ignore_patterns("__pycache__"))
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    os.chown(state_dir, 0, NOBODY)
    state_dir.chmod(0o2750)  # new files get the group

    def read(group: int) -> str:
        who = ["setpriv", f"--reuid={NOBODY}", f"--regid={group}", "--clear-groups"]
        python = os.path.realpath(sys.executable)
        done = subprocess.run(
            [*who, python, "-c", READER, str(state_dir)], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(code)}, cwd="/"
        )
        return done.stdout.strip()

    def start() -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": str(SRC)}
        pipe = subprocess.PIPE
        daemon = subprocess.Popen([sys.executable, "-c", DAEMON, str(state_dir)], stdin=pipe, stdout=pipe, text=True, env=environment)
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "written\n"
        return daemon

    daemon = start()
    assert read(NOBODY) == "1 [{}]", "alive"
    assert "become a member of the group model-watchdog" in read(NOBODY - 1)
    daemon.communicate("stop\n")
    assert [file.name for file in state_dir.iterdir()] == ["watchdog.db"]
    assert read(NOBODY) == "1 [{}]", "stopped"
    daemon = start()
    daemon.send_signal(signal.SIGKILL)
    daemon.communicate()
    assert (state_dir / "watchdog.db-wal").exists()
    assert read(NOBODY) == "2 [{}]", "killed"
    (state_dir / "watchdog.db-shm").unlink()
    (state_dir / "watchdog.db-wal").write_bytes(b"")
    assert read(NOBODY).endswith("[{}]"), "an empty log without its index"
