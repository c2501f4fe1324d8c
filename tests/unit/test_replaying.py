"""A replay decides as the daemon does: passing over many samples at once gives what feeding each of them to `step` gives."""

import random
from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from model_watchdog.core.alert import Alert
from model_watchdog.core.rollup import As
from model_watchdog.core.rule import Rule, Severity, Then
from model_watchdog.core.sample import Selector, SeriesId
from model_watchdog.core.skipping import Kept, Stretch, pass_over
from model_watchdog.core.state import ProbePlan, Service
from model_watchdog.core.units import Number, Seconds
from model_watchdog.ledger import Ledger
from model_watchdog.replaying import Column, Subject, find_gaps
from model_watchdog.rules.absent import Absent
from model_watchdog.rules.sigma import AdaptiveSigma, Sigma
from model_watchdog.rules.threshold import Threshold
from model_watchdog.subjects import HostSubject, ServiceSubject

START, EVERY = 1_700_000_000.0, 10.0
BASE = {"service": "model"}


def number(value: float) -> Number:
    return Number(value)


RULES = (
    Rule("unhealthy", Selector.parse('probe_success{probe="health"}'), Threshold(below=number(1.0)), Severity.CRITICAL, Then.RESTART, 3),
    Rule("down", Selector("unit_active"), Threshold(below=number(1.0)), Severity.CRITICAL, Then.RESTART, 1),
    Rule("high", Selector("load"), Threshold(above=number(5.0), clear=number(4.0)), times=2),
    Rule("long", Selector("load"), Threshold(above=number(5.0)), times=None, for_=60.0, keep_firing_for=60.0),
    Rule("odd", Selector("load"), AdaptiveSigma(2.5, warmup=20, cooldown=15, smooth=2)),
    Rule("plain", Selector("load"), Sigma(4.0, 8)),
    Rule("mean", Selector("load"), Threshold(outside=(number(-1.0), number(4.5))), times=1, over=60.0, as_=As.AVG),
    Rule("gone", Selector("load"), Absent(Seconds(95.0))),
    Rule("full", Selector("memory"), Threshold(above=number(90.0)), Severity.CRITICAL, Then.RESTART, None, 30.0),
    Rule("exactly", Selector("memory"), Threshold(equals=number(50.0))),
    Rule("worse", Selector("memory"), Threshold(above=number(80.0)), means="degraded"),
)
SERVICE = Service(
    "model",
    "model.service",
    (
        ProbePlan("health", "http", every=Seconds(EVERY)),
        ProbePlan("unit", "unit", every=Seconds(EVERY)),
        ProbePlan("metrics", "scrape", every=Seconds(EVERY)),
    ),
    RULES,
)
PROBES = {"load": "metrics", "memory": "metrics", "unit_active": "unit", "unit_uptime_seconds": "unit"}


def find_probe(series: SeriesId) -> str:
    return dict(series.labels).get("probe") or PROBES[series.metric]


def column(metric: str, times: Sequence[float], values: Sequence[float], **labels: str) -> Column:
    return Column(SeriesId.of(metric, {**BASE, **labels}), array("d", times), array("d", values))


def make_window(seed: int, rows: int, trouble: float) -> list[Column]:
    """A service with a unit and a page of metrics; `trouble` is how often something begins to go wrong."""
    chance = random.Random(seed)
    bad = {"down": 0, "ill": 0, "high": 0, "silent": 0, "full": 0}
    found: dict[str, tuple[list[float], list[float]]] = {}

    def add(name: str, at: float, value: float) -> None:
        times, values = found.setdefault(name, ([], []))
        times.append(at)
        values.append(value)

    born = START - 5000.0
    for row in range(rows):
        at = START + row * EVERY
        for name in bad:
            if not bad[name] and chance.random() < trouble:
                bad[name] = chance.randint(1, 30)
            if bad[name]:
                bad[name] -= 1
                if name == "down" and not bad[name]:
                    born = at
        up = not bad["down"]
        add("unit_active", at, float(up))
        if up:
            add("unit_uptime_seconds", at, at - born)
            ok = not bad["ill"]
            add("health", at + 0.25, float(ok))
            add("took", at + 0.25, 0.05 if ok else 5.0)
            if not bad["silent"]:
                add("load", at + 0.5, chance.gauss(2.0, 0.3) + (4.5 if bad["high"] else 0.0))
                add("memory", at + 0.5, float(chance.choice([40, 41, 42, 50] if chance.random() < 0.01 else [40, 41, 42])))
                if bad["full"]:
                    found["memory"][1][-1] = chance.choice([85.0, 95.0, 95.0])
                add("scraped", at + 0.5, 1.0)
    names = {
        "health": ("probe_success", {"probe": "health"}),
        "took": ("probe_duration_seconds", {"probe": "health"}),
        "scraped": ("probe_success", {"probe": "metrics"}),
    }
    made = []
    for name, (times, values) in found.items():
        metric, labels = names.get(name, (name, {}))
        made.append(column(metric, times, values, **labels))
    return made


def cut(window: Sequence[Column], pieces: int) -> list[list[Column]]:
    """The same in several windows."""
    last = max(one.times[-1] for one in window)
    edges = [START + (last - START + 1) * number / pieces for number in range(pieces + 1)]
    found = []
    for begin, end in pairwise(edges):
        part = []
        for one in window:
            rows = [(at, value) for at, value in zip(one.times, one.values, strict=True) if begin <= at < end]
            part.append(Column(one.series, array("d", (at for at, _ in rows)), array("d", (value for _, value in rows))))
        found.append(part)
    return found


def tell(subject: Subject, ledger: Ledger) -> Any:
    """All that a replay found, and how the alerts stand at its end."""
    alerts = {
        key: (alert.phase, alert.since, alert.count if alert.phase == "pending" else 0, alert.sent, alert.muted, alert.value)
        for key, alert in subject.alerts.items()
    }
    judged = {key: alert.judged_at for key, alert in subject.alerts.items()}
    return ledger.firings, ledger.restarts, ledger.messages, alerts, judged


def replay(windows: Sequence[Sequence[Column]], service: Service, *, skips: bool) -> Any:
    ledger = Ledger(Severity.INFO)
    subject = ServiceSubject(service, find_probe, ledger)
    subject.skips = skips
    for window in windows:
        subject.take(window)
    return tell(subject, ledger)


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 100_000), some.sampled_from([60, 300]), some.sampled_from([0.0, 0.004, 0.02]), some.integers(1, 4), some.data())
def test_a_service_is_decided_upon_as_by_every_single_step(seed: int, rows: int, trouble: float, pieces: int, data: Any) -> None:
    rules = tuple(data.draw(some.sets(some.sampled_from(range(len(RULES))))))
    service = replace(SERVICE, rules=tuple(RULES[place] for place in sorted(rules)))
    windows = cut(make_window(seed, rows, trouble), pieces)
    assert replay(windows, service, skips=True) == replay(windows, service, skips=False)


ALONE = Service("model", None, (ProbePlan("metrics", "scrape", every=Seconds(86_400.0)),))
FREAKS = (float("nan"), float("inf"), 1e300, 0.0)


@settings(max_examples=80, deadline=None)
@given(
    some.integers(0, 100_000),
    some.sampled_from(["both", "above", "below"]),
    some.sampled_from([0.0, 0.4]),
    some.sampled_from([0.0, 0.02]),
    some.sampled_from([Severity.WARNING, Severity.CRITICAL]),
    some.sampled_from([{"times": 1}, {"times": 2}, {"times": None, "for_": 25.0}, {"times": 1, "keep_firing_for": 60.0}]),
    some.integers(1, 3),
)
def test_a_plain_window_that_comes_and_goes_is_told_the_same_however_fast(
    seed: int, direction: Any, least: float, share: float, severity: Severity, patience: Any, pieces: int
) -> None:
    """Its service becomes unstable, and stable again where nothing happens for half an hour."""
    chance, at, rows = random.Random(seed), START, []
    for row in range(1500):
        at += 4000.0 if chance.random() < 0.002 else EVERY
        freak = chance.choice(FREAKS) if chance.random() < 0.005 else None
        noise = chance.gauss(20.0, 1.0 if row % 700 < 350 else 0.1)
        rows.append((at, freak if freak is not None else round(noise, chance.choice((0, 3)))))
    rule = Rule("odd", Selector("load"), Sigma(2.5, 10, direction, number(least), share), severity, **patience)
    window = [column("load", [at for at, _ in rows], [value for _, value in rows])]
    found = [replay(cut(window, pieces), replace(ALONE, rules=(rule,)), skips=skips) for skips in (True, False)]
    assert repr(found[0]) == repr(found[1])
    assert found[0][0] or patience["times"] != 1  # it fires


HOST_RULES = (
    Rule("hot", Selector("gpu_temperature_celsius"), Threshold(above=number(-5.0), clear=number(-8.0)), times=None, for_=30.0,
         minus=Selector.parse('gpu_limit{kind="slowdown"}')),
    Rule("lost", Selector("gpu_up"), Threshold(below=number(1.0)), times=2, then=Then.INHIBIT),
    Rule("odd", Selector("gpu_temperature_celsius"), AdaptiveSigma(3.0, warmup=10, cooldown=10, step=Seconds(30.0))),
    Rule("quiet", Selector("gpu_up"), Absent(Seconds(65.0))),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 100_000), some.sampled_from([0.0, 0.003, 0.03]), some.integers(1, 3))
def test_the_host_is_too(seed: int, trouble: float, pieces: int) -> None:
    chance, left, rows = random.Random(seed), 0, []
    for row in range(300):
        left = chance.randint(2, 20) if not left and chance.random() < trouble else max(0, left - 1)
        if left != 1 or chance.random() < 0.5:
            rows.append((START + row * EVERY, chance.gauss(60.0, 2.0) + (25.0 if left else 0.0), float(not left or chance.random() < 0.5)))
    times = [at for at, _, _ in rows]
    window = [
        Column(SeriesId.of("gpu_temperature_celsius", {"gpu": "0"}), array("d", times), array("d", (hot for _, hot, _ in rows))),
        Column(SeriesId.of("gpu_limit", {"gpu": "0", "kind": "slowdown"}), array("d", times), array("d", [90.0] * len(times))),
        Column(SeriesId.of("gpu_up", {"gpu": "0"}), array("d", times), array("d", (up for _, _, up in rows))),
    ]
    found = []
    for skips in (True, False):
        ledger = Ledger(Severity.INFO)
        subject = HostSubject(HOST_RULES, lambda series: "gpu", ledger)
        subject.skips = skips
        for part in cut(window, pieces):
            subject.take(part)
        found.append(tell(subject, ledger))
    assert found[0] == found[1]


values = some.lists(some.one_of(some.floats(-10, 10), some.sampled_from([float("nan"), float("inf"), 5.0])), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    values,
    values,
    some.sampled_from(
        [
            Rule("r", Selector("m"), Threshold(above=number(5.0), clear=number(3.0)), times=1),
            Rule("r", Selector("m"), Threshold(below=number(-5.0)), times=2),
            Rule("r", Selector("m"), Threshold(equals=number(5.0)), times=1),
            Rule("r", Selector("m"), Threshold(outside=(number(-5.0), number(5.0))), times=None, for_=25.0),
            Rule("r", Selector("m"), Sigma(2.0, 3), times=1),
            Rule("r", Selector("m"), AdaptiveSigma(2.0, warmup=2, smooth=1, cooldown=3), times=1),
            Rule("r", Selector("m"), Threshold(above=number(5.0)), times=1, over=30.0, as_=As.MAX),
        ]
    ),
)
def test_a_stretch_is_passed_over_only_where_it_changes_nothing(before: list[float], stretch: list[float], rule: Rule) -> None:
    def make() -> Alert:
        alert = Alert.on(rule, SeriesId("m"))
        for row, value in enumerate(before):
            alert.judge(value, row * EVERY)
        return alert

    times = [(len(before) + row) * EVERY for row in range(len(stretch))]
    skipped, stepped, kept = make(), make(), Kept()
    phases, changes = [], []
    for at, value in zip(times, stretch, strict=True):
        changes.append(stepped.judge(value, at))
        phases.append(stepped.phase)
    stop = pass_over(skipped, Stretch(array("d", times), array("d", stretch)), kept)
    if stop is None:
        assert not any(changes) and set(phases) == {make().phase}
    else:
        first = next(row for row, (change, phase) in enumerate(zip(changes, phases, strict=True)) if change or phase is not make().phase)
        assert stop == times[first]
        kept.restore()
        stepped = make()
    for value in [*stretch, *before]:
        assert skipped.judge(value, 1e4) == stepped.judge(value, 1e4)
        assert repr((skipped.value, skipped.phase, skipped.numbers)) == repr((stepped.value, stepped.phase, stepped.numbers))


@settings(max_examples=300, deadline=None)
@given(values, values, some.sampled_from(["both", "above", "below"]), some.sampled_from([0.0, 1.0]), some.sampled_from([0.0, 0.1]))
def test_what_is_absorbed_leaves_what_single_samples_leave(
    before: list[float], stretch: list[float], direction: Any, least: float, share: float
) -> None:
    quick, slow = (Sigma(2.0, 4, direction, number(least), share).watch() for _ in range(2))
    for value in [1.0, 2.0, 3.0, 2.0, *before]:
        quick.judge(value, 0.0, False)
        slow.judge(value, 0.0, False)
    count = quick.absorb(stretch)
    judged = [slow.judge(value, 0.0, False).judgement for value in stretch[:count]]
    assert "breach" not in judged and (quick.score, quick.remember()) == (slow.score, slow.remember())
    for value in [*stretch[count:], *before]:
        assert quick.judge(value, 0.0, False) == slow.judge(value, 0.0, False)
        assert quick.score == slow.score
    if count < len(stretch):
        again = Sigma(2.0, 4, direction, number(least), share).watch()
        for value in [1.0, 2.0, 3.0, 2.0, *before, *stretch[:count]]:
            again.judge(value, 0.0, False)
        assert again.judge(stretch[count], 0.0, False).judgement == "breach"


def test_a_gap_is_where_nothing_at_all_was_measured() -> None:
    one = column("load", [0.0, 10.0, 20.0, 500.0, 510.0, 900.0], [1.0] * 6)
    other = column("memory", [5.0, 100.0, 505.0], [1.0] * 3)
    assert find_gaps([one, other], 60.0) == [(20.0, 100.0), (100.0, 500.0), (510.0, 900.0)]
    assert find_gaps([], 60.0) == [] and find_gaps([other], 1000.0) == []


def make_ill(begin: int, end: int) -> list[Column]:
    """Its health fails in these rows."""
    window = make_window(1, 300, 0.0)
    for one in window:
        if one.series == SeriesId.of("probe_success", {**BASE, "probe": "health"}):
            one.values[begin:end] = array("d", [0.0] * (end - begin))  # type: ignore[index]
    return window


@pytest.mark.parametrize("skips", [True, False])
def test_it_says_what_fired_for_how_long_and_what_was_restarted(skips: bool) -> None:
    """A restart in time is followed by good health in the data: one firing, one restart that is proved, one message."""
    firings, restarts, messages, *_ = replay([make_ill(100, 110)], replace(SERVICE, rules=RULES[:2]), skips=skips)
    (firing,) = firings
    assert (firing.rule, firing.at, firing.then, firing.restarts) == ("unhealthy", START + 1020.25, "restart", 1)
    assert [(one.at, one.result) for one in restarts] == [(START + 1020.25, "recovered")] and messages == 1 == firing.messages


def test_a_restart_that_the_data_do_not_bear_out_is_tried_again() -> None:
    firings, restarts, messages, *_ = replay([make_ill(100, 140)], replace(SERVICE, rules=RULES[:2]), skips=True)
    assert [one.result for one in restarts] == ["failed", "failed", "recovered"] and messages == 1
    assert sum(one.restarts for one in firings) == 3


def test_a_unit_that_was_stopped_on_purpose_is_not_restarted() -> None:
    window = make_window(1, 300, 0.0)
    for one in window:
        if one.series.metric == "unit_active":
            one.values[100:150] = array("d", [0.0] * 50)  # type: ignore[index]
    for stops, restarted in (((), True), (((START + 900.0, START + 1500.0),), False)):
        ledger = Ledger(Severity.WARNING)
        subject = ServiceSubject(replace(SERVICE, rules=RULES[:2]), find_probe, ledger, stops=stops)
        subject.take(window)
        assert bool(ledger.restarts) is restarted


def test_a_rule_of_the_host_forbids_restarts_while_it_fires() -> None:
    ledger = Ledger()
    service = replace(SERVICE, rules=RULES[:2])
    subject = ServiceSubject(service, find_probe, ledger, lambda at: "gpu-lost" if at < START + 1200.0 else "")
    subject.take(make_ill(100, 130))
    assert [one.at for one in ledger.restarts] == [START + 1200.25]
