"""Who is told of what and when: whatever happens, crashes included, what was sent to open is closed, and nothing is told twice."""

import json
import os
import random
from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model_watchdog.core.account import Action, Drop, Hold, Remind, Send, Telling, Why
from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.roots import open_thread
from model_watchdog.core.routes import DENIED, Acknowledged, Escalation, Kind, Notice, Quiet, Route, Silence, Thread, TimeOfDay
from model_watchdog.core.routing import PACE, TOGETHER, Router
from model_watchdog.core.routing_memory import recall_telling, remember_telling
from model_watchdog.core.rule import Severity
from model_watchdog.core.units import Seconds

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
NIGHT = Quiet(TimeOfDay(22 * HOUR), TimeOfDay(7 * HOUR), unless=Severity.CRITICAL)
COMMON = CommonCausePolicy(3, Seconds(10.0))
BEGAN = 1_000_000.0


@dataclass
class Desk:
    """A router on a clock of its own, and what each notifier was sent: when, and the keys that came as one. BEGAN is noon."""

    routes: list[Route] = field(default_factory=lambda: [Route("ops", Severity.INFO)])
    policy: CommonCausePolicy | None = COMMON
    now: float = BEGAN
    sent: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    reminded: list[tuple[float, Remind]] = field(default_factory=list)
    dropped: list[Drop] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.router = Router(self.routes, Telling(), self.policy)

    @property
    def second(self) -> float:
        return (12 * HOUR + self.now - BEGAN) % DAY

    def carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                assert action.keys and bool(action.bundle) == (len(action.keys) > 1)
                self.sent.append((self.now - BEGAN, action.notifier, action.keys))
            elif isinstance(action, Remind):
                self.reminded.append((self.now - BEGAN, action))
            elif isinstance(action, Drop):
                self.dropped.append(action)
            else:
                assert isinstance(action, Hold)

    def wait(self, seconds: float) -> None:
        """A look a second, as the daemon does, where seconds matter; nothing else happens."""
        end = self.now + seconds
        while self.now < end:
            waiting = [held.why for lane in self.router.state.lanes.values() for held in lane.held.values()]
            step = 1.0 if Why.WAIT in waiting or Why.TOGETHER in waiting else 30.0 if self.router.is_busy else seconds
            self.now = min(self.now + step, end)
            self.carry_out(self.router.look(self.now, self.second))

    def begin(self, incident: int, service: str | None, hint: str = "") -> None:
        open_thread(self.router.state.threads, Thread(incident, service, self.now, hint=hint), self.policy)

    def tell(
        self,
        kind: Kind,
        *matters: str,
        service: str | None = "a",
        severity: Severity = Severity.WARNING,
        incident: int | None = 1,
    ) -> str:
        self.number += 1
        key = f"{self.number} {kind} {service} {' '.join(matters)}"
        self.carry_out(self.router.take(Notice(key, kind, severity, service, matters, incident, key), self.now, self.second))
        return key

    def of(self, notifier: str = "ops") -> list[tuple[float, tuple[str, ...]]]:
        return [(at, keys) for at, name, keys in self.sent if name == notifier]

    def restart(self) -> None:
        """The daemon dies, and another begins where it stood."""
        kept = json.loads(json.dumps(remember_telling(self.router.state)))
        self.router = Router(self.routes, recall_telling(kept, 0.0), self.policy)


# ---------------------------------------------------------------- one by one
def test_a_message_by_itself_is_sent_at_once_and_so_is_its_end() -> None:
    desk = Desk()
    fires = desk.tell(Kind.OPENS, "slow p")
    desk.wait(60)
    over = desk.tell(Kind.CLOSES, "slow p")
    assert desk.of() == [(0.0, (fires,)), (60.0, (over,))]


def test_what_was_not_told_to_fire_is_not_told_to_be_over() -> None:
    desk = Desk([Route("ops", Severity.CRITICAL)])
    desk.tell(Kind.OPENS, "slow p")
    desk.tell(Kind.CLOSES, "slow p", severity=Severity.CRITICAL)
    assert desk.sent == []


def test_a_right_that_a_service_lacked_is_told_to_be_back_by_the_host() -> None:
    desk = Desk()
    denied = Notice("a/1/cannot", Kind.OPENS, Severity.CRITICAL, "a", (DENIED,), 7)
    desk.carry_out(desk.router.take(denied, desk.now, desk.second))
    other = Notice("host/1/rights_back", Kind.CLOSES, Severity.CRITICAL, None, ("right b",))
    back = Notice("host/2/rights_back", Kind.CLOSES, Severity.CRITICAL, None, ("right c", "right a"))
    for notice in (other, back, replace(back, key="host/3/rights_back")):
        desk.now += 60
        desk.carry_out(desk.router.take(notice, desk.now, desk.second))
    assert [keys for _, _, keys in desk.sent] == [("a/1/cannot",), ("host/2/rights_back",)]


def test_what_an_older_version_told_is_closed() -> None:
    """It kept no account of what it told."""
    desk = Desk()
    desk.router.state.trusts = True
    assert desk.of() == [] and desk.tell(Kind.CLOSES, "slow p") and len(desk.of()) == 1


@pytest.mark.parametrize(
    ("services", "service", "is_told"),
    [((), "chat-1", True), (("chat*",), "chat-1", True), (("bert",), "chat-1", False), (("chat*",), None, False), (("host",), None, True)],
)
def test_a_notifier_hears_of_its_services(services: tuple[str, ...], service: str | None, is_told: bool) -> None:
    desk = Desk([Route("ops", services=services)])
    desk.tell(Kind.OPENS, "slow p", service=service)
    assert bool(desk.of()) == is_told


def test_at_night_what_is_not_critical_waits_for_the_morning_and_comes_as_one() -> None:
    desk = Desk([Route("ops", quiet=NIGHT)])
    desk.wait(11 * HOUR)
    first, second = desk.tell(Kind.OPENS, "slow p"), desk.tell(Kind.ONCE, service="b", incident=None)
    desk.tell(Kind.OPENS, "hot", incident=2)
    desk.wait(HOUR)
    desk.tell(Kind.CLOSES, "hot", incident=2)
    loud = desk.tell(Kind.OPENS, "gave_up", severity=Severity.CRITICAL, incident=3)
    desk.wait(12 * HOUR)
    assert desk.of() == [(12 * HOUR, (loud,)), (19 * HOUR, (first, second))], "and nothing of what was over by then"


def test_a_silence_sends_nothing_but_what_ends_and_then_tells_what_goes_on() -> None:
    desk = Desk()
    before = desk.tell(Kind.OPENS, "old")
    desk.wait(60)
    desk.router.state.silences["1"] = Silence("1", ("a",), desk.now + HOUR, "new driver")
    goes_on, _ = desk.tell(Kind.OPENS, "new", incident=2), desk.tell(Kind.OPENS, "short", incident=3)
    desk.tell(Kind.ONCE, incident=4)
    over = desk.tell(Kind.CLOSES, "old")
    desk.tell(Kind.CLOSES, "short", incident=3)
    elsewhere = desk.tell(Kind.OPENS, "x", service="b", incident=5)
    desk.wait(2 * HOUR)
    told = [keys for _, keys in desk.of()]
    assert told[:2] == [(before,), (over,)] and (elsewhere,) in told and told[-1] == (goes_on,) and len(told) == 4
    assert desk.of()[-1][0] == pytest.approx(60 + HOUR, abs=31)


def test_group_wait_gathers_before_the_first_message() -> None:
    desk = Desk([Route("ops", group_wait=Seconds(30.0))])
    keys = [desk.tell(Kind.OPENS, "p"), desk.tell(Kind.OPENS, "q")]
    desk.wait(60)
    assert desk.of() == [(30.0, tuple(keys))]


def test_an_incident_is_repeated_until_it_is_over_or_acknowledged() -> None:
    desk = Desk([Route("ops", repeat_every=Seconds(HOUR))])
    desk.tell(Kind.OPENS, "p")
    desk.wait(2.5 * HOUR)
    assert [at for at, _ in desk.reminded] == [HOUR, 2 * HOUR]
    desk.restart()
    desk.router.state.acks[1] = Acknowledged(desk.now, 1000)
    desk.wait(3 * HOUR)
    assert len(desk.reminded) == 2
    del desk.router.state.acks[1]
    desk.tell(Kind.CLOSES, "p")
    desk.wait(3 * HOUR)
    assert len(desk.reminded) == 2


def test_nobody_has_acknowledged_so_somebody_else_is_told_and_hears_of_the_end() -> None:
    desk = Desk([Route("ops", escalate=Escalation(Seconds(15 * MINUTE), "boss")), Route("boss", Severity.CRITICAL)])
    desk.tell(Kind.OPENS, "p")
    desk.wait(HOUR)
    ((at, reminder),) = desk.reminded
    assert (at, reminder.notifier, reminder.asked, reminder.is_escalation) == (15 * MINUTE, "boss", "ops", True)
    desk.restart()
    over = desk.tell(Kind.CLOSES, "p")
    assert [keys for _, keys in desk.of("boss")] == [(over,)]


def test_what_is_acknowledged_or_over_is_not_escalated() -> None:
    for word in ("acknowledged", "over", "silenced"):
        desk = Desk([Route("ops", escalate=Escalation(Seconds(15 * MINUTE), "boss")), Route("boss", Severity.CRITICAL)])
        desk.tell(Kind.OPENS, "p")
        desk.wait(MINUTE)
        if word == "acknowledged":
            desk.router.state.acks[1] = Acknowledged(desk.now, 0)
        elif word == "over":
            desk.tell(Kind.CLOSES, "p")
        else:
            desk.router.state.silences["1"] = Silence("1", ("*",), desk.now + HOUR, "")
        desk.wait(30 * MINUTE)
        assert desk.reminded == [], word


def test_a_problem_without_an_end_of_its_own_ends_with_its_incident() -> None:
    desk = Desk([Route("ops", repeat_every=Seconds(HOUR))])
    desk.begin(1, "a")
    desk.tell(Kind.OPENS, "cannot masked")
    desk.router.end(1)
    desk.wait(5 * HOUR)
    assert desk.reminded == [] and desk.router.state.threads.known == {}


# ---------------------------------------------------------------- storms
def storm(desk: Desk, chance: random.Random, hint: str = "", seconds: float = 10.0) -> dict[int, str]:
    """40 alerts of 8 services within 10 s, in any order and of any severity; gives the incidents."""
    alerts = [(f"s{number % 8}", f"rule-{number // 8}") for number in range(40)]
    chance.shuffle(alerts)
    incidents: dict[str, int] = {}
    for at, (service, matter) in sorted(zip([0.0, *(chance.uniform(0, seconds) for _ in range(39))], alerts, strict=True)):
        desk.wait(BEGAN + at - desk.now)
        if service not in incidents:
            incidents[service] = 100 + len(incidents)
            desk.begin(incidents[service], service, hint)
        desk.tell(
            Kind.OPENS, matter, service=service, incident=incidents[service], severity=chance.choice([Severity.WARNING, Severity.CRITICAL])
        )
    return {number: service for service, number in incidents.items()}


@pytest.mark.parametrize("hint", ["", "rule:gpu-lost"])
@pytest.mark.parametrize("seed", range(50))
def test_a_storm_of_forty_alerts_is_one_incident_and_two_messages(seed: int, hint: str) -> None:
    desk = Desk()
    incidents = storm(desk, random.Random(seed), hint)
    desk.wait(90)
    assert len({desk.router.root(number) for number in incidents}) == 1
    told = desk.of()
    assert len(told) == 2 and told[0] == (0.0, told[0][1]) and sum(len(keys) for _, keys in told) == 40, told
    assert told[1][0] <= PACE + 1


@pytest.mark.parametrize("seed", range(20))
def test_the_end_of_a_storm_is_folded_too(seed: int) -> None:
    desk, chance = Desk(), random.Random(seed)
    incidents = storm(desk, chance)
    desk.wait(120)
    for number, service in incidents.items():
        for matter in range(5):
            desk.wait(chance.uniform(0, 0.4))
            desk.tell(Kind.CLOSES, f"rule-{matter}", service=service, incident=number)
    desk.wait(90)
    assert len(desk.of()) <= 4 and sum(len(keys) for _, keys in desk.of()) == 80


def test_what_follows_a_lost_gpu_is_told_with_it() -> None:
    desk = Desk()
    desk.begin(1, None, "rule:gpu-lost")
    lost = desk.tell(Kind.OPENS, "gpu-lost x", service=None)
    desk.wait(3)
    follows = []
    for number in (2, 3):
        desk.begin(number, f"s{number}", "rule:gpu-lost")
        follows.append(desk.tell(Kind.OPENS, "unhealthy", service=f"s{number}", incident=number))
    desk.wait(60)
    assert [keys for _, keys in desk.of()] == [(lost,), tuple(follows)]
    assert desk.router.root(3) == 1


def test_services_that_fail_far_apart_have_incidents_of_their_own() -> None:
    desk = Desk()
    for number in range(1, 9):
        desk.begin(number, f"s{number}")
        desk.tell(Kind.OPENS, "p", service=f"s{number}", incident=number)
        desk.wait(TOGETHER + 1)
    assert [len(keys) for _, keys in desk.of()] == [1] * 8
    assert {desk.router.root(number) for number in range(1, 9)} == set(range(1, 9))


def test_two_that_fail_at_the_same_time_are_told_each_by_itself() -> None:
    """The second waits until it is known that it is not one of many."""
    desk = Desk()
    for number in (1, 2):
        desk.begin(number, f"s{number}")
        desk.tell(Kind.OPENS, "p", service=f"s{number}", incident=number)
    desk.wait(30)
    assert [(at, len(keys)) for at, keys in desk.of()] == [(0.0, 1), (TOGETHER, 1)]
    assert desk.router.root(2) == 2


# ---------------------------------------------------------------- whatever happens
ROUTES = [
    Route("ops", Severity.INFO, escalate=Escalation(Seconds(15 * MINUTE), "boss"), repeat_every=Seconds(4 * HOUR)),
    Route("night", Severity.INFO, quiet=NIGHT),
    Route("boss", Severity.CRITICAL),
    Route("team", Severity.WARNING, services=("a*", "host"), group_wait=Seconds(20.0), quiet=Quiet(TimeOfDay(0), TimeOfDay(5 * HOUR))),
]
EXAMPLES = int(os.environ.get("ROUTING_EXAMPLES", "60"))
SERVICES = ("a1", "a2", "b1", "b2", "c", None)
MATTERS = ("p x", "p y", "gave_up")


class Whatever(RuleBasedStateMachine):
    """Matters open and close, night falls, silences begin and end, the daemon is killed before or after it has written anything down."""

    @initialize()
    def begin(self) -> None:
        self.desk = Desk(list(ROUTES))
        self.open: dict[tuple[str | None, str], tuple[int, Severity]] = {}
        self.incidents: dict[str | None, int] = {}
        self.next = 1
        self.keys: dict[str, tuple[Kind, str | None, str]] = {}

    @rule(service=st.sampled_from(SERVICES), matter=st.sampled_from(MATTERS), critical=st.booleans())
    def something_is_wrong(self, service: str | None, matter: str, critical: bool) -> None:
        if (service, matter) in self.open:
            return
        if service not in self.incidents:
            self.incidents[service], self.next = self.next, self.next + 1
            self.desk.begin(self.incidents[service], service)
        severity = Severity.CRITICAL if critical else Severity.WARNING
        self.open[service, matter] = self.incidents[service], severity
        key = self.desk.tell(Kind.OPENS, matter, service=service, severity=severity, incident=self.incidents[service])
        self.keys[key] = Kind.OPENS, service, matter

    @rule(chance=st.randoms(use_true_random=False))
    def something_is_over(self, chance: random.Random) -> None:
        if self.open:
            self.close(*chance.choice(sorted(self.open, key=str)))

    def close(self, service: str | None, matter: str) -> None:
        incident, severity = self.open.pop((service, matter))
        key = self.desk.tell(Kind.CLOSES, matter, service=service, severity=severity, incident=incident)
        self.keys[key] = Kind.CLOSES, service, matter
        if not any(owner == service for owner, _ in self.open):
            self.desk.router.end(self.incidents.pop(service))

    @rule(service=st.sampled_from(SERVICES), info=st.booleans())
    def something_happens_once(self, service: str | None, info: bool) -> None:
        self.desk.tell(
            Kind.ONCE, service=service, severity=Severity.INFO if info else Severity.WARNING, incident=self.incidents.get(service)
        )

    @rule(seconds=st.one_of(st.floats(0.1, 15), st.floats(60, 3600)))
    def time_passes(self, seconds: float) -> None:
        self.desk.wait(seconds)

    @rule()
    def hours_pass(self) -> None:
        self.leap(5 * HOUR)

    def leap(self, seconds: float) -> None:
        """In steps of 5 minutes."""
        for _ in range(int(seconds / 300)):
            self.desk.now += 300.0
            self.desk.carry_out(self.desk.router.look(self.desk.now, self.desk.second))

    @rule(of=st.sampled_from([("a*",), ("b1",), ("*",)]), seconds=st.floats(60, 7200))
    def a_silence_begins(self, of: tuple[str, ...], seconds: float) -> None:
        number = f"{self.next}"
        self.next += 1
        self.desk.router.state.silences[number] = Silence(number, of, self.desk.now + seconds, "by chance")

    @rule()
    @precondition(lambda self: self.desk.router.state.silences)
    def a_silence_is_ended(self) -> None:
        self.desk.router.state.silences.popitem()

    @rule()
    @precondition(lambda self: self.incidents)
    def somebody_acknowledges(self) -> None:
        root = self.desk.router.root(next(iter(self.incidents.values())))
        assert root is not None
        self.desk.router.state.acks[root] = Acknowledged(self.desk.now, 1000)

    @rule()
    def killed_and_started_again(self) -> None:
        self.desk.restart()

    @rule(service=st.sampled_from(SERVICES), matter=st.sampled_from(MATTERS))
    def killed_before_it_was_written_down(self, service: str | None, matter: str) -> None:
        """Nothing is sent before it is in the record: the next one decides the same again, or finds that there is nothing to decide."""
        before, sent, number, following = deepcopy(self.desk.router.state), len(self.desk.sent), self.desk.number, self.next
        openings, incidents = dict(self.open), dict(self.incidents)
        if (service, matter) in self.open:
            self.close(service, matter)
        else:
            self.something_is_wrong(service, matter, critical=False)
        del self.desk.sent[sent:]
        self.desk.router.state, self.desk.number, self.next = before, number, following
        self.open, self.incidents = openings, incidents
        self.desk.restart()

    @rule(seconds=st.floats(1, 60))
    def killed_before_what_was_due_was_written_down(self, seconds: float) -> None:
        before, sent, reminded = deepcopy(self.desk.router.state), len(self.desk.sent), len(self.desk.reminded)
        self.desk.now += seconds
        self.desk.carry_out(self.desk.router.look(self.desk.now, self.desk.second))
        del self.desk.sent[sent:], self.desk.reminded[reminded:]
        self.desk.router.state = before
        self.desk.restart()

    @invariant()
    def nothing_is_told_twice_and_nothing_ends_that_was_not_told(self) -> None:
        if not hasattr(self, "desk"):
            return
        count = Counter((name, key) for _, name, keys in self.desk.sent for key in keys)
        count.update((reminder.notifier, reminder.key) for _, reminder in self.desk.reminded)
        twice = {of: times for of, times in count.items() if times > 1}
        assert not twice, twice
        self.check_ends(final=False)

    def check_ends(self, *, final: bool) -> None:
        """In the order in which a notifier was told: nothing ends that was not told, and in the end nothing is left open."""
        for route in ROUTES:
            known: set[tuple[str | None, str]] = set()
            by_time = [(at, keys) for at, name, keys in self.desk.sent if name == route.name]
            escalated: list[tuple[float, tuple[str, ...]]] = [
                (at, ("escalation",)) for at, r in self.desk.reminded if r.notifier == route.name and r.is_escalation
            ]
            for _, keys in sorted(by_time + escalated, key=lambda entry: entry[0]):
                for key in keys:
                    kind, service, matter = self.keys.get(key, (Kind.ONCE, None, ""))
                    if kind is Kind.OPENS:
                        known.add((service, matter))
                    elif kind is Kind.CLOSES and not escalated:
                        assert (service, matter) in known, f"{route.name}: {key} without a beginning"
                        known.discard((service, matter))
                    elif kind is Kind.CLOSES:
                        known.discard((service, matter))
            assert not final or not known, f"{route.name} was never told that these are over: {known}"

    def teardown(self) -> None:
        if not hasattr(self, "desk"):
            return
        for service, matter in sorted(self.open, key=str):
            self.close(service, matter)
        self.leap(2 * DAY)
        self.check_ends(final=True)
        state = self.desk.router.state
        assert all(not lane.held and not lane.told for lane in state.lanes.values())
        assert not state.threads.known and not state.acks and not self.desk.router.is_busy, "nothing is kept for ever"


TestWhatever = Whatever.TestCase
TestWhatever.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, suppress_health_check=[*HealthCheck], deadline=None)


def test_what_waits_in_a_night_that_ends_within_a_silence_goes_on_waiting() -> None:
    desk = Desk([Route("ops", quiet=NIGHT)])
    desk.wait(18 * HOUR)
    key = desk.tell(Kind.OPENS, "p")
    desk.router.state.silences["1"] = Silence("1", ("*",), desk.now + 2 * HOUR, "")
    desk.wait(1.5 * HOUR)
    assert desk.sent == [] and desk.router.state.lanes["ops"].held[key].why is Why.SILENCE
    desk.wait(HOUR)
    assert [keys for _, keys in desk.of()] == [(key,)]


def test_what_began_and_ended_while_it_waited_is_told_to_nobody_where_night_has_fallen() -> None:
    desk = Desk([Route("ops", group_wait=Seconds(60.0), quiet=NIGHT)])
    desk.wait(10 * HOUR - 30)
    desk.tell(Kind.OPENS, "p")
    desk.tell(Kind.CLOSES, "p")
    desk.wait(60)
    again = desk.tell(Kind.OPENS, "p", incident=2)
    desk.wait(12 * HOUR)
    assert [keys for _, keys in desk.of()] == [(again,)]
