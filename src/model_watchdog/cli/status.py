"""`watchdog status`: how things stand, as a table, as JSON and as an exit code."""

import argparse
import json
import os
import sys
import time

from model_watchdog import status
from model_watchdog.cli import EXIT_UNKNOWN_NAME, CommandError, Later, find_runtime_dir, find_state_dir, suggest_known
from model_watchdog.language import count_cells, pad, phrase

HELP = "how things stand"
EXAMPLES = """\
  watchdog status                 the table; exit 0 all well, 1 warning, 2 critical, 3 no daemon
  watchdog status chatglm         one service
  watchdog status --json          for programs: stable and versioned
"""

_COLOURS = {
    "critical": "bold red",
    "healthy": "green",
    "busy": "cyan",
    "loading": "cyan",
    "restarting": "yellow",
    "verifying": "yellow",
    "stopped": "dim",
    "unknown": "yellow",
}

_HEADINGS = ("SERVICE", "STATE", "SINCE", "REASON")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", nargs="?", help="only this service")
    parser.add_argument("--json", action="store_true", help="one JSON document, schema 1")
    parser.add_argument("--watch", action=Later, nargs=0, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    doc, more = status.collect(os.fspath(find_state_dir(args)), os.fspath(find_runtime_dir(args)))
    if args.service:
        names = [service["name"] for service in doc["services"]]
        if args.service not in names:
            text = phrase("there is no service {name}", name=args.service) + suggest_known(args.service, names)
            raise CommandError(text, EXIT_UNKNOWN_NAME)
        status.select(doc, args.service)
    code, summary = status.judge(doc)
    if args.json:
        print(json.dumps(doc, ensure_ascii=False))
    elif sys.stdout.isatty():
        _draw(doc, more, code, summary)
    else:
        print(f"{status.WORDS[code]}: {summary}")
        _print_plain(doc, more, time.time())
    return code


def _headline(doc: "status.Doc", now: float) -> str:
    daemon, count = doc["daemon"], len(doc["services"])
    mode = phrase("not running" if not daemon["running"] else daemon["mode"])
    is_up = daemon["running"] and daemon["started_at"]
    up = phrase(" · up {duration}", duration=status.ago(daemon["started_at"], now)) if is_up else ""
    return f"model-watchdog  {mode} · " + phrase("1 service" if count == 1 else "{count} services", count=count) + up


def _print_plain(doc: "status.Doc", more: "status.Doc", now: float) -> None:
    table = [tuple(map(phrase, _HEADINGS)), *status.rows(doc, more["progress"], now)]
    widths = [max(count_cells(row[column]) for row in table) for column in range(3)]
    for row in table:
        print("  ".join([*(pad(cell, width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    for heading, text in status.footer(doc, more["sent"], now):
        print(pad(heading, 10) + text)


def _draw(doc: "status.Doc", more: "status.Doc", code: int, summary: str) -> None:
    """The same on a terminal, with colour, wrapped to its width."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    now = time.time()
    console = Console(highlight=False)
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    head.add_row(Text(_headline(doc, now), style="bold"), time.strftime("%H:%M:%S"))
    console.print(head)
    if code == status.NOT_RUNNING:
        console.print(Text(phrase("{summary}; below is what was last known", summary=summary), style="bold red"))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in _HEADINGS:
        table.add_column(phrase(heading), overflow="fold", no_wrap=heading != "REASON")
    tones = {service["name"]: status.find_tone(service) for service in doc["services"]}
    for name, state, since, reason in status.rows(doc, more["progress"], now):
        style = _COLOURS.get(tones.get(name, ""), "")
        table.add_row(name, Text(state, style=style), since, Text(reason))
    console.print()
    console.print(table)
    below = Table.grid(padding=(0, 2, 0, 0))
    for heading, text in status.footer(doc, more["sent"], now):
        below.add_row(Text(heading, style="dim"), Text(text))
    console.print()
    console.print(below)
