"""`watchdog resume`: end a pause."""

import argparse

from model_watchdog.cli.commanding import command, say

HELP = "end a pause"
EXAMPLES = """\
  watchdog resume chatglm
  watchdog resume --all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("service", nargs="?", help="the service's name in the configuration")
    which.add_argument("--all", action="store_true", help="every service")


def run(args: argparse.Namespace) -> int:
    return say(command(args, {"command": "resume", "service": args.service, "all": args.all}))
