"""`watchdog events`: what happened, oldest first. It reads the record, so it also answers when the daemon is dead."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from model_watchdog.cli import EXIT_UNKNOWN_NAME, CommandError, find_runtime_dir, find_state_dir, read_duration, suggest
from model_watchdog.errors import WatchdogError
from model_watchdog.language import phrase
from model_watchdog.record import Record
from model_watchdog.status import is_running
from model_watchdog.wording import clean, duration, tell_event

HELP = "what happened, oldest first"
EXAMPLES = """\
  watchdog events --since 2h                 what happened tonight?
  watchdog events --service chatglm          everything that is kept of one service
  watchdog events --since 7d --json          the same for a program: one JSON object a line
  watchdog events --since 10m --follow       what happens now
"""
PAGE = 1000  # rows a query: whatever the record holds, memory stays small and the daemon is never held up
LONGEST_REASON = 2000
FOLLOW_SECONDS = 0.5
DAY = 86400.0


_BOOKKEEPING = ("incident_opened", "incident_closed")
"""Events that say to people nothing that the lines around them do not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", metavar="SERVICE", help="only what concerns this one (or this notifier)")
    parser.add_argument(
        "--since", metavar="DURATION", type=read_duration, help="only what happened within 90s, 20m, 2h, 7d … (default: all)"
    )
    parser.add_argument("--follow", action="store_true", help="go on, and tell what happens as it happens; Ctrl-C ends it")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: at (UTC), service, event, cause, reason, incident")


def run(args: argparse.Namespace) -> int:
    now = time.time()
    since = now - args.since if args.since is not None else 0.0
    with Record.open(find_state_dir(args)) as record:
        if args.service is not None:
            _check_service(record, args.service)
        tell = _as_json if args.json else _as_text(now, _name_width(record))
        teller = _Teller(tell, is_for_people=not args.json)
        teller.tell_all(_read_all(record, args.service, since))
    if not teller.last and not args.follow:
        within = phrase(" in the last {duration}", duration=duration(args.since)) if args.since is not None else ""
        nothing = phrase("nothing happened to {service}" if args.service else "nothing happened", service=args.service)
        print(nothing + within, file=sys.stderr)
    if not is_running(os.fspath(find_runtime_dir(args))):
        text = phrase("the daemon is not running, so nothing new is recorded; start it: systemctl start model-watchdog")
        print(text, file=sys.stderr)
    return _follow(args, teller) if args.follow else 0


class _Teller:
    """Prints events, and what people need not read twice once. `last_id` is the number of the last event that was told."""

    def __init__(self, tell: Callable[[dict[str, Any]], str], *, is_for_people: bool) -> None:
        self._tell = tell
        self._is_for_people = is_for_people
        self.last = ""
        self.last_id = 0

    def tell_all(self, rows: Iterable[dict[str, Any]]) -> None:
        counted = self._count(rows)
        for row in _drop_repeats(counted) if self._is_for_people else counted:
            line = self._tell(row)
            if not self._is_for_people or line != self.last:  # two probes that fail at once in the same way say the same
                print(line)
            self.last = line
        sys.stdout.flush()

    def _count(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            self.last_id = row["id"]
            yield row


def _follow(args: argparse.Namespace, teller: _Teller) -> int:
    """Until Ctrl-C. A record that is away for a moment (moved aside, no rights) is waited for, and that is said once."""
    path, complaint = find_state_dir(args), ""
    while True:
        try:
            time.sleep(FOLLOW_SECONDS)
        except KeyboardInterrupt:
            return 0
        try:
            with Record.open(path) as record:
                if teller.last_id > record.last_event():  # another record has begun
                    teller.last_id = 0
                teller.tell_all(_read_all(record, args.service, 0.0, teller.last_id))
                complaint = ""
        except WatchdogError as error:
            if str(error) != complaint:
                print(error, file=sys.stderr)
            complaint = str(error)


def _check_service(record: Record, name: str) -> None:
    """A service that is no longer configured is known as long as an event of it is kept."""
    known = {service["name"] for service in record.services()}
    if name not in known and not record.events(service=name, limit=1):
        known |= {row["service"] for row in record.events() if row["service"]}
        names = phrase(" (there are: {names})", names=", ".join(sorted(known))) if known else ""
        raise CommandError(phrase('no such service: "{name}"', name=clean(name)) + (suggest(name, known) or names), EXIT_UNKNOWN_NAME)


def _read_all(record: Record, service: str | None, since: float, last: int = 0) -> Iterator[dict[str, Any]]:
    while page := record.events(service=service, since=since, after_id=last, limit=PAGE):
        yield from page
        last = page[-1]["id"]


def _drop_repeats(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Without what says nothing to people: bookkeeping, and an alert whose words are in the line that it brought about at that moment."""
    alert = None
    for row in rows:
        if row["event"] in _BOOKKEEPING:
            continue
        if alert is not None and not ((row["at"], row["service"]) == (alert["at"], alert["service"]) and alert["reason"] in row["reason"]):
            yield alert
        alert = row if row["event"] == "alert_fired" else None
        if alert is None:
            yield row
    if alert is not None:
        yield alert


def _as_json(row: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(row["at"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told = {"at": at, **{key: row[key] for key in ("service", "event", "cause", "reason", "incident")}, "reason": _one_line(row["reason"])}
    return json.dumps(told, ensure_ascii=False)


def _as_text(now: float, width: int) -> Callable[[dict[str, Any]], str]:
    on_terminal = sys.stdout is not None and sys.stdout.isatty()

    def tell(row: dict[str, Any]) -> str:
        what = _one_line(tell_event(row["event"], row["reason"]))
        return f"{_tell_time(row['at'], now, on_terminal)}  {_one_line(row['service'] or '-'):<{width}} {what}"

    return tell


def _tell_time(at: float, now: float, on_terminal: bool) -> str:
    """Local time; with its date when that is not clear from the moment, with its zone when somebody reads it elsewhere."""
    local = datetime.fromtimestamp(at).astimezone()
    if not on_terminal:
        return local.isoformat(sep=" ", timespec="seconds")
    return f"{local:%H:%M:%S}" if now - DAY < at <= now else f"{local:%Y-%m-%d %H:%M:%S}"


def _name_width(record: Record) -> int:
    names = [service["name"] for service in record.services()]
    return min(max((len(name) for name in names), default=9), 32)


def _one_line(text: str) -> str:
    """Whatever a log, an answer or an operator put into it: nothing that moves the cursor, nothing that looks like another event."""
    return " ".join(clean(text, LONGEST_REASON).split())
