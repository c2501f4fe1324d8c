"""What waits for one notifier, and what of it is sent next: one message by itself, or a flood folded into one.

A few messages are told one by one: the first at once, those that follow it within half a minute after a second each, in which it is
seen whether more come. More than a few are a flood: it overwhelms people, and providers refuse it. Then what waits is folded into one
message with its count, at most one in half a minute. What is critical does not wait behind what is not: a few critical messages are
told even while a flood of lesser ones is held back.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.rule import Severity
from model_watchdog.notifiers import Message

FEW = 10
"""So many messages within `PACE` are told one by one."""
PACE = 30.0
"""Seconds from one message to the next while there is a flood."""
GATHER = 1.0
"""Seconds that a message waits for others, when it is not the first of late: the beginning of a flood is not told one by one."""
REFUSALS = 3
"""So many failures in a row that look like refused credentials make a notifier misconfigured."""


@dataclass(slots=True)
class Item:
    """A message on its way to one notifier; `due` and `queued` are steady seconds."""

    message: Message
    queued: float
    due: float
    attempts: int = 0
    bundle: str = ""  # those of the same are sent as one

    @property
    def is_critical(self) -> bool:
        return self.message.severity is Severity.CRITICAL


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent now as one message, oldest first; or nothing, and in how many seconds to ask again.

    One that `overtakes` is critical and goes before a flood that is held back.
    """

    items: tuple[Item, ...]
    wait: float = 0.0
    overtakes: bool = False

    @property
    def is_one(self) -> bool:
        """One message by itself, or what is one message by what it says: not a flood."""
        return len(self.items) == 1 or (self.items[0].bundle != "" and len({item.bundle for item in self.items}) == 1)


@dataclass(slots=True)
class Lane:
    """What waits for one notifier, oldest first, and what it was told of late. Times are steady seconds."""

    config: NotifierConfig
    waiting: dict[str, Item] = field(default_factory=dict)
    held: dict[str, Item] = field(default_factory=dict)  # not to be sent before somebody says so
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    error: str = ""
    refusals: int = 0
    is_well: bool = False  # it was told something, and nothing has failed since
    sending: Parcel | None = None  # under way just now
    is_gone: bool = False  # configured no longer
    _told: "deque[tuple[float, int, int]]" = field(default_factory=deque)  # when, how many it counts for, how many as critical
    _paced: float | None = None

    def change(self, config: NotifierConfig, now: float) -> None:
        """Another address, say: nothing is known of it yet, and what waits is due."""
        self.config = config
        self.error, self.refusals, self.is_well = "", 0, False
        for item in self.waiting.values():
            item.due = min(item.due, now)

    def leave(self) -> list[Item]:
        """Takes out what waits, but for what is under way just now."""
        under_way = {item.message.key for item in self.sending.items} if self.sending else set()
        left = [item for key, item in self.waiting.items() if key not in under_way]
        left += self.held.values()
        self.waiting, self.held = {key: item for key, item in self.waiting.items() if key in under_way}, {}
        return left

    def choose(self, now: float) -> Parcel:
        """What to send next. Something must be waiting."""
        due = sorted((item for item in self.waiting.values() if item.due <= now), key=lambda item: item.due)
        if not due:
            return Parcel((), min(item.due for item in self.waiting.values()) - now)
        if self.config.takes_each:
            return Parcel((due[0],))
        while self._told and self._told[0][0] <= now - PACE:
            self._told.popleft()
        young = due[0].queued + GATHER - now
        if self._told and young > 0:
            return Parcel((), young)
        if _count(due) <= FEW - sum(count for _, count, _ in self._told):
            return Parcel(_take_with(due[0], due))
        critical = [item for item in due if item.is_critical]
        if 0 < _count(critical) <= FEW - sum(count for _, _, count in self._told):
            return Parcel(_take_with(critical[0], critical), overtakes=True)  # and nothing else: it would come before what it follows
        wait = 0.0 if self._paced is None else self._paced + PACE - now
        return Parcel(tuple(due)) if wait <= 0 else Parcel((), wait)

    def told(self, parcel: Parcel, now: float) -> None:
        """It was sent: its messages wait no more, and the others need not wait for a provider that is down."""
        for item in parcel.items:
            del self.waiting[item.message.key]
        for other in self.waiting.values():
            other.due = min(other.due, now)
        critical = sum(item.is_critical for item in parcel.items)
        self._told.append((now, 1 if parcel.is_one else FEW, min(critical, 1) if parcel.is_one else critical))
        if not parcel.overtakes:  # or a critical message now and then would hold a flood back for ever
            self._paced = now
        self.error, self.refusals, self.is_well = "", 0, True

    def failed(self, error: str, *, refused: bool) -> None:
        """An attempt came to nothing; `refused` where the provider does not accept the credentials."""
        self.error, self.is_well = error, False
        if refused:
            self.refusals += 1
        elif self.refusals < REFUSALS:
            self.refusals = 0

    @property
    def is_misconfigured(self) -> bool:
        return self.refusals >= REFUSALS


def _take_with(item: Item, due: Sequence[Item]) -> tuple[Item, ...]:
    """The item, and what is sent as one with it."""
    return tuple(other for other in due if other is item or (item.bundle and other.bundle == item.bundle))


def _count(items: Sequence[Item]) -> int:
    """Messages as people see them."""
    return len({item.bundle or item.message.key for item in items})
