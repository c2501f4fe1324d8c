"""`watchdog reset`: close a service's circuit breaker."""

import argparse

from model_watchdog.cli.commanding import command, say

HELP = "close a service's circuit breaker"
EXAMPLES = """\
  watchdog reset chatglm      after mending what kept it from coming back
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", help="the service's name in the configuration")


def run(args: argparse.Namespace) -> int:
    return say(command(args, {"command": "reset", "service": args.service}, timeout=30.0))
