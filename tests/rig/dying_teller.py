"""The path of messages (router, outbox, record) in a process of its own, which is killed again and again; what arrived is in a file.

The process is forked, so that a death costs milliseconds: the record, the kills and the file of what arrived are real, what is decided is
by chance, and time runs faster.
"""

import asyncio
import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_watchdog import crashpoint, outbox, writes
from model_watchdog.clock import Clock
from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.decision import Notification, Reason
from model_watchdog.core.routes import Escalation, Quiet, Route, TimeOfDay
from model_watchdog.core.rule import Severity
from model_watchdog.core.units import Seconds
from model_watchdog.notifiers import Message
from model_watchdog.outbox import Outbox
from model_watchdog.store import Store
from model_watchdog.telling import Teller

FASTER = 100.0
"""So many seconds of the simulated clock pass in one."""
SERVICES = tuple(f"s{number}" for number in range(6))
MATTERS = ("p", "q")
ROUTES = {
    "ops": Route("", Severity.INFO, escalate=Escalation(Seconds(20.0), "boss")),
    "boss": Route("", Severity.CRITICAL),
    "late": Route("", Severity.INFO, group_wait=Seconds(5.0), repeat_every=Seconds(600.0)),
    "night": Route("", Severity.INFO, quiet=Quiet(TimeOfDay(0), TimeOfDay(86_399))),
}
POINTS = ("routed", "message_sent", "silenced", "acknowledged")


class FastClock(Clock):
    """Steady time runs faster; the time of day stands still, within the quiet hours if it `is_night`, or else behind them."""

    is_night = False

    def steady(self) -> float:
        return time.monotonic() * FASTER

    def wall(self) -> float:
        local = time.mktime((2026, 11, 27, 12, 0, 0, 0, 0, -1))
        return local if self.is_night else local + 43_199.5


@dataclass(frozen=True)
class Receiver:
    """Writes each message that it is told into a file: its own name, and the keys in it."""

    name: str
    path: Path

    async def send(self, message: Message) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps([self.name, message.body.split("\n") if message.key == "many" else [message.key]]) + "\n")


def fold(host: str, messages: Any, began: object) -> Message:
    """In the place of the words for many messages: their names."""
    return Message("many", Severity.WARNING, "many", "\n".join(message.key for message in messages))


@dataclass
class Core:
    """In the place of what decides: matters that begin and end by chance; kept in the record with what is told of them."""

    sequence: int = 0
    open: dict[str, int] = field(default_factory=dict)  # "service matter": its incident
    incidents: dict[str, int] = field(default_factory=dict)
    next: int = 1

    def keep(self) -> writes.Write:
        return writes.service_state("core", json.dumps([self.sequence, self.open, self.incidents, self.next]))


class Life:
    """One life of the process: it goes on where the one before was killed."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.chance = directory, random.Random(seed)
        self.clock = FastClock()
        self.store = Store.open(directory / "watchdog.db")
        notifiers = {
            name: NotifierConfig(name, "test", Receiver(name, directory / "received"), route.min_severity, route)
            for name, route in ROUTES.items()
        }
        setattr(outbox, "compose_digest", fold)  # noqa: B010
        self.outbox = Outbox(self.store, notifiers, steady=self.clock.steady, wall=time.time)
        self.teller = Teller(self.clock, self.store, self.outbox, "box", dry_run=False)
        kept = self.store.load_states().get("core")
        self.core = Core(*json.loads(kept)) if kept else Core()
        self.teller.recall(notifiers, CommonCausePolicy(3, Seconds(10.0)), has_past=False)

    async def live(self, until_calm: bool) -> None:
        """By chance; or, in the last life, until everything is over and told."""
        self.clock.is_night = not until_calm and self.chance.random() < 0.7
        self.outbox.start()
        self.teller.start()
        while not until_calm:
            self.act()
            await self.pause(self.chance.uniform(0, 0.02))
        for name in sorted(self.core.open):
            self.tell(name, opens=False)
        for number in list(self.teller.router.state.silences):
            self.teller.end_silence(number)
        end = time.monotonic() + 60
        while self.outbox.stats()["queued"] and time.monotonic() < end:
            await self.pause(0.02)
        await self.outbox.close()
        self.store.close()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.teller.look()
        self.outbox.wake()

    def act(self) -> None:
        chosen = self.chance.random()
        if chosen < 0.06:
            self.teller.silence((self.chance.choice(SERVICES),), self.chance.uniform(10, 60), 0, "by chance")
            crashpoint.crash_point("silenced")
        elif chosen < 0.12 and self.core.incidents:
            self.teller.acknowledge(self.chance.choice(sorted(self.core.incidents.values())), 0, "")
            crashpoint.crash_point("acknowledged")
        elif chosen < 0.7:
            name = f"{self.chance.choice(SERVICES)} {self.chance.choice(MATTERS)}"
            self.tell(name, opens=name not in self.core.open)

    def tell(self, name: str, *, opens: bool) -> None:
        """As the book does: the incident, the message and the state in one transaction."""
        core, (service, matter), rows = self.core, name.split(), list[writes.Write]()
        if opens:
            if service not in core.incidents:
                core.incidents[service], core.next = core.next, core.next + 1
            core.open[name] = core.incidents[service]
            rows += self.teller.open(core.incidents[service], service, "")
        core.sequence += 1
        key = f"{service}/{core.sequence}/{matter}-{'opens' if opens else 'closes'}"
        about = "alert_fired" if opens else "alert_resolved"
        severity = Severity.CRITICAL if matter == "q" else Severity.WARNING
        notification = Notification(key, severity, about, None, Reason("down"), matters=(matter,))
        incident = core.incidents[service]
        rows += self.teller.take(notification, Message(key, severity, key, key), service, incident)
        if not opens:
            del core.open[name]
            if not any(other.startswith(f"{service} ") for other in core.open):
                del core.incidents[service]
                rows += self.teller.end(incident)
        self.store.put(core.keep(), *rows)
        self.outbox.wake()


def run_life(directory: Path, seed: int, point: str = "", *, until_calm: bool = False) -> int:
    """Forks one life; gives the pid. `point` is where it dies by itself."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        crashpoint._CRASH_AT = point
        asyncio.run(Life(directory, seed).live(until_calm))
        code = 0
    except BaseException:  # whatever it is: this process must not go on as the one that it was forked from
        traceback.print_exc()
    finally:
        os._exit(code)


@dataclass(frozen=True)
class Toll:
    """`lost`: sent by the record but not received, or never sent; `duplicates`: received a second time; `copies`: how often one came.

    `dangling` fires and is never told to be over, `unfounded` is over and was never told to fire.
    """

    kills: int
    messages: int
    lost: int
    duplicates: int
    copies: int
    dangling: int
    unfounded: int


def kill_often(directory: Path, kills: int, seed: int) -> Toll:
    """So many lives, each killed at a moment, or at a point of the path; then one that comes to its end."""
    chance = random.Random(seed)
    for number in range(kills):
        point = chance.choice(POINTS) if number % 2 else ""
        pid = run_life(directory, chance.randrange(1 << 30), point)
        end = time.monotonic() + chance.uniform(0.02, 0.3) + (1.0 if point else 0.0)
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() >= end:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                break
            time.sleep(0.002)
    _, status = os.waitpid(run_life(directory, 0, until_calm=True), 0)
    assert status == 0, "the last life failed"
    return judge(directory, kills)


def judge(directory: Path, kills: int) -> Toll:
    seen = set[tuple[str, str]]()
    received = [json.loads(line) for line in (directory / "received").read_text().splitlines()]
    store = Store.open(directory / "watchdog.db")
    rows = store._read("SELECT key, notifier, state FROM outbox")
    store.close()
    copies = Counter((name, key) for name, keys in received for key in keys)
    sent = {(row["notifier"], row["key"]) for row in rows if row["state"] == "sent"}
    unsent = [row for row in rows if row["state"] in ("queued", "held")]
    dangling = unfounded = 0
    for name in ROUTES:
        escalated = any(key.endswith("/escalated") for to, key in copies if to == name)
        known: set[str] = set()
        for to, keys in received:
            for key in keys if to == name else ():
                service, _, what = key.partition("/")
                matter = f"{service} {what.partition('/')[2].partition('-')[0]}"
                if key.endswith("-opens"):
                    known.add(matter)
                elif key.endswith("-closes"):
                    unfounded += matter not in known and copies[name, key] == 1 and not escalated
                    known.discard(matter)
        dangling += len(known)
    lost = len(sent - copies.keys()) + len(unsent)
    duplicates = 0
    for name, keys in received:
        duplicates += any((name, key) in seen for key in keys)
        seen |= {(name, key) for key in keys}
    return Toll(kills, len(rows), lost, duplicates, max(copies.values(), default=0), dangling, unfounded)
