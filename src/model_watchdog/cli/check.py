"""`watchdog check`: reads the configuration and prints every fault in it."""

import argparse
import os
import sys
from pathlib import Path

from model_watchdog.cli import EXIT_BAD_CONFIG, find_config
from model_watchdog.language import phrase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from model_watchdog.config.model import Config

NAME = "check"
HELP = "read the configuration and print every fault in it"
EXAMPLES = """\
  watchdog check                        is the configuration good?
  watchdog check --show                 the configuration as understood, with every default
  watchdog check --strict               a variable that is not set here is an error, too
  watchdog --config new.yaml check      before it takes the place of the old one
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--show", action="store_true", help="print it as understood, as YAML: every default named, secrets masked")
    parser.add_argument("--strict", action="store_true", help="a variable, file or credential that is not there is an error, not a warning")


def run(args: argparse.Namespace) -> int:
    """0 where the configuration is good, 2 where it is not. With `--show` all but the YAML goes to standard error."""
    from model_watchdog.config.faults import InvalidConfig  # `--help`, and who completes a command line, need none of the kinds
    from model_watchdog.config.loading import load

    path: Path = find_config(args)
    stream = sys.stderr if args.show else sys.stdout
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    credentials_dir = Path(directory) if directory else None
    try:
        config = load(path, environment=os.environ, credentials_dir=credentials_dir, strict_secrets=args.strict, ask_notifiers=True)
    except InvalidConfig as invalid:
        print(*invalid.warnings, *invalid.faults, sep="\n", file=stream)
        count = len(invalid.faults)
        print(phrase("1 fault; nothing was changed." if count == 1 else "{count} faults; nothing was changed.", count=count), file=stream)
        return EXIT_BAD_CONFIG
    for line in config.warnings:
        print(line, file=stream)
    if args.show:
        from model_watchdog.config.show import show  # most checks do not show

        print(show(config), end="")
    else:
        print(_summarise(config))
    return 0


def _summarise(config: "Config") -> str:
    from model_watchdog.config.faults import make_printable

    probes = len(config.host.probes) + sum(len(service.probes) for service in config.services.values())
    services, notifiers, included = len(config.services), len(config.notifiers), len(config.included)
    counts = (
        phrase("1 service" if services == 1 else "{count} services", count=services),
        phrase("1 probe" if probes == 1 else "{count} probes", count=probes),
        phrase("1 notifier" if notifiers == 1 else "{count} notifiers", count=notifiers),
    )
    more = phrase(" (and 1 included file)" if included == 1 else " (and {count} included files)", count=included) if included else ""
    return make_printable(phrase("{path}: ok: {counts}", path=f"{config.path}{more}", counts=phrase(", ").join(counts)))
