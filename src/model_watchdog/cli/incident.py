"""`watchdog incident show`: what broke, since when, why we think so, what was done, what it cost, and what is left for a person."""

import argparse
import json
import time
from datetime import datetime
from typing import Any

from model_watchdog.cli import EXIT_UNKNOWN_NAME, CommandError, find_state_dir
from model_watchdog.cli.incidents import name_services
from model_watchdog.language import count_cells, pad, phrase
from model_watchdog.record import Record
from model_watchdog.stories import find_story, with_times
from model_watchdog.wording import clean, duration, tell_event

HELP = "one incident: what broke, what was done, what it cost"
EXAMPLES = """\
  watchdog incident show 17
  watchdog incident show 17 --json
"""
MOST_EVENTS = 40
_BOOKKEEPING = ("incident_opened", "incident_closed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("show",), help="what to do with it")
    parser.add_argument("id", type=int, help="its number, as watchdog incidents shows it")
    parser.add_argument("--json", action="store_true", help="one JSON document, schema 1")


def run(args: argparse.Namespace) -> int:
    now = time.time()
    with Record.open(find_state_dir(args)) as record:
        story = find_story(record, args.id, now)
    if story is None:
        text = phrase("there is no incident {id} (watchdog incidents lists them)", id=args.id)
        raise CommandError(text, EXIT_UNKNOWN_NAME)
    if args.json:
        print(json.dumps(with_times(story), ensure_ascii=False))
    else:
        _print(story)
    return 0


def _print(story: dict[str, Any]) -> None:
    lasted = duration(story["minutes"] * 60)
    over = story["closed_at"]
    lines = [
        (phrase("INCIDENT"), f"{story['id']}   {name_services(story)}"),
        (phrase("WHAT"), clean(story["reason"])),
        (phrase("SINCE"), _local(story["opened_at"])),
        (phrase("OVER"), phrase("no, it goes on") if over is None else _local(over)),
        (phrase("COST"), phrase("{duration} in which something was wrong", duration=lasted)),
    ]
    if story["acknowledged"] is not None:
        ack = story["acknowledged"]
        said = f": {clean(ack['reason'])}" if ack["reason"] else ""
        lines.append((phrase("TAKEN ON"), phrase("by uid {uid} at {moment}", uid=ack["uid"], moment=_local(ack["at"])) + said))
    lines += [("", "")]
    lines += _head(phrase("DONE"), [_tell_restart(restart) for restart in story["restarts"]] or [phrase("nothing was restarted")])
    lines += _head(phrase("SEEN"), _tell_events(story["events"]))
    lines += _head(
        phrase("TOLD"), [f"{_local(row['at'])}  {row['notifier']}  {clean(row['title'])}  ({row['state']})" for row in story["messages"]]
    )
    left = story["left"] or [phrase("nothing")] if over is not None else story["left"] or [phrase("watchdog status")]
    lines += _head(phrase("LEFT"), left)
    width = max(count_cells(heading) for heading, _ in lines) + 2
    for heading, text in lines:
        print((pad(heading, width) + text).rstrip())


def _head(heading: str, texts: list[str]) -> list[tuple[str, str]]:
    """The heading stands before the first only."""
    return [(heading if number == 0 else "", text) for number, text in enumerate(texts)]


def _tell_restart(restart: dict[str, Any]) -> str:
    result = phrase(restart["result"] or "unknown")
    detail = f" ({clean(restart['detail'])})" if restart["detail"] else ""
    return f"{_local(restart['at'])}  {restart['service']}  {result}: {clean(restart['reason'])}{detail}"


def _tell_events(events: list[dict[str, Any]]) -> list[str]:
    """The first and the last of many; what happened twice in a row in the same words once."""
    told: list[str] = []
    for row in events:
        line = f"{_local(row['at'])}  {row['service'] or '-'}  {clean(tell_event(row['event'], row['reason']))}"
        if row["event"] not in _BOOKKEEPING and (not told or told[-1] != line):
            told.append(line)
    if len(told) > MOST_EVENTS:
        left_out = phrase("… {count} more: watchdog events", count=len(told) - MOST_EVENTS)
        told = [*told[: MOST_EVENTS // 2], left_out, *told[-MOST_EVENTS // 2 :]]
    return told


def _local(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
