"""The outbox: every message is told at least once, whatever is down; a notifier that is down delays no other."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from model_watchdog import lanes
from model_watchdog import outbox as outbox_module
from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.rule import Severity
from model_watchdog.errors import CredentialsRefused, NotifyError
from model_watchdog.notifiers import Message
from model_watchdog.outbox import Delivery, Outbox, send_test, wait_after
from model_watchdog.record import Record
from model_watchdog.store import Store
from model_watchdog.wording import say

SRC = Path(outbox_module.__file__).parents[1]


class Provider:
    """A notifier that does as it is told: `errors` are its next answers, then it is well."""

    def __init__(self, *errors: str | None, seconds: float = 0.0) -> None:
        self.errors = list(errors)
        self.seconds = seconds
        self.asked: list[tuple[float, str]] = []
        self.told: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    async def send(self, message: Message) -> None:
        self.asked.append((time.monotonic(), message.key))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.errors and (error := self.errors.pop(0)):
            raise NotifyError(error)
        self.told.append(message.key)


DOWN = ["it is down"] * 1000


def config(**providers: Provider) -> dict[str, NotifierConfig]:
    return {name: NotifierConfig(name, "test", provider, Severity.INFO) for name, provider in providers.items()}


def a_message(key: str, severity: Severity = Severity.CRITICAL) -> Message:
    return Message(key, severity, f"title {key}", f"body {key}")


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path


@pytest.fixture
def run(state_dir):
    """run(work): opens a store, awaits work(store), closes it."""

    def run_it(work: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
        store = Store.open(state_dir / "watchdog.db")
        try:
            asyncio.run(work(store))
        finally:
            store.close()

    return run_it


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        await asyncio.sleep(0.01)


def enqueue(store: Store, outbox: Outbox, message: Message, *names: str) -> None:
    """As the daemon does with a message for these notifiers, or for all; the rest of its transaction left out."""
    for name in names or outbox._lanes:
        store.put(*outbox.add(name, message))
    outbox.wake()


def rows(state_dir: Path) -> dict[tuple[str, str], tuple[str, int, str]]:
    with Record.open(state_dir) as record:
        found = record.rows("SELECT key, notifier, state, attempts, error FROM outbox")
    return {(row["key"], row["notifier"]): (row["state"], row["attempts"], row["error"]) for row in found}


def test_each_notifier_is_told_once(run, state_dir):
    everything, critical = Provider(), Provider()
    events: list[Delivery] = []

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=everything, boss=critical), on_event=events.append)
        outbox.start()
        for key, severity in (("a", Severity.INFO), ("b", Severity.WARNING), ("c", Severity.CRITICAL)):
            for _ in range(2):
                enqueue(store, outbox, a_message(key, severity), *(["ops", "boss"] if key == "c" else ["ops"]))
        await until(lambda: outbox.stats()["sent"] == 4)
        enqueue(store, outbox, a_message("c"))
        assert outbox.stats() == {"queued": 0, "undeliverable": 0, "sent": 4}
        assert await store.commit()
        await outbox.close()

    run(work)
    assert everything.told == ["a", "b", "c"]
    assert critical.told == ["c"]
    assert everything.most_at_once == 1
    assert {state for state, _, _ in rows(state_dir).values()} == {"sent"}
    assert [event.event for event in events] == ["told"] * 4
    assert ("told", "boss", "title c") in [(event.event, event.notifier, event.title) for event in events]


def test_the_schedule_is_that_of_the_promise():
    waits = [wait_after(attempt, 0.0) for attempt in range(1, 30)]
    for wait, nominal in zip(waits, [min(2.0**n, 1800.0) for n in range(29)], strict=True):
        assert wait is not None
        assert 0.9 * nominal <= wait <= 1.1 * nominal
    assert len({wait_after(5, 0.0) for _ in range(20)}) > 10, "jitter"
    assert wait_after(100_000, 86399.0) is not None
    assert wait_after(1, 86400.0) is None


def test_it_tries_again_and_is_told_once(run, state_dir):
    provider = Provider("error=500", "error=500")
    events: list[Delivery] = []

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider), on_event=events.append)
        enqueue(store, outbox, a_message("a"))
        await until(lambda: len(provider.asked) == 1)
        await until(lambda: [event.error for event in events] == ["error=500"])
        assert await store.commit()
        assert rows(state_dir) == {("a", "ops"): ("queued", 1, "error=500")}
        await until(lambda: provider.told == ["a"], 6)
        await until(lambda: outbox.stats()["sent"] == 1)
        await outbox.close()

    run(work)
    first, second, third = (at for at, _ in provider.asked)
    assert 0.85 < second - first < 1.5
    assert 1.75 < third - second < 2.6
    assert rows(state_dir) == {("a", "ops"): ("sent", 3, "")}
    assert [(event.event, event.error) for event in events] == [("not_told", "error=500"), ("told", "")]


def test_a_notifier_that_is_down_or_slow_delays_no_other(run):
    slow, down, good = Provider(seconds=30), Provider(*DOWN), Provider()

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(slow=slow, down=down, good=good))
        began = time.monotonic()
        for number in range(20):
            enqueue(store, outbox, a_message(str(number)))
        await until(lambda: outbox.stats()["sent"] == 20, 1.0)  # folded into one: it is a flood
        assert time.monotonic() - began < 1.0
        began = time.monotonic()
        await outbox.close()
        assert time.monotonic() - began < 1.0

    run(work)
    assert slow.told == down.told == []
    assert slow.at_once == 0, "the one that was being sent was ended"


def test_no_more_than_three_send_at_once(run):
    """Each may be a child process of 35 MB, and the unit has 200 MB."""
    providers = {f"n{number}": Provider(seconds=0.1) for number in range(8)}
    most = 0

    async def work(store: Store) -> None:
        nonlocal most
        outbox = Outbox(store, config(**providers))
        enqueue(store, outbox, a_message("a"))
        testing = asyncio.create_task(send_test(config(**{f"t{number}": Provider() for number in range(5)})))
        while outbox.stats()["queued"]:
            most = max(most, sum(provider.at_once for provider in providers.values()))
            await asyncio.sleep(0.005)
        assert len(await testing) == 5
        await outbox.close()

    run(work)
    assert most == 3
    assert all(provider.told == ["a"] for provider in providers.values())


def test_when_a_provider_is_back_all_that_waits_is_told_at_once(run):
    provider = Provider(*["down"] * 5)

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider))
        for key in "abcd":
            enqueue(store, outbox, a_message(key))
        await until(lambda: len(provider.asked) >= 5)  # each has failed once, and one twice: that one is due in 2 s
        await until(lambda: len(provider.told) == 4, 1.5)
        await outbox.close()

    run(work)
    assert sorted(provider.told) == list("abcd")


def test_another_run_goes_on_where_the_last_one_stood(run, state_dir):
    down, good = Provider(*DOWN), Provider()

    async def before(store: Store) -> None:
        outbox = Outbox(store, config(ops=down, gone=down))
        enqueue(store, outbox, a_message("a"))
        enqueue(store, outbox, a_message("b"))
        await until(lambda: len(down.asked) == 4)
        await outbox.close()

    async def after(store: Store) -> None:
        outbox = Outbox(store, config(ops=good, new=good))
        assert outbox.stats() == {"queued": 0, "undeliverable": 0, "sent": 0}
        outbox.start()
        assert outbox.stats() == {"queued": 2, "undeliverable": 2, "sent": 0}
        enqueue(store, outbox, a_message("a"))  # decided again after a crash
        await until(lambda: outbox.stats()["queued"] == 0)
        await outbox.close()

    run(before)
    assert {state for state, _, _ in rows(state_dir).values()} == {"queued"}
    run(after)
    assert sorted(good.told) == ["a", "a", "b"], "a also to the notifier that is new, which has not had it"
    found = rows(state_dir)
    assert found["a", "ops"][:2] == ("sent", 2)
    assert found["a", "gone"] == ("undeliverable", 1, "this notifier is no longer configured")


def test_what_was_told_is_not_told_again_by_another_run(run):
    provider = Provider()

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider))
        outbox.start()
        enqueue(store, outbox, a_message("a"))
        await asyncio.sleep(0.1)
        await until(lambda: outbox.stats()["queued"] == 0)
        await outbox.close()

    run(work)
    run(work)
    assert provider.told == ["a"]


def test_after_a_day_it_is_undeliverable_but_never_without_a_try(run, state_dir):
    down, good = Provider(*DOWN), Provider(*DOWN)
    events: list[Delivery] = []
    day = 86400.0

    def at(offset: float) -> Callable[[], float]:
        return lambda: time.time() + offset

    async def before(store: Store) -> None:
        outbox = Outbox(store, config(down=down, good=good), wall=at(-day - 60))
        enqueue(store, outbox, a_message("a"))
        await until(lambda: len(down.asked) == len(good.asked) == 1)
        await outbox.close()
        good.errors.clear()

    async def after(store: Store) -> None:
        outbox = Outbox(store, config(down=down, good=good), on_event=events.append)
        outbox.start()
        await until(lambda: outbox.stats()["queued"] == 0)
        assert outbox.stats() == {"queued": 0, "undeliverable": 1, "sent": 1}
        await outbox.close()

    run(before)
    run(after)
    assert rows(state_dir) == {("a", "down"): ("undeliverable", 2, "it is down"), ("a", "good"): ("sent", 2, "")}
    with Record.open(state_dir) as record:
        assert record.notifications() == {"queued": 0, "undeliverable": 1}
    assert {(event.event, event.notifier) for event in events} == {("undeliverable", "down"), ("told", "good")}
    assert {say(event.reason).partition(":")[0] for event in events} == {"down could not be told within a day", "good was told"}


def test_a_wall_clock_that_was_set_does_not_keep_a_message_waiting(run):
    provider = Provider("down")
    events: list[Delivery] = []

    async def before(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider), wall=lambda: time.time() + 10 * 86400, on_event=events.append)
        enqueue(store, outbox, a_message("a"))
        await until(lambda: events)
        await outbox.close()

    async def after(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider))
        outbox.start()
        (item,) = outbox._lanes["ops"].waiting.values()
        assert item.due - time.monotonic() <= 1800.0
        await outbox.close()

    run(before)
    run(after)


def test_a_record_that_cannot_be_written_keeps_nobody_from_being_told(tmp_path):
    provider = Provider("down")
    (tmp_path / "file").touch()

    async def work() -> None:
        store = Store.open(tmp_path / "file" / "watchdog.db")
        assert store.problem
        outbox = Outbox(store, config(ops=provider))
        outbox.start()
        message = a_message("a")
        assert not await store.commit(*outbox.add("ops", message), timeout=0.5)
        outbox.wake()
        await until(lambda: provider.told == ["a"])
        enqueue(store, outbox, message)
        await until(lambda: outbox.stats() == {"queued": 0, "undeliverable": 0, "sent": 1})
        await outbox.close()
        store.close()

    asyncio.run(work())
    assert provider.told == ["a"]


def test_dry_run_sends_and_queues_nothing_but_says_what_it_would(run, state_dir):
    provider = Provider()
    events: list[Delivery] = []

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider), on_event=events.append, dry_run=True)
        outbox.start()
        outbox.would_tell(["ops"], a_message("a"))
        await asyncio.sleep(0.1)
        await outbox.close()

    run(work)
    assert provider.asked == []
    assert rows(state_dir) == {}
    assert events == [Delivery("would_tell", "ops", "title a")]


def test_a_file_that_the_provider_refuses_does_not_keep_the_text_back(run, state_dir, monkeypatch):
    monkeypatch.setattr("model_watchdog.outbox.wait_after", lambda attempts, age: 0.01)
    seen: list[str] = []

    class TextOnly(Provider):
        async def send(self, message: Message) -> None:
            seen.append(message.attachment)
            if message.attachment:
                raise NotifyError("413: too large")
            await super().send(message)

    provider = TextOnly()

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider))
        enqueue(store, outbox, Message("report/week", Severity.INFO, "a week", "/reports/week.html", attachment="/reports/week.html"))
        await until(lambda: provider.told == ["report/week"])
        await outbox.close()

    run(work)
    assert seen == ["/reports/week.html"] * 3 + [""]


def test_a_test_message_goes_past_the_queue(run, state_dir):
    good, down = Provider(), Provider(*DOWN)

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(good=good, down=down))
        assert await outbox.send_test() == {"good": None, "down": "it is down"}
        assert await outbox.send_test("good") == {"good": None}
        assert await send_test(config(good=good)) == {"good": None}
        await outbox.close()

    run(work)
    assert good.told == ["test"] * 3
    assert rows(state_dir) == {}


def test_a_flood_is_one_message_with_its_count_and_each_of_it_is_marked(run, state_dir):
    """Sending takes a while, as it does: what has come meanwhile is too much to be told one by one."""
    provider = Provider(seconds=0.2)
    composed: list[Message] = []
    events: list[Delivery] = []

    async def send(message: Message) -> None:
        composed.append(message)
        await Provider.send(provider, message)

    provider.send = send  # type: ignore[method-assign]
    late = 0.0

    async def work(store: Store) -> None:
        nonlocal late
        outbox = Outbox(store, config(ops=provider), steady=lambda: time.monotonic() + late, on_event=events.append)
        outbox.start()
        for number in range(300):
            enqueue(store, outbox, a_message(str(number), Severity.CRITICAL if number % 3 == 0 else Severity.WARNING))
            await asyncio.sleep(0 if number < 100 else 0.001)
        await asyncio.sleep(0.5)
        assert len(composed) == 1, "the first at once, and nothing more for half a minute"
        assert outbox.stats() == {"queued": 299, "undeliverable": 0, "sent": 1}
        late = 30.0
        outbox.wake()
        await until(lambda: outbox.stats()["queued"] == 0)
        assert await store.commit()
        await outbox.close()

    run(work)
    assert provider.told == ["0", "digest/1"]
    digest = composed[1]
    assert digest.severity is Severity.CRITICAL
    assert digest.title == f"[critical] {os.uname().nodename}: 299 messages at once"
    assert "299 messages within 3" in digest.body and "s: 99 critical, 200 warning" in digest.body
    assert [line[7:] for line in digest.body.splitlines() if "title" in line] == [f"title {number}" for number in range(3, 33, 3)]
    assert "and 289 more" in digest.body
    assert {row[:2] for row in rows(state_dir).values()} == {("sent", 1)} and len(rows(state_dir)) == 300
    assert [event.title for event in events] == ["title 0", digest.title]


def test_what_could_not_be_told_together_is_tried_together(run, state_dir):
    """Or each round would cost as many child processes as there are messages."""
    provider = Provider("down", "down")

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider))
        for number in range(100):
            enqueue(store, outbox, a_message(str(number)))
        await until(lambda: outbox.stats()["sent"] == 100)
        assert await store.commit()
        await outbox.close()

    run(work)
    assert [key for _, key in provider.asked] == ["digest/0"] * 3
    assert {row[:2] for row in rows(state_dir).values()} == {("sent", 3)}


class Refusing(Provider):
    """Does not accept the credentials until `errors` are used up."""

    async def send(self, message: Message) -> None:
        try:
            await super().send(message)
        except NotifyError as error:
            raise (CredentialsRefused if "401" in str(error) else NotifyError)(str(error)) from None


def test_who_refuses_the_credentials_three_times_in_a_row_is_misconfigured(run, monkeypatch):
    monkeypatch.setattr(lanes, "GATHER", 0.0)
    refusing, other = Refusing("error=401", "error=401", "error=500", "error=401", "error=401", "error=401", "error=500"), Refusing()
    seen = []

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(refusing=refusing, other=other))
        for number in range(8):
            enqueue(store, outbox, a_message(str(number)))
            wanted = number + 1
            await until(lambda: min(len(refusing.asked), len(other.told)) >= wanted)  # noqa: B023 (it is awaited at once)
            await asyncio.sleep(0.02)
            seen.append("refusing" in outbox.misconfigured and outbox.misconfigured["refusing"])
            for item in outbox._lanes["refusing"].waiting.values():
                item.due += 1000.0  # each message once
        assert "other" in outbox.misconfigured
        await outbox.close()

    run(work)
    assert seen == [False, False, False, False, False, "error=401", "error=500", None], "not before, until it is told something"
    assert other.told == [str(number) for number in range(8)]


def test_a_test_message_that_arrives_takes_it_back(run):
    refusing = Refusing("error=401", "error=401", "error=401")

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=refusing))
        for number in range(3):
            enqueue(store, outbox, a_message(str(number)))
        await until(lambda: outbox.misconfigured == {"ops": "error=401"})
        assert await outbox.send_test() == {"ops": None}
        assert outbox.misconfigured.get("ops") is None
        await outbox.close()

    run(work)


class Broken:
    """Breaks the promise that only NotifyError is raised, with a secret in its text."""

    async def send(self, message: Message) -> None:
        raise RuntimeError("token=s3cret")


def test_a_notifier_that_breaks_its_promise_does_not_end_its_lane_nor_tell_its_secret(run, state_dir, caplog):
    events: list[Delivery] = []
    caplog.set_level("DEBUG")

    async def work(store: Store) -> None:
        outbox = Outbox(store, {"ops": NotifierConfig("ops", "test", Broken(), Severity.INFO)}, on_event=events.append)
        enqueue(store, outbox, a_message("a"))
        await until(lambda: events)
        assert outbox.stats()["queued"] == 1
        assert await store.commit()
        await outbox.close()

    run(work)
    assert rows(state_dir)["a", "ops"] == ("queued", 1, "the notifier failed with RuntimeError")
    assert "s3cret" not in caplog.text + repr(events)


CRASHING = """
import asyncio, sys
from pathlib import Path
from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.rule import Severity
from model_watchdog.notifiers import Message
from model_watchdog.outbox import Outbox
from model_watchdog.store import Store

class ToFile:
    async def send(self, message):
        with open(sys.argv[2], "a") as file:
            file.write(message.key + "\\n")

async def main():
    store = Store.open(Path(sys.argv[1]))
    outbox = Outbox(store, {"ops": NotifierConfig("ops", "test", ToFile(), Severity.INFO)})
    outbox.start()
    assert await store.commit(*outbox.add("ops", Message("a", Severity.CRITICAL, "t", "b")))
    outbox.wake()
    while outbox.stats()["queued"]:
        await asyncio.sleep(0.01)
    await outbox.close()
    store.close()

asyncio.run(main())
"""


def test_fault_45_76_a_crash_between_sending_and_marking_costs_one_duplicate_at_most(tmp_path):
    told = tmp_path / "told"

    def live(crash_at: str) -> int:
        environment = {**os.environ, "PYTHONPATH": str(SRC), "MODEL_WATCHDOG_CRASH_AT": crash_at}
        return subprocess.run(
            [sys.executable, "-c", CRASHING, tmp_path / "watchdog.db", told], env=environment, timeout=30, check=False
        ).returncode

    assert live("message_sent") == -9
    assert told.read_text() == "a\n"
    assert rows(tmp_path)["a", "ops"][0] == "queued"
    assert live("") == 0
    assert told.read_text() == "a\na\n", "told again: it could not be known"
    assert live("") == 0
    assert told.read_text() == "a\na\n", "and never more"
    assert rows(tmp_path)["a", "ops"][0] == "sent"


def test_another_configuration_keeps_what_waits(run, state_dir):
    """A notifier that has changed gets it at once, one that has not goes on as it was, one that is gone gets nothing more."""
    old, new, slow = Provider(*DOWN), Provider(), Provider(*DOWN)
    events: list[Delivery] = []

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=old, gone=old, same=slow), on_event=events.append)
        for key in "ab":
            enqueue(store, outbox, a_message(key))
        await until(lambda: len(old.asked) >= 8 and len(slow.asked) >= 4)  # each has failed twice: due in 2 s
        asked, before = len(slow.asked), time.monotonic()
        outbox.follow(config(ops=new, same=slow, added=new))
        await until(lambda: len(new.told) == 2, 1.0)
        assert len(slow.asked) == asked or time.monotonic() - before > 0.5
        assert outbox.stats() == {"queued": 2, "undeliverable": 2, "sent": 2}
        enqueue(store, outbox, a_message("c"))
        await until(lambda: sorted(new.told) == ["a", "b", "c", "c"])
        await outbox.close()

    run(work)
    found = rows(state_dir)
    assert {key for key, notifier in found if notifier == "gone"} == {"a", "b"}
    assert {found[key, "gone"][::2] for key in "ab"} == {("undeliverable", "this notifier is no longer configured")}
    assert {found[key, "ops"][0] for key in "abc"} == {"sent"} and {found[key, "same"][0] for key in "abc"} == {"queued"}
    assert found["c", "added"][0] == "sent" and ("a", "added") not in found
    given_up = {say(event.reason) for event in events if event.event == "undeliverable"}
    assert given_up == {f"gone is no longer configured, so that it is not told: {a_message(key).title}" for key in "ab"}


@pytest.mark.parametrize(("answer", "state"), [(None, "sent"), ("it is down", "undeliverable")])
def test_what_is_under_way_to_a_notifier_that_goes_is_not_cut_off(run, state_dir, answer: str | None, state: str):
    provider = Provider(answer, seconds=0.3)

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=provider))
        for key in "ab":
            enqueue(store, outbox, a_message(key))
        await until(lambda: provider.at_once == 1)
        outbox.follow({})
        assert outbox.stats()["undeliverable"] == 1, "the one that only waits"
        await asyncio.sleep(0.5)
        await store.commit()
        await outbox.close()

    run(work)
    assert len(provider.asked) == 1
    assert [found[0] for found in rows(state_dir).values()] == [state, "undeliverable"]


def test_a_failure_of_the_address_before_counts_not_against_the_one_now(run):
    refusing, new = Provider("no", seconds=0.2), Provider()

    async def work(store: Store) -> None:
        outbox = Outbox(store, config(ops=refusing))
        enqueue(store, outbox, a_message("a"))
        await until(lambda: refusing.at_once == 1)
        outbox.follow(config(ops=new))
        await until(lambda: new.told == ["a"], 0.8)  # and not a second later, as after a failure
        assert outbox.misconfigured == {"ops": None}
        await outbox.close()

    run(work)
