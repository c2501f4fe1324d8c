"""What of a start moves, seen on real processes."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from model_watchdog.core.unit import UnitFacts
from model_watchdog.gpuview import GpuHolder
from model_watchdog.vitals import StartSigns

WAIT = "import time; time.sleep(60)"
LOAD = "import time\nkept = []\nwhile True:\n    kept.append(bytearray(b'x' * (1 << 20)))\n    time.sleep(0.05)"
COMPILE = "while True: pass"


def looks(program: str, log: tuple[float, float] = (0.0, 0.0), *, expected: bool = True) -> bool:
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            time.sleep(0.3)
            facts, signs = UnitFacts("m.service", 0.0, main_pid=process.pid, invocation="1"), StartSigns()
            assert not signs.move(facts, GpuHolder(), log[0], 100.0), "nothing to compare with"
            time.sleep(0.6)
            assert not signs.move(facts, GpuHolder(), log[1], 100.5), "too soon"
            seconds = range(101, 121 if expected else 102)  # a machine that is busy gives a program little of a second
            return any(signs.move(facts, GpuHolder(), log[1], float(at)) or time.sleep(0.5) for at in seconds)  # type: ignore[func-returns-value]
        finally:
            process.kill()


@pytest.mark.parametrize(("program", "moves"), [(WAIT, False), (LOAD, True), (COMPILE, True)])
def test_what_loads_or_compiles_moves_and_what_waits_does_not(program: str, moves: bool) -> None:
    assert looks(program, expected=moves) is moves


def test_a_log_that_grows_is_a_sign_too() -> None:
    assert looks(WAIT, (10.0, 700.0))


def test_a_container_that_is_found_is_compared_with_itself_only() -> None:
    with subprocess.Popen([sys.executable, "-c", WAIT]) as process:
        try:
            signs, gpus = StartSigns(), GpuHolder()
            alone = UnitFacts("m.service", 0.0, main_pid=process.pid, invocation="1")
            assert not signs.move(alone, gpus, 0.0, 100.0)
            found = replace(alone, containers=("/docker/1",))
            assert not signs.move(found, gpus, 900.0, 110.0), "all that it has used so far is no movement"
            assert signs.move(found, gpus, 1800.0, 120.0)
        finally:
            process.kill()


def test_another_invocation_is_compared_with_itself_only() -> None:
    with subprocess.Popen([sys.executable, "-c", COMPILE]) as process:
        try:
            signs = StartSigns()
            signs.move(UnitFacts("m.service", 0.0, main_pid=process.pid, invocation="1"), GpuHolder(), 0.0, 100.0)
            assert not signs.move(UnitFacts("m.service", 0.0, main_pid=process.pid, invocation="2"), GpuHolder(), 0.0, 110.0)
        finally:
            process.kill()
