"""`watchdog resume`: end a pause."""

import argparse

from model_watchdog.cli import Later
from model_watchdog.cli.commanding import command, say

HELP = "end a pause"
EXAMPLES = """\
  watchdog resume chatglm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", help="the service's name in the configuration")
    parser.add_argument("--all", action=Later, nargs=0, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    return say(command(args, {"command": "resume", "service": args.service}))
