"""Whatever happens, in whatever order, with the daemon killed in between: what must always hold."""

import random

import pytest

from model_watchdog.core.commands import pause
from model_watchdog.core.decision import State
from model_watchdog.core.sample import Failure
from model_watchdog.core.unit import Ending
from tests.scenarios.simulation import World

HELPLESS = {Failure.TLS, Failure.DNS, Failure.WATCHER}
"""What no restart can mend, or what says nothing about the service."""


class Chance:
    """A world in which things happen at random; it keeps the truth beside what the core sees."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.failure: Failure | None = None
        self.stopped_by_operator = False
        self.paused_until = 0.0
        self.comes_back = True
        self.since = 0.0  # when the health last became what it is
        self.wrong: list[str] = []
        self.world = World(health=lambda now: self.failure, on_restart=self.restarted)

    def restarted(self, world: World) -> bool:
        """Called at each restart: was it right?"""
        if self.stopped_by_operator:
            self.wrong.append("an operator's stop was undone")
        if world.now < self.paused_until:
            self.wrong.append("restarted while paused")
        if world.active == "active" and (self.failure is None or self.failure in HELPLESS):
            self.wrong.append(f"restarted for {self.failure}")
        if world.active == "active" and self.is_busy and world.now - self.since < world.service.busy_patience:
            self.wrong.append("restarted while busy")
        if self.comes_back:
            self.failure = None
        return self.comes_back

    @property
    def is_busy(self) -> bool:
        return self.failure is Failure.TIMEOUT and (self.world.cores or 0) >= 0.2

    def happen(self) -> None:
        was_busy = self.is_busy
        self.do_something()
        if not (was_busy and self.is_busy):
            self.since = self.world.now

    def do_something(self) -> None:
        world = self.world
        match self.random.randrange(9):
            case 0:
                if world.active == "active":
                    world.die()
            case 1:
                self.failure = self.random.choice([None, *Failure])
                world.cores = self.random.choice([0.0, 1.0])
            case 2:
                self.failure = None
            case 3:
                if world.active == "active":
                    world.end(Ending.OPERATOR_STOP)
                    self.stopped_by_operator = True
            case 4:
                if world.active != "active":
                    world.start()
                    self.stopped_by_operator = False
            case 5:
                seconds = self.random.uniform(10, 600)
                self.paused_until = world.now + seconds
                world.take(pause(world.service, world.state, seconds, "by chance", 0, world.now))
            case 6:
                world.restart_daemon(self.random.uniform(0.1, 30))
            case 7:
                self.comes_back = self.random.random() < 0.5
            case 8:
                if world.active == "active":
                    world.end(Ending.BY_ITSELF, status=self.random.choice([0, 1]))

    def calm(self) -> None:
        """Everything is mended, and stays so for three hours: long enough for every count to be forgotten."""
        self.comes_back, self.failure, self.stopped_by_operator, self.paused_until = True, None, False, 0.0
        if self.world.active != "active":
            self.world.start()
        self.world.run(3 * 3_600)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens(seed: int) -> None:
    chance = Chance(seed)
    world = chance.world
    for _ in range(60):
        chance.happen()
        world.run(chance.random.uniform(1, 400))
    chance.calm()
    assert chance.wrong == []
    for at in world.restarts:
        within = [other for other in world.restarts if at - 3600 < other <= at]
        assert len(within) <= 7, "six an hour, and a trial"
    assert world.state.state is State.HEALTHY and world.state.incident is None
    fired, resolved = world.told_about("alert_fired"), world.told_about("alert_resolved")
    assert fired == resolved, "what was told to fire was told to be over"
    assert world.told_about("gave_up") == world.told_about("back")
