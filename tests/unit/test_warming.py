"""What the expressions of a new daemon know of the time before it: from a real record, beside the daemon's own start."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from model_watchdog import warming, writes
from model_watchdog.clock import Clock
from model_watchdog.config.loading import load_here_leniently
from model_watchdog.config.model import Config
from model_watchdog.core.sample import Sample, SeriesId, conclude
from model_watchdog.expressions import Evaluator
from model_watchdog.feeding import FIRST_ROUND, Feed
from model_watchdog.promql import parse
from model_watchdog.record import FILE
from model_watchdog.store import Store
from model_watchdog.warming import SEEN_SINCE, Warming

CONFIG = """\
services:
  a:
    unit: a
    probes: {{page: {{kind: scrape, url: "http://127.0.0.1:1/metrics", keep: [latency, errors_total]}}}}
    rules: {{it: {{expr: '{expr}', for: 0s}}}}
record: {{raw: {raw}}}
"""
MEAN = "avg_over_time(latency[10m])"


class Box:
    """A record, and daemons that begin on it one after the other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Store.open(directory / FILE)
        self.clock = Clock()
        self.now = self.clock.steady()

    def remember(self, seconds: int, *, gone: int = 0, value: float = 7.0) -> None:
        """A latency each second, up to `gone` seconds ago; folded as the daemon folds it."""
        for part in range(seconds, gone, -100):
            samples = [
                Sample(SeriesId.of("latency", {"service": "a"}), value, self.clock.steady() - ago)
                for ago in range(part, max(part - 100, gone), -1)
            ]
            assert asyncio.run(self.store.commit(writes.samples("boot", self.clock.to_wall(0.0), samples)))

    def begin(self, expr: str, *, away: float = 5.0, raw: str = "24h") -> SimpleNamespace:
        """A daemon's start up to the moment at which the past is read."""
        config = self.load(expr, raw)
        feed = Feed(lambda: self.now, lambda: self.clock.to_wall(self.now))
        feed.follow(config.needs)
        began = time.process_time()
        warm = Warming(self.store, self.clock, feed, config, away)
        spent = time.process_time() - began
        (probe,) = [one.probe for one in config.services["a"].probes if one.kind == "expr"]
        evaluator = Evaluator(probe.group, "a", feed)  # type: ignore[attr-defined]
        return SimpleNamespace(feed=feed, warm=warm, config=config, evaluator=evaluator, spent=spent)

    def load(self, expr: str, raw: str = "24h") -> Config:
        path = self.directory / "config.yaml"
        path.write_text(CONFIG.format(expr=expr, raw=raw))
        return load_here_leniently(path)

    def hear(self, daemon: SimpleNamespace, **values: float) -> None:
        """A round: the page was asked, systemd, and the host."""
        measured: list[tuple[str, dict[str, str], float]] = [(name, {}, value) for name, value in values.items()]
        for owner, probes in (("a", daemon.config.services["a"].probes), (None, daemon.config.host.probes)):
            for probe in probes:
                found = measured if probe.name == "page" else []
                daemon.feed.take(owner, conclude(owner, probe.name, self.now, self.now, found))


Answer = Callable[[SimpleNamespace], dict[str, float]]


def answer(daemon: SimpleNamespace) -> list[float]:
    """The values that its expression gives; none also where it is not answered yet."""
    return [value for metric, _, value in daemon.evaluator.evaluate().measurements if metric == "expr:it" and value == value]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.mark.parametrize("seconds", [500, 1500])  # in the head alone, and in chunks
def test_a_range_is_answered_from_the_first_round_on(box: Box, seconds: int) -> None:
    box.remember(seconds)
    daemon = box.begin(f"{MEAN} > 5")
    box.hear(daemon, latency=1.0)
    assert answer(daemon) == []  # not before the past is here
    asyncio.run(daemon.warm.load(daemon.config))
    count = min(seconds, 599) + 1
    assert answer(daemon) == [pytest.approx((7.0 * (count - 1) + 1.0) / count, rel=0.01)]


def test_nothing_is_answered_before_each_probe_was_heard_once(box: Box) -> None:
    daemon = box.begin("absent(latency)")
    asyncio.run(daemon.warm.load(daemon.config))
    assert answer(daemon) == []
    daemon.feed.take("a", conclude("a", "page", box.now, box.now))
    assert answer(daemon) == []
    box.hear(daemon)
    assert answer(daemon) == [1.0]


def test_a_probe_that_is_not_heard_is_waited_for_so_long_and_no_longer(box: Box) -> None:
    daemon = box.begin("absent(latency)")
    asyncio.run(daemon.warm.load(daemon.config))
    box.now += FIRST_ROUND - 1
    assert answer(daemon) == []
    box.now += 2
    assert answer(daemon) == [1.0]


def test_what_is_measured_no_more_ends_with_the_first_round(box: Box) -> None:
    box.remember(100)
    daemon = box.begin("latency > 5")
    asyncio.run(daemon.warm.load(daemon.config))
    box.hear(daemon)
    assert answer(daemon) == []  # though it was there a second ago


@pytest.mark.parametrize(
    "expr", ["absent_over_time(latency[10m])", "count_over_time(errors_total[10m]) < 5 or absent_over_time(latency[5m])"]
)
def test_what_was_not_seen_is_not_taken_for_absent(box: Box, expr: str) -> None:
    box.remember(4000, gone=3000)
    daemon = box.begin(expr, away=2900.0)
    asyncio.run(daemon.warm.load(daemon.config))
    box.hear(daemon, errors_total=1.0)
    assert answer(daemon) == []
    box.now += 599
    assert answer(daemon) == []
    box.now += 3
    assert 1.0 in answer(daemon)


def test_a_daemon_that_was_away_for_a_moment_goes_on_where_it_was(box: Box) -> None:
    daemon = box.begin("absent_over_time(latency[10m])", away=1e9)
    asyncio.run(box.store.commit(writes.setting(SEEN_SINCE, str(box.clock.wall() - 3600))))
    daemon = box.begin("absent_over_time(latency[10m])")
    asyncio.run(daemon.warm.load(daemon.config))
    box.hear(daemon)
    assert answer(daemon) == [1.0]
    daemon.warm.was_away()  # the host slept
    box.now += 10
    (probe,) = [one.probe for one in daemon.config.services["a"].probes if one.kind == "expr"]
    daemon.evaluator = Evaluator(probe.group, "a", daemon.feed)
    assert answer(daemon) == []


def test_the_past_is_bounded_and_what_lies_beyond_was_not_seen(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "MOST_SAMPLES", 700)
    box.remember(3000)
    asyncio.run(box.store.commit(writes.setting(SEEN_SINCE, str(box.clock.wall() - 9000))))
    daemon = box.begin("count_over_time(latency[50m]) < 1000")
    asyncio.run(daemon.warm.load(daemon.config))
    box.hear(daemon, latency=1.0)
    (track,) = daemon.feed.memory.find(parse("latency").tree)
    assert len(track.times) <= 701 and answer(daemon) == []


def test_a_rule_that_a_reload_brings_knows_the_past(box: Box) -> None:
    box.remember(1000)
    daemon = box.begin("errors_total > 5")
    asyncio.run(daemon.warm.load(daemon.config))
    box.hear(daemon)
    assert answer(daemon) == []
    config = box.load(f"{MEAN} > 5")
    daemon.feed.follow(config.needs)
    asyncio.run(daemon.warm.load(config))
    (probe,) = [one.probe for one in config.services["a"].probes if one.kind == "expr"]
    daemon.evaluator = Evaluator(probe.group, "a", daemon.feed)  # type: ignore[attr-defined]
    assert answer(daemon) == [7.0]


def test_a_record_that_cannot_be_read_keeps_nobody_waiting(box: Box) -> None:
    daemon = box.begin("absent_over_time(latency[10m]) or latency > 5")
    box.store.close()
    (box.directory / FILE).write_bytes(b"no database at all" * 1000)
    asyncio.run(daemon.warm.load(daemon.config))
    box.hear(daemon, latency=9.0)
    assert not daemon.feed.is_loading and answer(daemon) == []
    box.now += 601
    box.hear(daemon, latency=9.0)
    assert answer(daemon) == [9.0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("rate(x[5m]) > 1", 0),
        ("increase(x[1h]) > 3", 0),
        ("increase(x[1h]) == 0", 3600),
        ("absent_over_time(x[10m] offset 5m)", 900),
        ("count_over_time(x[2m]) < 3 and changes(y[10m]) > 1", 600),
        ("avg_over_time(x[1h]) < 3", 0),
        ("absent(x)", 0),
    ],
)
def test_how_far_back_all_must_have_been_seen(text: str, seconds: int) -> None:
    assert parse(text).needs.whole == seconds * 1000
