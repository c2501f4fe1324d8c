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

from model_watchdog.database import connect
from model_watchdog.errors import WatchdogError
from model_watchdog.record import Record
from model_watchdog.writes import Write, prune

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0  # how often what could not be written is tried again
LINGER_SECONDS = 0.05  # how long writes that nobody waits for are collected
PRUNE_SECONDS = 86400.0
HANGING_SECONDS = 5.0  # a write that takes longer is a problem
MOST_WAITING = 10_000  # droppable writes kept while the record cannot be written

REMEDIES = {
    "SQLITE_FULL": "the disk is full; free some space on the file system of {directory}",
    "SQLITE_READONLY": "the file or its file system is read-only; make {directory} writable for the daemon's user",
    "SQLITE_CANTOPEN": "it cannot be opened for writing; make {directory} writable for the daemon's user",
    "SQLITE_BUSY": "another program has locked it; end that one (fuser {path} names it)",
    "SQLITE_IOERR": "the disk reports an error; look at the kernel's log: journalctl -k",
    "SQLITE_CORRUPT": "it is damaged; restart model-watchdog.service: it moves the file aside and begins a new one",
    "SQLITE_NOTADB": "it is damaged; restart model-watchdog.service: it moves the file aside and begins a new one",
}
"""Cause and remedy by SQLite's own name of an error; the longer names (SQLITE_IOERR_WRITE) begin with these."""

REFUSED = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError, OverflowError, ValueError)
"""Errors that are of one row, not of the file: to try again would not help."""


class Pending:
    """What waits to be written, in order; of writes of one slot the newest. Events are bounded: the oldest are lost first."""

    def __init__(self) -> None:
        self.kept: dict[object, Write] = {}
        self.droppable: deque[Write] = deque()
        self.dropped = 0

    def __bool__(self) -> bool:
        return bool(self.kept or self.droppable)

    def add(self, write: Write) -> None:
        if write.droppable:
            self.droppable.append(write)
            if len(self.droppable) > MOST_WAITING:
                self.droppable.popleft()
                self.dropped += 1
            return
        slot = write.slot or object()
        self.kept.pop(slot, None)
        self.kept[slot] = write

    def put_back(self, older: "Pending") -> None:
        """Takes back, before what has come since, what could not be written."""
        newer_kept, newer_droppable = self.kept, self.droppable
        self.kept, self.droppable, self.dropped = older.kept, older.droppable, self.dropped + older.dropped
        for slot, write in newer_kept.items():
            self.kept.pop(slot, None)
            self.kept[slot] = write
        for write in newer_droppable:
            self.add(write)

    def __iter__(self) -> Iterator[Write]:
        yield from self.kept.values()
        yield from self.droppable


class Store:
    """The one writer of the record: a thread that puts everything that waits into one transaction.

    `note` says what `open` had to do to the file ("" for nothing): a person must be told.
    """

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self.path = path
        self.note = ""
        self._wall = wall
        self._connection: sqlite3.Connection | None = None
        self._changed = threading.Condition()
        self._pending = Pending()
        self._waiters: list[Future[bool]] = []
        self._due: float | None = None
        self._closing = False
        self._problem: str | None = None
        self._busy_since: float | None = None
        self._prune_at = 0.0
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    @classmethod
    def open(cls, path: Path, wall: Callable[[], float] = time.time) -> "Store":
        """Opens the record and makes it where there is none; a damaged one is moved aside (`note`).

        Raises `WatchdogError` where the record is of a newer version. Where it cannot be opened for writing, there is a
        store all the same, with a `problem`.
        """
        store = cls(path, wall)
        try:
            store._connection, store.note = connect(path, wall())
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

    def put(self, *writes: Write) -> None:
        """Writes soon, in one transaction; waits for nothing."""
        self._enqueue(writes, None)

    async def commit(self, *writes: Write, timeout: float = 2.0) -> bool:  # noqa: ASYNC109 (False is an answer, not an error)
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
        """A number above those of all restarts and incidents."""
        rows = self._read("SELECT max(coalesce((SELECT max(id) FROM restart), 0), coalesce((SELECT max(id) FROM incident), 0)) AS id")
        return int(rows[0]["id"]) + 1 if rows else 1

    def load_states(self) -> dict[str, str]:
        """The JSON text of `service_state` by service, as it was when the store was opened; so with all that follow."""
        return {row["name"]: row["json"] for row in self._read("SELECT name, json FROM service_state")}

    def outbox_due(self) -> list[dict[str, Any]]:
        """`{key, notifier, severity, title, body, queued_at, attempts, next_at, error}` of the messages not yet sent."""
        columns = "key, notifier, severity, title, body, queued_at, attempts, next_at, error"
        return self._read(f"SELECT {columns} FROM outbox WHERE state = 'queued' ORDER BY id")

    def outbox_done(self, limit: int = 1000) -> list[dict[str, Any]]:
        """`{key, notifier, state}` of the newest messages that are sent or undeliverable."""
        return self._read("SELECT key, notifier, state FROM outbox WHERE state <> 'queued' ORDER BY id DESC LIMIT ?", limit)

    def setting(self, key: str) -> str | None:
        rows = self._read("SELECT value FROM setting WHERE key = ?", key)
        return rows[0]["value"] if rows else None

    def _read(self, query: str, *values: object) -> list[dict[str, Any]]:
        try:
            with Record(str(self.path)) as record:  # one that stayed open would keep what it knows of a read-only file
                return record.rows(query, *values)
        except WatchdogError as error:
            self._report(str(error))  # a record that cannot be read is as none: nothing is known
            return []

    def _enqueue(self, writes: tuple[Write, ...], future: "Future[bool] | None") -> None:
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

    def _wait(self) -> None:
        while not self._closing:
            remaining = None if self._due is None else self._due - time.monotonic()
            if remaining is not None and remaining <= 0:
                return
            self._changed.wait(remaining)

    def _write(self, batch: Pending) -> str | None:
        """Gives the problem in words, or None when everything is in the file."""
        self._busy_since = time.monotonic()
        try:
            if self._connection is None:
                self._connection, self.note = connect(self.path, self._wall())
            if self._busy_since >= self._prune_at:
                self._prune_at = self._busy_since + PRUNE_SECONDS
                for write in prune(self._wall()):
                    batch.add(write)
            try:
                transact(self._connection, batch)
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorname", "") != "SQLITE_FULL":
                    raise
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # gives back the space of the log
                transact(self._connection, batch)
        except Exception as error:  # whatever it is: without this thread nothing would be written, and nobody would know
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
                self._disconnect()  # SQLite opens what is read-only for reading, and stays with that
            return self._explain(error)
        finally:
            self._busy_since = None
        return None

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
            self._connection = None


def transact(connection: sqlite3.Connection, writes: Pending) -> None:
    """Writes all or nothing; a row that SQLite refuses for its own sake is logged and left out."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for write in writes:
            try:
                _execute(connection, write)
            except REFUSED as error:
                log.error('event=record_row_refused reason="%s: %s" sql="%s"', type(error).__name__, error, write.sql)
        connection.execute("COMMIT")
    except BaseException:  # nothing is kept back: whatever it is goes on to the caller, without a transaction left open
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _execute(connection: sqlite3.Connection, write: Write) -> None:
    try:
        connection.execute(write.sql, write.params)
    except UnicodeEncodeError:  # half a character from somebody's log must not cost the row
        clean = (value.encode(errors="replace").decode() if isinstance(value, str) else value for value in write.params)
        connection.execute(write.sql, tuple(clean))
