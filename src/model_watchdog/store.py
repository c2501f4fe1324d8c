"""The record, written: one SQLite file with one writer, this one. `record` reads it, `writes` names what can be written.

A record that cannot be written (disk full, read-only, locked) stops nothing: what could not be written is kept in memory
and tried again, and `Store.problem` says why.

Durable means: it survives the end of this process in any way. After a power failure the last second may be missing
(`synchronous=NORMAL`), but the file is whole.
"""

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from model_watchdog.database import connect, find_damage, is_damage, set_aside
from model_watchdog.errors import WatchdogError
from model_watchdog.history import History
from model_watchdog.record import PATIENCE, Record, identity
from model_watchdog.rollups import Kept
from model_watchdog.transactions import transact, work
from model_watchdog.writes import SampleBatch, Write, prune

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0  # how often what could not be written is tried again
LINGER_SECONDS = 0.05  # how long writes that nobody waits for are collected
PRUNE_SECONDS = 60.0
CHECK_SECONDS = 86400.0
HANGING_SECONDS = 5.0  # a write that takes longer is a problem
MOST_WAITING = 10_000  # samples and events kept while the record cannot be written
NOTE = "note "  # what the keys of probes' notes begin with
SHORT_PATIENCE, IMPATIENT_SECONDS = (
    0.05,
    10.0,
)  # for so long after one had to wait for a locked record the others hardly wait: many ask at a start
STEP_SECONDS = 0.05  # from one step of what has time to the next: what is urgent goes in between

REMEDIES = {
    "SQLITE_FULL": "the disk is full; free some space on the file system of {directory}",
    "SQLITE_READONLY": "the file or its file system is read-only; make {directory} writable for the daemon's user",
    "SQLITE_CANTOPEN": "it cannot be opened for writing; make {directory} writable for the daemon's user",
    "SQLITE_BUSY": "another program has locked it; end that one (fuser {path} names it)",
    "SQLITE_IOERR": "the disk reports an error; look at the kernel's log: journalctl -k",
}
"""Cause and remedy by SQLite's own name of an error; the longer names (SQLITE_IOERR_WRITE) begin with these."""


class Pending:
    """What waits to be written, in order; of writes of one slot the newest.

    Samples and events are bounded: the oldest samples are lost first, then the oldest events, and never anything else.
    """

    def __init__(self) -> None:
        self.kept: dict[object, Write] = {}
        self.events: deque[Write] = deque()
        self.batches: deque[SampleBatch] = deque()
        self.samples = 0
        self.dropped = 0

    def __bool__(self) -> bool:
        return bool(self.kept or self.events or self.batches)

    def add(self, write: Write | SampleBatch) -> None:
        if isinstance(write, SampleBatch):
            self.batches.append(write)
            self.samples += len(write.values)
        elif write.droppable:
            self.events.append(write)
        else:
            slot = write.slot or object()
            self.kept.pop(slot, None)
            self.kept[slot] = write
            return
        while self.samples + len(self.events) > MOST_WAITING:
            self._drop()

    def put_back(self, older: "Pending") -> None:
        """Takes back, before what has come since, what could not be written."""
        newer = list(self)
        self.kept, self.events, self.batches = older.kept, older.events, older.batches
        self.samples, self.dropped = older.samples, self.dropped + older.dropped
        for write in newer:
            self.add(write)

    def __iter__(self) -> Iterator[Write | SampleBatch]:
        yield from self.kept.values()
        yield from self.events
        yield from self.batches

    def _drop(self) -> None:
        if self.batches:
            lost = len(self.batches.popleft().values)
            self.samples -= lost
            self.dropped += lost
        else:
            self.events.popleft()
            self.dropped += 1


class Store:
    """The one writer of the record: a thread that puts everything that waits into one transaction.

    `note` says what had to be done to the file ("" for nothing): a person must be told. `replaced` counts how often a new file has
    begun in the place of a damaged one, or of one that was taken away; `is_lost` says that what an earlier run knew is gone, `is_unread`
    that it is there, but could not be read when it was asked for. Samples and rollups are `kept` so long, which may be changed at any time.
    """

    def __init__(self, path: Path, wall: Callable[[], float], kept: Kept) -> None:
        self.path = path
        self.note = ""
        self.replaced = 0
        self.is_lost = False
        self.is_unread = False
        self._impatient_until = 0.0
        self._wall = wall
        self.kept = kept
        self._connection: sqlite3.Connection | None = None
        self._history: History | None = None
        self._file = 0  # its number while it is open
        self._damage = ""
        self._checking: threading.Thread | None = None
        self._changed = threading.Condition()
        self._pending = Pending()
        self._waiters: list[Future[bool]] = []
        self._due: float | None = None
        self._closing = False
        self._problem: str | None = None
        self._busy_since: float | None = None
        self._prune_at = time.monotonic() + PRUNE_SECONDS
        self._check_at = time.monotonic() + CHECK_SECONDS
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    @classmethod
    def open(cls, path: Path, wall: Callable[[], float] = time.time, kept: Kept | None = None) -> "Store":
        """Opens the record and makes it where there is none; a damaged one is moved aside (`note`). Samples are `kept` so long.

        Raises `WatchdogError` where the record is of a newer version. Where it cannot be opened for writing, there is a
        store all the same, with a `problem`.
        """
        store = cls(path, wall, kept or Kept())
        try:
            store._connect()
        except (sqlite3.Error, OSError) as error:
            store._report(store._explain(error))
        store._thread.start()
        return store

    @property
    def problem(self) -> str | None:
        """Why the record cannot be written at present; None where the last write went well."""
        busy_since = self._busy_since
        if busy_since is not None and time.monotonic() - busy_since > HANGING_SECONDS:
            return f"{self.path}: a write has been hanging for {time.monotonic() - busy_since:.0f} s; is its disk well?"
        return self._problem

    def put(self, *writes: Write | SampleBatch) -> None:
        """Writes soon, in one transaction; waits for nothing."""
        self._enqueue(writes, None)

    async def commit(self, *writes: Write | SampleBatch, timeout: float = 2.0) -> bool:  # noqa: ASYNC109 (False is an answer, not an error)
        """Writes now, in one transaction, with everything put before. True: it is in the file, and a kill cannot take it away.

        False: that could not be done, or not within `timeout` seconds. It stays in memory and is tried again.
        """
        future: Future[bool] = Future()
        self._enqueue(writes, future)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            return False

    def close(self, timeout: float = 2.0) -> bool:
        """Writes what waits, folds the write-ahead log into the file and closes it. False where that was not done in `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive() and not self._pending

    def next_id(self) -> int:
        """A number above those of all restarts and incidents; the time of day where they cannot be read."""
        rows = self._read("SELECT max(coalesce((SELECT max(id) FROM restart), 0), coalesce((SELECT max(id) FROM incident), 0)) AS id")
        return int(rows[0]["id"]) + 1 if rows else int(self._wall()) if self.is_unread else 1

    def load_states(self) -> dict[str, str]:
        """The JSON text of `service_state` by service, as it was when the store was opened; so with all that follow."""
        return {row["name"]: row["json"] for row in self._read("SELECT name, json FROM service_state")}

    def open_restarts(self) -> list[dict[str, Any]]:
        """`{id, phase, json}` of the restarts that have no result."""
        return self._read("SELECT id, phase, json FROM restart WHERE result IS NULL ORDER BY id")

    def open_incidents(self) -> list[dict[str, Any]]:
        """`{id}` of the incidents that are not closed."""
        return self._read("SELECT id FROM incident WHERE closed_at IS NULL ORDER BY id")

    def outbox_due(self) -> list[dict[str, Any]]:
        """`{key, notifier, severity, title, body, queued_at, attempts, next_at, error, bundle, topics}` of the messages not yet sent."""
        return self._outbox("queued")

    def outbox_held(self) -> list[dict[str, Any]]:
        """The same of those that are not to be sent yet."""
        return self._outbox("held")

    def outbox_done(self, limit: int = 1000) -> list[dict[str, Any]]:
        """`{key, notifier, state}` of the newest messages that are sent or undeliverable."""
        return self._read("SELECT key, notifier, state FROM outbox WHERE state NOT IN ('queued', 'held') ORDER BY id DESC LIMIT ?", limit)

    def last_sign(self) -> float:
        """When the run before this one last told of itself, in wall seconds; 0 where it never has."""
        rows = self._read("SELECT at FROM daemon")
        return float(rows[0]["at"]) if rows else 0.0

    def load_notes(self) -> dict[str, str]:
        """What probes have noted, by service and name of the probe."""
        return self.settings(NOTE)

    def settings(self, prefix: str) -> dict[str, str]:
        """All settings whose keys begin so, by what follows."""
        rows = self._read("SELECT key, value FROM setting WHERE substr(key, 1, ?) = ?", len(prefix), prefix)
        return {row["key"].removeprefix(prefix): row["value"] for row in rows}

    def setting(self, key: str) -> str | None:
        rows = self._read("SELECT value FROM setting WHERE key = ?", key)
        return rows[0]["value"] if rows else None

    def _outbox(self, state: str) -> list[dict[str, Any]]:
        columns = "key, notifier, severity, title, body, queued_at, attempts, next_at, error, bundle, topics, attachment"
        return self._read(f"SELECT {columns} FROM outbox WHERE state = '{state}' ORDER BY id")

    def _read(self, query: str, *values: object) -> list[dict[str, Any]]:
        began = time.monotonic()
        patience = SHORT_PATIENCE if began < self._impatient_until else PATIENCE
        try:
            with Record(str(self.path), patience) as record:  # one that stayed open would keep what it knows of a read-only file
                return record.rows(query, *values)
        except WatchdogError as error:
            self._report(str(error))  # a record that cannot be read is as none: nothing is known
            self.is_unread = self.is_unread or self.path.exists()
            return []
        finally:
            if time.monotonic() - began >= PATIENCE:
                self._impatient_until = time.monotonic() + IMPATIENT_SECONDS

    def _enqueue(self, writes: tuple[Write | SampleBatch, ...], future: "Future[bool] | None") -> None:
        now = time.monotonic()
        with self._changed:
            for write in writes:
                self._pending.add(write)
            if future is not None:
                self._waiters.append(future)
                self._due = now
            elif self._due is None:
                self._due = now + LINGER_SECONDS
            else:
                return  # the thread knows when to write; to wake it for each row costs as much as the row
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._wait()
                closing = self._closing
                batch, self._pending = self._pending, Pending()
                waiters, self._waiters = self._waiters, []
                self._due = None
            problem = self._write(batch) if batch else self._problem
            with self._changed:
                self._report(problem, batch.dropped)
                if problem:
                    self._pending.put_back(batch)
                    self._due = time.monotonic() + RETRY_SECONDS if not self._waiters else self._due
            for waiter in waiters:
                if waiter.set_running_or_notify_cancel():
                    waiter.set_result(problem is None)
            if closing:
                return self._end()
            if problem is None:
                self._report(self._tidy())

    def _wait(self) -> None:
        while not self._closing:
            remaining = None if self._due is None else self._due - time.monotonic()
            if remaining is not None and remaining <= 0:
                return
            self._changed.wait(remaining)

    def _write(self, batch: Pending) -> str | None:
        """Gives the problem in words, or None when everything is in the file."""
        return self._attempt(lambda connection, history: transact(connection, history, batch))

    def _tidy(self) -> str | None:
        """What is to be done now and then, little at a time: works on samples, takes out what is old, has the file looked through."""
        now = time.monotonic()
        if now >= self._check_at and self._checking is None:
            self._check_at = now + CHECK_SECONDS
            self._checking = threading.Thread(target=self._look_through, name="record check", daemon=True)
            self._checking.start()
            return None
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_SECONDS
            old = Pending()
            for write in prune(self._wall()):
                old.add(write)
            return self._write(old)
        return self._attempt(self._work) if self._history is not None else None

    def _work(self, connection: sqlite3.Connection, history: History) -> None:
        if not history.has_work(self._wall()):
            return
        work(connection, history, self._wall(), self.kept)
        with self._changed:
            if self._due is None:
                self._due = time.monotonic() + STEP_SECONDS

    def _look_through(self) -> None:
        self._damage = find_damage(self.path)
        self._checking = None

    def _attempt(self, work: Callable[[sqlite3.Connection, History], None]) -> str | None:
        """Does something to the file, opens it where it is not open, and begins a new one where it is damaged. Gives the problem."""
        self._busy_since = time.monotonic()
        try:
            if self._damage:
                self._replace(self._damage)
            connection, history = self._connect()
            try:
                work(connection, history)
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    self._replace(str(error))
                    connection, history = self._connect()
                elif getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # gives back the space of the log
                else:
                    raise
                work(connection, history)
        except Exception as error:  # whatever it is: without this thread nothing would be written, and nobody would know
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
                self._disconnect()  # SQLite opens what is read-only for reading, and stays with that
            return self._explain(error)
        finally:
            self._busy_since = None
        return None

    def _connect(self) -> tuple[sqlite3.Connection, History]:
        if self._connection is not None and identity(str(self.path)) != self._file:
            self._disconnect()
            self.note = f"{self.path}: the record was deleted or moved away while the daemon ran; a new one has begun"
            log.error('event=record_gone reason="%s"', self.note)
            self.replaced += 1
        if self._connection is None or self._history is None:
            self._connection, note = connect(self.path, self._wall())
            self._history, self._file = History(self._connection), identity(str(self.path))
            if note:
                self.note = note
            if "damaged" in note:
                self.replaced += 1
                self.is_lost = True
        return self._connection, self._history

    def _replace(self, damage: str) -> None:
        """Begins a new file while the daemon runs: it still knows everything, and writes it down again (`replaced`)."""
        self._disconnect()
        self.note, self._damage = set_aside(self.path, self._wall(), damage), ""
        self.replaced += 1

    def _explain(self, error: Exception) -> str:
        name = getattr(error, "sqlite_errorname", "")
        for known, text in REMEDIES.items():
            if name.startswith(known):
                return f"{self.path}: the record cannot be written: " + text.format(directory=self.path.parent, path=self.path)
        return f"{self.path}: the record cannot be written: {error}"

    def _report(self, problem: str | None, dropped: int = 0) -> None:
        if problem and problem != self._problem:
            log.error('event=record_unwritable reason="%s"', problem)
        elif self._problem and not problem:
            log.warning('event=record_writable dropped=%d reason="the record is written again"', dropped)
        self._problem = problem

    def _end(self) -> None:
        if self._pending:
            log.error('event=record_incomplete reason="%s"', self._problem)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # a log that could not be folded in is read by the next one
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
            self._connection = self._history = None
