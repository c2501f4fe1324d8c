"""How fast rules go over recorded data: `python bench/replay.py`, or as a part of bench/run.py. One core, reading included."""

import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.record import DIFFERENCE, measure_day
from model_watchdog.config.rules_file import RulesAlone
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.core.units import Number
from model_watchdog.record import Record
from model_watchdog.recorded import Window, read_csv, read_record
from model_watchdog.rehearsing import Rehearsal, Rules
from model_watchdog.rules.expr import Expr, metric_of
from model_watchdog.rules.sigma import AdaptiveSigma, Sigma
from model_watchdog.rules.threshold import Threshold

Note = Callable[[str, str, str], None]
SAMPLES = 2_000_000
LATENCY = Selector("latency")
ONE = {
    "above: 5, for 1m": Rule("slow", LATENCY, Threshold(above=Number(5.0)), times=None, for_=60.0),
    "sigma: 4.5": Rule("odd", LATENCY, AdaptiveSigma(4.5)),
    "sigma: 3, window: 10": Rule("plain", LATENCY, Sigma(3.0, 10)),
    "expr: avg_over_time(latency[5m]) > 3": Rule("expr", Selector(metric_of("expr")), Expr("avg_over_time(latency[5m]) > 3")),
}
"""Over one series, with the rate that is to be reached."""
REACH = {"above": "≥ 1,000,000/s", "sigma": "≥ 200,000/s", "expr": ""}


def measure_all(directory: Path, note: Note) -> None:
    """A CSV of one series under each kind of rule, and a day of our own record under rules on all of it."""
    path = directory / "latency.csv"
    write_csv(path)
    for name, rule in ONE.items():
        rate, fired, grown = _run(rule, read_csv(path, SeriesId("latency"), None, lambda share: None), "m")
        what = f"replay of a CSV, {SAMPLES:,} samples, {name}"
        note(what, f"{rate:,.0f} samples/s; {fired} fired; {grown} KiB more", REACH[name.split(":")[0]])
    for count in (60, 400):
        with tempfile.TemporaryDirectory(dir=directory) as inside:
            measure_day(Path(inside), count, lambda what, measured, reach: None)
            _measure_record(Path(inside), count, note)


def write_csv(path: Path) -> None:
    """One sample in 10 s, with a hundred bad ones in each hundred thousand."""
    chance = random.Random(1)
    with path.open("w") as file:
        file.write("timestamp,value\n")
        for row in range(SAMPLES):
            value = chance.gauss(1.0, 0.1) + (6.0 if row % 100_000 >= 99_900 else 0.0)
            file.write(f"{DIFFERENCE + 10 * row:.0f},{value:.4f}\n")


def _measure_record(directory: Path, count: int, note: Note) -> None:
    rules = (
        Rule("cpu", Selector("service_cpu_percent"), Threshold(above=Number(1e6)), times=3),
        Rule("slow", Selector("probe_duration_seconds"), Threshold(above=Number(1e6)), times=3),
        Rule("bad", Selector("probe_success"), Threshold(below=Number(0.5)), times=3),
    )
    slow = "avg by (service) (rate(unit_cpu_seconds_total[5m])) > 1e6 or max_over_time(probe_duration_seconds[10m]) > 1e6"
    parts = (
        ("three thresholds", rules),
        ("sigma on a quarter of it", (Rule("odd", rules[1].selector, AdaptiveSigma(5.0)),)),
        ("an expression every 10 s", (Rule("slow", Selector(metric_of("slow")), Expr(slow)),)),
    )
    for what, chosen in parts:
        with Record.open(directory) as record:
            known = [SeriesId.of(row["metric"], row["labels"]) for row in record.series()]
            rate, fired, grown = _run(chosen, read_record(record, None, None, lambda share: None), None, known)
        note(f"replay of a day of {count} series in the record, {what}", f"{rate:,.0f} samples/s; {fired} fired; {grown} KiB more", "")


def _run(
    rules: Rule | tuple[Rule, ...], windows: Iterator[Window], service: str | None, known: Sequence[SeriesId] = ()
) -> tuple[float, int, int]:
    """Samples a second of processor time, what fired, and how much memory it took."""
    alone = rules if isinstance(rules, tuple) else (rules,)
    rehearsal = Rehearsal(Rules(Path("rules.yaml"), alone=RulesAlone(alone)), service, known, is_record=service is None)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for window in windows:
        rehearsal.take(window)
    spent = time.process_time() - began
    return rehearsal.samples / spent, len(rehearsal.ledger.firings), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measure_all(Path(name), lambda what, measured, reach: print(f"{what}: {measured}   {reach}", flush=True))
