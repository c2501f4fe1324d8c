"""`watchdog incidents`: what broke, one line each. It reads the record, so it also answers when the daemon is dead."""

import argparse
import json
import time
from datetime import datetime
from typing import Any

from model_watchdog.cli import find_state_dir, read_duration
from model_watchdog.language import phrase
from model_watchdog.record import Record
from model_watchdog.stories import as_json, list_incidents
from model_watchdog.wording import clean, duration

HELP = "what broke, one line each"
EXAMPLES = """\
  watchdog incidents                         of the last 7 days
  watchdog incidents --since 30d --service chatglm
  watchdog incidents --json                  the same for a program: one JSON object a line
"""
WEEK = 7 * 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="DURATION", type=read_duration, default=WEEK, help="those of the last 2h, 7d … (default: 7d)")
    parser.add_argument("--service", metavar="SERVICE", help="only those of this one, or of the host")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    now = time.time()
    with Record.open(find_state_dir(args)) as record:
        stories = list_incidents(record, now - args.since, args.service, now)
    for story in stories:
        print(json.dumps(as_json(story), ensure_ascii=False) if args.json else _as_text(story))
    if not stories and not args.json:
        print(phrase("no incident in the last {duration}", duration=duration(args.since)))
    return 0


def name_services(story: dict[str, Any]) -> str:
    """The first few, and how many more."""
    names = [phrase("the host") if name is None else name for name in story["services"]]
    return ", ".join(names[:3]) + (phrase(" and {count} more", count=len(names) - 3) if len(names) > 3 else "")


def _as_text(story: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(story["opened_at"]).astimezone()
    lasted = duration(story["minutes"] * 60)
    state = phrase("open for {duration}" if story["closed_at"] is None else "over after {duration}", duration=lasted)
    restarts = phrase("; {count} restarts", count=story["restarts"]) if story["restarts"] else ""
    return f"{story['id']:>5}  {at:%Y-%m-%d %H:%M}  {name_services(story)}  {clean(story['reason'])}  ({state}{restarts})"
