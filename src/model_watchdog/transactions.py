"""What is written together: all of it, or nothing."""

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Iterator

from model_watchdog.history import History
from model_watchdog.rollups import Kept
from model_watchdog.writes import SampleBatch, Write

log = logging.getLogger(__name__)

REFUSED = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError, OverflowError, ValueError)
"""Errors that are of one row, not of the file: to try again would not help."""


def transact(connection: sqlite3.Connection, history: History, writes: Iterable[Write | SampleBatch]) -> None:
    """Writes all or nothing; a row that SQLite refuses for its own sake is logged and left out."""
    with _transaction(connection, history):
        for write in writes:
            try:
                if isinstance(write, SampleBatch):
                    history.append(write)
                else:
                    _execute(connection, write)
            except REFUSED as error:
                what = "samples" if isinstance(write, SampleBatch) else write.sql
                log.error('event=record_row_refused reason="%s: %s" sql="%s"', type(error).__name__, error, what)


def work(connection: sqlite3.Connection, history: History, now: float, kept: Kept) -> None:
    """One step of putting samples where they are found quickly, of making rollups of them, and of taking out what is old."""
    with _transaction(connection, history):
        history.work(now, kept)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, history: History) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:  # nothing is kept back: whatever it is goes on to the caller, without a transaction left open
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        history.forget()
        raise


def _execute(connection: sqlite3.Connection, write: Write) -> None:
    try:
        connection.execute(write.sql, write.params)
    except UnicodeEncodeError:  # half a character from somebody's log must not cost the row
        clean = (value.encode(errors="replace").decode() if isinstance(value, str) else value for value in write.params)
        connection.execute(write.sql, tuple(clean))
