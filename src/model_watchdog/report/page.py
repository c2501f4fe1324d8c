"""The report as one page of HTML: nothing in it comes from elsewhere, nothing in it runs, and every word that is not ours is escaped."""

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from model_watchdog.language import Speaking, phrase, spoken, strip_controls
from model_watchdog.report.charts import write_charts
from model_watchdog.report.drawing import draw_strip
from model_watchdog.report.saying import (
    NOTHING,
    name_kind,
    name_result,
    name_series,
    name_service,
    say_minute,
    say_number,
    say_share,
    say_time,
    say_times,
    say_value,
    tell_restarts,
    tell_trend,
    tell_uncounted,
    tell_wolf,
)
from model_watchdog.report.text import tell_watched
from model_watchdog.wording import duration

Doc = dict[str, Any]
Cell = str | tuple[str, str]
"""A text, or a class and a text; of the class `html` it is HTML already."""
Rows = list[tuple[str, list[Cell]]]
STYLE = Path(__file__).with_name("report.css")

MOST_ROWS = 200
"""Of a table; the newest of what happened, and as it says how many there are in all."""
KINDS = ("up", "loading", "down", "paused", "stopped", "not_watched")


def write_page(doc: Doc, language: str) -> str:
    """The page in one of `language.LANGUAGES`."""
    with Speaking(language):
        return _frame(doc, [section for section in _write_sections(doc) if section[2]])


def _write_sections(doc: Doc) -> Iterable[tuple[str, str, str]]:
    """Each with its anchor, its heading and what is in it ("" for none)."""
    yield "availability", phrase("Availability"), _write_availability(doc)
    yield "incidents", phrase("Incidents"), _write_incidents(doc["incidents"])
    yield "restarts", phrase("Restarts and what came of them"), _write_restarts(doc)
    yield "answers", phrase("Latency, requests and errors"), _write_latencies(doc["services"]) + _write_requests(doc["services"])
    yield "worse", phrase("What got slowly worse"), _write_worse(doc["worse"])
    yield "wolf", phrase("Rules that cried wolf"), _write_wolves(doc["wolves"])
    yield "trends", phrase("Trends and distributions"), write_charts(doc)
    yield "anomalies", phrase("Anomalies: what fired"), _write_anomalies(doc["anomalies"])
    yield "series", phrase("Everything that was measured"), _write_series(doc["series"])


def _frame(doc: Doc, sections: Sequence[tuple[str, str, str]]) -> str:
    period = doc["period"]
    title = phrase(
        "{host}: report, {since} to {until}", host=doc["host"], since=say_minute(period["since"]), until=say_minute(period["until"])
    )
    links = "".join(f'<a href="#{anchor}">{_escape(heading)}</a>' for anchor, heading, _ in sections)
    main = "".join(f'<section id="{anchor}"><h2>{_escape(heading)}</h2>{inside}</section>' for anchor, heading, inside in sections)
    return f"""<!doctype html>
<html lang="{"zh-CN" if spoken() == "zh" else "en"}"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>{_escape(title)}</title><style>{STYLE.read_text()}</style></head><body>
<header><h1>{_escape(title)}</h1><p class="quiet">{_escape(tell_watched(doc))}</p><nav>{links}</nav></header>
<main>{_write_cards(doc)}{main}</main>
<footer>{_write_method(doc)}</footer></body></html>
"""


def _write_cards(doc: Doc) -> str:
    known = [service for service in doc["services"] if service["availability"] is not None]
    lowest = min(known, key=lambda service: service["availability"], default=None)
    wolves = sum(wolf["count"] for wolf in doc["wolves"])
    cards = [
        (say_share(lowest["availability"]), phrase("lowest availability: {service}", service=name_service(lowest["name"])))
        if lowest
        else (NOTHING, phrase("no services")),
        (str(len(doc["incidents"])), phrase("Incidents")),
        (str(len(doc["restarts"])), phrase("Restarts")),
        (str(doc["fired"]), phrase("Alerts")),
        (str(wolves), phrase("alarms for nothing")),
        (str(len(doc["worse"])), phrase("series that got slowly worse")),
    ]
    return f'<div class="cards">{"".join(f"<div><b>{_escape(figure)}</b>{_escape(text)}</div>" for figure, text in cards)}</div>'


def _write_availability(doc: Doc) -> str:
    if not doc["services"]:
        return f"<p>{_say('no services')}</p>"
    head = [phrase("Service"), phrase("Available"), phrase("Timeline"), phrase("Outages"), phrase("Down")]
    head += [phrase("Noticed after"), phrase("Well again after"), phrase("Restarts"), phrase("Not counted")]
    rows: Rows = []
    for service in doc["services"]:
        name, seconds, share = name_service(service["name"]), service["seconds"], service["availability"]
        strip = draw_strip(service["timeline"], doc["period"]["since"], doc["period"]["until"], phrase("{service} over time", service=name))
        down = seconds["down"] + seconds["loading"]
        cells: list[Cell] = [
            ("n bad" if share is not None and share < 0.99 else "n", say_share(share)),
            ("html", strip),
            ("n", str(len(service["outages"]))),
            ("n", duration(down) if down >= 1 else "0"),
            say_times(service["detect_seconds"]),
            say_times(service["recover_seconds"]),
            tell_restarts(service["restarts"]),
            tell_uncounted(seconds) or NOTHING,
        ]
        rows.append((name, cells))
    key = "".join(
        f'<span><svg viewBox="0 0 10 10"><rect class="k-{kind}" width="10" height="10"/></svg>{_escape(name_kind(kind))}</span>'
        for kind in KINDS
    )
    return _table(head, rows) + f'<div class="key">{key}</div>'


def _write_incidents(incidents: Sequence[Doc]) -> str:
    if not incidents:
        return f"<p>{_say('none')}</p>"
    head = [phrase("Number"), phrase("Since"), phrase("Service"), phrase("Reason"), phrase("Cause"), phrase("Lasted"), phrase("Restarts")]
    rows: Rows = []
    for one in reversed(incidents[-MOST_ROWS:]):
        names = phrase(", ").join(name_service(name) for name in one["services"])
        lasted = duration(one["minutes"] * 60)
        state = phrase("open for {duration}", duration=lasted) if one["closed_at"] is None else lasted
        cells: list[Cell] = [("n", say_minute(one["opened_at"])), names, ("long", one["reason"]), one["cause"] or NOTHING]
        rows.append((str(one["id"]), [*cells, ("n bad" if one["closed_at"] is None else "n", state), ("n", str(one["restarts"]))]))
    return _table(head, rows) + _tell_left_out(len(incidents))


def _write_restarts(doc: Doc) -> str:
    restarts = doc["restarts"]
    if not restarts:
        return f"<p>{_say('nothing was restarted')}</p>"
    head = [phrase("Service"), phrase("Since"), phrase("Result"), phrase("Took"), phrase("By"), phrase("Reason"), phrase("Details")]
    rows: Rows = []
    for one in reversed(restarts[-MOST_ROWS:]):
        took = duration(one["ended_at"] - one["at"]) if one["ended_at"] is not None else NOTHING
        result: Cell = ("n bad" if one["result"] == "failed" else "n", name_result(one["result"]))
        rows.append(
            (
                name_service(one["service"]),
                [
                    ("n", say_time(one["at"])),
                    result,
                    ("n", took),
                    _name_actor(one["actor"]),
                    ("long", one["reason"]),
                    one["detail"] or NOTHING,
                ],
            )
        )
    return _table(head, rows) + _tell_left_out(len(restarts))


def _name_actor(actor: str) -> str:
    names = {"watchdog": phrase("the watchdog"), "trial": phrase("the watchdog, as a trial"), "operator": phrase("an operator")}
    return names.get(actor, actor)


def _write_latencies(services: Sequence[Doc]) -> str:
    head = [
        phrase("Service"),
        phrase("Latency of"),
        "p50",
        "p95",
        "p99",
        phrase("Mean"),
        phrase("Greatest"),
        phrase("Samples"),
        phrase("Failed"),
    ]
    rows: Rows = []
    for service in services:
        spreads: list[tuple[str, str, dict[str, str], Doc, str]] = [
            (phrase("probe {probe}", probe=probe["probe"]), "x_seconds", {}, probe["seconds"], say_share(probe["failed_share"]))
            for probe in service["probes"]
            if probe["seconds"]
        ]
        spreads += [
            (name_series(one["metric"], one["labels"]), one["metric"], one["labels"], one, NOTHING)
            for one in service["latencies"]
            if one["metric"] != "probe_duration_seconds"
        ]
        for what, metric, labels, spread, failed in spreads:
            told: list[Cell] = [("n", say_value(metric, spread[key], labels)) for key in ("p50", "p95", "p99", "mean", "most")]
            rows.append((name_service(service["name"]), [what, *told, ("n", say_number(spread["count"])), ("n", failed)]))
    return _table(head, rows) if rows else ""


def _write_requests(services: Sequence[Doc]) -> str:
    head = [phrase("Service"), phrase("Counted by"), phrase("Requests"), phrase("A second"), phrase("Errors"), phrase("Share of errors")]
    rows: Rows = []
    for service in services:
        asked, log = service["requests"], service["log"]
        if asked:
            rate: list[Cell] = [("n", say_number(asked[key])) for key in ("total", "per_second", "errors")]
            rows.append((name_service(service["name"]), [asked["metric"], *rate, ("n", say_share(asked["error_share"]))]))
        if log:
            counts: list[Cell] = [("n", say_number(log["records"])), NOTHING, ("n", say_number(log["errors"]))]
            rows.append((name_service(service["name"]), [phrase("records of its log"), *counts, ("n", say_share(log["error_share"]))]))
    return _table(head, rows) if rows else ""


def _write_worse(trends: Sequence[Doc]) -> str:
    if not trends:
        return f"<p>{_say('nothing that chance would not bring about, or fewer than 7 days')}</p>"
    head = [phrase("Series"), phrase("Service"), phrase("Change"), phrase("How")]
    rows: Rows = []
    for one in trends:
        change = NOTHING if one["change_share"] is None else f"{one['change_share'] * 100:+.0f} %"
        whose = name_service(one["labels"].get("service"))
        rows.append((name_series(one["metric"], one["labels"]), [whose, ("n warn", change), ("long", tell_trend(one))]))
    return _table(head, rows)


def _write_wolves(wolves: Sequence[Doc]) -> str:
    if not wolves:
        return f"<p>{_say('none')}</p>"
    head = [phrase("Rule"), phrase("Service"), phrase("How"), phrase("What to change"), phrase("Why")]
    rows: Rows = []
    for one in wolves:
        change: Cell = ("html", f"<code>{_escape(one['change'])}</code>") if one["change"] else NOTHING
        rows.append((one["rule"], [name_service(one["service"]), ("long", tell_wolf(one)), change, ("long", one["advice"])]))
    return _table(head, rows)


def _write_anomalies(anomalies: Sequence[Doc]) -> str:
    if not anomalies:
        return f"<p>{_say('none')}</p>"
    head = [phrase("Since"), phrase("Service"), phrase("Rule"), phrase("Reason")]
    rows: Rows = [
        (say_time(one["at"]), [name_service(one["service"]), one["rule"] or NOTHING, ("long", one["reason"])])
        for one in reversed(anomalies[-MOST_ROWS:])
    ]
    return _table(head, rows) + _tell_left_out(len(anomalies))


def _write_series(series: Sequence[Doc]) -> str:
    if not series:
        return f"<p>{_say('nothing was measured in this time')}</p>"
    head = [
        phrase("Series"),
        phrase("Service"),
        phrase("Samples"),
        phrase("Least"),
        "p50",
        phrase("Mean"),
        "p95",
        "p99",
        phrase("Greatest"),
        phrase("A second"),
    ]
    rows: Rows = []
    for one in series:
        metric, labels = one["metric"], one["labels"]
        cells: list[Cell] = [name_service(labels.get("service")), ("n", say_number(one["count"]))]
        if "increase" in one:
            cells += [NOTHING] * 6
            cells.append(("n", say_value(metric, one["per_second"], labels)))
        else:
            values = one["least"], one["quantiles"]["0.5"], one["mean"], one["quantiles"]["0.95"], one["quantiles"]["0.99"], one["most"]
            cells += [("n", say_value(metric, value, labels)) for value in values]
            cells.append(NOTHING)
        rows.append((name_series(metric, labels), cells))
    return _table(head, rows)


def _tell_left_out(count: int) -> str:
    if count <= MOST_ROWS:
        return ""
    return f'<p class="quiet">{_escape(phrase("the newest {shown} of {count}; -o FILE.json has all", shown=MOST_ROWS, count=count))}</p>'


def _write_method(doc: Doc) -> str:
    """How the figures came about, in a few sentences."""
    lines = [
        phrase("Available is the share of the watched time in which a service was healthy, busy or degraded."),
        phrase("What was paused, stopped on purpose, asleep, unknown or not watched is not counted."),
        phrase(
            "Noticed after: from the first bad sign until something was done about it, or people were told. Well again after: from then on."
        ),
        phrase("Counts, means and extremes are exact; quantiles come out of a sketch, and are right to 1 % of themselves."),
        phrase("What got slowly worse: Theil-Sen line through means of 24 hours, with p below 0.01 by the Mann-Kendall test."),
        phrase(
            "Times are local. Made by model-watchdog {version}, {moment}.", version=doc["version"], moment=say_time(doc["generated_at"])
        ),
    ]
    return f"<p>{'<br>'.join(map(_escape, lines))}</p>"


def _table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> str:
    """The first cell of a row is its heading. On a phone each row is a block, and each cell says what it is of."""
    top = "".join(f'<th scope="col">{_escape(name)}</th>' for name in head)
    body = []
    for heading, cells in rows:
        made = [f'<th scope="row">{_escape(heading)}</th>']
        for name, cell in zip(head[1:], cells, strict=True):
            kind, text = cell if isinstance(cell, tuple) else ("", cell)
            inside = text if kind == "html" else _escape(text)
            classes = " ".join(filter(None, ("" if kind == "html" else kind, "empty" if text == NOTHING else "")))
            made.append(f'<td{f" class={json.dumps(classes)}" if classes else ""} data-of="{_escape(name)}">{inside}</td>')
        body.append(f"<tr>{''.join(made)}</tr>")
    label = _escape(phrase(", ").join(head[:3]))  # who comes to it by keyboard must know what is scrolled
    table = f'<table class="stack"><thead><tr>{top}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    return f'<div class="wide" tabindex="0" role="group" aria-label="{label}">{table}</div>'


def _say(text: str) -> str:
    return html.escape(phrase(text))


def _escape(text: object) -> str:
    return html.escape(strip_controls(str(text)))
