"""What each notifier is told, and when: messages in, and for each notifier whether it is sent now, held, or dropped.

Pure: the times are passed in, in steady seconds, and `second` is that of the local day. What is known is a plain value
(`routing_memory` keeps it). Two promises are kept, whatever happens in which order: of what was sent to open, the end is sent too,
and only of that; and no message is sent twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from model_watchdog.core.account import Action, Drop, End, Held, Hold, Lane, Pace, Remind, Send, Telling, Told, Why
from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.roots import close_thread, forget_old, suspect_until
from model_watchdog.core.routes import DENIED, RIGHT, STANDING, Kind, Notice, Route, Silence, Thread, Topic
from model_watchdog.core.rule import Severity

TOGETHER = 10.0
"""Seconds after a message in which what else belongs to its incident waits, to be told as one."""
CALM = 2.0
"""Seconds without anything new after which what waits together is told, if it has waited for `TOGETHER`."""
PACE = 30.0
"""Seconds that what waits together waits at most, and as long as that where it is more than a few."""
FEW = 10


class Router:
    """Keeps `state` up to date. `windows` are the silences of the configuration that are open just now."""

    def __init__(self, routes: Iterable[Route], state: Telling, policy: CommonCausePolicy | None) -> None:
        self.state = state
        self.policy = policy
        self.windows: Sequence[Silence] = ()
        self.routes: Mapping[str, Route] = {}
        self.follow(routes)

    def follow(self, routes: Iterable[Route]) -> None:
        """Another configuration. What waits for a notifier that is gone is forgotten."""
        self.routes = {route.name: route for route in routes}
        self.state.lanes = {name: self.state.lanes.get(name, Lane()) for name in self.routes}

    def take(self, notice: Notice, now: float, second: float) -> list[Action]:
        """A new message: what becomes of it at each notifier that is to have it."""
        actions: list[Action] = []
        if notice.incident is not None:
            self.state.threads.known.setdefault(notice.incident, Thread(notice.incident, notice.service, now))
        for route in self.routes.values():
            lane = self.state.lanes[route.name]
            if notice.key in lane.held:
                continue
            if notice.kind is Kind.CLOSES:
                actions += self._close(route, lane, notice, now, second)
            elif route.admits(notice):
                actions += self._place(route, lane, notice, now, second)
        return actions

    def look(self, now: float, second: float) -> list[Action]:
        """What has become due, and what is repeated or escalated; to be asked once a second while `is_busy`."""
        self.state.silences = {name: silence for name, silence in self.state.silences.items() if silence.until > now}
        actions: list[Action] = []
        for route in self.routes.values():
            lane = self.state.lanes[route.name]
            actions += self._release(route, lane, now, second)
        for route in self.routes.values():
            actions += self._remind(route, self.state.lanes[route.name], now, second)
        self.forget(now)
        return actions

    def end(self, incident: int) -> list[Action]:
        """An incident is over. What has no end of its own (it could not be acted on, say) has ended with it."""
        close_thread(self.state.threads, incident)
        actions = list[Action]()
        for name, lane in self.state.lanes.items():
            over = [told for told in lane.told if told.incident == incident and told.matter.startswith(STANDING)]
            lane.told = [told for told in lane.told if told not in over]
            if over:
                actions.append(End(name, incident, tuple((told.service, told.matter) for told in over)))
            for held in [held for held in lane.held.values() if held.notice.incident == incident and held.notice.kind is Kind.OPENS]:
                if held.why in (Why.QUIET, Why.SILENCE) and all(matter.startswith(STANDING) for matter in held.matters):
                    del lane.held[held.notice.key]
                    actions.append(Drop(name, held.notice.key, held.why))
        return actions

    @property
    def is_busy(self) -> bool:
        """Whether time alone may change anything."""
        lanes = self.state.lanes.items()
        watching = any(lane.told and (self.routes[name].repeat_every or self.routes[name].escalate) for name, lane in lanes)
        return watching or any(lane.held for _, lane in lanes) or bool(self.state.silences or self.state.threads.known)

    def silenced(self, service: str | None) -> Silence | None:
        """The silence that covers a service or the host, if any."""
        return next((silence for silence in (*self.state.silences.values(), *self.windows) if silence.covers(service)), None)

    def root(self, incident: int | None) -> int | None:
        return None if incident is None else self.state.threads.root(incident)

    def _close(self, route: Route, lane: Lane, notice: Notice, now: float, second: float) -> Iterator[Action]:
        """The end of what was sent is sent. What waits because nobody may be told is dropped, when all that it says is over."""
        names = self._name(lane, notice)
        was_told = [told for told in lane.told if _is_ended(told.service, told.matter, notice, names)]
        ended = [(told.service, told.matter) for told in was_told]
        lane.told = [told for told in lane.told if told not in was_told]
        waits = is_known = False
        for held in [held for held in lane.held.values() if held.notice.kind is Kind.OPENS]:
            left = tuple(matter for matter in held.matters if not _is_ended(held.notice.service, matter, notice, names))
            if left == held.matters:
                continue
            ended += [(held.notice.service, matter) for matter in held.matters if matter not in left]
            held.matters, is_known = left, True
            if held.why not in (Why.QUIET, Why.SILENCE) and not was_told:
                waits, notice = True, replace(notice, incident=held.notice.incident)  # they wait together
            elif not held.matters:
                del lane.held[held.notice.key]
                yield Drop(route.name, held.notice.key, held.why)
        if was_told or waits or (self.state.trusts and not is_known and route.admits(notice)):
            yield from self._place(route, lane, notice, now, second, behind=waits and not was_told, ended=tuple(ended))

    def _name(self, lane: Lane, notice: Notice) -> tuple[str, ...]:
        """The matters that it ends: of those that begin alike, one."""
        if not notice.matters or not notice.matters[0].endswith("*"):
            return notice.matters
        known = [told.matter for told in lane.told if told.service == notice.service]
        known += [matter for held in self._openings(lane, notice.service) for matter in held.matters]
        return next(((matter,) for matter in known if matter.startswith(notice.matters[0][:-1])), ("",))

    def _openings(self, lane: Lane, service: str | None) -> list[Held]:
        return [held for held in lane.held.values() if held.notice.kind is Kind.OPENS and held.notice.service == service]

    def _place(
        self,
        route: Route,
        lane: Lane,
        notice: Notice,
        now: float,
        second: float,
        *,
        behind: bool = False,
        ended: tuple[Topic, ...] = (),
    ) -> Iterator[Action]:
        """Sends it, or says why not. What is `behind` the message that it ends waits with it; `ended` is what it says to be over."""
        why = Why.TOGETHER if behind else self._object(route, lane, notice, now, now, second)
        if why is None:
            yield from self._overtake(route, lane, notice)
            self._note(lane, notice, now)
            yield Send(route.name, (notice.key,), ended=ended)
        elif why is Why.SILENCE and notice.kind is Kind.ONCE:
            yield Drop(route.name, notice.key, why)
        else:
            lane.held[notice.key] = Held(notice, now, why, notice.matters if notice.kind is Kind.OPENS else (), behind)
            yield Hold(route.name, notice.key, why, ended)

    def _object(self, route: Route, lane: Lane, notice: Notice, since: float, now: float, second: float) -> Why | None:
        """Why it is not sent now; it has waited `since`."""
        if (why := self._forbid(route, notice, second)) is not None:
            return why
        root = self.root(notice.incident)
        if root is None or route.takes_each:
            return None
        waiting = any(held.why in (Why.WAIT, Why.TOGETHER) for held in self._waiting(lane, root) if held.notice is not notice)
        pace = self._pace(lane, root)
        if pace is None:
            if notice.kind is not Kind.OPENS:
                return None
            suspected = suspect_until(self.state.threads, notice.incident or 0, self.policy) > now
            return Why.WAIT if suspected or waiting or now < since + route.group_wait else None
        if notice.kind is not Kind.OPENS and not self.state.threads.is_wide(root):
            return None
        return Why.TOGETHER if waiting or now < pace.last + TOGETHER else None

    def _release(self, route: Route, lane: Lane, now: float, second: float) -> Iterator[Action]:
        """Sends what waits no longer: what waited for the end of a night as one, and what belongs together as one."""
        groups: dict[tuple[Why, int | None], list[Held]] = {}
        for held in list(lane.held.values()):
            if held.why in (Why.SILENCE, Why.QUIET):
                why = self._forbid(route, held.notice, second)
                if why is None:
                    groups.setdefault((held.why, None), []).append(held)
                elif why is Why.SILENCE and held.notice.kind is Kind.ONCE:
                    del lane.held[held.notice.key]
                    yield Drop(route.name, held.notice.key, why)
                else:
                    held.why = why
            else:
                groups.setdefault((Why.TOGETHER, self.root(held.notice.incident)), []).append(held)
        for (why, root), waiting in groups.items():
            if why is not Why.TOGETHER or root is None or self._is_due(route, lane, root, waiting, now):
                yield from self._send(route, lane, waiting, now, why, second)

    def _forbid(self, route: Route, notice: Notice, second: float) -> Why | None:
        """Whether nobody may be told just now."""
        if notice.kind is not Kind.CLOSES and self.silenced(notice.service):
            return Why.SILENCE
        return Why.QUIET if route.is_quiet(second, notice.severity) else None

    def _is_due(self, route: Route, lane: Lane, root: int, waiting: list[Held], now: float) -> bool:
        """Whether what waits together has waited for long enough: until nothing new comes, and for long where it is many."""
        first, newest, pace = min(held.at for held in waiting), max(held.at for held in waiting), self._pace(lane, root)
        if pace is None:
            suspected = max(suspect_until(self.state.threads, held.notice.incident or 0, self.policy) for held in waiting)
            return now >= max(suspected, first + route.group_wait)
        if len(waiting) > FEW:
            return now >= pace.last + PACE
        return (now >= pace.last + TOGETHER and now >= newest + CALM) or now >= max(pace.last, first) + PACE

    def _send(self, route: Route, lane: Lane, waiting: list[Held], now: float, why: Why, second: float) -> Iterator[Action]:
        """As one; but what is silenced, or may wake nobody, goes on waiting. What is over by then was never told, and so is not ended."""
        ready, never = list[Held](), set[tuple[str | None, str]]()
        for held in [held for held in waiting if held.notice.key in lane.held]:
            against, names = self._forbid(route, held.notice, second), {(held.notice.service, matter) for matter in held.notice.matters}
            never |= names if against is not None and held.notice.kind is Kind.OPENS else set()
            if (against is not None and _is_needless(held, against)) or (held.is_behind and names & never):
                del lane.held[held.notice.key]
                yield Drop(route.name, held.notice.key, against or Why.SILENCE)
            elif against is None:
                ready.append(held)
            else:
                held.why = against
        for held in ready:
            del lane.held[held.notice.key]
        for held in ready:
            yield from self._overtake(route, lane, held.notice)
            self._note(lane, held.notice, now, held.matters)
        if ready:
            keys = tuple(held.notice.key for held in ready)
            yield Send(route.name, keys, f"{why.value}/{keys[0]}" if len(keys) > 1 else "")

    def _overtake(self, route: Route, lane: Lane, notice: Notice) -> Iterator[Drop]:
        """It begins again before people were told how it was before: that it had been over, or had begun and ended."""
        for held in list(lane.held.values()) if notice.kind is Kind.OPENS else ():
            before = held.notice
            is_past = before.kind is Kind.CLOSES or (before.kind is Kind.OPENS and not held.matters)
            if is_past and before.service == notice.service and before.matters and set(before.matters) <= {*notice.matters}:
                del lane.held[before.key]
                yield Drop(route.name, before.key, held.why)

    def _note(self, lane: Lane, notice: Notice, now: float, matters: tuple[str, ...] | None = None) -> None:
        """It is sent: what it opens is to be closed one day."""
        if notice.kind is Kind.OPENS:
            for matter in notice.matters if matters is None else matters:
                lane.told.append(Told(notice.service, matter, notice.incident, notice.severity, notice.title, now))
        if notice.incident is not None:
            pace = lane.paces.setdefault(notice.incident, Pace(now, now))
            pace.last = now

    def _waiting(self, lane: Lane, root: int) -> Iterator[Held]:
        return (held for held in lane.held.values() if self.root(held.notice.incident) == root)

    def _pace(self, lane: Lane, root: int) -> Pace | None:
        """Of all that has this root."""
        paces = [pace for incident, pace in lane.paces.items() if self.state.threads.root(incident) == root]
        return max(paces, key=lambda pace: pace.last, default=None)

    def _remind(self, route: Route, lane: Lane, now: float, second: float) -> Iterator[Action]:
        """What goes on, and what nobody has acknowledged."""
        if not (route.repeat_every or route.escalate):
            return
        going_on: dict[int, list[Told]] = {}
        for told in lane.told:
            if told.incident is not None and not self.silenced(told.service):
                going_on.setdefault(self.state.threads.root(told.incident), []).append(told)
        for root, matters in going_on.items():
            if root in self.state.acks:
                continue
            pace = lane.paces.setdefault(root, Pace(matters[0].at, matters[0].at))
            first, worst = min(told.at for told in matters), max((told.severity for told in matters), key=lambda severity: severity.rank)
            titles = tuple(told.title for told in matters)
            if route.repeat_every and not route.is_quiet(second, worst) and now >= max(first, pace.reminded_at) + route.repeat_every:
                pace.reminded, pace.reminded_at = pace.reminded + 1, now
                yield Remind(route.name, f"incident/{root}/{route.name}/repeat/{pace.reminded}", root, worst, titles, first)
            if (
                route.escalate
                and not pace.escalated
                and now >= first + route.escalate.after
                and self._may_hear(route.escalate.to, worst, second)
            ):
                pace.escalated = True
                yield from self._escalate(route, root, matters, worst, first, now)

    def _may_hear(self, name: str, severity: Severity, second: float) -> bool:
        """Whether its quiet hours allow it."""
        route = self.routes.get(name)
        return route is not None and not route.is_quiet(second, severity)

    def _escalate(self, route: Route, root: int, matters: list[Told], worst: Severity, first: float, now: float) -> Iterator[Action]:
        """Tells the other notifier of what it was not told yet, and from now on it hears of the end, too."""
        assert route.escalate is not None
        other = self.state.lanes.get(route.escalate.to)
        if other is None:
            return
        known = {(told.service, told.matter) for told in other.told}
        new = [told for told in matters if (told.service, told.matter) not in known]
        if not new:
            return
        for held in [held for held in other.held.values() if held.notice.kind is Kind.OPENS]:
            left = tuple(m for m in held.matters if not any((t.service, t.matter) == (held.notice.service, m) for t in new))
            if left != held.matters:  # told by the escalation itself
                held.matters = left
                if not left:
                    del other.held[held.notice.key]
                    yield Drop(route.escalate.to, held.notice.key, held.why)
        other.told += [Told(told.service, told.matter, told.incident, told.severity, told.title, now) for told in new]
        titles = tuple(told.title for told in new)
        key = f"incident/{root}/{route.name}/escalated"
        yield Remind(route.escalate.to, key, root, worst, titles, first, is_escalation=True, asked=route.name)

    def forget(self, now: float) -> None:
        """What is over for long need not be known."""
        used: set[int] = set()
        for lane in self.state.lanes.values():
            used |= {told.incident for told in lane.told if told.incident is not None}
            used |= {held.notice.incident for held in lane.held.values() if held.notice.incident is not None}
        forget_old(self.state.threads, used, now)
        known = self.state.threads.known
        for lane in self.state.lanes.values():
            lane.paces = {number: pace for number, pace in lane.paces.items() if number in known}
        self.state.acks = {number: ack for number, ack in self.state.acks.items() if number in known}


def _is_needless(held: Held, why: Why) -> bool:
    """Whether it need not be told later: it is over by then, or it was nothing that goes on, and people wanted to hear nothing."""
    if held.notice.kind is Kind.OPENS:
        return not held.matters
    return held.notice.kind is Kind.ONCE and why is Why.SILENCE


def _is_ended(service: str | None, matter: str, notice: Notice, names: Sequence[str]) -> bool:
    """Whether `notice`, which closes these matters, closes this one of a service. That a unit may be restarted again is said for all of
    them together, by the host; that it may not, perhaps by the service whose restart was denied."""
    if notice.service is None and matter == DENIED:
        return f"{RIGHT}{service}" in names
    return service == notice.service and _is_of(matter, names)


def _is_of(matter: str, names: Sequence[str]) -> bool:
    """Whether it is one of these; no names at all mean every matter."""
    return not names or matter in names
