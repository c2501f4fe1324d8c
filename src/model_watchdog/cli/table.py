"""What `status` shows, laid out for a width: the first line, the table of services, and how long lines are broken. No colours."""

import re
from collections.abc import Iterator
from typing import Any

from model_watchdog import status
from model_watchdog.language import count_cells, pad, phrase

Doc = dict[str, Any]
Row = tuple[str, str, str, str]

LEAST_REASON, LEAST_NAME = 30, 12
"""Columns: with fewer a text is no sentence any more, and a name no name."""
_BAD = {status.CRITICAL: "{count} critical", status.WARNING: "{count} warning"}


def tell_daemon(doc: Doc, now: float) -> list[str]:
    """The parts of the first line, the most important first."""
    daemon, count, levels = doc["daemon"], len(doc["services"]), list(find_levels(doc).values())
    mode = phrase("not running" if not daemon["running"] else daemon["mode"])
    services = phrase("1 service" if count == 1 else "{count} services", count=count)
    bad = [phrase(text, count=levels.count(level)) for level, text in _BAD.items() if level in levels]
    if bad:
        services = phrase("{services}: {bad}", services=services, bad=phrase(", ").join(bad))
    is_up = daemon["running"] and daemon["started_at"]
    up = [phrase("up {duration}", duration=status.ago(daemon["started_at"], now))] if is_up else []
    return [f"model-watchdog  {mode}", services, *up]


def find_levels(doc: Doc) -> dict[str, int]:
    """OK, WARNING or CRITICAL by service."""
    return {service["name"]: status.OK if service["paused_until"] else status.level_of(service) for service in doc["services"]}


def list_rows(doc: Doc, more: Doc, now: float) -> list[Row]:
    """The headings, and the rows of the services."""
    headings = phrase("SERVICE"), phrase("STATE"), phrase("SINCE"), phrase("REASON")
    return [headings, *status.rows(doc, more["progress"], now)]


def lay_out(table: list[Row], width: int) -> Iterator[tuple[int, str, int | None]]:
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
                *whole, word = _chop(word.lstrip(), width)
                lines += whole
                line = ""
            line += word
    return [*lines, line] if line or not lines else lines


def _chop(word: str, width: int) -> list[str]:
    """A word in parts of at most that width; a letter that is wider is a part of its own."""
    parts, room = [""], width
    for letter in word:
        cells = count_cells(letter)
        if cells > room and parts[-1]:
            parts.append("")
            room = width
        parts[-1] += letter
        room -= cells
    return parts
