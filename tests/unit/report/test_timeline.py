"""How long a service was in which state, and what of that counts as available."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_watchdog.report.timeline import (
    STATES,
    Kind,
    Outage,
    Span,
    count_seconds,
    find_availability,
    find_outages,
    find_spans,
    find_watched,
)

END = 1000.0
ALWAYS = [Span(0.0, END, Kind.UP)]


def event(at: float, name: str, cause: str | None = None) -> dict[str, Any]:
    return {"at": at, "service": "chat", "event": name, "cause": cause}


HEALTHY = event(-50, "healthy")


def spans(*events: dict[str, Any], before: dict[str, Any] | None = HEALTHY, paused: bool = False, watched: Any = ALWAYS) -> list[Span]:
    return find_spans(events, before, paused, watched, 0.0, END)


def seconds(*events: dict[str, Any], **options: Any) -> dict[str, float]:
    return {kind.value: length for kind, length in count_seconds(spans(*events, **options)).items() if length}


def test_healthy_busy_and_degraded_are_available_and_loading_is_not() -> None:
    events = event(100, "busy"), event(200, "degraded"), event(300, "dead", "crashed"), event(400, "loading"), event(500, "healthy")
    assert seconds(*events) == {"up": 800, "down": 100, "loading": 100}
    assert find_availability(count_seconds(spans(*events))) == 0.8


@pytest.mark.parametrize(
    ("cause", "kind"), [("operator_stop", "stopped"), ("masked", "stopped"), ("host_stopping", "stopped"), ("stopped_not_proved", "down")]
)
def test_what_was_stopped_on_purpose_is_not_counted_and_what_nobody_is_known_to_have_stopped_is(cause: str, kind: str) -> None:
    assert seconds(event(600, "stopped", cause)) == {"up": 600, kind: 400}


def test_a_pause_is_not_counted_whatever_the_service_did_in_it() -> None:
    events = event(100, "paused"), event(200, "dead"), event(300, "resumed"), event(400, "healthy")
    assert seconds(*events) == {"up": 700, "paused": 200, "down": 100}
    assert seconds(event(100, "resumed"), paused=True) == {"paused": 100, "up": 900}


def test_what_no_daemon_watched_is_not_counted() -> None:
    watched = find_watched([event(300, "daemon_stopped"), event(500, "daemon_started")], True, 0.0, END, [(700.0, 800.0)])
    assert seconds(event(600, "dead"), watched=watched) == {"up": 400, "not_watched": 300, "down": 300}


def test_a_service_counts_from_when_it_was_first_seen_until_it_is_watched_no_longer() -> None:
    assert seconds(event(100, "loading"), event(200, "healthy"), event(900, "not_watched"), before=None) == {
        "not_watched": 200,
        "loading": 100,
        "up": 700,
    }


def test_a_service_that_was_never_seen_has_no_availability() -> None:
    assert find_availability(count_seconds(spans(before=None))) is None


def test_a_daemon_that_ran_before_and_one_that_was_killed() -> None:
    events = [event(400, "daemon_died"), event(400, "daemon_started")]
    assert find_watched(events, True, 0.0, END, [(250.0, 400.0)]) == [Span(0, 250, Kind.UP), Span(400, END, Kind.UP)]
    assert find_watched([event(400, "daemon_started")], False, 0.0, END, []) == [Span(400, END, Kind.UP)]
    assert find_watched([], False, 0.0, END, []) == []


def test_an_outage_lasts_until_it_is_up_again_and_loading_alone_is_none() -> None:
    events = event(100, "dead"), event(150, "loading"), event(200, "healthy"), event(300, "loading"), event(350, "healthy")
    assert find_outages(spans(*events)) == [Outage(100, 200, True, True)]


def test_an_outage_that_goes_on_or_ends_in_a_pause_was_not_recovered() -> None:
    assert find_outages(spans(event(900, "unhealthy"))) == [Outage(900, END, False, True)]
    assert find_outages(spans(event(100, "dead"), event(200, "paused"))) == [Outage(100, 200, False, True)]


def test_one_that_had_begun_before_the_period_was_not_seen_to_begin() -> None:
    assert find_outages(spans(event(100, "healthy"), before=event(-5, "dead"))) == [Outage(0, 100, True, False)]


EVENTS = st.lists(st.tuples(st.floats(0, END), st.sampled_from([*STATES, "paused", "resumed", "not_watched"])), max_size=30).map(sorted)
GAPS = st.lists(st.tuples(st.floats(-10, END + 10), st.floats(0, 300)).map(lambda gap: (gap[0], gap[0] + gap[1])), max_size=5)


@given(EVENTS, GAPS, st.booleans(), st.sampled_from([None, HEALTHY, event(-1, "dead")]))
def test_the_whole_period_is_told_without_a_gap_or_an_overlap(
    told: list[tuple[float, str]], gaps: list[tuple[float, float]], paused: bool, before: dict[str, Any] | None
) -> None:
    watched = find_watched([], True, 0.0, END, gaps)
    found = spans(*(event(at, name) for at, name in told), before=before, paused=paused, watched=watched)
    assert (found[0].begin, found[-1].end) == (0.0, END)
    assert all(one.end == two.begin and one.begin < one.end for one, two in pairwise(found))
    assert sum(count_seconds(found).values()) == pytest.approx(END)
    share = find_availability(count_seconds(found))
    assert share is None or 0 <= share <= 1
    for outage in find_outages(found):
        assert 0 <= outage.begin < outage.end <= END
