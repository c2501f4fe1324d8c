"""`watchdog export-rules`: the rules for a Prometheus that collects the same metrics."""

import argparse

from model_watchdog.cli import find_config

HELP = "print the rules as a Prometheus rule file"
EXAMPLES = """\
  watchdog export-rules > model-watchdog.rules.yml      and: promtool check rules model-watchdog.rules.yml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(args: argparse.Namespace) -> int:
    """Secrets are not needed: what is not set here is no fault."""
    from model_watchdog.config.loading import load_here_leniently  # `--help` needs none of the kinds
    from model_watchdog.exporting import export_rules

    print(export_rules(load_here_leniently(find_config(args))), end="")
    return 0
