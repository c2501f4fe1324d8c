"""The record, read: what `status` and `events` show, also when the daemon is dead.

It imports sqlite3 and json and little else: it is what `watchdog status` waits for. `store` writes the record. No
transaction here is longer than one query.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time

from model_watchdog.errors import WatchdogError
from model_watchdog.language import phrase

TYPE_CHECKING = False  # importing `typing` would cost 2 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from model_watchdog.rollups import Bucket

    Row = dict[str, Any]

SCHEMA = 6
"""The version of the tables (`PRAGMA user_version`): newer is refused, older is migrated by `store`."""

FILE = "watchdog.db"
LONGEST_QUERY, INSTRUCTIONS = 10.0, 100_000
"""Seconds that a query may take, looked at each so many steps of SQLite's: root reads what another user has written."""
PATIENCE = 2.0
"""Seconds that a question waits for another program that has locked the file, and once more as long where it is to be asked anew."""
LARGEST_VALUE = 64 * 2**20
"""Bytes of one value that are read."""


class Record:
    """The record of a state directory, opened read-only. Every time in it is wall time: unix seconds, UTC."""

    def __init__(self, path: str, patience: float = PATIENCE) -> None:
        self.path = path
        self._patience = patience
        self._immutable = False
        self._file = 0
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def open(cls, state_dir: str | os.PathLike[str]) -> Record:
        """Opens `watchdog.db` of `state_dir`. Raises `WatchdogError` when it is missing, unreadable, no record, or of a newer version."""
        record = cls(os.path.join(os.fspath(state_dir), FILE))
        record._check_schema()
        return record

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def daemon(self) -> Row | None:
        """What the daemon last said of itself; None when it never has."""
        return next(iter(self._values("SELECT json FROM daemon")), None)

    def services(self) -> list[Row]:
        """What was last known of each service, in the order in which they were first seen."""
        return self._values("SELECT json FROM service_status ORDER BY rowid")

    def host(self) -> list[Row]:
        """The host's metrics."""
        return [metric for metrics in self._values("SELECT json FROM host") for metric in metrics]

    def alerts(self) -> list[Row]:
        """All alerts that are pending or firing, of the services and of the host."""
        return [alert for alerts in self._values("SELECT json FROM alerts ORDER BY rowid") for alert in alerts]

    def updated_at(self) -> float | None:
        """When anything of the above was last written: the age of the record; None for an empty one."""
        parts = " UNION ALL ".join(f"SELECT max(at) AS at FROM {table}" for table in ("daemon", "service_status", "host"))
        at: float | None = self.rows(f"SELECT max(at) AS at FROM ({parts})")[0]["at"]
        return at

    def incidents(self, *, only_open: bool = True, limit: int = 1000) -> list[Row]:
        """`{id, service, opened_at, reason, closed_at, root}`, oldest first; with `only_open=False` the newest `limit` of all.

        `service` is "" for the host; `root` is the incident that it follows from, or None.
        """
        where = "WHERE closed_at IS NULL" if only_open else ""
        columns = "id, service, opened_at, reason, closed_at, root"
        return self.rows(f"SELECT * FROM (SELECT {columns} FROM incident {where} ORDER BY id DESC LIMIT ?) ORDER BY id", limit)

    def family(self, number: int) -> list[Row]:
        """The incident of that number, or the one that it follows from, with all that follow from the same, as `incidents` gives them."""
        columns = "id, service, opened_at, reason, closed_at, root"
        root = self.rows("SELECT coalesce(root, id) AS root FROM incident WHERE id = ?", number)
        query = f"SELECT {columns} FROM incident WHERE id = ? OR root = ? ORDER BY id"
        return self.rows(query, root[0]["root"], root[0]["root"]) if root else []

    def events_of(self, incidents: list[int]) -> list[Row]:
        """The events of these incidents, oldest first."""
        marks = ", ".join("?" * len(incidents))
        return self.rows(
            f"SELECT at, service, event, cause, reason FROM event WHERE incident IN ({marks}) ORDER BY id LIMIT 10000", *incidents
        )

    def messages_of(self, incidents: list[int]) -> list[Row]:
        """`{at, notifier, severity, title, state}` of the messages about these incidents; `at` is when they were last tried."""
        marks = ", ".join("?" * len(incidents))
        query = f"SELECT next_at AS at, notifier, severity, title, state FROM outbox WHERE incident IN ({marks}) ORDER BY id LIMIT 10000"
        return self.rows(query, *incidents)

    def telling(self) -> Row:
        """`{silences, acks}`: `{id, services, until, reason, uid}` and `{incident, at, uid, reason}`."""
        text = self.setting("telling")
        try:
            return _read_telling(json.loads(text)) if text is not None else {"silences": [], "acks": []}
        except (ValueError, KeyError, TypeError):  # of another version
            return {"silences": [], "acks": []}

    def restarts(self, *, service: str | None = None, since: float = 0.0, limit: int = 1000) -> list[Row]:
        """`{id, service, at, actor, cause, reason, phase, result, detail, ended_at}` of the newest `limit` restarts, oldest first."""
        columns = "id, service, at, actor, cause, reason, phase, result, detail, ended_at"
        where = "at >= ? AND (? IS NULL OR service = ?)"
        query = f"SELECT * FROM (SELECT {columns} FROM restart WHERE {where} ORDER BY id DESC LIMIT ?) ORDER BY id"
        return self.rows(query, since, service, service, limit)

    def events(self, *, service: str | None = None, since: float = 0.0, after_id: int | None = None, limit: int = 1000) -> list[Row]:
        """`{id, at, service, event, cause, reason, incident}`, oldest first.

        The newest `limit` of those at or after `since`; with `after_id` (to follow) the first `limit` of those written after that one.
        """
        columns = "id, at, service, event, cause, reason, incident"
        where = "at >= ? AND (? IS NULL OR service = ?)"
        if after_id is not None:
            query = f"SELECT {columns} FROM event WHERE id > ? AND {where} ORDER BY id LIMIT ?"
            return self.rows(query, after_id, since, service, service, limit)
        query = f"SELECT * FROM (SELECT {columns} FROM event WHERE {where} ORDER BY id DESC LIMIT ?) ORDER BY id"
        return self.rows(query, since, service, service, limit)

    def firings(self, series: str, since: float, until: float) -> list[Row]:
        """`{at, reason}` of each time that an alert on this series, as `SeriesId` writes it, fired: the newest 1000, oldest first."""
        of_it = "event = 'alert_fired' AND instr(matter, ' ') AND substr(matter, instr(matter, ' ') + 1) = ?"  # its rule, and its series
        where = f"{of_it} AND at >= ? AND at <= ?"
        query = f"SELECT at, reason FROM (SELECT id, at, reason FROM event WHERE {where} ORDER BY id DESC LIMIT 1000) ORDER BY id"
        return self.rows(query, series, since, until)

    def last_event(self) -> int:
        """The number of the newest event; 0 where there is none."""
        return int(self.rows("SELECT coalesce(max(id), 0) AS id FROM event")[0]["id"])

    def notifications(self) -> dict[str, int]:
        """How many messages wait, and how many could not be delivered."""
        query = "SELECT coalesce(sum(state IN ('queued', 'held')), 0) AS queued, coalesce(sum(state = 'undeliverable'), 0) AS undeliverable"
        return self.rows(f"{query} FROM outbox")[0]

    def sent(self, since: float) -> dict[str, int]:
        """How many messages each notifier was told since then, those only that were told any."""
        query = "SELECT notifier, count(*) AS sent FROM outbox WHERE state = 'sent' AND next_at >= ? GROUP BY notifier ORDER BY notifier"
        return {row["notifier"]: row["sent"] for row in self.rows(query, since)}

    def series(self) -> list[Row]:
        """`{metric, labels}` of each series that has samples, or had of late, in the order in which they were first seen."""
        query = "SELECT metric, labels FROM series ORDER BY id"
        return [{"metric": row["metric"], "labels": json.loads(row["labels"])} for row in self.rows(query)]

    def samples(self, metric: str, labels: Mapping[str, str], since: float = 0.0, until: float = float("inf")) -> list[tuple[float, float]]:
        """(at, value) of each sample of the series with exactly these labels, from `since` to `until`, oldest first."""
        from model_watchdog.chunks import read_rows, write_labels  # only who asks for history waits for it

        numbers = self.rows("SELECT id FROM series WHERE metric = ? AND labels = ?", metric, write_labels(labels))
        if not numbers:
            return []
        number = numbers[0]["id"]
        query = """
            SELECT 0 AS is_head, at, data FROM sample_chunk WHERE series = ? AND at <= ? AND until >= ?
            UNION ALL SELECT 1, at, data FROM sample_head WHERE at <= ?"""
        rows = self.rows(query, number, until, since, until)  # one question: what is folded meanwhile is not seen twice, or not at all
        return read_rows([(row["is_head"], row["at"], row["data"]) for row in rows], number, since, until)

    def buckets(
        self, metric: str, labels: Mapping[str, str], since: float, until: float, *, by_hour: bool = False, with_bins: bool = False
    ) -> list[Bucket]:
        """The series by the minute or by the hour, oldest first: those that begin from `since` to `until`.

        Hours that are not rolled up yet are made of their samples. Without `with_bins` the rollups' sketches are left out.
        """
        from model_watchdog import rollups  # only who asks for history waits for it
        from model_watchdog.chunks import read_rows, write_labels

        numbers = self.rows("SELECT id FROM series WHERE metric = ? AND labels = ?", metric, write_labels(labels))
        if not numbers:
            return []
        number, width = numbers[0]["id"], rollups.HOUR if by_hour else rollups.MINUTE
        table, span = ("rollup_hour", rollups.DAY) if by_hour else ("rollup_minute", rollups.HOUR)
        rolled = "max(?, coalesce((SELECT CAST(value AS REAL) FROM setting WHERE key = 'rolled_until'), 0))"
        query = f"""
            SELECT 2 AS kind, at, data FROM {table} WHERE series = ? AND at <= ? AND at > ?
            UNION ALL SELECT 0, at, data FROM sample_chunk WHERE series = ? AND at <= ? AND until >= {rolled}
            UNION ALL SELECT 1, at, data FROM sample_head WHERE at <= ?"""
        begin = since // width * width
        rows = self.rows(query, number, until, since - span, number, until + width, begin, until + width)
        made = [bucket for row in rows if row["kind"] == 2 for bucket in rollups.unpack(row["data"], with_bins=with_bins)]
        fresh = [(row["kind"], row["at"], row["data"]) for row in rows if row["kind"] != 2]
        found = rollups.pick(made, rollups.roll_up(read_rows(fresh, number, begin, until + width), width))
        return [bucket for bucket in found if since <= bucket.at <= until]

    def chunks(self, service: str | None, since: float, until: float, last: int, reaching: float) -> list[Row]:
        """`{series, at, data}` of the chunks of a service, or of all, up to number `last`, that begin from `since` to before `until` and
        end from `reaching` on.
        """
        named = "SELECT id FROM series WHERE ? IS NULL OR json_extract(labels, '$.service') = ?"
        where = f"series IN ({named}) AND +id <= ? AND at >= ? AND at < ? AND until >= ?"  # the plus: not by number, but by series and time
        return self.rows(f"SELECT series, at, data FROM sample_chunk WHERE {where}", service, service, last, since, until, reaching)

    def head(self) -> tuple[int, list[Row]]:
        """The number of the newest chunk, and `{at, data}` of what came after it: one question, so that nothing is missed or seen twice."""
        query = (
            "SELECT 0 AS at, NULL AS data, coalesce(max(id), 0) AS last FROM sample_chunk UNION ALL SELECT at, data, NULL FROM sample_head"
        )
        rows = self.rows(query)
        return next(row["last"] for row in rows if row["last"] is not None), [row for row in rows if row["last"] is None]

    def chunk_times(self, last: int) -> tuple[float, float, int] | None:
        """When the chunks up to the number `last` begin, when they end, and how many there are; None where there is none."""
        table = "sample_chunk INDEXED BY sample_chunk_series"  # the index has all that is asked for, and a hundredth of the pages
        query = f"SELECT min(at) AS first, max(until) AS last, count(*) AS count FROM {table} WHERE +id <= ?"
        row = self.rows(query, last)[0]
        return (row["first"], row["last"], row["count"]) if row["count"] else None

    def series_numbers(self) -> dict[int, tuple[str, dict[str, str]]]:
        """The number of each series, with its metric and labels."""
        rows = self.rows("SELECT id, metric, labels FROM series")
        return {row["id"]: (row["metric"], json.loads(row["labels"])) for row in rows}

    def setting(self, key: str) -> str | None:
        rows = self.rows("SELECT value FROM setting WHERE key = ?", key)
        return rows[0]["value"] if rows else None

    def _check_schema(self) -> None:
        version = self.rows("PRAGMA user_version")[0]["user_version"]
        if version > SCHEMA:
            raise WatchdogError(newer_schema(self.path, version))
        if version < SCHEMA:
            older = "{path}: the record is of an older version (schema {version}, this version reads {schema})"
            template = "{path}: the record is empty" if version == 0 else older
            what = phrase(template, path=self.path, version=version, schema=SCHEMA)
            raise WatchdogError(what + phrase("; start the daemon once, it brings it up to date: watchdog run"))

    def _values(self, query: str) -> list[Any]:
        return [json.loads(row["json"]) for row in self.rows(query)]

    def rows(self, query: str, *values: object) -> list[Row]:
        """Asks once more where the daemon started or stopped in between: that changes which files there are."""
        if self._connection is not None and (identity(self.path) != self._file or (self._immutable and os.path.exists(self.path + "-wal"))):
            self.close()  # the daemon has begun a new file in the place of a damaged one, or it has started
        try:
            return self._ask(query, values, immutable=not os.path.exists(self.path + "-wal"))
        except sqlite3.Error:
            self.close()
        try:
            return self._ask(query, values, immutable=not _has_content(self.path + "-wal"))
        except sqlite3.Error as error:
            self.close()
            raise WatchdogError(self._explain(error)) from error

    def _ask(self, query: str, values: tuple[object, ...], *, immutable: bool) -> list[Row]:
        if self._connection is None:
            # A write-ahead log makes SQLite want to write beside it; where there is none, nothing needs to be written.
            options = "mode=ro&immutable=1" if immutable else "mode=ro"
            if os.path.exists(self.path) and not stat.S_ISREG(os.stat(self.path).st_mode):
                cause = phrase("it is not a regular file; move it away, and restart model-watchdog.service")
                raise WatchdogError(phrase("{path}: the record cannot be read: {cause}", path=self.path, cause=cause))
            self._connection = sqlite3.connect(f"{_uri(self.path)}?{options}", uri=True, timeout=self._patience)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._immutable = immutable
            self._file = identity(self.path)
        end = time.monotonic() + LONGEST_QUERY
        self._connection.set_progress_handler(lambda: time.monotonic() > end, INSTRUCTIONS)
        cursor = self._connection.execute(query, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _explain(self, error: sqlite3.Error) -> str:
        try:
            os.close(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))  # what lies there now may be a pipe
        except FileNotFoundError:
            return phrase("{path}: no record there; is --state-dir right, and did the daemon ever run (watchdog run)?", path=self.path)
        except PermissionError:
            template = "{path}: this user may not read the record; become a member of the group model-watchdog, or use sudo"
            return phrase(template, path=self.path)
        except OSError as problem:
            return phrase("{path}: the record cannot be read: {cause}", path=self.path, cause=problem.strerror)
        if getattr(error, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            template = "{path}: the record is damaged ({error}); restart model-watchdog.service: it moves it aside and begins a new one"
            return phrase(template, path=self.path, error=error)
        return phrase("{path}: the record cannot be read: {cause}", path=self.path, cause=error)


def _read_telling(kept: Any) -> Row:
    """What `telling` keeps, its steady times as wall times."""
    _, steady, wall = kept["anchor"]
    known = [*kept["known"]["silences"], *([*window, 0, 0.0] for window in kept["windows"])]
    silences = [
        {"id": number, "services": services, "until": until - steady + wall, "reason": reason, "uid": uid}
        for number, services, until, reason, uid, _ in known
    ]
    acks = [{"incident": number, "at": at - steady + wall, "uid": uid, "reason": why} for number, at, uid, why in kept["known"]["acks"]]
    return {"silences": silences, "acks": acks}


def newer_schema(path: str, version: int) -> str:
    """What is said of a record that a newer version of this program wrote."""
    template = (
        "{path}: the record has schema {version}, this version of model-watchdog reads up to {schema}; "
        "upgrade model-watchdog again, or move the file away to begin a new record"
    )
    return phrase(template, path=path, version=version, schema=SCHEMA)


def _uri(path: str) -> str:
    return "file:" + os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def identity(path: str) -> int:
    """The file's number; 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _has_content(path: str) -> bool:
    try:
        return os.path.getsize(path) > 0
    except OSError:
        return False
