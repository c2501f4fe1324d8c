"""What moves while a service leaves a probe waiting: its processor time, and the GPUs that its processes are on."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from model_watchdog.clock import Clock
from model_watchdog.core.gpu import Gpu, GpuProcess
from model_watchdog.core.unit import UnitFacts
from model_watchdog.core.vitals import Vitals, works
from model_watchdog.gpuview import GpuHolder
from model_watchdog.vitals import VitalSigns

WAIT = 0.4
"""Seconds for which a service leaves us waiting."""


def gpu(used: float | None, power: float | None = None, limit: float | None = None, *, is_up: bool = True) -> Gpu:
    return Gpu("GPU-a", "1", is_up, used, power, limit)


# ---------------------------------------------------------------- what one reading of a GPU tells
@pytest.mark.parametrize(
    ("what", "reading", "working"),
    [
        ("generates tokens on an H100", gpu(98, 310, 700), True),
        ("is used lightly, and draws enough for it", gpu(12, 120, 300), True),
        ("hangs in a collective on a V100 (NVIDIA/nccl#199)", gpu(100, 44, 250), False),
        ("hangs in a collective on a card of 400 W (NVIDIA/nccl#968)", gpu(100, 70, 400), False),
        ("has a kernel that is stuck (scenario F04)", gpu(96, 95, 450), False),
        ("shows the use of what was killed (scenario F32)", gpu(100, 68, 700), False),
        ("idles with a context on a T4, whose clocks alone take that", gpu(0, 27, 70), False),
        ("idles", gpu(0, 70, 700), False),
        ("does not tell its power, and is used", gpu(35), True),
        ("does not tell its power, and idles", gpu(3), False),
        ("does not tell its limit, and is used", gpu(35, 60), True),
        ("has no limit, and is used", gpu(35, 60, 0), True),
        ("does not tell its use, and draws much", gpu(None, 300, 400), True),
        ("does not tell its use, and draws little", gpu(None, 60, 400), False),
        ("tells nothing", gpu(None), None),
        ("is lost", gpu(100, 400, 400, is_up=False), False),
    ],
)
def test_a_gpu_that(what: str, reading: Gpu, working: bool | None) -> None:
    assert works(reading) is working


@pytest.mark.parametrize(
    ("vitals", "moving", "complete"),
    [
        (Vitals(), False, False),
        (Vitals(0.19), False, True),
        (Vitals(0.2), True, True),
        (Vitals(0.0, None), True, False),
        (Vitals(None, ("0",)), True, False),
        (Vitals(0.0, ("0", "2")), True, True),
    ],
)
def test_what_is_moving(vitals: Vitals, moving: bool, complete: bool) -> None:
    assert (vitals.is_moving, vitals.is_complete) == (moving, complete)


# ---------------------------------------------------------------- how it is looked at
@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    running = []

    def begin(code: str) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-I", "-c", f"print(flush=True)\n{code}"], stdout=subprocess.PIPE)
        running.append(child)
        assert child.stdout is not None
        child.stdout.readline()
        return child

    yield begin
    for child in running:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


SLEEPS, SPINS = "import time; time.sleep(60)", "while True: pass"
WORKING, SPINNING = (95.0, 300.0), (100.0, 60.0)


class Gpus:
    """The GPUs of the machine, and the probe that reads them: `reading` is use and power of GPU 1 at its next look, None for silence."""

    def __init__(self, pid: int, reading: tuple[float, float] | None) -> None:
        self.holder = GpuHolder()
        self.pid = pid
        self.reading: tuple[float, float] | None = WORKING
        self.looked = 0
        self.look()
        self.looked, self.reading = 0, reading

    def look(self) -> None:
        self.looked += 1
        if self.reading is None:
            self.holder.turn_stale()
            return
        others = Gpu("GPU-b", "0", True, 99.0, 390.0, 400.0, (GpuProcess(1, None),))
        mine = Gpu("GPU-a", "1", True, *self.reading, 400.0, (GpuProcess(self.pid, 1 << 30),))
        self.holder.take(Clock().steady(), (others, mine), {})


def watch(child: subprocess.Popen[bytes] | None, holder: GpuHolder, look: Callable[[], None], wait: float = WAIT) -> Vitals:
    """What is seen of a service whose main process that is, while it leaves us waiting."""
    facts = UnitFacts("s.service", 0.0, main_pid=child.pid) if child else None

    async def run() -> Vitals:
        signs = VitalSigns(lambda: facts, WAIT, Clock(), holder, look)
        try:
            await asyncio.sleep(wait)
            return signs.read()
        finally:
            signs.stop()

    return asyncio.run(run())


def test_processor_time_without_gpus(start: Any) -> None:
    holder = GpuHolder()
    asleep, spinning = watch(start(SLEEPS), holder, pytest.fail), watch(start(SPINS), holder, pytest.fail, 2 * WAIT)
    assert (asleep.is_moving, asleep.is_complete) == (False, True)
    assert spinning.cores is not None
    assert spinning.cores > 0.05


def test_processor_time_of_a_container_that_is_found_meanwhile_says_nothing(start: Any) -> None:
    facts = [UnitFacts("s.service", 0.0, main_pid=start(SPINS).pid)]

    async def run() -> Vitals:
        signs = VitalSigns(lambda: facts[0], WAIT, Clock(), GpuHolder(), pytest.fail)
        try:
            await asyncio.sleep(WAIT)
            facts[0] = replace(facts[0], containers=("/docker/1",))
            return signs.read()
        finally:
            signs.stop()

    assert asyncio.run(run()).cores is None


def test_without_a_unit_nothing_is_known(start: Any) -> None:
    gpus = Gpus(start(SLEEPS).pid, WORKING)
    assert watch(None, gpus.holder, gpus.look) == Vitals(None, ())
    assert gpus.looked == 0


@pytest.mark.parametrize(
    ("reading", "seen"),
    [(WORKING, ("1",)), (SPINNING, ()), (None, None)],
    ids=["it works", "it spins", "the driver does not answer"],
)
def test_gpus_are_read_in_the_wait(start: Any, reading: tuple[float, float] | None, seen: tuple[str, ...] | None) -> None:
    """That it worked before the wait, as the view of the last interval says, is no sign of life now."""
    child = start(SLEEPS)
    gpus = Gpus(child.pid, reading)
    assert watch(child, gpus.holder, gpus.look).gpus == seen
    assert gpus.looked == 1


def test_a_view_that_is_older_than_the_wait_says_nothing(start: Any) -> None:
    child = start(SLEEPS)
    gpus = Gpus(child.pid, WORKING)
    assert watch(child, gpus.holder, lambda: None).gpus is None


def test_the_gpus_of_others_are_not_looked_at(start: Any) -> None:
    gpus = Gpus(1, WORKING)
    assert watch(start(SLEEPS), gpus.holder, gpus.look).gpus == ()
    assert gpus.looked == 0


def test_a_service_that_answers_in_time_costs_nothing(start: Any) -> None:
    child = start(SLEEPS)
    gpus = Gpus(child.pid, WORKING)
    assert watch(child, gpus.holder, gpus.look, WAIT / 4) == Vitals(None, None)
    assert gpus.looked == 0
