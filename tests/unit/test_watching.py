"""`watchdog status --watch` in a real terminal: what can be read on it, how it is left, and what it outlives."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model_watchdog import writes
from model_watchdog.core.sample import Sample, SeriesId
from model_watchdog.language import count_cells
from model_watchdog.record import FILE
from model_watchdog.store import Store
from model_watchdog.trends import choose, draw_bars
from tests.rig.stand_in import stand_in
from tests.rig.terminal import SRC, Terminal
from tests.rig.waiting import wait_until
from tests.unit.test_status import HEALTHY

Open = Callable[..., Terminal]


def show(store: Store, name: str, **changes: Any) -> None:
    store.put(writes.service_status(name, json.dumps({**HEALTHY, "name": name, **changes}), time.time()))


def begin(directory: Path, *names: str, language: str = "en") -> Store:
    """A record of these services, each with a quarter of an hour of samples: the latency rises, the GPU memory stays."""
    store = Store.open(directory / FILE)
    store.put(writes.daemon_info(json.dumps({"pid": 1, "version": "0", "mode": "active", "language": language}), time.time()))
    for name in names:
        show(store, name)
        latency = SeriesId.of("probe_duration_seconds", {"service": name, "probe": "health"})
        memory = SeriesId.of("service_gpu_memory_bytes", {"service": name, "probe": "process", "gpu": "0"})
        for number in range(90):
            at = time.time() - (89 - number) * 10
            store.put(writes.samples("boot", 0.0, [Sample(latency, number / 1000, at), Sample(memory, 2.0**34, at)]))
    asyncio.run(store.commit(writes.setting("filled", "yes")))
    return store


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*words: str, **options: Any) -> Terminal:
        places = ("--state-dir", str(tmp_path), "--runtime-dir", str(tmp_path / "run"))
        opened.append(Terminal(*places, "status", "--watch", *words, **options))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = begin(tmp_path, "chatglm", "bert")
    yield store
    store.close()


def wait_for(terminal: Terminal, *texts: str, seconds: float = 10) -> None:
    wait_until(lambda: all(text in terminal.text for text in texts), seconds, lambda: f"{texts}\n{terminal.text}")


def test_what_changes_is_seen_within_two_seconds_with_its_trend(tmp_path: Path, store: Store, open_terminal: Open) -> None:
    with stand_in(tmp_path / "run"):
        terminal = open_terminal()
        wait_for(terminal, "model-watchdog  active · 2 services", "TRENDS", "q leaves")
        trend = next(line for line in terminal.lines if line.startswith("TRENDS"))
        assert trend.startswith("TRENDS    chatglm   latency ············")
        drawn = re.search(r"▁.*█(·?) 89 ms   GPU memory .*█·? 16.0 GiB$", trend)  # the minute that has just begun may have nothing yet
        assert drawn is not None and 28 <= trend.count("·") <= 32, trend
        show(store, "chatglm", state="unhealthy", reason="now it is ill")
        latency = SeriesId.of("probe_duration_seconds", {"service": "chatglm", "probe": "health"})
        store.put(writes.samples("boot", 0.0, [Sample(latency, 9.0, time.time())]))
        wait_for(terminal, "UNHEALTHY", "now it is ill", "9.0 s", seconds=2)


def test_one_service_alone_and_none_that_is_not_there(store: Store, open_terminal: Open) -> None:
    terminal = open_terminal("bert")
    wait_for(terminal, "bert", "TRENDS")
    assert "chatglm" not in terminal.text
    missing = open_terminal("bret")
    assert missing.process.wait(10) == 4
    wait_for(missing, "there is no service bret", 'did you mean "bert"?')
    assert b"\x1b[?1049h" not in missing.written


def test_it_follows_the_size_of_its_window(store: Store, open_terminal: Open) -> None:
    for number in range(30):
        show(store, f"service-{number}")
    terminal = open_terminal()
    wait_for(terminal, "service-29")
    terminal.resize(64, 15)
    wait_for(terminal, "lines above: 0, below: ", seconds=0.9)  # at once, not at the next look
    assert "service-29" not in terminal.text
    for _ in range(6):
        terminal.press(" ")
        time.sleep(0.02)  # as a person does; keys that come together are one
    wait_for(terminal, "below: 0", "service-29", seconds=2)
    terminal.press("g")
    wait_for(terminal, "above: 0", "model-watchdog", seconds=2)
    terminal.resize(200, 60)
    wait_for(terminal, "service-29", "model-watchdog", seconds=0.9)
    assert "above" not in terminal.lines[-1]
    assert max(map(count_cells, terminal.lines)) <= 200


@pytest.mark.parametrize("how", ["q", "\x03", signal.SIGTERM, signal.SIGHUP])
def test_whoever_leaves_finds_the_terminal_as_it_was(store: Store, open_terminal: Open, how: str | int) -> None:
    terminal = open_terminal()
    wait_for(terminal, "q leaves")
    if isinstance(how, str):
        terminal.press(how)
    else:
        terminal.process.send_signal(how)
    assert terminal.process.wait(5) == 0
    wait_until(terminal.is_as_before, 2)
    assert b"Traceback" not in terminal.written


def test_the_shell_has_its_terminal_back_while_it_rests(store: Store, open_terminal: Open) -> None:
    terminal = open_terminal()
    wait_for(terminal, "q leaves")
    terminal.press("\x1a")
    _, stopped = os.waitpid(terminal.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(stopped)
    wait_until(terminal.is_as_before, 2)
    seen = len(terminal.written)
    terminal.process.send_signal(signal.SIGCONT)
    wait_until(lambda: b"chatglm" in terminal.written[seen:], 5)
    assert not terminal.is_as_before()


def test_a_daemon_that_dies_and_a_record_that_is_replaced_are_outlived(tmp_path: Path, store: Store, open_terminal: Open) -> None:
    with stand_in(tmp_path / "run"):
        terminal = open_terminal()
        wait_for(terminal, "model-watchdog  active")
    wait_for(terminal, "model-watchdog  not running", "the daemon is not running", "chatglm", seconds=3)
    store.close()
    for part in tmp_path.glob(f"{FILE}*"):
        part.unlink()
    wait_for(terminal, "no record there", seconds=3)
    (tmp_path / FILE).write_bytes(b"this is no record" * 1000)
    wait_for(terminal, "damaged", seconds=3)
    (tmp_path / FILE).unlink()
    again = begin(tmp_path, "whisper")
    with stand_in(tmp_path / "run"):
        wait_for(terminal, "model-watchdog  active · 1 service", "whisper   latency", seconds=3)
        assert "chatglm" not in terminal.text and "record" not in terminal.text
    again.close()


def test_chinese_fits_as_well(tmp_path: Path, open_terminal: Open) -> None:
    store = begin(tmp_path, "控制台", language="zh")
    show(store, "控制台", state="dead", reason="服务每次启动约一秒后以退出码一结束，自动重启失败，需要人工处理" * 3)
    with stand_in(tmp_path / "run"):
        terminal = open_terminal(columns=60)
        wait_for(terminal, "趋势", "延迟", "按 q 退出")
        screen = terminal.lines
    said = "".join(line.strip() for line in screen)
    assert said.count("需要人工处理") == 3, "nothing is cut off"
    store.close()


@pytest.mark.parametrize("term", ["dumb", ""])
def test_what_cannot_be_drawn_on_is_refused_in_one_line(tmp_path: Path, store: Store, open_terminal: Open, term: str) -> None:
    terminal = open_terminal(term=term)
    assert terminal.process.wait(10) == 64
    wait_for(terminal, "--watch needs a terminal that can be drawn on")
    command = [sys.executable, "-m", "model_watchdog", "--state-dir", str(tmp_path), "status", "--watch"]
    piped = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(SRC)})
    assert piped.returncode == 64 and piped.stdout == "" and piped.stderr.count("\n") == 1


def test_looking_costs_little(tmp_path: Path, open_terminal: Open) -> None:
    """2 % of a core are the promise, on a quiet machine."""
    store = begin(tmp_path, *(f"service-{number}" for number in range(20)))
    with stand_in(tmp_path / "run"):
        terminal = open_terminal(rows=60)
        wait_for(terminal, "service-19   latency")
        began, used = time.monotonic(), terminal.used_seconds()
        time.sleep(5)
        share = (terminal.used_seconds() - used) / (time.monotonic() - began)
    store.close()
    assert share < 0.04, share


def test_bars_reach_from_nothing_to_the_greatest() -> None:
    assert draw_bars([0, 1, None, 7, 3.5]) == "▁▂·█▅"
    assert draw_bars([0, 0]) == "▁▁" and draw_bars([None]) == "·" and draw_bars([5, 5]) == "██"


def test_the_latency_of_a_service_is_its_canarys_or_else_its_health_probes() -> None:
    def of(metric: str, probe: str, service: str = "a") -> tuple[str, dict[str, str]]:
        return metric, {"service": service, "probe": probe}

    numbers = dict(enumerate([of("probe_duration_seconds", name) for name in ("unit", "tcp", "health", "process")]))
    assert choose(numbers) == {2: ("a", "latency")}
    numbers[9] = of("canary_first_token_seconds", "canary")
    numbers[10] = of("probe_duration_seconds", "web", "b")
    numbers[11] = ("host_load1", {})
    assert choose(numbers) == {9: ("a", "latency"), 10: ("b", "latency")}
