"""`watchdog silence`: nobody is told of a service for a while. It is watched and restarted as ever."""

import argparse
import json
import time

from model_watchdog.cli import UsageError, find_state_dir, read_duration, read_reason
from model_watchdog.cli.commanding import command, say
from model_watchdog.language import phrase
from model_watchdog.record import Record
from model_watchdog.silences import show_silence
from model_watchdog.status import rfc3339

HELP = "tell nobody of a service for a while"
EXAMPLES = """\
  watchdog silence --service chatglm --for 2h --reason "new weights"
  watchdog silence --service 'bert-*' --for 1d --reason "load test"
  watchdog silence --all --for 30m --reason "new driver"
  watchdog silence --list
  watchdog silence --end 3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--service", metavar="SERVICE", help="of this one, of those like a pattern such as 'bert-*', or of the host")
    which.add_argument("--all", action="store_true", help="of every service, and of the host")
    which.add_argument("--list", action="store_true", help="show the silences, those of maintenance: too")
    which.add_argument("--end", metavar="ID", help="end this one now; what goes on is told then")
    parser.add_argument("--for", dest="seconds", type=read_duration, metavar="2h", help="how long; it ends by itself")
    parser.add_argument("--reason", type=read_reason, metavar="TEXT", help="why; it stands in the events")
    parser.add_argument("--json", action="store_true", help="with --list: one JSON object a line")


def run(args: argparse.Namespace) -> int:
    if args.list:
        return _list(args)
    if args.end is not None:
        return say(command(args, {"command": "silence-end", "id": args.end}))
    if args.seconds is None or args.reason is None:
        raise UsageError(lambda: phrase("watchdog silence: state --for and --reason (watchdog silence --help shows the usage)"))
    request = {"command": "silence", "service": args.service, "all": args.all, "seconds": args.seconds, "reason": args.reason}
    return say(command(args, request))


def _list(args: argparse.Namespace) -> int:
    now = time.time()
    with Record.open(find_state_dir(args)) as record:
        silences = [silence for silence in record.telling()["silences"] if silence["until"] > now]
    for silence in silences:
        if args.json:
            print(json.dumps({**silence, "until": rfc3339(silence["until"])}, ensure_ascii=False))
        else:
            print(show_silence(silence, now))
    if not silences and not args.json:
        print(phrase("nothing is silenced"))
    return 0
