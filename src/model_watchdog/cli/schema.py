"""`watchdog schema`: the configuration as a JSON Schema, for editors."""

import argparse
import json

HELP = "print the JSON Schema of the configuration, for editors"
EXAMPLES = """\
  watchdog schema > config.schema.json     and, as the first line of a configuration beside it:
                                           # yaml-language-server: $schema=config.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(args: argparse.Namespace) -> int:
    from model_watchdog.config.schema import make_schema  # `--help` needs none of the kinds

    print(json.dumps(make_schema(), indent=1))
    return 0
