"""What a watch makes of what systemd says, where the moment decides: too rare in a real systemd to be waited for."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog.config.model import ServiceConfig
from model_watchdog.core.attempt import Attempt
from model_watchdog.core.decision import Actor, Cause, Reason
from model_watchdog.core.state import Service, ServiceState
from model_watchdog.core.unit import Ended, Ending, UnitFacts
from model_watchdog.tick import Watch

SERVICE = Service("model", "model.service")
ANSWERED = 100.0
"""When the call that restarted the unit came back."""


class Asked:
    """In the place of the journal: what was asked of it."""

    def __init__(self) -> None:
        self.about: list[float] = []

    async def why_ended(self, facts: UnitFacts, last_invocation: str) -> Ended:
        self.about.append(facts.at)
        return Ended(Ending.NOT_PROVED)

    async def is_host_stopping(self) -> bool:
        return False


def watch_on(state: ServiceState, journal: Asked) -> Watch:
    means: Any = SimpleNamespace(systemd=journal, main_processes=SimpleNamespace(watch=lambda *_: None), host_stopping=False)
    recovery: Any = None
    return Watch(ServiceConfig(SERVICE, (), "systemctl", recovery), state, means)


@pytest.mark.parametrize(("answered_at", "asked"), [(None, []), (ANSWERED, [ANSWERED + 1])])
def test_a_unit_that_is_down_in_the_middle_of_our_own_restart_is_not_looked_into(answered_at: float | None, asked: list[float]) -> None:
    """systemd takes it down and up again; the journal says nothing of an end by then, which is no reason to tell anybody."""
    state = ServiceState.fresh(SERVICE, 0.0)
    state.attempt = Attempt(1, Actor.WATCHDOG, Cause.HEALTH_BODY, Reason("down"), 99.0, answered_at=answered_at)
    journal = Asked()
    watch = watch_on(state, journal)
    for at in (ANSWERED - 1, ANSWERED + 1):
        asyncio.run(watch._take_facts(UnitFacts("model.service", at, active="inactive", sub="dead")))
    assert journal.about == asked


def test_between_the_stop_and_the_start_of_somebodys_restart_the_journal_is_not_asked() -> None:
    journal = Asked()
    watch = watch_on(ServiceState.fresh(SERVICE, 0.0), journal)
    asyncio.run(watch._take_facts(UnitFacts("model.service", 1.0, active="inactive", sub="dead", job=7)))
    assert journal.about == [] and watch._ended[1] is None


def test_what_is_not_proved_is_said_when_the_next_look_says_so_too() -> None:
    watch = watch_on(ServiceState.fresh(SERVICE, 0.0), Asked())
    found = []
    for at in (1.0, 2.0, 3.0):
        asyncio.run(watch._take_facts(UnitFacts("model.service", at, active="inactive", sub="dead", invocation="a", inactive_enter_at=0.5)))
        found.append(watch._ended[1])
    assert found == [None, Ended(Ending.NOT_PROVED), Ended(Ending.NOT_PROVED)]
