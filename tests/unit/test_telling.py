"""Between what is decided and the outbox: what is known of roots, windows and incidents is in the record, whatever happens to it."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog import maintenance, writes
from model_watchdog.clock import Clock
from model_watchdog.config.model import NotifierConfig, Window
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy, CircuitBreaker
from model_watchdog.core.decision import Notification, Reason
from model_watchdog.core.roots import open_thread
from model_watchdog.core.routes import Kind, Route, Silence, Thread, Threads
from model_watchdog.core.rule import Severity
from model_watchdog.core.state import ServiceState
from model_watchdog.notifiers import Message
from model_watchdog.outbox import Delivery, Outbox, read_topics
from model_watchdog.record import Record
from model_watchdog.store import Store
from model_watchdog.telling import Teller


class StillClock(Clock):
    """Stands where it is put."""

    now = 1000.0

    def steady(self) -> float:
        return self.now


class Nobody:
    async def send(self, message: Message) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "watchdog.db")
    yield store
    store.close()


def a_teller(
    store: Store, clock: Clock, routes: dict[str, Route], events: list[Delivery] | None = None, *, dry_run: bool = False
) -> Teller:
    configs = {name: NotifierConfig(name, "test", Nobody(), Severity.INFO, wishes=route) for name, route in routes.items()}
    outbox = Outbox(store, configs, on_event=([] if events is None else events).append, dry_run=dry_run)
    teller = Teller(clock, store, outbox, "box", dry_run=dry_run)
    teller.recall(configs, None, has_past=False)
    return teller


def test_whatever_followed_from_an_incident_follows_with_it_in_the_record_too(store: Store, tmp_path: Path) -> None:
    clock = StillClock()
    teller = a_teller(store, clock, {"ops": Route("ops", Severity.INFO)})
    rows = [writes.incident_open(number, name, 1.0, "down") for number, name in ((1, "a"), (2, "b"), (3, "c"))]
    rows += teller.open(1, "a", "unit:db")
    rows += teller.open(2, "b", "unit:b")
    rows += teller.open(3, "c", "unit:b")
    rows += teller.open(2, "b", "unit:db")  # it turns out to follow from what 1 follows from
    asyncio.run(store.commit(*rows))
    threads = teller.router.state.threads
    with Record.open(tmp_path) as record:
        kept = {row["id"]: row["root"] or row["id"] for row in record.incidents(only_open=False)}
    assert kept == {number: threads.root(number) for number in (1, 2, 3)}
    assert len(set(kept.values())) == 1


def test_a_cause_that_is_known_later_joins_what_has_the_same_and_nothing_else() -> None:
    threads = Threads()
    open_thread(threads, Thread(1, "a", 1000.0, hint="rule:hot"), None)
    open_thread(threads, Thread(2, "b", 1001.0, hint=""), None)
    open_thread(threads, Thread(3, None, 1500.0, hint="rule:hot2"), None)  # the host's, long after 2 began
    open_thread(threads, Thread(2, "b", 1501.0, hint="unit:b"), None)
    assert threads.root(2) == 2 and threads.known[2].opened == 1001.0
    open_thread(threads, Thread(2, "b", 1502.0, hint="rule:hot"), None)
    assert threads.root(2) == 1


def test_a_window_of_maintenance_that_was_open_is_not_opened_again_by_a_restart(store: Store) -> None:
    clock = StillClock()
    routes = {"ops": Route("ops", Severity.INFO)}
    teller = a_teller(store, clock, routes)
    window = Silence("maintenance 1", ("a",), 5000.0, "patching")
    teller.router.windows = [window]
    asyncio.run(store.commit(*teller.write_state()))
    again = a_teller(store, clock, routes)
    assert again.router.windows == [window]


def test_in_a_dry_run_only_those_are_named_who_would_be_told(store: Store) -> None:
    events: list[Delivery] = []
    routes = {"ops": Route("ops", Severity.INFO), "others": Route("others", Severity.INFO, services=("b*",))}
    teller = a_teller(store, StillClock(), routes, events, dry_run=True)
    about = Notification("a/1", Severity.CRITICAL, "down", None, Reason("down", {}))
    assert teller.take(about, Message("a/1", Severity.CRITICAL, "a is down", ""), "a", 1) == []
    assert [(event.event, event.notifier) for event in events] == [("would_tell", "ops")]


def test_in_a_dry_run_what_is_over_is_forgotten(store: Store) -> None:
    clock = StillClock()
    teller = a_teller(store, clock, {"ops": Route("ops", Severity.INFO)}, dry_run=True)
    for number in range(100):
        teller.open(number, "a", "")
        teller.end(number)
    clock.now += 86_400
    teller.look()
    assert not teller.router.state.threads.known


def test_a_record_that_begins_anew_knows_what_follows_from_the_host(store: Store, tmp_path: Path) -> None:
    teller = a_teller(store, StillClock(), {"ops": Route("ops", Severity.INFO)})
    teller.next_id = lambda: 7
    about = Notification(
        "host/1",
        Severity.CRITICAL,
        "alert_fired",
        None,
        Reason("threshold", {"metric": "gpu_up", "value": 0.0, "below": 1.0}),
        matters=("gpu_lost",),
    )
    asyncio.run(store.commit(*teller.take(about, Message("host/1", Severity.CRITICAL, "lost", ""), None, None)))
    with Record.open(tmp_path) as record:
        before = [(row["id"], row["service"]) for row in record.incidents()]
    store.close()
    anew = tmp_path / "anew"
    anew.mkdir()
    other = Store.open(anew / "watchdog.db")
    asyncio.run(other.commit(*teller.write_anew()))
    other.close()
    with Record.open(anew) as record:
        assert [(row["id"], row["service"]) for row in record.incidents()] == before == [(7, "")]


class Machine(Nobody):
    takes_each = True


def test_a_machine_hears_of_the_end_of_each_series_and_of_what_ends_with_its_incident(store: Store, tmp_path: Path) -> None:
    configs = {"fleet": NotifierConfig("fleet", "test", Machine(), Severity.INFO, wishes=Route("fleet", Severity.INFO))}
    teller = Teller(StillClock(), store, Outbox(store, configs), "box", dry_run=False)
    teller.recall(configs, None, has_past=False)
    rows, number = teller.open(1, "a", ""), count()

    def take(about: str, *matters: str) -> None:
        key = f"a/{next(number)}/{about}"
        notification = Notification(key, Severity.WARNING, about, None, Reason("x", {}), matters=matters)
        rows.extend(teller.take(notification, Message(key, Severity.WARNING, about, ""), "a", 1))

    take("alert_fired", "slow x{gpu=0}")
    take("alert_fired", "slow x{gpu=1}")
    take("cannot_act", "cannot disk_full")
    take("alert_resolved", "slow *")
    take("recovered")
    rows += teller.end(1)
    asyncio.run(store.commit(*rows))
    told = [read_topics(row["topics"]) for row in store.outbox_due()]
    assert told == [
        (Kind.OPENS, (("a", "slow x{gpu=0}"),)),
        (Kind.OPENS, (("a", "slow x{gpu=1}"),)),
        (Kind.OPENS, (("a", "cannot disk_full"),)),
        (Kind.CLOSES, (("a", "slow x{gpu=0}"),)),
        (Kind.ONCE, (("a", "recovered"),)),
        (Kind.CLOSES, (("a", "cannot disk_full"),)),
    ]


def test_a_window_is_the_same_wherever_it_stands_in_the_file(store: Store) -> None:
    now = datetime.now()
    begin, end = ((now + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M") for hours in (-1, 1))
    patching, moving = (
        Window((name,), reason, from_=begin, until=end, pause=True) for name, reason in (("a", "patching"), ("b", "moving"))
    )
    clock, paused = Clock(), list[str]()

    def a_watch(name: str) -> Any:
        return SimpleNamespace(
            service=SimpleNamespace(name=name),
            state=ServiceState(CircuitBreaker(BreakerPolicy(), BackoffPolicy())),
            carry_out=lambda decisions: paused.append(name),
        )

    daemon: Any = SimpleNamespace(
        config=SimpleNamespace(maintenance=(patching,)),
        clock=clock,
        store=store,
        uid=0,
        watches={name: a_watch(name) for name in "ab"},
        means=SimpleNamespace(teller=a_teller(store, clock, {"ops": Route("ops", Severity.INFO)})),
    )
    maintenance.look(daemon)
    assert paused == ["a"]
    daemon.config.maintenance = (moving, patching)
    daemon.watches["a"].state.paused_until = None  # an operator has resumed it
    maintenance.look(daemon)
    assert paused == ["a", "b"]
