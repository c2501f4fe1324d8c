"""Who waits for whom when a configuration is read anew; what it does to services is in tests/real/test_faults_reload.py."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from model_watchdog.beside import run_beside
from model_watchdog.reloading import Reloading
from model_watchdog.replies import Answer


class Counted(Reloading):
    """Reads nothing: `began` is how often it was asked to."""

    def __init__(self) -> None:
        daemon: Any = SimpleNamespace(spawn=asyncio.ensure_future)
        super().__init__(daemon)
        self.began = 0
        self.error_next: Exception | None = None

    async def _reload(self) -> Answer:
        self.began += 1
        number = self.began
        await asyncio.sleep(0.05)
        if self.error_next is not None:
            raise self.error_next
        return {"ok": True, "text": str(number)}


def test_all_who_ask_while_one_is_under_way_share_the_next() -> None:
    async def main() -> None:
        reloading = Counted()
        first = asyncio.ensure_future(reloading.ask())
        await asyncio.sleep(0.02)
        others = await asyncio.gather(*(reloading.ask() for _ in range(5)))
        assert (await first)["text"] == "1" and [answer["text"] for answer in others] == ["2"] * 5
        assert reloading.began == 2

    asyncio.run(main())


def test_one_who_goes_away_takes_nobody_with_him() -> None:
    async def main() -> None:
        reloading = Counted()
        gone, stays = asyncio.ensure_future(reloading.ask()), asyncio.ensure_future(reloading.ask())
        await asyncio.sleep(0.02)
        gone.cancel()
        assert (await stays)["text"] == "1"

    asyncio.run(main())


def test_none_begins_before_the_daemon_has_started() -> None:
    async def main() -> None:
        reloading = Counted()
        async with reloading.turn:
            asked = asyncio.ensure_future(reloading.ask())
            await asyncio.sleep(0.02)
            assert reloading.began == 0
        assert (await asked)["ok"]

    asyncio.run(main())


def test_a_bug_of_ours_is_an_answer_and_the_next_one_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        reloading = Counted()
        reloading.error_next = ZeroDivisionError("x")
        answer = await reloading.ask()
        assert not answer["ok"] and "ZeroDivisionError" in answer["text"]
        reloading.error_next = None
        assert (await reloading.ask())["ok"]

    asyncio.run(main())
    assert "event=bug" in caplog.text


def test_a_disk_that_hangs_holds_up_neither_the_loop_nor_the_end() -> None:
    hanging, beats = threading.Event(), 0

    async def main() -> None:
        nonlocal beats
        reading = asyncio.ensure_future(run_beside(lambda: hanging.wait(30)))
        for _ in range(10):
            await asyncio.sleep(0.01)
            beats += 1
        assert not reading.done()
        reading.cancel()
        assert await run_beside(lambda: 7) == 7
        with pytest.raises(ValueError):
            await run_beside(lambda: int("x"))

    began = time.monotonic()
    asyncio.run(main())
    assert beats == 10 and time.monotonic() - began < 5
    hanging.set()
