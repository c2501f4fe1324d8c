"""How things stand in colour, wrapped to the width of a terminal: printed once, or drawn on the whole screen again and again."""

import os
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from model_watchdog import status
from model_watchdog.cli.table import find_levels, lay_out, list_rows, pack, tell_daemon
from model_watchdog.language import count_cells, pad, phrase
from model_watchdog.silences import show_telling

Doc = dict[str, Any]
INDENT = 10
"""Columns of the headings of the lines below the table."""
_STYLES = {status.WARNING: "yellow", status.CRITICAL: "bold red"}
_COLOURS = {"healthy": "green", "busy": "cyan", "loading": "cyan", "restarting": "yellow", "verifying": "yellow", "stopped": "dim"}


def print_status(doc: Doc, more: Doc) -> None:
    """The table on a terminal."""
    console = Console(highlight=False)
    for line in draw(doc, more, console.width, time.time()):
        console.print(line, soft_wrap=True)


def draw(doc: Doc, more: Doc, width: int, now: float, trends: Sequence[tuple[str, str]] = (), troubles: Sequence[str] = ()) -> list[Text]:
    """Every line, none wider than that. Nothing is cut off. `trends` are lines with their headings, to stand below the table; `troubles`
    are what keeps from knowing better, to stand above it.
    """
    code, summary = status.judge(doc)
    lines = [_draw_head(tell_daemon(doc, now), width, now)]
    if code == status.NOT_RUNNING:
        troubles = [phrase("{summary}; below is what was last known", summary=summary), *troubles]
    lines += [Text(line, style="bold red") for text in troubles for line in pack(text, width)]
    levels, tones = find_levels(doc), {service["name"]: status.find_tone(service) for service in doc["services"]}
    lines.append(Text())
    table = list_rows(doc, more, now)
    for place, line, at in lay_out(table, width):
        name, state, _, _ = table[place]
        text = Text(line, style="" if place else "dim")
        if at is not None and place:
            text.stylize(_STYLES.get(levels.get(name, status.OK)) or _COLOURS.get(tones.get(name, ""), ""), at, at + len(state))
        lines.append(text)
    for part in (trends, [*status.footer(doc, more["sent"], now), *show_telling(more.get("telling", {}), now)]):
        lines += [Text(), *_draw_headed(part, width)] if part else []
    return lines


def _draw_head(parts: list[str], width: int, now: float) -> Text:
    """As many of the parts as there is room for, and the time."""
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    parts = list(parts)
    while len(parts) > 2 and count_cells(" · ".join(parts)) + len(clock) + 2 > width:
        parts.pop()
    head = Text(" · ".join(parts), style="bold")
    if head.cell_len + len(clock) + 2 <= width:
        head.append(clock.rjust(width - head.cell_len), style="not bold")
    return head


def _draw_headed(part: Sequence[tuple[str, str]], width: int) -> list[Text]:
    return [
        Text.assemble((pad(heading if number == 0 else "", INDENT), "dim"), line)
        for heading, said in part
        for number, line in enumerate(pack(said, width - INDENT))
    ]


class Screen:
    """The whole of a terminal, on its second page, so that the first is as before when this ends. `size` is asked anew each time."""

    def __init__(self) -> None:
        from rich.live import Live  # only who draws again and again waits for it

        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}  # they do not follow it
        self._console = Console(highlight=False, _environ=environment)
        self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._console.size

    def __enter__(self) -> "Screen":
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        self._live.start()

    def leave(self) -> None:
        self._live.stop()

    def show(self, lines: Sequence[Text], first: int) -> int:
        """The lines from the first on, as many as go in, and below them the keys. Gives the greatest `first` that makes sense."""
        width, height = self.size
        last = max(0, len(lines) - height + 1)
        first = min(first, last)
        shown = [*lines[first:][: height - 1]]
        shown += [Text()] * (height - 1 - len(shown))
        note = phrase("q leaves")
        if last:
            note = phrase("q leaves · arrows and space move · lines above: {above}, below: {below}", above=first, below=last - first)
        shown.append(Text(pack(note, width)[0], style="dim"))
        for line in shown:
            line.no_wrap, line.overflow = True, "crop"
        self._live.update(Group(*shown), refresh=True)
        return last
