"""What a watch makes of what systemd says, where the moment decides: too rare in a real systemd to be waited for."""

import asyncio
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog.clock import Clock
from model_watchdog.config.model import HostConfig, ProbeConfig, ServiceConfig
from model_watchdog.core.attempt import Attempt
from model_watchdog.core.decision import Actor, Cause, Reason
from model_watchdog.core.diagnosis import is_moving
from model_watchdog.core.gpu import Gpu, GpuProcess
from model_watchdog.core.host import HostState
from model_watchdog.core.sample import Failure, Outcome
from model_watchdog.core.state import Service, ServiceState
from model_watchdog.core.unit import Ended, Ending, UnitFacts
from model_watchdog.core.units import Seconds, Url
from model_watchdog.feeding import Feed
from model_watchdog.gpuview import GpuHolder
from model_watchdog.hostwatch import HostWatch
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.http import Http
from model_watchdog.tick import Watch
from tests.rig.chaos import Chaos

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


class Driver:
    """In the place of the probe `nvml`: GPU 1 is used by one process, at 95 % with `watts` of 400."""

    def __init__(self, pid: int, watts: float) -> None:
        self.pid, self.watts, self.asked = pid, watts, 0

    def open(self, surroundings: Surroundings) -> "Driver":
        return self

    async def observe(self) -> Observation:
        self.asked += 1
        return Observation(gpus=(Gpu("GPU-a", "1", True, 95.0, self.watts, 400.0, (GpuProcess(self.pid, 1 << 30),)),))

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(("watts", "seen"), [(300.0, ("1",)), (60.0, ())])
def test_a_probe_that_is_left_waiting_has_the_gpus_read_meanwhile(chaos: Chaos, watts: float, seen: tuple[str, ...]) -> None:
    """All that lies between a probe and the driver: the service's own watch, the host's, and the view that they share."""
    chaos.set("hang")
    second, rarely = Seconds(1.0), Seconds(3600.0)
    health = ProbeConfig("health", "http", Http(Url(chaos.url())), second, Seconds(0.5), second)
    with subprocess.Popen(["/bin/sleep", "60"]) as working:
        driver = Driver(working.pid, 300.0)
        hosts = HostConfig((ProbeConfig("gpu", "nvml", driver, rarely, second, second),))
        store = SimpleNamespace(put=lambda *writes: None, setting=lambda key: None)
        gpus: Any = GpuHolder()
        means: Any = SimpleNamespace(
            clock=Clock(),
            store=store,
            gpus=gpus,
            dry_run=False,
            units=None,
            list_pids=dict,
            own_metrics=list,
            samples=[],
            notes={},
            feed=Feed(),
            unwritten=set(),
        )
        host = HostWatch(hosts, HostState(), means)
        means.look_at_gpus = host.look_at_gpus
        recovery: Any = None
        service = Service("model", "model.service")
        state = ServiceState.fresh(service, 0.0)
        state.unit = UnitFacts("model.service", 0.0, main_pid=working.pid)
        watch = Watch(ServiceConfig(service, (health,), "systemctl", recovery), state, means)

        async def run() -> Outcome:
            host.open()
            watch.open()
            host.measure_all()
            await asyncio.sleep(0.05)
            driver.watts = watts
            try:
                return await watch.observe(health)
            finally:
                await watch.close()
                await host.close()

        try:
            outcome = asyncio.run(run())
        finally:
            working.kill()
    assert outcome.failure is Failure.TIMEOUT
    assert driver.asked == 2, "once at its interval, and once in the wait"
    assert (outcome.vitals.cores, outcome.vitals.gpus, is_moving(outcome)) == (pytest.approx(0, abs=0.1), seen, bool(seen))
