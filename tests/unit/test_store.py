"""The record, written: durable, one writer, and a record that cannot be written stops nothing."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_watchdog import store as store_module
from model_watchdog import writes
from model_watchdog.notes import StoredNotes
from model_watchdog.record import Record
from model_watchdog.store import Pending, Store
from tests.rig.waiting import wait_until

SRC = Path(store_module.__file__).parents[1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "watchdog.db"


def run_script(code: str, *arguments: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)


def commit(store: Store, *rows: writes.Write, timeout: float = 2.0) -> bool:
    return asyncio.run(store.commit(*rows, timeout=timeout))


def an_event(number: int) -> writes.Write:
    return writes.event(float(number), "chatglm", "restarted", "crashed", f"event {number}", None)


def an_intent(number: int) -> writes.Write:
    return writes.restart_intent(number, "chatglm", float(number), "watchdog", "crashed", "it crashed")


def test_what_is_committed_is_what_readers_see(path):
    store = Store.open(path)
    assert store.problem is None
    assert store.note == ""
    assert commit(
        store, writes.service_status("chatglm", '{"name": "chatglm"}', 5.0), writes.service_state("chatglm", '{"n": 1}'), an_event(1)
    )
    assert commit(store, writes.host_metrics('[{"metric": "host_load1"}]', 6.0), writes.daemon_info('{"pid": 1}', 7.0))
    assert commit(store, writes.alerts("", '[{"name": "disk"}]'), writes.alerts("chatglm", '[{"name": "slow"}]'))
    with Record.open(path.parent) as record:
        assert record.services() == [{"name": "chatglm"}]
        assert [event["reason"] for event in record.events()] == ["event 1"]
        assert record.host() == [{"metric": "host_load1"}]
        assert record.daemon() == {"pid": 1}
        assert [alert["name"] for alert in record.alerts()] == ["disk", "slow"]
        assert record.updated_at() == 7.0
    assert store.close()


def test_what_is_put_arrives_without_anybody_waiting(path):
    store = Store.open(path)
    began = time.perf_counter()
    for number in range(100):
        store.put(an_event(number))
    assert time.perf_counter() - began < 0.1
    with Record.open(path.parent) as record:
        wait_until(lambda: len(record.events()) == 100, 5)
    assert store.close()


def test_what_was_known_is_known_again(path):
    store = Store.open(path)
    assert store.next_id() == 1
    store.put(writes.service_state("chatglm", '{"n": 1}'), an_intent(4), an_intent(5), writes.restart_phase(5, "verifying"))
    store.put(writes.restart_result(4, "failed", "exit 1", 9.0), writes.incident_open(7, "chatglm", 3.0, "down"), writes.setting("a", "b"))
    store.put(writes.incident_open(6, "bert", 2.0, "down"), writes.incident_close(6, 4.0))
    StoredNotes(store, {}, "chatglm/log").set("at 7")
    assert store.close()
    store = Store.open(path)
    assert store.load_states() == {"chatglm": '{"n": 1}'}
    with Record.open(path.parent) as record:
        assert [(row["id"], row["phase"]) for row in record.restarts() if row["result"] is None] == [(5, "verifying")]
        assert [row["id"] for row in record.incidents()] == [7]
    assert store.setting("a") == "b"
    assert store.setting("c") is None
    assert store.load_notes() == {"chatglm/log": "at 7"}
    assert store.next_id() == 8
    store.close()


def test_a_service_that_is_gone_is_not_shown_but_not_forgotten(path):
    store = Store.open(path)
    for name in ("chatglm", "bert"):
        store.put(writes.service_status(name, f'{{"name": "{name}"}}', 1.0), writes.service_state(name, "{}"), writes.alerts(name, "[{}]"))
    store.put(writes.alerts("", "[{}]"), *writes.forget_services(["bert"]))
    assert store.close()
    with Record.open(path.parent) as record:
        assert record.services() == [{"name": "bert"}]
        assert len(record.alerts()) == 2
    store = Store.open(path)
    assert set(store.load_states()) == {"chatglm", "bert"}
    store.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from model_watchdog import writes
from model_watchdog.store import Store

async def main():
    store = Store.open(Path(sys.argv[1]))
    assert store.problem is None and store.note == "", (store.problem, store.note)
    number = int(sys.argv[2])
    while True:
        number += 1
        for _ in range(20):
            store.put(writes.service_status("s", '{"n": %d}' % number, 1.0))
        rows = writes.restart_intent(number, "s", 1.0, "watchdog", None, "r"), writes.service_state("s", str(number))
        assert await store.commit(*rows)
        print(number, flush=True)

asyncio.run(main())
"""


def test_kill_at_any_moment_loses_nothing_that_was_acknowledged(path):
    acknowledged = 0
    chance = random.Random(45)
    for round_ in range(20):
        writer = run_script(WRITER, path, acknowledged + 1000)
        assert writer.stdout is not None
        first = writer.stdout.readline()  # it writes
        assert first, f"round {round_}: the writer could not begin"
        time.sleep(chance.random() * 0.05)
        writer.send_signal(signal.SIGKILL)
        lines = [first, *writer.stdout.read().splitlines(keepends=True)]
        writer.wait()
        acknowledged = max(int(line) for line in lines if line.endswith("\n"))
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = {row[0] for row in connection.execute("SELECT id FROM restart")}
            state = int(connection.execute("SELECT json FROM service_state").fetchone()[0])
        connection.close()
        assert {int(line) for line in lines if line.endswith("\n")} <= rows
        assert state == max(rows), "state and intent are of one transaction"
        acknowledged = max(rows)


def test_fault_56_a_locked_record_stops_nothing_and_is_written_later(path, monkeypatch, caplog):
    monkeypatch.setattr(store_module, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(store_module, "MOST_WAITING", 10)

    async def main() -> None:
        store = Store.open(path)
        assert await store.commit(an_event(0))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        writing = asyncio.create_task(store.commit(an_intent(1), writes.service_state("s", "1"), timeout=0.5))
        lag = 0.0
        while not writing.done():
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            lag = max(lag, time.perf_counter() - before - 0.01)
        assert not await writing
        assert time.perf_counter() - began < 1.5
        assert lag < 0.1
        store.put(*[an_event(number) for number in range(15)], writes.service_state("s", "2"))
        await asyncio.to_thread(wait_until, lambda: store.problem, 5)
        assert "locked" in str(store.problem)
        assert str(path) in str(store.problem)
        other.execute("ROLLBACK")
        other.close()
        await asyncio.to_thread(wait_until, lambda: store.problem is None, 5)
        assert await store.commit()
        with Record.open(path.parent) as record:
            assert [row["id"] for row in record.restarts()] == [1]
        assert store.load_states() == {"s": "2"}
        store.close()

    asyncio.run(main())
    assert "dropped=5" in caplog.text


def test_close_does_not_wait_for_ever(path):
    store = Store.open(path)
    assert commit(store, an_event(0))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.put(an_intent(1))
    began = time.perf_counter()
    assert not store.close(timeout=0.3)
    assert time.perf_counter() - began < 1.0
    other.close()


def test_close_leaves_one_file_that_holds_everything(path):
    store = Store.open(path)
    store.put(*[an_event(number) for number in range(50)], an_intent(1))
    assert store.close()
    assert [file.name for file in path.parent.iterdir()] == ["watchdog.db"]
    with Record.open(path.parent) as record:
        assert len(record.events()) == 50
        assert len(record.restarts()) == 1


def test_a_row_that_is_refused_costs_no_other_row(path, caplog):
    store = Store.open(path)
    broken = writes.event(1.0, "s", "x", None, None, None)  # type: ignore[arg-type]
    odd = writes.event(1.0, "s", "x", None, "half a character: \udce4", None)
    assert commit(store, an_event(1), broken, odd, an_event(2))
    with Record.open(path.parent) as record:
        assert [event["reason"] for event in record.events()] == ["event 1", "half a character: ?", "event 2"]
    assert "record_row_refused" in caplog.text
    store.close()


def test_only_events_are_dropped_and_the_oldest_first(monkeypatch):
    monkeypatch.setattr(store_module, "MOST_WAITING", 100)
    pending = Pending()
    for number in range(150):
        pending.add(an_event(number))
        pending.add(an_intent(number))
        pending.add(writes.outbox_add(f"key {number}", "ops", "critical", "t", "b", 1.0))
        pending.add(writes.service_state("s", str(number)))
    rows = [row for row in pending if isinstance(row, writes.Write)]
    assert [row.params[0] for row in rows if row.droppable] == [float(number) for number in range(50, 150)]
    assert [row.params[0] for row in rows if "INTO restart" in row.sql] == list(range(150))
    assert sum("INTO outbox" in row.sql for row in rows) == 150
    assert [row.params for row in rows if "service_state" in row.sql] == [("s", "149")]
    assert pending.dropped == 50


def test_what_could_not_be_written_goes_before_what_came_since(monkeypatch):
    monkeypatch.setattr(store_module, "MOST_WAITING", 3)
    older, newer = Pending(), Pending()
    for row in (an_event(1), an_event(2), an_intent(1), writes.service_state("s", "old")):
        older.add(row)
    for row in (an_event(3), an_event(4), writes.restart_result(1, "failed", "", 2.0), writes.service_state("s", "new")):
        newer.add(row)
    newer.put_back(older)
    rows = [row for row in newer if isinstance(row, writes.Write)]
    assert [row.params[0] for row in rows if row.droppable] == [2.0, 3.0, 4.0]
    assert [row.sql.split()[0] for row in rows if "restart" in row.sql] == ["INSERT", "UPDATE"]
    assert [row.params for row in rows if "service_state" in row.sql] == [("s", "new")]
    assert newer.dropped == 1


def test_old_rows_are_taken_out(path):
    day, now = 86400.0, 1_000_000_000.0
    store = Store.open(path, wall=lambda: now)
    rows = [writes.event(now - age * day, "s", "x", None, f"{age} days", None) for age in (500, 399, 1)]
    rows += [writes.outbox_add(f"{age}", "ops", "info", "t", "b", now - age * day) for age in (31, 29, 40)]
    rows += [writes.outbox_update(key, "ops", "sent", 1, now, "") for key in ("31", "29")]
    assert commit(store, *rows)
    assert commit(store, *writes.prune(now))
    with Record.open(path.parent) as record:
        assert [event["reason"] for event in record.events()] == ["399 days", "1 days"]
        assert [row["key"] for row in record.rows("SELECT key FROM outbox ORDER BY id")] == ["29", "40"], "what waits is never old"
    store.close()


def test_a_reader_that_stays_does_not_let_the_log_grow(path):
    store = Store.open(path)
    assert commit(store, an_event(0))
    with Record.open(path.parent) as record:
        assert record.events()
        for number in range(3000):
            store.put(writes.service_state("s", str(number) * 500))
            if number % 50 == 0:
                assert commit(store)
        assert commit(store)
        assert (path.parent / "watchdog.db-wal").stat().st_size < 6_000_000
        assert record.events()
    store.close()


def test_of_many_questions_to_a_locked_record_only_the_first_waits(path):
    """A start asks a dozen; systemd waits 30 s for it in all."""
    Store.open(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("SELECT count(*) FROM event")
    store = Store.open(path)
    began = time.monotonic()
    for ask in (store.next_id, store.load_states, store.load_notes, store.open_restarts, store.open_incidents, store.outbox_due):
        ask()
    assert time.monotonic() - began < 6
    other.close()
    store.close()
