"""`watchdog ack`: somebody has taken an incident on."""

import argparse

from model_watchdog.cli.commanding import command, say

HELP = "take an incident on: nobody is reminded of it, and it is not escalated"
EXAMPLES = """\
  watchdog ack 17
  watchdog ack 17 --reason "on it, the card is being replaced"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=int, help="the incident's number, as watchdog incidents shows it")
    parser.add_argument("--reason", metavar="TEXT", default="", help="what you do about it; it stands in the events")


def run(args: argparse.Namespace) -> int:
    return say(command(args, {"command": "ack", "id": args.id, "reason": args.reason}))
