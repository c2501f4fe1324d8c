"""The facts of a report, from the record alone: one document, which `page` and `text` show, and `watchdog report -o FILE.json` writes."""

import json
import os
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from model_watchdog import __version__
from model_watchdog.levels import is_over
from model_watchdog.record import Record
from model_watchdog.report import alerts as wolves
from model_watchdog.report.detection import SIGNS, find_first_sign
from model_watchdog.report.figures import Figures, find_figures
from model_watchdog.report.happened import ALERTS, NOTICED, OF_THE_DAEMON, Happened, read_happened, recall_states
from model_watchdog.report.measured import Reading
from model_watchdog.report.period import Period
from model_watchdog.report.requests import tell_latencies, tell_log, tell_probes, tell_requests
from model_watchdog.report.timeline import (
    Kind,
    Outage,
    Span,
    count_seconds,
    find_availability,
    find_outages,
    find_spans,
)
from model_watchdog.report.trends import Trend, find_trend
from model_watchdog.report.watching import find_watched_time
from model_watchdog.stories import list_incidents

Doc = dict[str, Any]
Row = dict[str, Any]

SCHEMA = 1
MOST_LOOKED_AT = 50
"""Of so many outages of a service, the newest, it is looked for when they began."""
MOST_ANOMALIES = 1000


def gather(state_dir: str | os.PathLike[str], period: Period, now: float) -> Doc:
    """The document of schema 1; every time in it is unix seconds. Raises `WatchdogError` where the record cannot be read."""
    with Record.open(state_dir) as record:
        happened = read_happened(record, period)
        figures, trends, series, began = _read_series(record, period)
        watched = find_watched_time(record, happened, period, series)
        statuses = record.services()
        recall_states(happened, statuses)
        known = [service["name"] for service in statuses]
        names = [*known, *sorted((happened.services | {one.service for one in figures if one.service}) - set(known))]
        by_service: dict[str | None, list[Figures]] = defaultdict(list)
        for one in figures:
            by_service[one.service].append(one)
        incidents = _tell_incidents(record, happened, period, now)
        services = [_tell_service(record, name, happened, watched, period, by_service[name], incidents) for name in names]
        firings = wolves.pair_alerts(sorted((row for rows in happened.events.values() for row in rows if row["event"] in ALERTS), key=_at))
        levels = json.loads(record.setting("levels") or "[]")
        found = _find_wolves(record, happened, firings, figures, levels)
    seconds = sum(span.seconds for span in watched)
    events = Counter(row["event"] for row in happened.select(None, OF_THE_DAEMON))
    return {
        "schema": SCHEMA,
        "host": os.uname().nodename,
        "version": __version__,
        "generated_at": now,
        "period": {"since": period.since, "until": period.until, "measured_since": began if began < period.until else None},
        "watched": {"seconds": seconds, "starts": events["daemon_started"], "deaths": events["daemon_died"]},
        "services": services,
        "incidents": incidents,
        "restarts": [_tell_restart(row) for row in happened.restarts],
        "worse": [_tell_trend(trend) for trend in sorted(trends, key=lambda trend: (trend.chance, trend.metric))],
        "wolves": [_tell_wolf(wolf) for wolf in found],
        "fired": sum(row["event"] == "alert_fired" for rows in happened.events.values() for row in rows),
        "anomalies": [_tell_anomaly(row) for row in _find_anomalies(happened)],
        "levels": levels,
        "series": [_tell_figures(one) for one in figures],
    }


def _at(row: Row) -> float:
    return float(row["at"])


def _read_series(record: Record, period: Period) -> tuple[list[Figures], list[Trend], list[tuple[str, dict[str, str]]], float]:
    reading = Reading(record, period)
    figures, trends = list[Figures](), list[Trend]()
    for measured in reading:
        one = find_figures(measured, period, reading.read_minutes)
        if one is not None:
            trend = find_trend(one, period)
            one.means = []  # what is read of one series is let go before the next
            figures.append(one)
            trends += [trend] if trend else []
    return figures, trends, [(one.metric, one.labels) for one in figures], reading.began


def _tell_service(
    record: Record,
    name: str,
    happened: Happened,
    watched: Sequence[Span],
    period: Period,
    figures: Sequence[Figures],
    incidents: Sequence[Doc],
) -> Doc:
    spans = find_spans(
        happened.events.get(name, []), happened.before.get(name), name in happened.paused, watched, period.since, period.until
    )
    seconds = count_seconds(spans)
    states = defaultdict[str, float](float)
    for span in spans:
        states[span.state if span.kind in (Kind.UP, Kind.DOWN, Kind.LOADING) else ""] += span.seconds
    states.pop("", None)
    outages = find_outages(spans)
    series = [(one.metric, one.labels) for one in figures if one.metric in SIGNS]
    times = [_at(row) for row in happened.select(name, NOTICED)]
    noticed = [(outage, _find_noticed(times, outage)) for outage in outages]
    seen = [(outage, at) for outage, at in noticed if at is not None and outage.was_seen_to_begin][-MOST_LOOKED_AT:]
    detect = [max(0.0, at - find_first_sign(record, series, outage.begin)) for outage, at in seen]
    recover = [outage.end - at for outage, at in noticed if at is not None and outage.recovered]
    mine = [incident for incident in incidents if name in incident["services"]]
    return {
        "name": name,
        "availability": find_availability(seconds),
        "seconds": {kind.value: seconds[kind] for kind in Kind},
        "states": dict(states),
        "outages": [_tell_outage(outage) for outage in outages],
        "detect_seconds": _tell_times(detect),
        "recover_seconds": _tell_times(recover),
        "restarts": _count_restarts([row for row in happened.restarts if row["service"] == name]),
        "incidents": {
            "count": len(mine),
            "open": sum(one["closed_at"] is None for one in mine),
            "minutes": sum(one["minutes"] for one in mine),
        },
        "probes": tell_probes(figures),
        "latencies": tell_latencies(figures),
        "requests": tell_requests(figures),
        "log": tell_log(figures),
        "timeline": [{"since": span.begin, "until": span.end, "kind": span.kind.value, "state": span.state or None} for span in spans],
    }


def _find_noticed(times: Sequence[float], outage: Outage) -> float | None:
    """When something was done about it, or people were told (`times`, oldest first); None where it was over before."""
    place = bisect_left(times, outage.begin - 1)
    return max(times[place], outage.begin) if place < len(times) and times[place] <= outage.end else None


def _tell_times(seconds: Sequence[float]) -> Doc | None:
    return {"count": len(seconds), "median": median(seconds), "max": max(seconds)} if seconds else None


def _tell_outage(outage: Outage) -> Doc:
    return {"since": outage.begin, "until": outage.end, "recovered": outage.recovered}


def _count_restarts(rows: Sequence[Row]) -> Doc:
    took = [row["ended_at"] - row["at"] for row in rows if row["result"] == "recovered" and row["ended_at"] is not None]
    return {
        "count": len(rows),
        "results": dict(Counter(row["result"] or "open" for row in rows)),
        "actors": dict(Counter(row["actor"] for row in rows)),
        "seconds": _tell_times(took),
    }


# ---------------------------------------------------------------- what happened
def _tell_incidents(record: Record, happened: Happened, period: Period, now: float) -> list[Doc]:
    """Those that were open within the period, oldest first, each with the cause that it was opened with."""
    told = []
    for story in list_incidents(record, period.since, None, min(now, period.until)):
        if story["opened_at"] < period.until:
            told.append({**story, "cause": happened.causes.get(story["id"])})
    return told


def _tell_restart(row: Row) -> Doc:
    keys = ("id", "service", "at", "actor", "cause", "reason", "result", "detail", "ended_at")
    return {key: row[key] for key in keys}


def _find_anomalies(happened: Happened) -> list[Row]:
    """What fired, oldest first; of very many the newest."""
    fired = [row for rows in happened.events.values() for row in rows if row["event"] == "alert_fired"]
    return sorted(fired, key=_at)[-MOST_ANOMALIES:]


def _tell_anomaly(row: Row) -> Doc:
    rule, _, series = row["matter"].partition(" ")
    return {"at": row["at"], "service": row["service"], "rule": rule or None, "series": series or None, "reason": row["reason"]}


def _find_wolves(
    record: Record, happened: Happened, firings: Sequence[wolves.Firing], figures: Sequence[Figures], levels: Sequence[Row]
) -> list[wolves.Wolf]:
    acknowledged = {row["incident"] for row in happened.select(None, ("acknowledged",)) if row["incident"] is not None}
    acknowledged |= {ack["incident"] for ack in record.telling()["acks"]}
    acts = [row for rows in happened.events.values() for row in rows]
    wolves.find_acted(firings, acts, acknowledged, happened.roots)

    def usual(level: Row, side: str) -> float | None:
        alike = [one for one in figures if one.quantiles and is_over(level, one.metric, one.labels)]
        values = [one.quantiles[-1] if side == "above" else one.quantiles[0] for one in alike]
        return (max(values) if side == "above" else min(values)) if values else None

    return wolves.find_wolves(firings, levels, usual)


def _tell_wolf(wolf: wolves.Wolf) -> Doc:
    keys = ("service", "rule", "fired", "count", "median_seconds", "longest_seconds", "again", "change", "advice", "spared")
    return {key: getattr(wolf, key) for key in keys}


# ---------------------------------------------------------------- figures
def _tell_trend(trend: Trend) -> Doc:
    keys = ("metric", "labels", "days", "per_day", "begin", "end", "chance", "full_in_days")
    change = trend.change
    return {**{key: getattr(trend, key) for key in keys}, "change_share": change if change not in (float("inf"), float("-inf")) else None}


def _tell_figures(one: Figures) -> Doc:
    """A series. `quantiles` by share, `bars` as (from, to, count), `points` as (begin, least, mean, most)."""
    doc: Doc = {"metric": one.metric, "labels": one.labels, "count": one.count, "last": one.last}
    if one.is_counter:
        doc |= {"increase": one.increase, "per_second": one.per_second}
    else:
        shares = ("0.01", "0.5", "0.95", "0.99")
        doc |= {"least": one.least, "mean": one.mean, "most": one.most}
        doc |= {"quantiles": dict(zip(shares, one.quantiles, strict=True)), "bars": one.bars}
    return {**doc, "points": one.points}
