"""The outbox: messages to people, kept in the record until they are told, or a day has passed.

Each notifier has a lane of its own, and a lane sends one message at a time: a notifier that is down delays no other
(but no more than three send at once, because a child process of apprise takes 35 MB and the unit has 200 in all).
A message is sent at least once; after a crash between sending and marking, twice. Retries live here and nowhere else.
A flood is folded into one message with its count; each message of it is marked as sent by itself. `lanes` says when.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tenacity import RetryCallState, Retrying, stop_after_delay, wait_exponential

from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.decision import Param, Reason
from model_watchdog.core.routes import Kind, Topic
from model_watchdog.core.rule import Severity
from model_watchdog.crashpoint import crash_point
from model_watchdog.errors import CredentialsRefused, NotifyError
from model_watchdog.lanes import Item, Lane, Parcel
from model_watchdog.language import phrase
from model_watchdog.notifiers import Message
from model_watchdog.store import Store
from model_watchdog.wording import compose_digest
from model_watchdog.writes import Write, outbox_add, outbox_release, outbox_update

log = logging.getLogger(__name__)

LONGEST_WAIT = 1800.0
GIVE_UP_AFTER = 86400.0
JITTER = 0.1  # of each wait, either way: many hosts must not ask a recovered provider in step
MOST_KNOWN = 2000
MOST_AT_ONCE = 3
NOT_CONFIGURED = "this notifier is no longer configured"

_wait = wait_exponential(multiplier=1, max=LONGEST_WAIT)
_stop = stop_after_delay(GIVE_UP_AFTER)
_retrying = Retrying()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message: `told`, `not_told` (its first failure), `undeliverable`, or `would_tell` (dry run)."""

    event: str
    notifier: str
    title: str
    error: str = ""

    @property
    def reason(self) -> Reason:
        """What is said of it. What is given up because its notifier is gone was not tried for a day."""
        params: dict[str, Param] = {"notifier": self.notifier, "title": self.title, "detail": self.error}
        if self.error == NOT_CONFIGURED:
            return Reason("notifier_gone", params)
        return Reason(self.event, params)


TRIES_WITH_FILE = 3
"""After so many a message goes without its file; its text names the path."""


class Outbox:
    """Queues, sends, tries again. Times in the record are wall time; waiting is on the steady clock."""

    def __init__(
        self,
        store: Store,
        notifiers: Mapping[str, NotifierConfig],
        *,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        on_event: Callable[[Delivery], None] = lambda delivery: None,
        dry_run: bool = False,
    ) -> None:
        self._store = store
        self._lanes = {name: Lane(config) for name, config in notifiers.items()}
        self._steady = steady
        self._wall = wall
        self._on_event = on_event
        self._dry_run = dry_run
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._known: dict[tuple[str, str], None] = {}  # a set in order of age
        self._done = {"sent": 0, "undeliverable": 0}

    def start(self) -> None:
        """Goes on with what an earlier run of the daemon left in the record: what is due is sent at once."""
        for row in self._store.outbox_done(MOST_KNOWN):
            self._known[row["key"], row["notifier"]] = None
            self._done["undeliverable"] += row["state"] == "undeliverable"
        for row in () if self._dry_run else self._store.outbox_due():
            if (row["key"], row["notifier"]) not in self._known:
                self._resume(row)
        for row in () if self._dry_run else self._store.outbox_held():
            if (row["key"], row["notifier"]) not in self._known:
                self._resume(row, is_held=True)
        self.wake()

    def follow(self, notifiers: Mapping[str, NotifierConfig]) -> None:
        """Another configuration. What waits for a notifier that has changed is sent to it as it is now, and at once."""
        before, self._lanes = self._lanes, {}
        for name, config in notifiers.items():
            lane = self._lanes[name] = before.pop(name) if name in before else Lane(config)
            if lane.config != config:
                lane.change(config, self._steady())
        for name, lane in before.items():
            lane.is_gone = True
            for item in lane.leave():
                self._give_up(name, item, NOT_CONFIGURED)
            lane.changed.set()
        self.wake()

    def would_tell(self, notifiers: Iterable[str], message: Message) -> None:
        """In a dry run: these would be told."""
        for name in notifiers:
            self._on_event(Delivery("would_tell", name, message.title))

    def add(self, notifier: str, message: Message, incident: int | None = None, *, is_held: bool = False) -> list[Write]:
        """Takes the message in for one notifier, to be sent now or when `release` says so, and gives the rows to be written with its cause.

        Call `wake` when they are written, or could not be. A message that was taken before is not taken again.
        """
        lane = self._lanes.get(notifier)
        if lane is None or (message.key, notifier) in self._known:
            return []
        now = self._steady()
        (lane.held if is_held else lane.waiting)[message.key] = Item(message, now, now)
        self._remember(message.key, notifier)
        return [_write(notifier, message, self._wall(), incident=incident, is_held=is_held)]

    def release(self, notifier: str, keys: Sequence[str], bundle: str) -> list[Write]:
        """These are to be sent now, those of a `bundle` as one."""
        lane, now = self._lanes[notifier], self._steady()
        writes = []
        for key in keys:
            item = lane.held.pop(key, None)
            if item is not None:  # or it was not in a record that was lost
                item.due, item.bundle = now, bundle
                lane.waiting[key] = item
                writes.append(outbox_release(key, notifier, bundle))
        return writes

    def held(self) -> list[tuple[str, str]]:
        """Notifier and key of each message that is held."""
        return [(name, key) for name, lane in self._lanes.items() for key in lane.held]

    def drop(self, notifier: str, key: str, why: str) -> list[Write]:
        """It is never sent there; it stays in the record."""
        lane = self._lanes.get(notifier)
        if lane is not None:
            lane.held.pop(key, None)
        return [outbox_update(key, notifier, "dropped", 0, self._wall(), why)]

    def wake(self) -> None:
        """Sends what is due."""
        for name, lane in self._lanes.items():
            if not lane.waiting:
                continue
            lane.changed.set()
            if lane.task is None or lane.task.done():
                lane.task = asyncio.get_running_loop().create_task(self._work(lane), name=f"outbox {name}")

    async def send_test(self, notifier: str | None = None) -> dict[str, str | None]:
        """As `send_test` below, to one notifier or to all."""
        answers = await send_test({name: lane.config for name, lane in self._lanes.items() if notifier in (None, name)})
        for name, error in answers.items():
            if error is None:
                self._lanes[name].refusals, self._lanes[name].is_well = 0, True  # it has been mended
        return answers

    def stats(self) -> dict[str, int]:
        """`queued` waits now; `undeliverable` is of the last 30 days, `sent` of this run."""
        return {"queued": sum(len(lane.waiting) + len(lane.held) for lane in self._lanes.values()), **self._done}

    @property
    def misconfigured(self) -> dict[str, str | None]:
        """By notifier: what the provider answered that has refused its credentials again and again; None for one that is well.

        Of the others nothing is known yet.
        """
        judged = {name: lane for name, lane in self._lanes.items() if lane.is_misconfigured or lane.is_well}
        return {name: lane.error if lane.is_misconfigured else None for name, lane in judged.items()}

    def waiting_writes(self) -> list[Write]:
        """All that waits, for a record that has begun anew."""
        now, wall, writes = self._steady(), self._wall(), []
        for name, lane in self._lanes.items():
            for key, item in lane.waiting.items():
                writes.append(_write(name, item.message, wall - (now - item.queued), bundle=item.bundle))
                writes.append(outbox_update(key, name, "queued", item.attempts, wall + max(item.due - now, 0.0), lane.error))
            writes += [_write(name, item.message, wall - (now - item.queued), is_held=True) for item in lane.held.values()]
        return writes

    def takes_each(self, notifier: str) -> bool:
        """Whether it is a machine, which is told of each alert by itself, and of its end."""
        lane = self._lanes.get(notifier)
        return lane is not None and lane.config.takes_each

    async def close(self) -> None:
        """Stops sending; what is not sent stays in the record, for the next run."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None and not lane.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def _resume(self, row: Mapping[str, Any], *, is_held: bool = False) -> None:
        message = Message(row["key"], Severity(row["severity"]), row["title"], row["body"], *read_topics(row["topics"]), row["attachment"])
        self._remember(row["key"], row["notifier"])
        now, wall = self._steady(), self._wall()
        wait = min(max(row["next_at"] - wall, 0.0), LONGEST_WAIT)  # the wall clock may have been set
        item = Item(message, queued=now - max(wall - row["queued_at"], 0.0), due=now + wait, attempts=row["attempts"], bundle=row["bundle"])
        lane = self._lanes.get(row["notifier"])
        if lane is None:
            self._give_up(row["notifier"], item, NOT_CONFIGURED)
        else:
            (lane.held if is_held else lane.waiting)[message.key] = item

    def _remember(self, key: str, notifier: str) -> None:
        self._known[key, notifier] = None
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    async def _work(self, lane: Lane) -> None:
        while lane.waiting:
            parcel = lane.choose(self._steady())
            if parcel.items:
                await self._deliver(lane, parcel)
                continue
            lane.changed.clear()
            with contextlib.suppress(TimeoutError):  # its time has come
                await asyncio.wait_for(lane.changed.wait(), parcel.wait)

    async def _deliver(self, lane: Lane, parcel: Parcel) -> None:
        config, message = lane.config, self._compose(parcel)
        name, lane.sending = config.name, parcel
        await self._store.commit()  # what is sent is in the record: the next daemon must know that its end is to be told
        failure = await _try(config, message, self._turns)
        lane.sending = None
        for item in parcel.items:
            item.attempts += 1
        if failure is not None:
            self._fail(lane, parcel, message, failure, is_current=lane.config is config)
            return
        crash_point("message_sent")
        lane.told(parcel, self._steady())
        self._done["sent"] += len(parcel.items)
        self._on_event(Delivery("told", name, message.title))
        wall = self._wall()
        await self._store.commit(*(outbox_update(item.message.key, name, "sent", item.attempts, wall, "") for item in parcel.items))

    def _compose(self, parcel: Parcel) -> Message:
        """The message itself, or one that stands for them all. A file that the provider may refuse is left out after some tries."""
        if len(parcel.items) == 1:
            (item,) = parcel.items
            return replace(item.message, attachment="") if item.attempts >= TRIES_WITH_FILE else item.message
        began = self._wall() - (self._steady() - min(item.queued for item in parcel.items))
        messages = [item.message for item in parcel.items]
        folded = compose_digest(os.uname().nodename, messages, datetime.fromtimestamp(began).astimezone())
        return replace(folded, attachment=next((one.attachment for one in messages if one.attachment), ""))

    def _fail(self, lane: Lane, parcel: Parcel, message: Message, failure: NotifyError, *, is_current: bool) -> None:
        """What was sent together is tried again together, unless its time is up; at once where the configuration is another by now."""
        name, error, now = lane.config.name, str(failure), self._steady()
        if is_current:
            lane.failed(error, refused=isinstance(failure, CredentialsRefused))
        attempts = max(item.attempts for item in parcel.items)
        wait = (wait_after(attempts, 0.0) or 0.0) if is_current else 0.0
        for item in parcel.items:
            if lane.is_gone or wait_after(item.attempts, now - item.queued) is None:
                del lane.waiting[item.message.key]
                self._give_up(name, item, NOT_CONFIGURED if lane.is_gone else error)
                continue
            item.due = now + wait
            self._store.put(outbox_update(item.message.key, name, "queued", item.attempts, self._wall() + wait, error))
        log.info('event=notify_retry notifier=%s key="%s" attempt=%d wait=%.1f reason="%s"', name, message.key, attempts, wait, error)
        if attempts == 1:
            self._on_event(Delivery("not_told", name, message.title, error))

    def _give_up(self, notifier: str, item: Item, error: str) -> None:
        self._done["undeliverable"] += 1
        self._store.put(outbox_update(item.message.key, notifier, "undeliverable", item.attempts, self._wall(), error))
        self._on_event(Delivery("undeliverable", notifier, item.message.title, error))


def write_topics(message: Message) -> str:
    """Its kind and topics, `["opens", [["chat", "slow"]]]`; "" for none."""
    return json.dumps([message.kind, message.topics]) if message.topics else ""


def read_topics(text: str) -> tuple[Kind, tuple[Topic, ...]]:
    """What `write_topics` gave."""
    if not text:
        return Kind.ONCE, ()
    kind, topics = json.loads(text)
    return Kind(kind), tuple((service, matter) for service, matter in topics)


def _write(notifier: str, message: Message, at: float, **more: Any) -> Write:
    text = message.severity.value, message.title, message.body
    return outbox_add(message.key, notifier, *text, at, topics=write_topics(message), attachment=message.attachment, **more)


async def send_test(notifiers: Mapping[str, NotifierConfig]) -> dict[str, str | None]:
    """Sends one test message to each, past the queue and at once; gives what each answered: None is well."""
    title = phrase("{host}: test message of model-watchdog", host=socket.gethostname())
    message = Message("test", Severity.INFO, title, phrase("If you read this, messages arrive."))
    turns = asyncio.Semaphore(MOST_AT_ONCE)
    answers = await asyncio.gather(*(_try(config, message, turns) for config in notifiers.values()))
    return {name: None if failure is None else str(failure) for name, failure in zip(notifiers, answers, strict=True)}


def wait_after(attempts: int, age: float) -> float | None:
    """Seconds to the next attempt after so many, of a message that is `age` seconds old; None when it is to be given up.

    1, 2, 4 s … 30 min, each ± 10 %; a day in all.
    """
    state = RetryCallState(_retrying, None, (), {})
    state.attempt_number, state.start_time, state.outcome_timestamp = attempts, 0.0, age
    if _stop(state):
        return None
    return float(_wait(state)) * random.uniform(1 - JITTER, 1 + JITTER)


async def _try(config: NotifierConfig, message: Message, turns: asyncio.Semaphore) -> NotifyError | None:
    """Gives what went wrong, or None. A notifier that breaks its promise must not end its lane."""
    try:
        async with turns:
            await config.notifier.send(message)
    except NotifyError as failure:
        return failure
    except Exception as failure:
        return NotifyError(f"the notifier failed with {type(failure).__name__}")  # its text may hold a secret
    return None
