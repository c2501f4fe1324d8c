"""`watchdog status`: how things stand, as a table, as JSON and as an exit code."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator

from model_watchdog import status
from model_watchdog.cli import EXIT_UNKNOWN_NAME, CommandError, Later, find_runtime_dir, find_state_dir, suggest_known
from model_watchdog.language import count_cells, pad, phrase
from model_watchdog.silences import show_telling

HELP = "how things stand"
EXAMPLES = """\
  watchdog status                 the table; exit 0 all well, 1 warning, 2 critical, 3 no daemon
  watchdog status chatglm         one service
  watchdog status --json          for programs: stable and versioned
"""

_STYLES = {status.WARNING: "yellow", status.CRITICAL: "bold red"}
_BAD = {status.CRITICAL: "{count} critical", status.WARNING: "{count} warning"}
_COLOURS = {"healthy": "green", "busy": "cyan", "loading": "cyan", "restarting": "yellow", "verifying": "yellow", "stopped": "dim"}
LEAST_REASON, LEAST_NAME = 30, 12
"""Columns: with fewer a text is no sentence any more, and a name no name."""


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


def _tell_daemon(doc: "status.Doc", now: float) -> list[str]:
    """The parts of the first line, the most important first."""
    daemon, count, levels = doc["daemon"], len(doc["services"]), list(_find_levels(doc).values())
    mode = phrase("not running" if not daemon["running"] else daemon["mode"])
    services = phrase("1 service" if count == 1 else "{count} services", count=count)
    bad = [phrase(text, count=levels.count(level)) for level, text in _BAD.items() if level in levels]
    if bad:
        services = phrase("{services}: {bad}", services=services, bad=phrase(", ").join(bad))
    is_up = daemon["running"] and daemon["started_at"]
    up = [phrase("up {duration}", duration=status.ago(daemon["started_at"], now))] if is_up else []
    return [f"model-watchdog  {mode}", services, *up]


def _find_levels(doc: "status.Doc") -> dict[str, int]:
    """OK, WARNING or CRITICAL by service."""
    return {service["name"]: status.OK if service["paused_until"] else status.level_of(service) for service in doc["services"]}


def _tell_headings() -> tuple[str, str, str, str]:
    return phrase("SERVICE"), phrase("STATE"), phrase("SINCE"), phrase("REASON")


def _print_plain(doc: "status.Doc", more: "status.Doc", now: float) -> None:
    table = [_tell_headings(), *status.rows(doc, more["progress"], now)]
    widths = [max(count_cells(row[column]) for row in table) for column in range(3)]
    for row in table:
        print("  ".join([*(pad(cell, width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    for heading, text in [*status.footer(doc, more["sent"], now), *show_telling(more.get("telling", {}), now)]:
        print(pad(heading, 10) + text)


def _draw(doc: "status.Doc", more: "status.Doc", code: int, summary: str) -> None:
    """The same on a terminal, with colour, wrapped to its width. Nothing is cut off."""
    from rich.console import Console
    from rich.text import Text

    now = time.time()
    console = Console(highlight=False)
    clock = time.strftime("%H:%M:%S")
    parts = _tell_daemon(doc, now)
    while len(parts) > 2 and count_cells(" · ".join(parts)) + len(clock) + 2 > console.width:
        parts.pop()
    head = Text(" · ".join(parts), style="bold")
    if head.cell_len + len(clock) + 2 <= console.width:
        head.append(clock.rjust(console.width - head.cell_len), style="not bold")
    console.print(head)
    if code == status.NOT_RUNNING:
        console.print(Text(phrase("{summary}; below is what was last known", summary=summary), style="bold red"))
    console.print()
    levels, tones = _find_levels(doc), {service["name"]: status.find_tone(service) for service in doc["services"]}
    table = [_tell_headings(), *status.rows(doc, more["progress"], now)]
    for place, line, at in _lay_out(table, console.width):
        name, state, _, _ = table[place]
        text = Text(line, style="" if place else "dim")
        if at is not None and place:
            text.stylize(_STYLES.get(levels.get(name, status.OK)) or _COLOURS.get(tones.get(name, ""), ""), at, at + len(state))
        console.print(text, soft_wrap=True)
    console.print()
    for heading, said in [*status.footer(doc, more["sent"], now), *show_telling(more.get("telling", {}), now)]:
        for number, line in enumerate(pack(said, console.width - 10)):
            console.print(Text.assemble((pad(heading if number == 0 else "", 10), "dim"), line), soft_wrap=True)


def _lay_out(table: "list[tuple[str, str, str, str]]", width: int) -> "Iterator[tuple[int, str, int | None]]":
    """Lines no wider than that, each with its row, and the place of the state where the line has it.

    A name that leaves too little room for reasons has a line of its own; on a narrow terminal the reasons have theirs.
    """
    middle = sum(max(count_cells(row[column]) for row in table) + 2 for column in (1, 2))
    names = [count_cells(row[0]) for row in table]
    longest = width - middle - 2 - max(LEAST_REASON, width * 2 // 5)
    is_narrow = longest < LEAST_NAME
    longest = width - middle if is_narrow else longest
    first = max([size for size in names if size <= longest], default=0)
    indent = 4 if is_narrow else first + 2 + middle
    for place, (name, state, since, reason) in enumerate(table):
        if count_cells(name) > first:
            yield from ((place, line, None) for line in pack(name, width))
            name = ""
        begin, at = _pad(name, first), len(_pad(name, first)) if state else None
        begin += _pad(state, max(count_cells(row[1]) for row in table)) + since
        lines = pack(reason, width - indent)
        if is_narrow:
            yield from [(place, begin.rstrip(), at)] if begin.strip() else []
            yield from ((place, " " * indent + line, None) for line in lines if line and place)
            continue
        yield place, (_pad(begin, indent - 2) + lines[0]).rstrip(), at
        yield from ((place, " " * indent + line, None) for line in lines[1:])


def _pad(text: str, width: int) -> str:
    """With two blanks behind that column."""
    return pad(text, width + 2)


def pack(text: str, width: int) -> list[str]:
    """The text in lines of at most that width, broken before a separator (dot, arrow, wide gap) where one is near enough, else between
    words, and in a word that is longer than a line.
    """
    from rich.cells import chop_cells

    lines, line = [], ""
    for piece in re.split(r"(?<=\S)(?= +[\u00b7\u2192] )|(?<=[^\s\u00b7\u2192])(?=   )", text):
        if count_cells(line + piece) <= width:
            line += piece
            continue
        if count_cells(piece.strip()) <= width and line:
            lines.append(line)
            line = piece.strip()
            continue
        for word in re.split(r"(?<= )(?=\S)", piece):
            if count_cells((line + word).rstrip()) > width:
                lines += [line.rstrip()] if line.strip() else []
                *whole, word = chop_cells(word.lstrip(), width)
                lines += whole
                line = ""
            line += word
    return [*lines, line] if line or not lines else lines
