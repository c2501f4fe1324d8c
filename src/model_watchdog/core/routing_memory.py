"""What is known of the telling as plain values, and back: it outlives the daemon, and its times are moved after a boot."""

from collections.abc import Mapping
from typing import Any

from model_watchdog.core.account import Held, Lane, Pace, Telling, Told, Why
from model_watchdog.core.routes import Acknowledged, Kind, Notice, Silence, Thread, Threads
from model_watchdog.core.rule import Severity

Plain = dict[str, Any]


def remember_telling(state: Telling) -> Plain:
    """All of it; times stay steady seconds of this boot."""
    return {
        "lanes": {name: _lane(lane) for name, lane in state.lanes.items()},
        "threads": [[t.id, t.service, t.opened, t.parent, t.hint, t.is_over] for t in state.threads.known.values()],
        "silences": [[s.id, list(s.services), s.until, s.reason, s.uid, s.since] for s in state.silences.values()],
        "acks": [[number, ack.at, ack.uid, ack.reason] for number, ack in state.acks.items()],
        "numbered": state.numbered,
        "trusts": state.trusts,
        "of_host": state.of_host,
    }


def recall_telling(plain: Mapping[str, Any], shift: float) -> Telling:
    """What `remember_telling` gave, its times moved by `shift` seconds (0 within one boot)."""
    threads = [Thread(number, service, at + shift, *rest) for number, service, at, *rest in plain["threads"]]
    silences = [Silence(name, tuple(of), until + shift, why, uid, since + shift) for name, of, until, why, uid, since in plain["silences"]]
    return Telling(
        {name: _to_lane(lane, shift) for name, lane in plain["lanes"].items()},
        Threads({thread.id: thread for thread in threads}),
        {silence.id: silence for silence in silences},
        {number: Acknowledged(at + shift, uid, reason) for number, at, uid, reason in plain["acks"]},
        plain["numbered"],
        plain["trusts"],
        dict(plain["of_host"]),
    )


def _lane(lane: Lane) -> Plain:
    return {
        "held": [[_notice(held.notice), held.at, held.why.value, list(held.matters), held.is_behind] for held in lane.held.values()],
        "told": [[t.service, t.matter, t.incident, t.severity.value, t.title, t.at] for t in lane.told],
        "paces": [[number, p.first, p.last, p.reminded, p.reminded_at, p.escalated] for number, p in lane.paces.items()],
    }


def _to_lane(plain: Mapping[str, Any], shift: float) -> Lane:
    held = [Held(_to_notice(notice), at + shift, Why(why), tuple(matters), behind) for notice, at, why, matters, behind in plain["held"]]
    told = [
        Told(service, matter, incident, Severity(severity), title, at + shift)
        for service, matter, incident, severity, title, at in plain["told"]
    ]
    paces = {
        number: Pace(first + shift, last + shift, reminded, reminded_at + shift if reminded else 0.0, escalated)
        for number, first, last, reminded, reminded_at, escalated in plain["paces"]
    }
    return Lane({one.notice.key: one for one in held}, told, paces)


def _notice(notice: Notice) -> list[Any]:
    return [notice.key, notice.kind.value, notice.severity.value, notice.service, list(notice.matters), notice.incident, notice.title]


def _to_notice(plain: list[Any]) -> Notice:
    key, kind, severity, service, matters, incident, title = plain
    return Notice(key, Kind(kind), Severity(severity), service, tuple(matters), incident, title)
