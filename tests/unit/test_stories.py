"""Incidents as stories: those of one root are one, with all that was done, told and counted."""

import asyncio
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog import digest, writes
from model_watchdog.config.model import Digest
from model_watchdog.core.routes import TimeOfDay
from model_watchdog.digest import Digests
from model_watchdog.record import Record
from model_watchdog.store import Store
from model_watchdog.stories import find_story, list_incidents
from model_watchdog.wording import compose_healed


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Incident 1 of the host with 2 and 3 behind it; 7 healed by a restart; 9 open and given up."""
    store = Store.open(tmp_path / "watchdog.db")
    rows = [
        writes.incident_open(1, "", 1000.0, "the GPU is lost"),
        writes.incident_open(2, "a", 1010.0, "down"),
        writes.incident_open(3, "b", 1020.0, "down"),
        writes.incident_root(2, 1),
        writes.incident_root(3, 1),
        writes.incident_close(1, 1060.0),
        writes.incident_close(2, 1120.0),
        writes.incident_close(3, 1180.0),
        writes.incident_open(7, "a", 2000.0, "killed"),
        writes.restart_intent(8, "a", 2001.0, "watchdog", "crashed", "killed"),
        writes.restart_result(8, "recovered", "well again", 2050.0),
        writes.event(2050.0, "a", "recovered", None, "well again", 7),
        writes.incident_close(7, 2060.0),
        writes.incident_open(9, "b", 3000.0, "down"),
        writes.event(3030.0, "b", "gave_up", None, "open", 9),
        writes.outbox_add("k", "ops", "critical", "b is down", "body", 3030.0, incident=9),
        writes.service_status("b", '{"name": "b", "problems": [{"remedy": "mend it"}], "recovery": {"phase": "gave_up"}}', 3040.0),
    ]
    assert asyncio.run(store.commit(*rows))
    store.close()
    return tmp_path


def test_what_has_one_root_is_one_incident(state_dir: Path) -> None:
    with Record.open(state_dir) as record:
        told = list_incidents(record, 0.0, None, 3600.0)
        assert [(story["id"], story["services"], story["minutes"]) for story in told] == [
            (1, [None, "a", "b"], 3.0),
            (7, ["a"], 1.0),
            (9, ["b"], 10.0),
        ]
        assert [story["restarts"] for story in told] == [0, 1, 0]
        assert [story["id"] for story in list_incidents(record, 1500.0, "a", 3600.0)] == [7]
        assert [story["id"] for story in list_incidents(record, 0.0, "host", 3600.0)] == [1]


def test_one_that_follows_is_told_with_its_root(state_dir: Path) -> None:
    with Record.open(state_dir) as record:
        for number in (1, 2, 3):
            story = find_story(record, number, 3600.0)
            assert story is not None and (story["id"], story["follows"], story["closed_at"]) == (1, [2, 3], 1180.0)
        assert find_story(record, 5, 3600.0) is None


def test_what_is_left_for_a_person(state_dir: Path) -> None:
    with Record.open(state_dir) as record:
        story = find_story(record, 9, 3600.0)
        assert story is not None
        assert story["left"] == ["mend it", "watchdog reset b"]
        assert [message["title"] for message in story["messages"]] == ["b is down"]
        healed = find_story(record, 7, 3600.0)
        assert healed is not None and healed["left"] == [] and [restart["result"] for restart in healed["restarts"]] == ["recovered"]


def test_the_digest_tells_of_what_was_healed_and_of_nothing_else(state_dir: Path) -> None:
    healed = digest.gather(state_dir, 0.0, 3600.0)
    assert [story["id"] for story in healed] == [7]
    message = compose_healed("box", "digest/2026-11-28", healed, 86_400.0)
    assert message.title == "[info] box: healed without a person: 1"
    assert "restarts: 1; something was wrong for 1 min" in message.body and "7 a 1 min killed" in message.body
    assert digest.gather(state_dir, 2100.0, 3600.0) == []


def test_a_digest_is_told_once_and_not_where_there_is_nothing(state_dir: Path) -> None:
    store = Store.open(state_dir / "watchdog.db")
    told: list[tuple[str, str]] = []
    outbox = SimpleNamespace(add=lambda name, message: told.append((name, message.title)) or [], wake=lambda: None)  # type: ignore[func-returns-value]
    wall = [datetime(1970, 1, 1, 9, 30).timestamp()]
    spawned: list[Any] = []
    daemon: Any = SimpleNamespace(
        config=SimpleNamespace(digest=Digest(("ops",), TimeOfDay(9 * 3600))),
        clock=SimpleNamespace(wall=lambda: wall[0]),
        store=store,
        outbox=outbox,
        dry_run=False,
        state_dir=state_dir,
        means=SimpleNamespace(hostname="box"),
        spawn=lambda work: spawned.append(work) or SimpleNamespace(done=lambda: True),  # type: ignore[func-returns-value]
    )
    digests = Digests(daemon)

    def look() -> None:
        digests.look()
        while spawned:
            asyncio.run(spawned.pop())
        asyncio.run(store.commit())

    look()
    assert told == [], "the day on which it begins"
    asyncio.run(store.commit(writes.setting("digest", "1969-12-31")))
    digests = Digests(daemon)
    daemon.state_dir = state_dir / "none"
    look()
    daemon.state_dir = state_dir
    assert told == [], "a record that cannot be read is not the first day"
    look()
    look()
    assert told == [("ops", "[info] box: healed without a person: 1")]
    wall[0] += 2 * 86_400
    look()
    assert len(told) == 1, "nothing was healed since"
    assert store.setting("digest") == "1970-01-03"
    store.close()
