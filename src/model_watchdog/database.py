"""The file of the record: made, checked, brought to the present schema, and moved aside where it is damaged."""

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path

from model_watchdog.errors import WatchdogError
from model_watchdog.record import SCHEMA, newer_schema

log = logging.getLogger(__name__)

BUSY_SECONDS = 2.0  # how long a write waits for another program that has locked the file

MIGRATIONS = (
    """
    CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE daemon (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL, json TEXT NOT NULL);
    CREATE TABLE host (id INTEGER PRIMARY KEY CHECK (id = 1), at REAL NOT NULL, json TEXT NOT NULL);
    CREATE TABLE service_status (name TEXT PRIMARY KEY, at REAL NOT NULL, json TEXT NOT NULL);
    CREATE TABLE service_state (name TEXT PRIMARY KEY, json TEXT NOT NULL);
    CREATE TABLE alerts (owner TEXT PRIMARY KEY, json TEXT NOT NULL);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY, at REAL NOT NULL, service TEXT, event TEXT NOT NULL, cause TEXT, reason TEXT NOT NULL, incident INTEGER);
    CREATE TABLE restart (
        id INTEGER PRIMARY KEY, service TEXT NOT NULL, at REAL NOT NULL, actor TEXT NOT NULL, cause TEXT, reason TEXT NOT NULL,
        json TEXT NOT NULL, phase TEXT NOT NULL, result TEXT, detail TEXT NOT NULL DEFAULT '', ended_at REAL);
    CREATE TABLE incident (id INTEGER PRIMARY KEY, service TEXT NOT NULL, opened_at REAL NOT NULL, reason TEXT NOT NULL, closed_at REAL);
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, notifier TEXT NOT NULL, severity TEXT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL,
        queued_at REAL NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
        error TEXT NOT NULL DEFAULT '', UNIQUE (key, notifier));
    CREATE INDEX restart_open ON restart (id) WHERE result IS NULL;
    CREATE INDEX outbox_waiting ON outbox (id) WHERE state = 'queued';
    """,
)
"""One script a schema version; the n-th brings a record of schema n to n + 1."""

PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY", "cache_size = -512", "journal_size_limit = 4194304")


def connect(path: Path, now: float) -> tuple[sqlite3.Connection, str]:
    """Opens the file for writing, in the present schema; says what had to be done to it ("" for nothing). `now` is wall time.

    Raises `WatchdogError` for a newer schema, `sqlite3.Error` or `OSError` where the file cannot be written.
    """
    note = _prepare(path)
    if note:
        log.warning('event=record_empty reason="%s"', note)
    try:
        return _open(path), note
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        aside = f"{path}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}{suffix}", f"{aside}{suffix}")
        note = f"{path}: the record was damaged ({error}); it is kept as {aside}, and a new one has begun"
        log.error('event=record_damaged reason="%s"', note)
        _prepare(path)
        return _open(path), note


def _prepare(path: Path) -> str:
    """Makes directory (0750) and file (0640, and SQLite makes its companions alike) whatever the umask is."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o750)
    was_empty = path.exists() and path.stat().st_size == 0
    with contextlib.suppress(OSError):  # SQLite tells better what is wrong, and whether it matters
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.fchmod(descriptor, 0o640)
        os.close(descriptor)
    return f"{path}: the record was empty (0 bytes); a new one has begun" if was_empty else ""


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _configure(connection, path)
    except BaseException:  # nothing is kept back: whatever it is goes on to the caller, without a connection left open
        connection.close()
        raise
    return connection


def _configure(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA:
        raise WatchdogError(newer_schema(str(path), version))
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    for number in range(version, SCHEMA):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;")
    with contextlib.suppress(sqlite3.OperationalError):  # it only makes room, and may find none
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """A failed quick_check has no code of its own."""
    name = getattr(error, "sqlite_errorname", "")
    return type(error) is sqlite3.DatabaseError and (name == "" or name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")))
