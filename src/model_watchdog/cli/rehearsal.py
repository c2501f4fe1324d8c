"""What `watchdog replay` does: reads rules and data, runs the ones over the others, and tells what came of it."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from model_watchdog.cli import EXIT_UNKNOWN_NAME, EXIT_USAGE, CommandError, find_config, find_state_dir, suggest_known
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.language import count_cells, one_line, pad, phrase
from model_watchdog.ledger import Firing
from model_watchdog.record import Record
from model_watchdog.recorded import Window, list_stops, read_csv, read_pages, read_prometheus, read_record
from model_watchdog.rehearsing import NAMELESS, Rehearsal, Rules, compare
from model_watchdog.wording import duration

SCHEMA = 1
MOST_BLIND = 5
TELL_EVERY = 0.5
"""Seconds between two lines that tell how far it has got."""


def rehearse(args: argparse.Namespace) -> int:
    """0; 1 where the data cannot be read, 2 where rules are not valid, 4 where there is no such service."""
    if args.metric is not None and args.csv is None:
        raise CommandError(phrase("--metric names the series of --csv FILE"), EXIT_USAGE)
    files = [args.rules or find_config(args), *([args.compare] if args.compare else [])]
    rules = [Rules.read(path) for path in files]
    progress = _Progress()
    began = time.monotonic()
    if args.csv or args.prometheus or args.pages:
        rehearsals = [Rehearsal(one, service, only=service) for one in rules for service in [_choose_service(args, one)]]
        _run(rehearsals, _read_file(args, progress, sorted({name for one in rules for name in one.metrics})), progress)
    else:
        with Record.open(find_state_dir(args)) as record:
            rehearsals = _open_record(args, record, rules)
            _run(rehearsals, read_record(record, args.service, args.since, progress.tell), progress)
    spent = time.monotonic() - began
    doc = _describe(rehearsals, spent)
    if args.json:
        print(json.dumps(doc, ensure_ascii=False))
    else:
        _print(doc)
    return 0


def _choose_service(args: argparse.Namespace, rules: Rules) -> str | None:
    """Whose the data of a file are that name no service."""
    if rules.config is None:
        return args.service or NAMELESS
    if args.service is not None and args.service not in rules.services:
        text = phrase("there is no service {name}", name=one_line(args.service)) + suggest_known(args.service, rules.services)
        raise CommandError(text, EXIT_UNKNOWN_NAME)
    return args.service or (rules.services[0] if len(rules.services) == 1 else None)


def _read_file(args: argparse.Namespace, progress: "_Progress", wanted: Sequence[str]) -> Iterator[Window]:
    if args.csv:
        if args.metric is None:
            raise CommandError(phrase("--csv needs --metric NAME beside it: the series that its numbers are of"), EXIT_USAGE)
        try:
            selector = Selector.parse(args.metric)
        except ValueError as error:
            raise CommandError(f"--metric: {error}", EXIT_USAGE) from None
        return read_csv(args.csv, selector.to_series(), args.since, progress.tell)
    if args.prometheus:
        return read_prometheus(args.prometheus, args.since, progress.tell)
    return read_pages(args.pages, wanted, args.since, progress.tell)


def _open_record(args: argparse.Namespace, record: Record, rules: Sequence[Rules]) -> list[Rehearsal]:
    known = [SeriesId.of(row["metric"], row["labels"]) for row in record.series()]
    services = {name for series in known if (name := dict(series.labels).get("service"))}
    if args.service is not None and args.service not in services:
        text = phrase("the record has nothing of a service {name}", name=one_line(args.service)) + suggest_known(args.service, services)
        raise CommandError(text, EXIT_UNKNOWN_NAME)
    stops = list_stops(record)
    return [Rehearsal(one, known=known, stops=stops, is_record=True, only=args.service) for one in rules]


def _run(rehearsals: Sequence[Rehearsal], windows: Iterator[Window], progress: "_Progress") -> None:
    for window in windows:
        for rehearsal in rehearsals:
            rehearsal.take(window)
        progress.count(rehearsals[0].samples)
    progress.end()


class _Progress:
    """A line on a terminal that says how far a long replay has got."""

    def __init__(self) -> None:
        self._on = sys.stderr is not None and sys.stderr.isatty()
        self._share, self._told = 0.0, time.monotonic()
        self._shown = False

    def tell(self, share: float) -> None:
        self._share = min(1.0, share)

    def count(self, samples: int) -> None:
        now = time.monotonic()
        if self._on and now - self._told > TELL_EVERY:
            self._told, self._shown = now, True
            line = phrase("{percent} %, {count} samples", percent=round(100 * self._share), count=f"{samples:,}")
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- the document
def _describe(rehearsals: Sequence[Rehearsal], spent: float) -> dict[str, Any]:
    first = rehearsals[0]
    doc: dict[str, Any] = {
        "schema": SCHEMA,
        "from": _stamp(first.begin),
        "until": _stamp(first.end),
        "series": first.series,
        "samples": first.samples,
        "seconds": round(spent, 3),
        **_describe_one(first),
    }
    if len(rehearsals) > 1:
        other = rehearsals[1]
        mine, theirs = compare(first.ledger.firings, other.ledger.firings, first.end)
        doc["compare"] = {
            **_describe_one(other),
            "only_here": [_firing(one, first.end) for one in mine],
            "only_there": [_firing(one, first.end) for one in theirs],
        }
    return doc


def _describe_one(rehearsal: Rehearsal) -> dict[str, Any]:
    ledger = rehearsal.ledger
    return {
        "rules": str(rehearsal.rules.path),
        "firings": [_firing(one, rehearsal.end) for one in sorted(ledger.firings, key=lambda one: one.at)],
        "restarts": [
            {"service": one.service, "at": _stamp(one.at), "reason": one.reason, "result": one.result or None} for one in ledger.restarts
        ],
        "messages": ledger.messages,
        "without_data": [{"service": service, "rule": rule, "metric": metric} for service, rule, metric in rehearsal.list_blind()],
        "not_configured": sorted(rehearsal.strangers),
    }


def _firing(one: Firing, end: float) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "service": one.service,
        "series": one.series or None,
        "severity": one.severity.value,
        "then": one.then,
        "fired_at": _stamp(one.at),
        "until": None if one.until is None else _stamp(one.until),
        "seconds": round((end if one.until is None else one.until) - one.at, 3),
        "restarts": one.restarts,
        "messages": one.messages,
        "reason": one.reason,
    }


def _stamp(at: float) -> str | None:
    """RFC 3339 in UTC; None where there are no data."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


# ---------------------------------------------------------------- the table
def _print(doc: dict[str, Any]) -> None:
    _print_table(doc["firings"])
    print(_summarise(doc, doc))
    if "compare" in doc:
        other = doc["compare"]
        for key, path in (("only_here", doc["rules"]), ("only_there", other["rules"])):
            print("\n" + phrase("only with {path}:", path=one_line(path)))
            _print_table(other[key])
        print("\n" + phrase("with {path}: {summary}", path=one_line(other["rules"]), summary=_summarise(doc, other)))
    for one in [doc, *([doc["compare"]] if "compare" in doc else [])]:
        blind, strange = one["without_data"], one["not_configured"]
        if blind:
            names = [f"{rule['service']}/{rule['rule']}" if rule["service"] else rule["rule"] for rule in blind]
            told = phrase(", ").join(one_line(name) for name in names[:MOST_BLIND]) + (" …" if len(names) > MOST_BLIND else "")
            text = "{path}: no data for {count} of the rules: {names}"
            print(phrase(text, path=one_line(one["rules"]), count=len(blind), names=told), file=sys.stderr)
        if strange:
            text = "{path}: services in the data that it does not have: {names}"
            print(phrase(text, path=one_line(one["rules"]), names=one_line(phrase(", ").join(strange))), file=sys.stderr)


def _print_table(firings: Sequence[dict[str, Any]]) -> None:
    if not firings:
        print(phrase("nothing would have fired"))
        return
    times = phrase("FIRED"), phrase("FOR")
    head = [phrase("RULE"), phrase("SERVICE"), *times, phrase("RESTARTS"), phrase("MESSAGES"), phrase("REASON")]
    rows = [head, *([one_line(cell) for cell in _row(one)] for one in firings)]
    widths = [max(count_cells(row[column]) for row in rows) for column in range(len(head) - 1)]
    for row in rows:
        print("  ".join([*(pad(cell, width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())


def _row(one: dict[str, Any]) -> list[str]:
    at = datetime.fromisoformat(one["fired_at"].replace("Z", "+00:00")).astimezone() if one["fired_at"] else None
    lasting = duration(one["seconds"]) + (" …" if one["until"] is None else "")
    counts = [str(one[name]) if one[name] else "-" for name in ("restarts", "messages")]
    return [one["rule"], one["service"] or "-", f"{at:%Y-%m-%d %H:%M:%S}" if at else "-", lasting, *counts, one["reason"]]


def _summarise(doc: dict[str, Any], one: dict[str, Any]) -> str:
    text = "{count} samples of {series} series over {duration}; alerts: {firings}, restarts: {restarts}, messages: {messages}"
    begin, end = (datetime.fromisoformat(doc[name].replace("Z", "+00:00")) if doc[name] else None for name in ("from", "until"))
    lasting = (end - begin).total_seconds() if begin and end else 0.0
    return phrase(
        text,
        count=f"{doc['samples']:,}",
        series=doc["series"],
        duration=duration(lasting),
        firings=len(one["firings"]),
        restarts=len(one["restarts"]),
        messages=one["messages"],
    )
