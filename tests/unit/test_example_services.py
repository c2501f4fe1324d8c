"""What the services of examples/ are made of: the breaker's figures, the health that proves progress, the log's rotation and masking."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path

import pytest
from interlock import CircuitBreaker, CircuitOpenError

from tests.rig.fakenvml import FakeNvml
from tests.rig.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))

import service_kit as kit  # noqa: E402
import service_log  # noqa: E402


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def call(breaker: CircuitBreaker, good: bool) -> str:
    """What becomes of a call that would be good, or fail: answered, failed or turned away."""
    try:
        breaker.call(lambda: 1 // good)
    except CircuitOpenError:
        return "turned away"
    except ZeroDivisionError:
        return "failed"
    return "answered"


def test_every_service_is_short() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert {"fastapi_service.py", "script_service.py"} < lines.keys()
    assert {name: count for name, count in lines.items() if count >= 120} == {}


def test_the_breaker_waits_for_ten_calls_of_which_more_than_half_failed() -> None:
    breaker = CircuitBreaker(name="few", config=kit.SHEDDING, clock=Clock())
    assert [call(breaker, good=False) for _ in range(10)] == ["failed"] * 10
    assert call(breaker, good=True) == "turned away"
    half = CircuitBreaker(name="half", config=kit.SHEDDING, clock=Clock())
    assert [call(half, good=number % 2 == 0) for number in range(40)] == ["answered", "failed"] * 20
    assert call(half, good=False) == "failed"
    assert call(half, good=False) == "turned away", "11 of the last 20"


def test_after_thirty_seconds_one_trial_decides() -> None:
    clock = Clock()
    breaker = CircuitBreaker(name="trial", config=kit.SHEDDING, clock=clock)
    for _ in range(10):
        call(breaker, good=False)
    clock.now += 29.9
    with pytest.raises(CircuitOpenError) as refused:
        breaker.call(lambda: 1)
    assert kit.turn_away(refused.value) == {"Retry-After": "1"}
    clock.now += 0.1
    assert call(breaker, good=False) == "failed", "the trial"
    assert call(breaker, good=True) == "turned away", "for another 30 s"
    clock.now += 30
    assert breaker.call(lambda: call(breaker, good=True)) == "turned away", "one trial at a time"
    assert call(breaker, good=True) == "answered"


def test_health_tells_a_model_that_is_stuck_from_one_that_is_idle_or_slow() -> None:
    progress, ends = kit.Progress(stuck_after=0.3), threading.Event()
    assert not progress.is_stuck()

    def work() -> None:
        with progress.request():
            ends.wait(10)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        wait_until(progress.is_stuck, 5)
        progress.step()
        assert not progress.is_stuck(), "slow, but it moves"
        wait_until(progress.is_stuck, 5)
        with progress.request():
            assert progress.is_stuck(), "a new request is no progress"
    finally:
        ends.set()
        worker.join()
    assert not progress.is_stuck(), "idle"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The example's log, opened; the test's own logging is put back after it."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    service_log.open_log(tmp_path / "service.log")
    yield tmp_path / "service.log"
    for handler in root.handlers:
        handler.close()
    root.handlers, sys.excepthook = handlers, hook
    root.setLevel(level)


def test_the_log_is_turned_over_daily_and_seven_are_kept(log: Path) -> None:
    (handler,) = [found for found in logging.getLogger().handlers if isinstance(found, TimedRotatingFileHandler)]
    assert handler.when == "MIDNIGHT"
    for day in range(1, 10):
        log.with_name(f"service.log.2026-01-{day:02}").write_text("{}\n")
    service_log.log_start("a model")
    handler.doRollover()
    service_log.log_start("a model")
    kept = sorted(path.name for path in log.parent.iterdir())
    assert len(kept) == 8 and kept[0] == "service.log" and "service.log.2026-01-03" not in kept
    assert len(log.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("call 13812345678 now", "call *** now"),
        ("+86 138-1234-5678", "***"),
        ("from li.lei@example.com", "from ***"),
        ("11010519491231002X", "***"),
        ("6222 0212 3456 7890", "***"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: ***"),
        ("took 1380 ms at 1764286800", "took 1380 ms at 1764286800"),
        ("中国的首都", "中国的首都"),
    ],
)
def test_what_belongs_to_a_person_is_masked_in_words_and_stacks(log: Path, written: str, told: str) -> None:
    try:
        raise ValueError(written)
    except ValueError:
        service_log.log.error({"task": "t", "error": written}, exc_info=True)
    record = json.loads(log.read_text())
    assert record["error"] == told and record["exception"].endswith(f"ValueError: {told}") and "Traceback" in record["exception"]


@pytest.mark.parametrize(
    ("gpus", "told"),
    [(["count=2", "0.procs={pid}:314572800,77:1073741824", "1.procs={pid}:209715200"], "{'gpu_memory_mb': 500}"), (["count=0"], "{}")],
    ids=["two GPUs", "none"],
)
def test_the_log_tells_its_own_memory_on_the_gpus_where_there_are_some(fakenvml: FakeNvml, gpus: list[str], told: str) -> None:
    """In a process that waits until the driver has been told what its memory is."""
    code = "import sys; sys.stdin.readline(); import service_log; print(service_log.measure_gpu())"
    with subprocess.Popen([sys.executable, "-c", code], cwd=EXAMPLES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        fakenvml.set(*[line.format(pid=child.pid) for line in gpus])
        printed, _ = child.communicate("go\n", timeout=20)
    assert printed.strip() == told


def test_an_exception_that_nobody_caught_is_in_the_log(log: Path) -> None:
    try:
        raise RuntimeError("out of memory")
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    record = json.loads(log.read_text())
    assert (record["level"], record["task"], record["status"]) == ("CRITICAL", "unhandled_exception", "failed")
    assert "RuntimeError: out of memory" in record["exception"]


def test_a_low_score_is_a_warning_and_only_tokens_are_told(log: Path) -> None:
    asked = "my secret question"
    made = kit.run("mask_prediction", asked.encode(), iter([("no", 0.1), ("yes", 0.9)]))
    assert list(made) == [("no", 0.1), ("yes", 0.9)]
    record = json.loads(log.read_text())
    assert (record["level"], record["status"], record["output_tokens"]) == ("WARNING", "low_confidence", 2)
    assert record["input_bytes"] == len(asked) and asked not in log.read_text()
    assert record["timestamp"][:4] == time.strftime("%Y", time.gmtime())
