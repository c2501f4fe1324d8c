"""Expressions in a replay fire when they fire in the daemon, over each kind of data."""

import asyncio
import json
import random
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog import writes
from model_watchdog.cli.main import main
from model_watchdog.config.model import Config
from model_watchdog.core.host import HostState, step_host
from model_watchdog.core.sample import Failure, Outcome, Sample, SeriesId, conclude
from model_watchdog.database import connect
from model_watchdog.feeding import Feed
from model_watchdog.history import History
from model_watchdog.ledger import Ledger
from model_watchdog.probes import Surroundings
from model_watchdog.record import FILE
from model_watchdog.rehearsing import Rehearsal, Rules
from model_watchdog.replaying import Column
from model_watchdog.rollups import Kept

START, EVERY, ROWS = 1_700_000_000.0, 10.0, 400
FILE_OF_RULES = """groups:
- name: latency
  interval: 20s
  rules:
  - record: slow:seconds
    expr: max_over_time(latency[30s])
    labels: {made: here}
  - alert: Slow
    expr: slow:seconds > 5
    for: 1m
    keep_firing_for: 2m
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.service }} takes {{ $value }} s"}
  - alert: Gone
    expr: absent(latency{service="b"})
  - alert: Rising
    expr: rate(errors_total[1m]) > 0.5 and ignoring(alertstate, alertname) ALERTS{alertname="Slow", alertstate="firing"}
"""
CONFIG = """\
services:
  a: {unit: a, probes: {page: {kind: scrape, url: "http://127.0.0.1:1/metrics", keep: [latency, errors_total]}}}
  b: {unit: b, probes: {page: {kind: scrape, url: "http://127.0.0.1:1/metrics", keep: [latency, errors_total]}}}
host:
  rules:
    many: {expr: "sum by (service) (increase(errors_total[2m])) > 100", for: 30s}
    both: {expr: "count(latency > 5) > 1", for: 0s}
rule_files: [alerts.yml]
"""


def make_outcomes(seed: int) -> Iterator[tuple[str, Outcome]]:
    """Runs of a page of two services: slow, without an answer, and without one of its series now and then."""
    chance = random.Random(seed)
    left, totals = (
        {("a", "slow"): 0, ("b", "slow"): 0, ("a", "ill"): 0, ("b", "ill"): 0, ("a", "less"): 0, ("b", "less"): 0},
        {"a": 0.0, "b": 0.0},
    )
    for row in range(ROWS):
        for service, later in (("a", 0.125), ("b", 0.5)):
            for what in ("slow", "ill", "less"):
                known = left[service, what]
                left[service, what] = known - 1 if known else chance.randint(2, 40) if chance.random() < 0.02 else 0
            at = START + row * EVERY + later
            totals[service] += chance.choice((0.0, 1.0, 30.0)) if left[service, "slow"] else 0.0
            measured: list[tuple[str, dict[str, str], float]] = [("errors_total", {}, totals[service])]
            if not left[service, "less"]:
                measured.append(("latency", {"engine": "0"}, 9.0 if left[service, "slow"] else 1.0))
            ill = bool(left[service, "ill"])
            yield service, conclude(service, "page", at, at, () if ill else measured, Failure.REFUSED if ill else None)


def run_daemon(config: Config, outcomes: list[tuple[str, Outcome]]) -> Ledger:
    """What the daemon's probes of expressions give and its host decides, on a clock at whole multiples of each interval."""
    now, ledger, state = [START + EVERY], Ledger(), HostState()  # the data begin a little after START
    feed = Feed(lambda: now[0], lambda: now[0])
    feed.follow(config.needs)
    groups = [probe for probe in config.host.probes if probe.kind == "expr"]
    around = Surroundings(None, None, 5.0, None, feed=feed)  # type: ignore[arg-type]
    running = [(probe, probe.probe.open(around)) for probe in groups]
    owner = SimpleNamespace(name=None, rules=config.host.rules, alerts=state.alerts)
    waiting, last = list(outcomes), max(outcome.at for _, outcome in outcomes)
    while now[0] <= last:
        while waiting and waiting[0][1].at <= now[0]:
            service, outcome = waiting.pop(0)
            feed.take(service, outcome)
        for probe, one in running:
            if now[0] % probe.every == 0:
                seen = asyncio.run(one.observe())
                outcome = conclude(None, probe.name, now[0], now[0], seen.measurements)
                feed.take(None, outcome)
                ledger.note(owner, step_host(config.host.rules, state, [outcome], now[0]), now[0])
        now[0] += EVERY
    return ledger


def to_columns(outcomes: list[tuple[str, Outcome]]) -> list[Column]:
    columns: dict[SeriesId, Column] = {}
    for _, outcome in outcomes:
        for sample in outcome.samples:
            column = columns.setdefault(sample.series, Column(sample.series, array("d"), array("d")))
            column.times.append(sample.at)  # type: ignore[attr-defined]
            column.values.append(sample.value)  # type: ignore[attr-defined]
    return list(columns.values())


def list_firings(ledger: Ledger) -> list[Any]:
    return sorted(
        (one.rule, one.series, one.at, one.until or 0.0, one.reason, one.messages) for one in ledger.firings if one.service is None
    )


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_a_replay_of_expressions_and_rule_files_finds_what_the_daemon_finds(tmp_path: Path, seed: int, pieces: int) -> None:
    (tmp_path / "alerts.yml").write_text(FILE_OF_RULES)
    (tmp_path / "config.yaml").write_text(CONFIG)
    rules = Rules.read(tmp_path / "config.yaml")
    assert rules.config is not None
    outcomes = list(make_outcomes(seed))
    expected = list_firings(run_daemon(rules.config, outcomes))
    for skips in (True, False):
        rehearsal = Rehearsal(rules, is_record=True, skips=skips)
        edges = [START + ROWS * EVERY * number / pieces for number in range(pieces + 1)]
        for begin, end in pairwise(edges):
            rehearsal.take(to_columns([one for one in outcomes if begin <= one[1].at < end]))
        assert list_firings(rehearsal.ledger) == expected
    assert len({one[0] for one in expected}) >= 3  # they fire in these data


# ---------------------------------------------------------------- each kind of data
Replay = Callable[..., SimpleNamespace]


@pytest.fixture
def replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    """`watchdog replay --json OPTIONS` with these rules."""

    def run(rules: str, *options: str) -> SimpleNamespace:
        (tmp_path / "rules.yaml").write_text(rules)
        code = main(["replay", "--json", "--state-dir", str(tmp_path), "--rules", str(tmp_path / "rules.yaml"), *options])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, err=err, doc=json.loads(out) if not code else None)

    return run


SLOW = "rules:\n  slow: {expr: 'avg_over_time(latency[1m]) > 5', for: 30s}\n"
OF_PROMETHEUS = "groups: [{name: g, interval: 10s, rules: [{alert: slow, expr: 'avg_over_time(latency[1m]) > 5', for: 30s}]}]\n"


def value_of(row: int) -> float:
    return 9.0 if 50 <= row < 80 else 1.0


def find(answer: SimpleNamespace) -> list[tuple[str, str, float]]:
    assert answer.code == 0, answer.err
    return [(one["rule"], one["fired_at"][11:19], one["seconds"]) for one in answer.doc["firings"]]


# 22:13:20 is START. Four of six are slow at row 53; 30 s later it fires. At row 82 three of six are slow, which gives 5 and no more.
EXPECTED = [("slow", "22:22:40", 260.0)]


@pytest.mark.parametrize("rules", [SLOW, OF_PROMETHEUS])
def test_a_csv(replay: Replay, tmp_path: Path, rules: str) -> None:
    rows = "".join(f"{START + 10 * row:.0f},{value_of(row)}\n" for row in range(200))
    (tmp_path / "a.csv").write_text("timestamp,value\n" + rows)
    assert find(replay(rules, "--csv", str(tmp_path / "a.csv"), "--metric", "latency")) == EXPECTED


@pytest.mark.parametrize("rules", [SLOW, OF_PROMETHEUS])
def test_an_answer_of_prometheus(replay: Replay, tmp_path: Path, rules: str) -> None:
    values = [[START + 10 * row, str(value_of(row))] for row in range(200)]
    answer = [{"metric": {"__name__": "latency", "job": "x"}, "values": values}, {"metric": {"__name__": "other"}, "values": values}]
    (tmp_path / "range.json").write_text(json.dumps({"data": {"result": answer}}))
    assert find(replay(rules, "--prometheus", str(tmp_path / "range.json"))) == EXPECTED


def test_pages_of_which_a_series_goes(replay: Replay, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for row in range(60):
        (pages / f"{START + 10 * row:.0f}.txt").write_text("# TYPE latency gauge\n" + "latency 9\n" * (row < 30) + "other 1\n")
    rules = (
        "rules:\n  high: {expr: 'latency > 5', for: 0s}\n  gone: {expr: 'absent(latency)', for: 0s}\n  seen: {expr: 'other > 5', for: 0s}\n"
    )
    found = find(replay(rules, "--pages", str(pages)))
    assert found == [("high", "22:13:20", 300.0), ("gone", "22:18:20", 290.0)]  # it has ended with the first page that lacks it


def test_the_record_with_rules_alone_for_each_of_its_services(replay: Replay, tmp_path: Path) -> None:
    connection, _ = connect(tmp_path / FILE, 0.0)
    history = History(connection)
    for row in range(200):
        samples = [
            Sample(SeriesId.of(metric, {"service": service, **labels}), value, 10.0 * row + 0.25)
            for service, level in (("a", value_of(row)), ("b", 1.0))
            for metric, labels, value in (("latency", {}, level), ("probe_success", {"probe": "page"}, 1.0), ("expr:slow", {}, 1.0))
        ]
        with connection:
            history.append(writes.samples("boot", START, samples))
            if history.is_due():
                history.fold(START + 10.0 * row, Kept(10 * 86_400.0))
    connection.close()
    answer = replay(SLOW)
    assert find(answer) == [("slow", "22:22:50", 260.0)] and answer.doc["firings"][0]["service"] == "a"  # a sample is a quarter late
    assert answer.doc["without_data"] == []
    assert find(replay(OF_PROMETHEUS, "--service", "b")) == []


def test_what_sees_nothing_and_what_has_no_answer_is_named(replay: Replay, tmp_path: Path) -> None:
    rows = "".join(f"{START + 10 * row:.0f},1\n" for row in range(20))
    (tmp_path / "a.csv").write_text("timestamp,value\n" + rows)
    rules = "rules:\n  blind: {expr: 'nothing > 1'}\n"
    rules += '  torn: {expr: \'latency + on() (latency or label_replace(latency, "x", "y", "", ""))\'}\n'
    doc = replay(rules, "--csv", str(tmp_path / "a.csv"), "--metric", "latency").doc
    assert doc["without_data"] == [{"service": "replay", "rule": "blind", "metric": "nothing > 1"}]
    assert [(one["service"], one["rule"]) for one in doc["no_answer"]] == [("replay", "torn")]
