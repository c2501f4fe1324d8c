"""`watchdog replay`: rules over recorded data. What would have fired, what would have been restarted, how many messages?"""

import argparse
from pathlib import Path

from model_watchdog.cli import read_duration

HELP = "try rules on recorded data: what would have fired, and been restarted"
EXAMPLES = """\
  watchdog replay                                         the configured rules over all that the record has
  watchdog replay --since 7d --service chatglm --compare new.yaml
  watchdog replay --csv latency.csv --metric probe_duration_seconds --rules rules.yaml
  watchdog replay --prometheus range.json --service chatglm --json
  watchdog replay --pages saved/ --service chatglm        pages of /metrics, each with its time in its name

A file of rules alone holds rules: {NAME: {metric: …, above: …}}; they are those of every service in the data.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--from-record", action="store_true", help="the daemon's record (this is the default)")
    source.add_argument("--csv", metavar="FILE", type=Path, help="timestamp,value with a header, of the series named by --metric")
    source.add_argument("--prometheus", metavar="FILE", type=Path, help="the JSON that Prometheus' query_range answered")
    source.add_argument("--pages", metavar="DIR", type=Path, help="saved pages of /metrics, each with its time in its name")
    parser.add_argument("--metric", metavar="NAME", help='of a CSV: name or name{label="value"}')
    parser.add_argument("--since", metavar="DURATION", type=read_duration, help="only the last 90m, 24h, 7d … of the data")
    parser.add_argument("--service", metavar="SERVICE", help="only this one of the record; of other data: whose they are")
    parser.add_argument("--rules", metavar="FILE", type=Path, help="rules, or a whole configuration (default: the configuration)")
    parser.add_argument("--compare", metavar="FILE", type=Path, help="another file of rules: what fires only with the one or the other")
    parser.add_argument("--json", action="store_true", help="one JSON document, schema 1")


def run(args: argparse.Namespace) -> int:
    """0; 1 where the data cannot be read, 2 where rules are not valid, 4 where there is no such service."""
    from model_watchdog.cli.rehearsal import rehearse  # it loads all that rules are made of, and `--help` needs nothing of it

    return rehearse(args)
