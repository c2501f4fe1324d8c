"""`watchdog demo`: a service crashes, hangs and never comes back, and the real daemon deals with it."""

import argparse

from model_watchdog.demo import SPOILS

HELP = "the whole story on this machine in about a minute"
EXAMPLES = """\
  watchdog demo           nothing to set up, nothing left behind; exit 0 when every leg went as it must
  watchdog demo --stay    the page that it prints stays until Ctrl-C, to look around in and to download the report of it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stay", action="store_true", help="keep the page until Ctrl-C")
    parser.add_argument("--spoil", choices=SPOILS, default="", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    from model_watchdog.demo.story import tell  # a stage takes a while, and `--help` needs none

    return tell(args.spoil, stay=args.stay)
