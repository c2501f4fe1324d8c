"""`watchdog pause`: watch a service but do not act on it."""

import argparse

from model_watchdog.cli import read_duration, read_reason
from model_watchdog.cli.commanding import command, say

HELP = "watch a service but do not act on it, for a while"
EXAMPLES = """\
  watchdog pause chatglm --for 20m --reason "new weights"
  watchdog pause --all --for 1h --reason "new driver"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("service", nargs="?", help="the service's name in the configuration")
    which.add_argument("--all", action="store_true", help="every service")
    parser.add_argument("--for", dest="seconds", type=read_duration, required=True, metavar="20m", help="how long; it ends by itself")
    parser.add_argument("--reason", type=read_reason, required=True, metavar="TEXT", help="why; it stands in the events")


def run(args: argparse.Namespace) -> int:
    return say(
        command(args, {"command": "pause", "service": args.service, "all": args.all, "seconds": args.seconds, "reason": args.reason})
    )
