"""The probe `command` with real programs."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from model_watchdog.children import OUTPUT_CAP
from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.command import MOST, Command, parse_number
from tests.rig.waiting import wait_until


def ask(*command: str, metrics: tuple[str, ...] = (), timeout: float = 5.0) -> Observation:
    async def run() -> Observation:
        return await Command(command, metrics).open(Surroundings("s", None, timeout, None)).observe()  # type: ignore[arg-type]

    return asyncio.run(run())


def sh(script: str, **options: Any) -> Observation:
    return ask("/bin/sh", "-c", script, **options)


def fail(script: str, **options: Any) -> ProbeError:
    with pytest.raises(ProbeError) as caught:
        sh(script, **options)
    return caught.value


# ---------------------------------------------------------------- the verdict
def test_zero_is_good_and_the_first_line_is_its_detail() -> None:
    assert sh("echo; echo all well; echo more").detail == "all well"
    assert sh("echo warning >&2").detail == "warning"
    assert sh("true").detail == ""


def test_one_is_bad_with_its_reason() -> None:
    failed = fail("echo the queue stands still; exit 1")
    assert (failed.failure, failed.detail) == (Failure.STATUS, "the queue stands still")
    assert fail("exit 1").detail == "/bin/sh ended with exit code 1"


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ("echo no idea; exit 2", "/bin/sh cannot tell: exit code 2, no idea"),
        ("exit 127", "/bin/sh cannot tell: exit code 127"),
        ("kill -SEGV $$", "/bin/sh cannot tell: signal 11"),
    ],
)
def test_anything_else_says_nothing_of_the_service(script: str, detail: str) -> None:
    failed = fail(script)
    assert (failed.failure, failed.detail) == (Failure.WATCHER, detail)


def test_a_program_that_cannot_be_run_says_nothing_of_the_service(tmp_path: Path) -> None:
    for program in (f"{tmp_path}/none", str(tmp_path)):
        with pytest.raises(ProbeError) as caught:
            ask(program)
        assert caught.value.failure == Failure.WATCHER
        assert caught.value.detail.startswith(f"{program} cannot be run: ")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize("end", ["sleep 60", "exit 0", "exit 1"])
def test_nothing_of_it_is_left(tmp_path: Path, end: str) -> None:
    """Neither when it takes too long nor when it ends by itself; and what holds its output open is not waited for."""
    began = time.monotonic()
    script = f"sleep 60 & echo $! > {tmp_path}/inner; {end}"
    if end == "exit 0":
        sh(script, timeout=0.5)
    else:
        failed = fail(script, timeout=0.5)
        if end == "sleep 60":
            assert (failed.failure, failed.detail) == (Failure.WATCHER, "/bin/sh was not done within 0.5 s and was killed")
    assert time.monotonic() - began < 2
    inner = int((tmp_path / "inner").read_text())
    wait_until(lambda: not is_running(inner), told="what it started is still there")


def test_it_gets_no_secrets_and_no_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DINGTALK_URL", "secret")
    monkeypatch.setenv("LC_TIME", "C")
    assert sh("echo [$DINGTALK_URL] $LC_TIME").detail == "[] C"
    assert ask("/bin/echo", "$(id)", "; id").detail == "$(id) ; id"


def test_nothing_that_a_terminal_would_obey() -> None:
    assert sh(r"printf '\033[31mred\007\n'").detail == "[31mred"


# ---------------------------------------------------------------- numbers
def test_declared_numbers_become_samples_and_others_are_text() -> None:
    seen = sh('echo queue_depth 12; echo \'by_model{model="a b",zone="x}"} 1.5e3\'; echo other 7', metrics=("queue_depth", "by_model"))
    assert list(seen.measurements) == [("queue_depth", {}, 12.0), ("by_model", {"model": "a b", "zone": "x}"}, 1500.0)]
    assert seen.detail == "other 7"


def test_bad_ones_keep_their_numbers_and_unknown_ones_do_not() -> None:
    assert fail("echo queue_depth 900; echo too deep; exit 1", metrics=("queue_depth",)).measurements == [("queue_depth", {}, 900.0)]
    blind = fail("echo queue_depth 900; echo no idea; exit 2", metrics=("queue_depth",))
    assert (blind.measurements, blind.detail) == ((), "/bin/sh cannot tell: exit code 2, no idea")


def test_of_one_series_the_last_number_counts() -> None:
    assert list(sh("echo q 1; echo q 2", metrics=("q",)).measurements) == [("q", {}, 2.0)]


def test_neither_too_many_series_nor_half_a_number() -> None:
    many = sh(f'i=0; while [ $i -lt {MOST + 9} ]; do echo "q{{n=\\"$i\\"}} $i"; i=$((i+1)); done', metrics=("q",))
    assert len(many.measurements) == MOST
    code = f"print('#' * {OUTPUT_CAP - 5}); print('q 123456')"  # the cap falls into the number
    assert ask(sys.executable, "-c", code, metrics=("q",)).measurements == []


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("q 1", ("q", (), 1.0)),
        ("  ns:q_total   -2.5  ", ("ns:q_total", (), -2.5)),
        ("q{} +1e-3", ("q", (), 0.001)),
        ('q{b="2", a="1",} .5', ("q", (("a", "1"), ("b", "2")), 0.5)),
        (r'q{path="C:\\x\n\"y\""} 1', ("q", (("path", 'C:\\x\n"y"'),), 1.0)),
    ],
)
def test_lines_that_are_numbers(line: str, number: object) -> None:
    assert parse_number(line) == number


@pytest.mark.parametrize(
    "line",
    [
        *("", "q", "q 1 2", "q one", "q NaN", "q +Inf", "q 1e999", "q 1_000", "q 0x10", "1q 1", "q-x 1", "# q 1", "q: 1s"),
        *('q{a=1} 1', 'q{a="1} 1', 'q{a="1" b="2"} 1', 'q{1a="x"} 1', 'q{a="1",a="2"} 1', r'q{a="\x"} 1'),
        *('q{service="other"} 1', 'q{probe="other"} 1', 'q{__name__="x"} 1'),
    ],
)  # fmt: skip
def test_lines_that_are_none(line: str) -> None:
    assert parse_number(line) is None


def test_a_line_that_is_made_to_take_long_does_not() -> None:
    began = time.process_time()
    for line in ("q{" + 'a="' * 20_000, "q{" + 'a="b",' * 10_000, "q" * 60_000 + "{", 'q{a="' + "\\" * 60_000):
        assert parse_number(line) is None
    assert time.process_time() - began < 0.5


def test_what_is_wrong_with_its_options() -> None:
    assert Command(("/bin/true",), ("a_b:c",)).faults() == []
    assert len(Command(()).faults()) == len(Command(("",)).faults()) == len(Command(("a\0b",)).faults()) == 1
    assert len(Command(("/bin/true",), ("1a", "a b", "ä")).faults()) == 3


def test_no_descriptor_is_left() -> None:
    async def run() -> tuple[int, int]:
        running = Command(("/bin/sh", "-c", "sleep 60 & exit 0")).open(Surroundings("s", None, 5.0, None))  # type: ignore[arg-type]
        await running.observe()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await running.observe()
        return before, len(os.listdir("/proc/self/fd"))

    before, after = asyncio.run(run())
    assert before == after
