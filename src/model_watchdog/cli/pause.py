"""`watchdog pause`: watch a service but do not act on it."""

import argparse

from model_watchdog.cli import Later, read_duration
from model_watchdog.cli.commanding import command, say

HELP = "watch a service but do not act on it, for a while"
EXAMPLES = """\
  watchdog pause chatglm --for 20m --reason "new weights"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", help="the service's name in the configuration")
    parser.add_argument("--for", dest="seconds", type=read_duration, required=True, metavar="20m", help="how long; it ends by itself")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; it stands in the events")
    parser.add_argument("--all", action=Later, nargs=0, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    return say(command(args, {"command": "pause", "service": args.service, "seconds": args.seconds, "reason": args.reason}))
