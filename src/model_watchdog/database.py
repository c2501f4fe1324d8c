"""The file of the record: made, checked, brought to the present schema, and moved aside where it is damaged."""

import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

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
    """
    CREATE TABLE boot (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
    CREATE TABLE series (id INTEGER PRIMARY KEY, metric TEXT NOT NULL, labels TEXT NOT NULL, UNIQUE (metric, labels));
    CREATE TABLE sample_head (
        id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at REAL NOT NULL, mono REAL NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL);
    CREATE TABLE sample_chunk (
        id INTEGER PRIMARY KEY, series INTEGER NOT NULL, boot INTEGER NOT NULL, at REAL NOT NULL, until REAL NOT NULL, mono REAL NOT NULL,
        data BLOB NOT NULL);
    CREATE INDEX sample_chunk_series ON sample_chunk (series, at, until);
    """,
    """
    ALTER TABLE incident ADD COLUMN root INTEGER;
    ALTER TABLE outbox ADD COLUMN incident INTEGER;
    ALTER TABLE outbox ADD COLUMN bundle TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE rollup_minute (
        id INTEGER PRIMARY KEY, series INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (series, at));
    CREATE TABLE rollup_hour (
        id INTEGER PRIMARY KEY, series INTEGER NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE (series, at));
    """,
    """
    ALTER TABLE outbox ADD COLUMN topics TEXT NOT NULL DEFAULT '';
    """,
    """
    ALTER TABLE event ADD COLUMN matter TEXT NOT NULL DEFAULT '';
    ALTER TABLE outbox ADD COLUMN attachment TEXT NOT NULL DEFAULT '';
    """,
)
"""One script a schema version; the n-th brings a record of schema n to n + 1."""

PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY", "cache_size = -512", "journal_size_limit = 4194304")


def connect(path: Path, now: float) -> tuple[sqlite3.Connection, str]:
    """Opens the file for writing, in the present schema; says what had to be done to it ("" for nothing). `now` is wall time.

    Raises `WatchdogError` for a newer schema, `sqlite3.Error` or `OSError` where the file cannot be written.
    """
    was_there = path.exists()
    note = f"{path}: the record was empty (0 bytes); a new one has begun" if was_there and path.stat().st_size == 0 else ""
    _prepare(path)
    try:
        connection = _open(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            if not was_there:
                path.unlink(missing_ok=True)  # or the next try would take it for a record that has become empty
            raise
        note = set_aside(path, now, str(error))
        _prepare(path)
        return _open(path), note
    if note:
        log.warning('event=record_empty reason="%s"', note)
    return connection, note


def set_aside(path: Path, now: float, damage: str) -> str:
    """Moves a damaged record out of the way, with what SQLite keeps beside it; says so. Nobody may have it open for writing."""
    aside = f"{path}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    note = f"{path}: the record was damaged ({damage}); it is kept as {aside}, and a new one has begun"
    log.error('event=record_damaged reason="%s"', note)
    return note


def find_damage(path: Path) -> str:
    """Reads the whole file, on a connection of its own that holds up no writer: what is damaged in it, or nothing."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
            verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error) if is_damage(error) else ""  # whatever else it is, the next write tells better
    return "" if verdict == "ok" else verdict


def _prepare(path: Path) -> None:
    """Makes directory (0750) and file (0640, and SQLite makes its companions alike) whatever the umask is."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o750)
    with contextlib.suppress(OSError):  # SQLite tells better what is wrong, and whether it matters
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        os.fchmod(descriptor, 0o640)
        os.close(descriptor)


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


def is_damage(error: Exception) -> bool:
    """The file is not what SQLite wrote. A failed quick_check has no code of its own."""
    name = getattr(error, "sqlite_errorname", "")
    return type(error) is sqlite3.DatabaseError and (name == "" or name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")))
