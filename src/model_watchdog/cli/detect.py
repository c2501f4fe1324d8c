"""`watchdog detect`: the sigma rule on numbers that you already have, by the daemon's own code."""

import argparse
import csv
import math
import sys
from collections.abc import Callable, Iterator
from typing import IO, Any, Literal, get_args, get_origin

from model_watchdog.cli import EXIT_FAILED, EXIT_USAGE, CommandError
from model_watchdog.config.options import Option, list_options, split_optional
from model_watchdog.config.values import Wrong, read_float, read_int, read_number, read_seconds
from model_watchdog.core.alert import Alert, Change
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.core.units import Number, Seconds
from model_watchdog.moments import read_time
from model_watchdog.rules.sigma import AdaptiveWatch, Sigma, SigmaWatch

HELP = "run the sigma rule over a CSV of numbers"
EXAMPLES = """\
  watchdog detect < latency.csv                           would it have told, and when?
  watchdog detect --sigma 4.5 --min-absolute 50ms --direction above < latency.csv
  watchdog detect --sigma 3 --window 10 < latency.csv     the plain form
  watchdog detect < latency.csv | grep ',1$'              only what would have been told

Reads timestamp,value with a header line on standard input, writes timestamp,score,alert. A score above 1 is over the bar;
alert is 1 on the samples that people would be told of. A value that is missing or no number has the score nan.
"""
SIGMA = 3.5
LONGEST_LINE = 1_000_000
MANY = 10
"""So many bad lines are named; of the others only their number."""
_TEXTS = {
    "sigma": "how many usual deviations away counts (3.5; 4.5 to 5 for samples closer than a minute)",
    "window": "the plain form: compare with the last N samples alone",
    "direction": "which way counts",
    "min_absolute": "the least that counts as a usual deviation, in the metric's own unit",
    "min_relative": "the same as a share of the level",
    "smooth": "compare the average of the last N samples",
    "center": "normal is roughly the level of the last N samples",
    "spread": "the usual deviation is remembered over roughly N samples",
    "clip": "a freak value counts at most as N usual deviations when learning; 0: off",
    "warmup": "say nothing for the first N samples",
    "cooldown": "at least N samples between two notifications",
    "backoff": "how much the cooldown may grow while they keep coming",
    "max_gap": "after a silence longer than this the recent average starts anew",
    "newness": "off: tell every repeat",
    "bar": "the geometric mean of unusual and new that counts (2.25 at sigma 3.5)",
    "always": "from so many usual deviations on it counts even at a known level",
    "near": "how near counts as the same level, in usual deviations",
    "levels": "how many levels are remembered",
    "hold": "how many samples newness lasts",
    "forget": "a level not met for N samples is new again",
    "step": "average samples that come closer together than this (a rule of the daemon: 1m)",
}
_READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    int: ("N", read_int),
    float: ("X", read_float),
    Number: ("X", read_number),
    Seconds: ("TIME", read_seconds),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for option in _list_all():
        inner, _ = split_optional(option.hint)
        flag, text = f"--{option.name.replace('_', '-')}", _TEXTS[option.name]
        if get_origin(inner) is Literal:
            parser.add_argument(flag, dest=option.name, choices=get_args(inner), help=text)
        else:
            metavar, reader = _READERS[inner]
            parser.add_argument(flag, dest=option.name, type=_say_wrong(reader), metavar=metavar, help=text)
    patience = parser.add_mutually_exclusive_group()
    patience.add_argument(
        "--times", type=_say_wrong(read_int), metavar="N", default=1, help="samples in a row over the bar before it counts"
    )
    patience.add_argument("--for", dest="for_", type=_say_wrong(read_seconds), metavar="TIME", help="or for how long")


def run(args: argparse.Namespace) -> int:
    """0; 1 where lines could not be read (the others were judged all the same)."""
    rule = _make_rule(args)
    if sys.stdin.isatty():
        raise CommandError("detect reads a CSV with the header timestamp,value on standard input: watchdog detect < FILE", EXIT_USAGE)
    timed = rule.for_ is not None or any(getattr(rule.condition, name, None) for name in ("max_gap", "step"))
    bad = _judge_all(Alert.on(rule, SeriesId("value")), sys.stdin.buffer, sys.stdout, timed)
    if bad > MANY:
        print(f"watchdog detect: and {bad - MANY} more lines could not be read", file=sys.stderr)
    return EXIT_FAILED if bad else 0


def _list_all() -> list[Option]:
    """The options of both forms, each once."""
    return list({option.name: option for form in Sigma.variants() for option in list_options(form)}.values())


def _make_rule(args: argparse.Namespace) -> Rule:
    stated = {option.name: getattr(args, option.name) for option in _list_all() if getattr(args, option.name) is not None}
    form = Sigma.choose(stated)
    known = {option.name for option in list_options(form)}
    for name in stated:
        if name not in known:
            raise CommandError(f"--{name.replace('_', '-')} is of the adaptive form, which has no --window", EXIT_USAGE)
    if args.times < 1:
        raise CommandError("--times must be at least 1", EXIT_USAGE)
    try:
        condition = form(**{"sigma": SIGMA, **stated})
    except ValueError as error:
        raise CommandError(str(error), EXIT_USAGE) from None
    return Rule("detect", Selector("value"), condition, times=args.times, for_=args.for_)


def _judge_all(alert: Alert, source: IO[bytes], sink: IO[str], timed: bool) -> int:
    """Judges row by row as they come; gives the number of lines that could not be read."""
    watch = alert.watch
    assert isinstance(watch, (SigmaWatch, AdaptiveWatch))
    lines = _Lines(source, sink)
    rows = csv.reader(lines)
    when, what = _read_header(rows)
    write = csv.writer(sink, lineterminator="\n").writerow
    write(("timestamp", "score", "alert"))
    bad = 0
    while True:
        try:
            row = next(rows)
            if not row:
                continue
            stamp, text = row[when], row[what].strip()
            value = float(text) if text else math.nan
            at = read_time(stamp) if timed else 0.0
        except StopIteration:
            return bad
        except (ValueError, IndexError, csv.Error) as error:
            bad += 1
            if bad <= MANY:
                print(f"watchdog detect: line {lines.number}: {_explain(error)}", file=sys.stderr)
            continue
        change = alert.judge(value, at)
        told = change is Change.DUE or (change is Change.FIRED and not alert.muted)
        score = f"{watch.score:.6g}" if math.isfinite(value) else "nan"
        write((stamp, score, "1" if told else "0"))


def _read_header(rows: Iterator[list[str]]) -> tuple[int, int]:
    """In which columns timestamp and value stand."""
    try:
        names = [name.strip("\ufeff \t").lower() for name in next(rows, [])]
    except csv.Error as error:
        raise CommandError(f"line 1: {error}") from None
    if "timestamp" not in names or "value" not in names:
        raise CommandError("line 1: the header must name the columns timestamp and value")
    return names.index("timestamp"), names.index("value")


class _Lines:
    """The lines as they arrive; what was written is passed on before it waits for more."""

    def __init__(self, source: IO[bytes], sink: IO[str]) -> None:
        self.number = 0
        self._source = source
        self._sink = sink
        self._lines = self._read()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line

    def _read(self) -> Iterator[str]:
        rest = b""
        while chunk := self._source.read1(65536):  # type: ignore[attr-defined]
            whole, end, rest = (rest + chunk).rpartition(b"\n")
            if end:
                yield from whole.decode("utf-8", "replace").split("\n")
            if len(rest) > LONGEST_LINE:
                raise CommandError(f"line {self.number + 1} is longer than {LONGEST_LINE} bytes; this is no CSV of numbers")
            self._sink.flush()
        if rest:
            yield rest.decode("utf-8", "replace")


def _explain(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "has fewer columns than the header"
    return str(error).replace("could not convert string to float:", "is no number:").replace("Invalid isoformat string:", "is no time:")


def _say_wrong(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return reader(text)
        except Wrong as wrong:
            raise argparse.ArgumentTypeError(f'"{text}" {wrong}') from None

    return read
