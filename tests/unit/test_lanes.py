"""What is sent next: few messages one by one and at once, a flood as one, at most one in half a minute; on a simulated clock."""

import itertools
from dataclasses import dataclass, field

import pytest

from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.rule import Severity
from model_watchdog.lanes import FEW, GATHER, PACE, Item, Lane
from model_watchdog.notifiers import Message


@dataclass
class Run:
    """A lane whose provider takes `seconds` for each message. `sent`: when, and the keys in it."""

    arrivals: list[tuple[float, Severity]]
    seconds: float = 0.4
    lane: Lane = field(default_factory=lambda: Lane(NotifierConfig("ops", "test", None)))  # type: ignore[arg-type]
    sent: list[tuple[float, list[str]]] = field(default_factory=list)
    delays: dict[str, float] = field(default_factory=dict)

    def until(self, end: float) -> "Run":
        coming = sorted(self.arrivals)
        now, number = 0.0, 0
        while now < end:
            while coming and coming[0][0] <= now:
                at, severity = coming.pop(0)
                message = Message(f"{severity} {number}", severity, "title", "body")
                self.lane.waiting[message.key] = Item(message, at, at)
                number += 1
            if not self.lane.waiting:
                now = coming[0][0] if coming else end
                continue
            parcel = self.lane.choose(now)
            if parcel.items:
                now += self.seconds
                self.lane.told(parcel, now)
                self.sent.append((now, [item.message.key for item in parcel.items]))
                self.delays |= {item.message.key: now - item.queued for item in parcel.items}
            else:
                assert parcel.wait > 0
                now = min([now + parcel.wait, *(at for at, _ in coming[:1])])
        return self


def flood(count: int, seconds: float, severity: Severity = Severity.WARNING, since: float = 0.0) -> list[tuple[float, Severity]]:
    return [(since + number * seconds / count, severity) for number in range(count)]


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.4, 1.0, 4.0])
def test_fault_73_five_hundred_in_ten_seconds_are_two_messages(seconds: float) -> None:
    run = Run(flood(500, 10.0), seconds).until(200.0)
    assert [len(keys) for _, keys in run.sent] == [1, 499]
    assert run.sent[0][0] == seconds, "the first is not delayed"
    assert run.sent[1][0] - run.sent[0][0] == pytest.approx(PACE + seconds)
    assert len(run.delays) == 500


def test_a_flood_that_goes_on_is_one_message_in_half_a_minute() -> None:
    run = Run(flood(10_000, 200.0)).until(400.0)
    times = [at for at, _ in run.sent]
    assert all(later - earlier >= PACE for earlier, later in itertools.pairwise(times)), times
    assert sum(len(keys) for _, keys in run.sent) == 10_000


@pytest.mark.parametrize("every", [0.0, 0.5, 2.0, 5.0, 60.0])
def test_a_few_are_told_one_by_one_at_once(every: float) -> None:
    """The first at once; each that follows it soon has waited a second for others, and until the one before has been handed over."""
    run = Run([(number * every, Severity.WARNING) for number in range(FEW)]).until(1000.0)
    assert [len(keys) for _, keys in run.sent] == [1] * FEW
    assert run.sent[0][0] == 0.4
    assert max(run.delays.values()) <= (0.4 if every > PACE else GATHER + 0.4 * (FEW if every < 0.4 else 1)) + 1e-9


def test_a_message_by_itself_is_never_delayed() -> None:
    run = Run([*flood(100, 1.0), (200.0, Severity.INFO), (300.0, Severity.WARNING)]).until(400.0)
    assert [(at, len(keys)) for at, keys in run.sent[-2:]] == [(200.4, 1), (300.4, 1)]


def test_what_is_critical_does_not_wait_behind_a_flood_of_what_is_not() -> None:
    critical = [(5.0 + number, Severity.CRITICAL) for number in range(4)]
    run = Run(flood(1200, 30.0, Severity.INFO) + critical).until(200.0)
    delays = {key: delay for key, delay in run.delays.items() if key.startswith("critical")}
    assert len(delays) == 4 and max(delays.values()) <= 0.8 + 1e-9, delays
    lesser = [at for at, keys in run.sent if not keys[0].startswith("critical")]
    assert all(later - earlier >= PACE for earlier, later in itertools.pairwise(lesser)), "the flood keeps its pace"


def test_a_flood_is_not_held_back_for_ever_by_what_overtakes_it() -> None:
    """A critical message every 5 s, for five minutes."""
    run = Run(flood(200, 2.0, Severity.INFO) + [(5.0 * number + 1, Severity.CRITICAL) for number in range(60)]).until(400.0)
    assert max(delay for key, delay in run.delays.items() if key.startswith("info")) < PACE + 2


def test_a_flood_of_critical_ones_is_a_flood() -> None:
    run = Run(flood(250, 10.0, Severity.CRITICAL) + flood(250, 10.0, Severity.INFO, since=0.01)).until(200.0)
    assert [len(keys) for _, keys in run.sent] == [1, 499]


def test_the_end_of_a_flood_is_folded_too() -> None:
    """What comes shortly after the message for all of them belongs to it."""
    run = Run([*flood(100, 1.0), (31.0, Severity.WARNING), (32.0, Severity.CRITICAL)]).until(200.0)
    assert [len(keys) for _, keys in run.sent] == [1, 99, 1, 1]
    critical = next(at for at, keys in run.sent if keys[0].startswith("critical"))
    assert critical == pytest.approx(32.4), "but for what is critical"


def test_what_overtakes_a_flood_takes_nothing_with_it_that_comes_after_what_waits() -> None:
    """Of a bundle only what is critical: the rest belongs behind what was queued before it."""
    lane = Lane(NotifierConfig("ops", "test", None))  # type: ignore[arg-type]
    for number in range(FEW + 5):
        lane.waiting[f"over {number}"] = Item(Message(f"over {number}", Severity.WARNING, "", ""), 0.0, 0.0)
    lane.told(lane.choose(0.0), 0.0)
    for key, severity in (("again", Severity.WARNING), ("gave up", Severity.CRITICAL)):
        lane.waiting[key] = Item(Message(key, severity, "", ""), 1.0, 1.0, bundle="b")
    assert [item.message.key for item in lane.choose(5.0).items] == ["gave up"]
