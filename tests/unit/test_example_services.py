"""What the services of examples/ are made of: the breaker's figures, the health that proves progress, the log's rotation and masking."""

import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any

import pytest
from interlock import CircuitBreaker, CircuitOpenError

from tests.rig.chaos import closed_port
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
    assert {"model", "python", "host", "pid", "gpus"} <= json.loads(log.read_text()).keys()
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


def test_the_hash_of_an_input_is_never_masked_though_it_may_look_like_a_number(log: Path) -> None:
    found = (service_log.describe(str(number).encode()) for number in range(100_000))
    facts = next(fact for fact in found if re.search(r"\d{14}", fact["input_sha256"]))
    service_log.log.info(facts)
    assert json.loads(log.read_text())["input_sha256"] == facts["input_sha256"]


CROSS = bytes.fromhex("ff000000ff 00ff00ff00 0000ff0000 00ff00ff00 ff000000ff")
TOO_DEEP = b'{"image":' + b"[" * 100_000


def ask(port: int, body: bytes, path: str = "/classify") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", body), timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_script_answers_pictures_of_any_size_and_refuses_what_is_none(tmp_path: Path) -> None:
    port, log = closed_port(), tmp_path / "service.log"
    with subprocess.Popen([sys.executable, "script_service.py", "--port", str(port), "--log", str(log)], cwd=EXAMPLES) as service:
        try:
            wait_until(lambda: is_open(port), 20)
            assert json.loads(ask(port, b"P5 5 5 255 " + CROSS)[1])["label"] == "叉"
            wide = bytes(CROSS[row // 3 * 5 + column // 7] for row in range(15) for column in range(35))
            assert json.loads(ask(port, b"P5\n35 15\n255\n" + wide)[1])["label"] == "叉"
            assert ask(port, b"P5 5 5 255 " + bytes(25))[0] == 200, "of one colour: a guess, and a warning"
            for bad in (b"P5 5 5 255 ...", b"P5 0 0 255 ", b"{", b"[1]", b'{"image": 1}', b'{"image": "P5"}', TOO_DEEP, b"x", b""):
                assert ask(port, bad)[0] == 400, bad[:20]
            assert ask(port, CROSS, "/elsewhere")[0] == 400
            assert "low_confidence" in log.read_text() and "ERROR" not in log.read_text()
        finally:
            service.terminate()


def is_open(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_fastapi_streams_what_it_generates_and_refuses_what_it_cannot_answer(tmp_path: Path) -> None:
    port, log = closed_port(), tmp_path / "service.log"
    with subprocess.Popen([sys.executable, "fastapi_service.py", "--port", str(port), "--log", str(log)], cwd=EXAMPLES) as service:
        try:
            wait_until(lambda: is_open(port), 20)
            with urllib.request.urlopen(json_request(port, "/generate", {"text": "今天", "max_tokens": 3}), timeout=10) as response:
                assert response.read().decode() == "北京。"
            for body in ({"text": "no mask"}, {"text": ""}, {"text": "[MASK]" * 400}, {}):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(json_request(port, "/fill-mask", body), timeout=10)
                assert refused.value.code == 422, body
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        finally:
            service.terminate()
    wanted = ("http_requests_total", "request_processing_seconds_count", "time_to_first_token_seconds_sum", "requests_shed_total")
    assert all(f"\n{name}" in page for name in (*wanted, "model_steps_total 3.0", "generated_tokens_total 3.0", "requests_in_progress 0.0"))
    assert 'http_requests_total{method="POST",path="/fill-mask",status="422"} 4.0' in page
    assert "ERROR" not in log.read_text() and "no mask" not in log.read_text()


def json_request(port: int, path: str, body: dict[str, Any]) -> urllib.request.Request:
    return urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})


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
