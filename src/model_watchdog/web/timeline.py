"""What the page's timeline draws: the states in the report's own terms, incidents, and what was done about them."""

from typing import Any

from model_watchdog.record import Record
from model_watchdog.report.happened import read_states, recall_states
from model_watchdog.report.period import Period
from model_watchdog.report.timeline import Kind, find_spans
from model_watchdog.report.watching import find_watched_time

Doc = dict[str, Any]

SCHEMA = 1
MARKS = ("restart_started", "recovered", "restart_failed", "gave_up", "alert_fired")
"""The events that are drawn."""
MOST_SPANS = 1500
"""Of one service: more than a screen has columns."""


def find_timeline(record: Record, since: float, until: float) -> Doc:
    """Each service's spans of states, incidents that were open then, and what happened, oldest first; times are unix seconds."""
    incidents = [
        {"id": row["id"], "service": row["service"] or None, "from": row["opened_at"], "until": row["closed_at"], "reason": row["reason"]}
        for row in record.incidents(only_open=False, limit=2000)
        if row["opened_at"] <= until and (row["closed_at"] is None or row["closed_at"] >= since)
    ]
    events = [event for event in record.events(since=since, limit=2000) if event["at"] <= until]
    keys = ("at", "service", "event", "reason", "incident")
    marks = [{key: event[key] for key in keys} for event in events if event["event"] in MARKS]
    spans = _find_spans(record, Period(since, until))
    return {"schema": SCHEMA, "since": since, "until": until, "services": spans, "incidents": incidents, "marks": marks}


def _find_spans(record: Record, period: Period) -> list[Doc]:
    """`{name, spans}` of each service; a span is `[from, until, kind, state]`, the whole period without a gap."""
    happened = read_states(record, period)
    statuses = record.services()
    recall_states(happened, statuses)
    series = [(one["metric"], one["labels"]) for one in record.series()]
    watched = find_watched_time(record, happened, period, series)
    known = [str(service["name"]) for service in statuses]
    told = []
    for name in [*known, *sorted(happened.services - set(known))]:
        events, paused = happened.events.get(name, []), name in happened.paused
        spans = find_spans(events, happened.before.get(name), paused, watched, period.since, period.until)
        rows = [(span.begin, span.end, span.kind.value, span.state) for span in spans]
        told.append({"name": name, "spans": _thin(rows, period)})
    return told


def _thin(rows: list[tuple[float, float, str, str]], period: Period) -> list[tuple[float, float, str, str]]:
    """Of very many, those too narrow to be seen become part of their neighbour; what was down stays, however short."""
    if len(rows) <= MOST_SPANS:
        return rows
    least, kept = period.seconds / MOST_SPANS, list[tuple[float, float, str, str]]()
    for begin, end, kind, state in rows:
        if kept and ((kind, state) == kept[-1][2:] or (end - begin < least and kind != Kind.DOWN)):
            kept[-1] = (kept[-1][0], end, *kept[-1][2:])
        else:
            kept.append((begin, end, kind, state))
    return kept
