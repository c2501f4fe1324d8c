"""How long each service was in which state, as the events of the record tell, and what of that counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Row = dict[str, Any]
"""An event: `{at, service, event, cause}`."""

INFINITY = float("inf")
UP_STATES = ("healthy", "busy", "degraded")
BAD_STATES = ("unhealthy", "stalled", "dead")
STATES = (*UP_STATES, *BAD_STATES, "loading", "sleeping", "stopped", "unknown")
NOT_PROVED = "stopped_not_proved"


class Kind(StrEnum):
    """What a stretch of time counts for. `UP`, `LOADING` and `DOWN` are the watched time; the others are named, and count for nothing.

    `STOPPED` is by an operator, or with the host; what was stopped by nobody knows whom is `DOWN`.
    """

    UP = "up"
    LOADING = "loading"
    DOWN = "down"
    PAUSED = "paused"
    STOPPED = "stopped"
    SLEEPING = "sleeping"
    UNKNOWN = "unknown"
    NOT_WATCHED = "not_watched"


COUNTED = (Kind.UP, Kind.LOADING, Kind.DOWN)


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` to before `end`, unix seconds; `state` is "" where nothing was watched."""

    begin: float
    end: float
    kind: Kind
    state: str = ""

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Outage:
    """From its first bad look until it was up again; `recovered`: it was, within the period and while it was watched.

    `was_seen_to_begin`: it was up before.
    """

    begin: float
    end: float
    recovered: bool
    was_seen_to_begin: bool


def find_watched(events: Iterable[Row], is_running: bool, since: float, until: float, gaps: Iterable[tuple[float, float]]) -> list[Span]:
    """When a daemon watched: `events` are the starts and stops of daemons in the period, `is_running` whether one ran when it began.

    `gaps` are stretches in which one that ran did not watch: the host slept, the daemon was killed and not yet started again.
    """
    begun, watched = since if is_running else None, list[tuple[float, float]]()
    for row in events:
        at = min(max(row["at"], since), until)
        if row["event"] == "daemon_started" and begun is None:
            begun = at
        elif row["event"] == "daemon_stopped" and begun is not None:
            watched, begun = [*watched, (begun, at)], None
    if begun is not None:
        watched.append((begun, until))
    for gap in gaps:
        watched = [piece for whole in watched for piece in _take_out(whole, gap)]
    return [Span(begin, end, Kind.UP) for begin, end in watched if end > begin]


def _take_out(whole: tuple[float, float], gap: tuple[float, float]) -> list[tuple[float, float]]:
    (begin, end), (start, stop) = whole, gap
    if stop <= begin or start >= end:
        return [whole]
    return [piece for piece in ((begin, start), (stop, end)) if piece[1] > piece[0]]


def find_spans(
    events: Sequence[Row], before: Row | None, was_paused: bool, watched: Sequence[Span], since: float, until: float
) -> list[Span]:
    """The whole period of one service, without a gap and without an overlap.

    `events` are its own in the period, oldest first; `before` is its last state before (None: not seen yet), `was_paused` whether it was
    paused then.
    """
    changes: list[tuple[float, Kind, str]] = []
    (state, kind), paused = (_read_state(before) if before else ("", Kind.NOT_WATCHED)), was_paused
    changes.append((since, _weigh(kind, paused), state))
    for row in events:
        if row["event"] in STATES:
            state, kind = _read_state(row)
        elif row["event"] in ("paused", "resumed"):
            paused = row["event"] == "paused"
        elif row["event"] == "not_watched":
            state, kind, paused = "", Kind.NOT_WATCHED, False
        else:
            continue
        changes.append((min(max(row["at"], since), until), _weigh(kind, paused), state))
    ends = [at for at, _, _ in changes[1:]] + [until]
    spans = [Span(at, end, kind, state) for (at, kind, state), end in zip(changes, ends, strict=True) if end > at]
    return join(_lay_over(spans, watched))


def _read_state(row: Row) -> tuple[str, Kind]:
    state = str(row["event"])
    if state in UP_STATES:
        return state, Kind.UP
    if state in BAD_STATES or (state == "stopped" and row["cause"] == NOT_PROVED):
        return state, Kind.DOWN
    return state, Kind(state)


def _weigh(kind: Kind, paused: bool) -> Kind:
    return Kind.PAUSED if paused and kind is not Kind.NOT_WATCHED else kind


def _lay_over(spans: Iterable[Span], watched: Sequence[Span]) -> list[Span]:
    """What lies outside the time in which a daemon watched is not watched."""
    laid = list[Span]()
    for span in spans:
        here = span.begin
        for one in watched:
            begin, end = max(span.begin, one.begin), min(span.end, one.end)
            if end <= begin:
                continue
            if begin > here:
                laid.append(Span(here, begin, Kind.NOT_WATCHED))
            laid.append(Span(begin, end, span.kind, span.state))
            here = end
        if here < span.end:
            laid.append(Span(here, span.end, Kind.NOT_WATCHED))
    return laid


def join(spans: Iterable[Span]) -> list[Span]:
    """Neighbours of one kind and one state are one."""
    joined = list[Span]()
    for span in spans:
        if joined and (joined[-1].kind, joined[-1].state, joined[-1].end) == (span.kind, span.state, span.begin):
            joined[-1] = Span(joined[-1].begin, span.end, span.kind, span.state)
        else:
            joined.append(span)
    return joined


def count_seconds(spans: Iterable[Span]) -> dict[Kind, float]:
    """How long it was of each kind."""
    seconds = dict.fromkeys(Kind, 0.0)
    for span in spans:
        seconds[span.kind] += span.seconds
    return seconds


def find_availability(seconds: dict[Kind, float]) -> float | None:
    """The share of the watched time in which it was healthy, busy or degraded; None where none of it counts."""
    watched = sum(seconds[kind] for kind in COUNTED)
    return seconds[Kind.UP] / watched if watched else None


def find_outages(spans: Sequence[Span]) -> list[Outage]:
    """Stretches of being down, loading after it included: those that begin with something bad. To load is no outage by itself."""
    outages, begin, seen = list[Outage](), None, False
    for place, span in enumerate(spans):
        if begin is None:
            if span.kind is Kind.DOWN:
                begin, seen = span.begin, place > 0 and spans[place - 1].kind is Kind.UP
        elif span.kind not in (Kind.DOWN, Kind.LOADING):
            outages.append(Outage(begin, span.begin, span.kind is Kind.UP, seen))
            begin = None
    if begin is not None:
        outages.append(Outage(begin, spans[-1].end, False, seen))
    return outages
