"""`watchdog restart`: an operator's restart, through the same verified recovery."""

import argparse
import sys

from model_watchdog.cli import read_reason
from model_watchdog.cli.commanding import command, say
from model_watchdog.language import phrase

HELP = "restart a service now, through the verified recovery"
EXAMPLES = """\
  watchdog restart chatglm --reason "new weights"     waits; exit 0 when it is well again
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", help="the service's name in the configuration")
    parser.add_argument("--reason", type=read_reason, required=True, metavar="TEXT", help="why; it stands in the events")


def run(args: argparse.Namespace) -> int:
    if sys.stderr.isatty():
        template = "restarting {service}; waiting until it has proved itself (watchdog status shows how far it is) …"
        print(phrase(template, service=args.service), file=sys.stderr)
    return say(command(args, {"command": "restart", "service": args.service, "reason": args.reason}, timeout=None))
