"""`watchdog reload`: the daemon reads its configuration anew, as on SIGHUP."""

import argparse

from model_watchdog.cli import EXIT_BAD_CONFIG
from model_watchdog.cli.commanding import command, say
from model_watchdog.language import phrase

HELP = "read the configuration anew, without a restart of the daemon"
EXAMPLES = """\
  watchdog reload                          after a change; where units were added: sudo watchdog install, before it
  sudo systemctl reload model-watchdog     the same
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(args: argparse.Namespace) -> int:
    """0 where it is in force; 2 where it is rejected: its faults as `check` prints them, and what was in force stays so."""
    answer = command(args, {"command": "reload"}, timeout=120.0)
    if answer.get("error") != "rejected":
        return say(answer)
    print(*answer["warnings"], *answer["faults"], sep="\n")
    many = "{count} faults; the configuration before stays in force."
    count = len(answer["faults"])
    print(phrase("1 fault; the configuration before stays in force." if count == 1 else many, count=count))
    return EXIT_BAD_CONFIG
