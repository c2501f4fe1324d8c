"""Incidents as stories, from the record: what broke, since when, what was done, what it cost, and what is left for a person."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from model_watchdog.record import Record
from model_watchdog.status import rfc3339

Row = dict[str, Any]
SCHEMA = 1
SHORTLY = 1.0


def list_incidents(record: Record, since: float, service: str | None, now: float) -> list[Row]:
    """Those that were open at or after `since`, oldest first, each with all that follows from it.

    `{id, services, opened_at, closed_at, reason, follows, restarts, minutes}`; None in `services` is the host.
    """
    families: dict[int, list[Row]] = {}
    for row in record.incidents(only_open=False, limit=10_000):
        families.setdefault(row["root"] or row["id"], []).append(row)
    told = []
    for root, rows in families.items():
        story = _sum_up(root, rows, now)
        is_of = service is None or service in [name or "host" for name in story["services"]]
        if is_of and (story["closed_at"] is None or story["closed_at"] >= since):
            told.append(story)
    restarts = defaultdict[str, list[Row]](list)
    for restart in _read_restarts(record, told):
        restarts[restart["service"]].append(restart)
    for story in told:
        theirs = [restart for name in story["services"] if name for restart in restarts[name]]
        story["restarts"] = len(_pick_restarts(theirs, families[story["id"]], now))
    return sorted(told, key=lambda story: (story["opened_at"], story["id"]))


def find_story(record: Record, number: int, now: float) -> Row | None:
    """Everything of one incident, or of the one that it follows from; None where there is none of that number."""
    rows = record.family(number)
    if not rows:
        return None
    root = min((row["root"] or row["id"]) for row in rows)
    story = _sum_up(root, rows, now)
    ids = [row["id"] for row in rows]
    restarts = _pick_restarts(_read_restarts(record, rows), rows, now)
    return {
        "schema": SCHEMA,
        **story,
        "restarts": restarts,
        "events": record.events_of(ids),
        "messages": record.messages_of(ids),
        "acknowledged": next((ack for ack in record.telling()["acks"] if ack["incident"] == root), None),
        "left": _find_left(record, story),
    }


def as_json(story: dict[str, Any]) -> dict[str, Any]:
    """With its times as RFC 3339."""
    times = {key: None if story[key] is None else rfc3339(story[key]) for key in ("opened_at", "closed_at")}
    return {**story, **times}


def with_times(story: Row) -> Row:
    """A whole story with its times as RFC 3339."""

    def moved(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
        return [{**row, **{name: None if row[name] is None else rfc3339(row[name]) for name in names}} for row in rows]

    ack = story["acknowledged"]
    return {
        **as_json(story),
        "restarts": moved(story["restarts"], "at", "ended_at"),
        "events": moved(story["events"], "at"),
        "messages": moved(story["messages"], "at"),
        "acknowledged": None if ack is None else {**ack, "at": rfc3339(ack["at"])},
    }


def _read_restarts(record: Record, rows: Iterable[Row]) -> list[Row]:
    """All restarts since the first of these incidents, or shortly before it, for the two are written a moment apart."""
    since = min((row["opened_at"] for row in rows), default=None)
    return [] if since is None else record.restarts(since=since - SHORTLY, limit=10_000)


def _pick_restarts(restarts: Iterable[Row], rows: list[Row], now: float) -> list[Row]:
    """Those that were made while these incidents were open, oldest first."""

    def belongs(restart: Row, row: Row) -> bool:
        until = now if row["closed_at"] is None else row["closed_at"]
        return bool(restart["service"] == row["service"] and row["opened_at"] - SHORTLY <= restart["at"] <= until)

    names = ("id", "service", "at", "actor", "cause", "reason", "result", "detail", "ended_at")
    found = [{name: restart[name] for name in names} for restart in restarts if any(belongs(restart, row) for row in rows)]
    return sorted(found, key=lambda restart: restart["at"])


def _sum_up(root: int, rows: list[Row], now: float) -> Row:
    first = next((row for row in rows if row["id"] == root), rows[0])
    is_open = any(row["closed_at"] is None for row in rows)
    services = list(dict.fromkeys(row["service"] or None for row in rows))
    return {
        "id": root,
        "services": services,
        "opened_at": min(row["opened_at"] for row in rows),
        "closed_at": None if is_open else max(row["closed_at"] for row in rows),
        "reason": first["reason"],
        "follows": [row["id"] for row in rows if row["id"] != root],
        "minutes": round(_measure((row["opened_at"], row["closed_at"] if row["closed_at"] is not None else now) for row in rows) / 60, 1),
    }


def _measure(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of them was open."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def _find_left(record: Record, story: Row) -> list[str]:
    """The commands that mend what is left; none where nothing is."""
    if story["closed_at"] is not None:
        return []
    left = []
    for service in record.services():
        if service["name"] in story["services"]:
            left += [problem["remedy"] for problem in service.get("problems", [])]
            if service["recovery"]["phase"] == "gave_up":
                left.append(f"watchdog reset {service['name']}")
    return list(dict.fromkeys(left))
