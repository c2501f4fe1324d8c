"""`watchdog status`: how things stand, as a table, as JSON and as an exit code."""

import argparse
import json
import os
import sys
import time

from model_watchdog import status
from model_watchdog.cli import EXIT_UNKNOWN_NAME, CommandError, find_runtime_dir, find_state_dir, suggest_known
from model_watchdog.language import count_cells, pad, phrase
from model_watchdog.silences import show_telling

HELP = "how things stand"
EXAMPLES = """\
  watchdog status                 the table; exit 0 all well, 1 warning, 2 critical, 3 no daemon
  watchdog status chatglm         one service
  watchdog status --watch         again and again, with trends of the last half hour; q leaves
  watchdog status --json          for programs: stable and versioned
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", nargs="?", help="only this service")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="one JSON document, schema 1")
    how.add_argument("--watch", action="store_true", help="on the whole terminal, anew each second, with trends; q leaves")


def run(args: argparse.Namespace) -> int:
    places = os.fspath(find_state_dir(args)), os.fspath(find_runtime_dir(args))
    if args.watch:
        from model_watchdog.cli.watching import watch

        return watch(*places, args.service)
    doc, more = status.collect(*places)
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
        from model_watchdog.cli.drawing import print_status  # only what draws waits for it

        print_status(doc, more)
    else:
        print(f"{status.WORDS[code]}: {summary}")
        _print_plain(doc, more, time.time())
    return code


def _print_plain(doc: "status.Doc", more: "status.Doc", now: float) -> None:
    from model_watchdog.cli.table import list_rows  # `status --json` starts without it

    table = list_rows(doc, more, now)
    widths = [max(count_cells(row[column]) for row in table) for column in range(3)]
    for row in table:
        print("  ".join([*(pad(cell, width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    for heading, text in [*status.footer(doc, more["sent"], now), *show_telling(more.get("telling", {}), now)]:
        print(pad(heading, 10) + text)
