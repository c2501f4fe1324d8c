"""From what probes measure to what expressions see."""

from model_watchdog.promql import Memory, parse
from model_watchdog.promql.feeding import Feed

GPU0, GPU1 = (("gpu", "0"),), (("gpu", "1"),)
SEEN = parse("temperature")


def count(memory: Memory, at: float) -> int:
    found = SEEN.evaluate(memory, at)
    assert isinstance(found, list)
    return len(found)


def test_a_series_that_is_not_given_any_more_has_ended_at_once() -> None:
    memory = Memory(SEEN.needs.selectors, SEEN.needs.span)
    feed = Feed(memory)
    feed.take("nvml", [("temperature", GPU0, 60.0), ("temperature", GPU1, 61.0), ("unwanted", GPU0, 1.0)], 0)
    assert count(memory, 1) == 2
    feed.take("nvml", [("temperature", GPU0, 62.0)], 10)
    assert count(memory, 11) == 1
    feed.take("nvml", [("temperature", GPU0, 62.0), ("temperature", GPU1, 61.0)], 20)
    assert count(memory, 21) == 2
    feed.take("nvml", [], 30)
    assert count(memory, 31) == 0
    assert len(memory) == 2, "what is not wanted is not kept, nor marked"


def test_what_another_probe_gives_is_its_own_affair() -> None:
    memory = Memory()
    feed = Feed(memory)
    feed.take("one", [("temperature", GPU0, 60.0)], 0)
    feed.take("two", [("temperature", GPU1, 60.0)], 1)
    feed.take("two", [], 2)
    assert count(memory, 3) == 1
    feed.forget("one")
    feed.take("one", [], 4)
    assert count(memory, 5) == 1, "it grows old instead"
    assert count(memory, 301) == 0


def test_a_sample_that_comes_twice_ends_nothing() -> None:
    memory = Memory()
    feed = Feed(memory)
    for at in (0, 0, 0):
        feed.take("one", [("temperature", GPU0, 60.0)], at)
    assert count(memory, 1) == 1
    feed.take("one", [], 10)
    assert count(memory, 11) == 0
