"""Who is told: every message goes through the router, which says to whom and when, and from there into the outbox.

What the router knows is written together with what was decided, so a daemon that dies knows after its next start whom it has told.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from model_watchdog import writes as record
from model_watchdog.clock import Clock
from model_watchdog.config.model import NotifierConfig
from model_watchdog.core.account import Action, Drop, End, Hold, Remind, Send, Telling
from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.decision import Event, Notification, Reason
from model_watchdog.core.roots import open_thread
from model_watchdog.core.routes import Acknowledged, Kind, Notice, Silence, Thread, find_kind
from model_watchdog.core.routing import Router
from model_watchdog.core.routing_memory import recall_telling, remember_telling
from model_watchdog.crashpoint import crash_point
from model_watchdog.notifiers import Message
from model_watchdog.outbox import Outbox
from model_watchdog.store import Store
from model_watchdog.wording import compose_ended, compose_reminder, say
from model_watchdog.writes import Write

log = logging.getLogger(__name__)

TELLING = "telling"
"""The setting that keeps what the router knows."""
RULE = "rule:"
"""How the hint of what follows from a rule of the host begins; the rule's name comes after it."""


class Teller:
    """Stands between what is decided and the outbox. `next_id` gives a number that no incident or restart has."""

    def __init__(self, clock: Clock, store: Store, outbox: Outbox, hostname: str, *, dry_run: bool) -> None:
        self.next_id: Callable[[], int] = lambda: 0
        self.on_event: Callable[[Event], None] = lambda event: None
        self._clock, self._store, self._outbox = clock, store, outbox
        self._hostname, self._dry_run = hostname, dry_run
        self._kept = ""
        self.router = Router((), Telling(), None)

    def recall(self, notifiers: Mapping[str, NotifierConfig], policy: CommonCausePolicy | None, *, has_past: bool) -> None:
        """Goes on with what an earlier run knew; `has_past` says that there was one, though perhaps of a version that kept no account."""
        state, windows, text = Telling(trusts=has_past), list[Silence](), self._store.setting(TELLING)
        if text is not None:
            try:
                kept = json.loads(text)
                shift = self._clock.shift(kept["anchor"])
                windows = [Silence(name, tuple(services), until + shift, why) for name, services, until, why in kept["windows"]]
                state = recall_telling(kept["known"], shift)
            except (ValueError, KeyError, TypeError) as error:
                log.warning("event=state_unreadable reason=%r", f"{error!r}; whom was told what is learnt anew")
        self.router = Router((config.route for config in notifiers.values()), state, policy)
        self.router.windows = windows

    def start(self) -> None:
        """After the outbox has started: what it holds and the router does not know is sent, for nobody else would."""
        for name, key in self._outbox.held():
            lane = self.router.state.lanes.get(name)
            if lane is None or key not in lane.held:
                self._store.put(*self._outbox.release(name, [key], ""))

    def follow(self, notifiers: Mapping[str, NotifierConfig], policy: CommonCausePolicy | None) -> None:
        """Another configuration; the outbox has given up already what waits for a notifier that is gone."""
        self.router.policy = policy
        self.router.follow(config.route for config in notifiers.values())
        self._store.put(*self.write_state())

    def open(self, incident: int, service: str | None, hint: str) -> list[Write]:
        """An incident is open, and may follow from another one: `hint` names what it follows from, where that is known."""
        threads = self.router.state.threads
        changed = open_thread(threads, Thread(incident, service, self._clock.steady(), hint=hint), self.router.policy)
        moved = {thread.id for top in changed for thread in threads.family(top.id)}  # with whatever followed from them already
        return [write for number in sorted(moved) for write in self.write_root(number)]

    def write_root(self, incident: int) -> list[Write]:
        """What an incident follows from, where it follows from another one."""
        root = self.router.state.threads.root(incident)
        return [record.incident_root(incident, root)] if root != incident else []

    def end(self, incident: int) -> list[Write]:
        """An incident is over."""
        return [*self._carry_out(self.router.end(incident)), *self.write_state()]

    def end_others(self, incidents: Collection[int]) -> list[Write]:
        """Of all incidents these are open; nobody else will end those of an earlier run."""
        left = [thread.id for thread in self.router.state.threads.known.values() if not thread.is_over and thread.id not in incidents]
        return [write for number in left for write in self.end(number)]

    def open_of_host(self) -> set[int]:
        """The incidents of the host that are open."""
        return set(self.router.state.of_host.values())

    def take(self, notification: Notification, message: Message, service: str | None, incident: int | None) -> list[Write]:
        """The rows of a message, to be written with its cause; call `wake` of the outbox then."""
        kind, writes = find_kind(notification.about), list[Write]()
        if service is None and not self._dry_run:
            incident = self._find_of_host(kind, notification, writes)
        notice = Notice(message.key, kind, message.severity, service, notification.matters, incident, message.title)
        if self._dry_run:
            self._outbox.would_tell([name for name, route in self.router.routes.items() if route.admits(notice)], message)
            return []
        matters = notice.matters or ((notification.about,) if kind is Kind.ONCE else ())
        message = replace(message, kind=kind, topics=tuple((service, matter) for matter in matters))
        writes += self._carry_out(self.router.take(notice, self._clock.steady(), self._second()), message, notice)
        if service is None and kind is Kind.CLOSES:
            writes += self._end_of_host(notification, incident)
        return [*writes, *self.write_state()]

    def look(self) -> None:
        """Once a second: what has waited for long enough is sent, what goes on is repeated or escalated."""
        if self._dry_run:
            self.router.forget(self._clock.steady())
        if self._dry_run or not self.router.is_busy:
            return
        state = self.router.state
        before, sizes = set(state.silences), (len(state.threads.known), len(state.acks))
        writes = self._carry_out(self.router.look(self._clock.steady(), self._second()))
        for number in sorted(before - self.router.state.silences.keys()):
            self.on_event(Event("silence_over", None, Reason("silence_over", {"id": number})))
        if writes or before != set(state.silences) or sizes != (len(state.threads.known), len(state.acks)):
            self._store.put(*writes, *self.write_state())
            self._outbox.wake()

    def acknowledge(self, incident: int, uid: int, reason: str) -> None:
        """Nobody is reminded of it any more, and it is not escalated."""
        self.router.state.acks[self.router.state.threads.root(incident)] = Acknowledged(self._clock.steady(), uid, reason)
        self._store.put(*self.write_state())

    def silence(self, services: tuple[str, ...], seconds: float, uid: int, reason: str) -> Silence:
        """Nobody is told of these services for so many seconds."""
        state, now = self.router.state, self._clock.steady()
        state.numbered += 1
        made = state.silences[f"{state.numbered}"] = Silence(f"{state.numbered}", services, now + seconds, reason, uid, now)
        self._store.put(*self.write_state())
        return made

    def end_silence(self, number: str) -> bool:
        """Ends one before its time; False where there is none of that number."""
        ended = self.router.state.silences.pop(number, None)
        self._store.put(*self.write_state())
        return ended is not None

    def write_anew(self) -> list[Write]:
        """Everything, into a record that has begun anew; the outbox writes the messages, and each service its incident."""
        self._kept = ""
        threads, writes = self.router.state.threads, list[Write]()
        for matter, incident in self.router.state.of_host.items():
            if (thread := threads.known.get(incident)) is not None:
                writes.append(record.incident_open(incident, "", self._clock.to_wall(thread.opened), matter))
                writes += self.write_root(incident)
        return [*writes, *self.write_state()]

    def _second(self) -> float:
        """Of the local day."""
        now = datetime.fromtimestamp(self._clock.wall())
        return now.hour * 3600.0 + now.minute * 60.0 + now.second

    def _find_of_host(self, kind: Kind, notification: Notification, writes: list[Write]) -> int | None:
        """The incident of what is wrong with the host: a new one where something begins, else the one that began with it."""
        of_host = self.router.state.of_host
        if kind is Kind.CLOSES:
            return next((of_host[matter] for matter in self._known(notification.matters)), None)
        if kind is Kind.ONCE:
            return self._find_common(str(notification.reason.params.get("names", "")).split(", "))
        incident = self.next_id()
        of_host.update(dict.fromkeys(notification.matters, incident))
        writes.append(record.incident_open(incident, "", self._clock.wall(), say(notification.reason)))
        is_rule = notification.about == "alert_fired" and notification.severity != "info"
        writes += self.open(incident, None, f"{RULE}{notification.params.get('rule', '')}" if is_rule else "")
        return incident

    def _find_common(self, services: list[str]) -> int | None:
        """The incident that these services share, where a message of the host is about them."""
        threads = self.router.state.threads
        return next((threads.root(one.id) for one in threads.known.values() if not one.is_over and one.service in services), None)

    def _end_of_host(self, notification: Notification, incident: int | None) -> list[Write]:
        of_host = self.router.state.of_host
        for matter in self._known(notification.matters):
            del of_host[matter]
        if incident is None or incident in of_host.values():
            return []
        return [*self.end(incident), record.incident_close(incident, self._clock.wall())]

    def _known(self, names: Iterable[str]) -> list[str]:
        """The host's matters that are meant: of those that begin alike, one."""
        of_host, found = self.router.state.of_host, list[str]()
        for name in names:
            alike = [matter for matter in of_host if name.endswith("*") and matter.startswith(name[:-1])]
            found += [name] if name in of_host else alike[:1]
        return found

    def _carry_out(self, actions: Iterable[Action], message: Message | None = None, notice: Notice | None = None) -> list[Write]:
        """`message` is the one that the outbox does not have yet, which `notice` describes."""
        writes: list[Write] = []
        root = self.router.root(notice.incident) if notice else None
        for action in actions:
            match action:
                case Remind():
                    word = "escalated" if action.is_escalation else "repeated"
                    log.info("event=%s notifier=%s incident=%d", word, action.notifier, action.incident)
                    writes += self._outbox.add(action.notifier, self._compose(action), action.incident)
                case Send(name, (key,)) | Hold(name, key) | Drop(name, key) if message and notice and key == message.key:
                    text = self._with_answer(name, message, root) if notice.kind is Kind.OPENS else message
                    if not isinstance(action, Drop) and action.ended:
                        text = replace(text, topics=action.ended)
                    writes += self._outbox.add(name, text, root, is_held=not isinstance(action, Send))
                    if isinstance(action, Drop):
                        writes += self._outbox.drop(name, key, action.why.value)
                case Send(name, keys, bundle):
                    writes += self._outbox.release(name, keys, bundle)
                case End(name, number, ended) if self._outbox.takes_each(name):
                    over = replace(compose_ended(self._hostname, number), kind=Kind.CLOSES, topics=ended)
                    writes += self._outbox.add(name, over, number)
                case Drop(name, key, why):
                    writes += self._outbox.drop(name, key, why.value)
        crash_point("routed")
        return writes

    def _with_answer(self, name: str, message: Message, root: int | None) -> Message:
        """With how to acknowledge it, where somebody waits for that."""
        route = self.router.routes[name]
        if root is None or not (route.escalate or route.repeat_every):
            return message
        return replace(message, body=f"{message.body}   ·   watchdog ack {root}")

    def _compose(self, action: Remind) -> Message:
        since = datetime.fromtimestamp(self._clock.to_wall(action.at)).astimezone()
        return compose_reminder(self._hostname, action, since, datetime.fromtimestamp(self._clock.wall()).astimezone())

    def write_state(self) -> list[Write]:
        """What is known, where it has changed."""
        known = remember_telling(self.router.state)
        windows = [[window.id, list(window.services), window.until, window.reason] for window in self.router.windows]
        essence = f'"known": {json.dumps(known)}, "windows": {json.dumps(windows)}'
        if essence == self._kept or self._dry_run:
            return []
        self._kept = essence
        return [record.setting(TELLING, f'{{"anchor": {json.dumps(self._clock.anchor())}, {essence}}}')]
