"""The report as a few lines of text: what a terminal shows, and what a message says whose reader gets no attachment."""

from typing import Any

from model_watchdog.language import count_cells, one_line, pad, phrase
from model_watchdog.report.saying import (
    name_series,
    name_service,
    say_minute,
    say_number,
    say_seconds,
    say_share,
    say_times,
    tell_restarts,
    tell_trend,
    tell_uncounted,
    tell_wolf,
)
from model_watchdog.wording import duration

Doc = dict[str, Any]

MOST_SERVICES = 30
MOST_LINES = 10
"""Of incidents, of what got worse and of rules, so many of each."""


def write_text(doc: Doc) -> str:
    """Lines without the last end of line."""
    period = doc["period"]
    blanks = {"host": doc["host"], "since": say_minute(period["since"]), "until": say_minute(period["until"])}
    lines = [phrase("{host}: report, {since} to {until}", **blanks), tell_watched(doc), ""]
    services = choose_services(doc["services"])
    lines += _table(services)
    if len(services) < len(doc["services"]):
        lines.append(phrase("… {count} more are in the whole report", count=len(doc["services"]) - len(services)))
    notes = [note for service in services for note in _tell_more(service)]
    lines += ["", *notes] if notes else []
    lines += _list(phrase("Incidents"), [tell_incident(one) for one in doc["incidents"]], newest=True)
    worse = [f"{_of(one['labels'])}{name_series(one['metric'], one['labels'])}: {tell_trend(one)}" for one in doc["worse"]]
    lines += _list(phrase("What got slowly worse"), worse)
    lines += _list(phrase("Rules that cried wolf"), [f"{_whose(one)}: {tell_wolf(one)}{_advice(one)}" for one in doc["wolves"]])
    return "\n".join(one_line(line) if line and "  " not in line else line.rstrip() for line in lines)


def choose_services(services: list[Doc]) -> list[Doc]:
    """All, or where they are many those that were least available, in the order in which they are configured."""
    if len(services) <= MOST_SERVICES:
        return services
    worst = sorted(services, key=lambda service: 2.0 if service["availability"] is None else service["availability"])[:MOST_SERVICES]
    return [service for service in services if service in worst]


def tell_watched(doc: Doc) -> str:
    """How much of the period was watched at all, and how much happened in it."""
    seconds, whole = doc["watched"]["seconds"], doc["period"]["until"] - doc["period"]["since"]
    blanks: dict[str, object] = {
        "watched": duration(seconds),
        "share": say_share(seconds / whole),
        "incidents": len(doc["incidents"]),
        "restarts": len(doc["restarts"]),
        "alerts": doc["fired"],
    }
    return phrase("watched for {watched} ({share}); incidents: {incidents}, restarts: {restarts}, alerts: {alerts}", **blanks)


def tell_incident(story: Doc) -> str:
    """One line of an incident."""
    names = phrase(", ").join(name_service(name) for name in story["services"][:3])
    lasted = duration(story["minutes"] * 60)
    state = phrase("open for {duration}" if story["closed_at"] is None else "over after {duration}", duration=lasted)
    return f"{story['id']}  {say_minute(story['opened_at'])}  {names}  {one_line(story['reason'])}  ({state})"


def _table(services: list[Doc]) -> list[str]:
    if not services:
        return [phrase("no services")]
    head = [phrase("SERVICE"), phrase("AVAILABLE"), phrase("DETECTED"), phrase("RECOVERED"), phrase("RESTARTS"), "P50 / P95 / P99"]
    rows = [head, *(_row(service) for service in services)]
    widths = [max(count_cells(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(service: Doc) -> list[str]:
    spread = next((probe["seconds"] for probe in sorted(service["probes"], key=_by_weight) if probe["seconds"]), None)
    latency = " / ".join(say_seconds(spread[key]) for key in ("p50", "p95", "p99")) if spread else "–"
    times = [say_times(service["detect_seconds"]), say_times(service["recover_seconds"])]
    return [one_line(service["name"]), say_share(service["availability"]), *times, tell_restarts(service["restarts"]), latency]


def _tell_more(service: Doc) -> list[str]:
    """What is not counted of it, and what it was asked; each a line."""
    name, asked, left = name_service(service["name"]), service["requests"], tell_uncounted(service["seconds"])
    lines = [phrase("not counted for {service}: {what}", service=name, what=left)] if left else []
    if asked:
        blanks = {"service": name, "rate": say_number(asked["per_second"]), "share": say_share(asked["error_share"])}
        lines.append(phrase("{service}: {rate} requests a second, errors {share}", **blanks))
    return lines


def _by_weight(probe: Doc) -> int:
    """What people ask first: the probe of the health, then any that asks the service itself."""
    return 0 if probe["probe"] == "health" else 2 if probe["probe"] in ("unit", "process") else 1


def _list(heading: str, entries: list[str], *, newest: bool = False) -> list[str]:
    if not entries:
        return []
    shown = entries[-MOST_LINES:] if newest else entries[:MOST_LINES]
    more = [phrase("… {count} more are in the whole report", count=len(entries) - len(shown))] if len(entries) > len(shown) else []
    return ["", heading, *(f"  {one_line(entry)}" for entry in shown), *(f"  {line}" for line in more)]


def _of(labels: dict[str, str]) -> str:
    return f"{labels['service']}: " if labels.get("service") else ""


def _whose(wolf: Doc) -> str:
    return f"{name_service(wolf['service'])}, {wolf['rule']}"


def _advice(wolf: Doc) -> str:
    change = phrase("; change: {change}", change=wolf["change"]) if wolf["change"] else ""
    return f"{change} ({wolf['advice']})" if wolf["change"] and wolf["advice"] else change or f"; {wolf['advice']}"
