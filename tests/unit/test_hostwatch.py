"""The host's watch looks again when silence is due, even if no probe says anything."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from model_watchdog.config.model import HostConfig
from model_watchdog.core.host import HostState
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Selector, conclude
from model_watchdog.core.units import Seconds
from model_watchdog.hostwatch import HostWatch
from model_watchdog.rules.absent import Absent


class Clock:
    steady = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def anchor(self) -> list[float]:
        return [0.0, 0.0]

    def to_wall(self, at: float) -> float:
        return at


def test_it_is_woken_by_silence_and_not_after_it_was_closed() -> None:
    told: list[Any] = []
    teller = SimpleNamespace(take=lambda notification, message, *_: told.append(message) or [])  # type: ignore[func-returns-value]
    outbox = SimpleNamespace(wake=lambda: None)
    store = SimpleNamespace(put=lambda *writes: None)
    means: Any = SimpleNamespace(clock=Clock(), store=store, outbox=outbox, teller=teller, hostname="box", dry_run=True)
    rule = Rule("gone", Selector("host_load1"), Absent(Seconds(0.2)))

    async def watch_it(close_early: bool) -> int:
        told.clear()
        watch = HostWatch(HostConfig(rules=(rule,)), HostState(), means)
        at = time.monotonic()
        watch._step([conclude(None, "system", at, at, [("host_load1", {}, 1.0)])])
        if close_early:
            await watch.close()
        await asyncio.sleep(0.4)
        await watch.close()
        return len(told)

    assert asyncio.run(watch_it(close_early=False)) == 1
    assert told[0].title == "[warning] box: gone fires"
    assert asyncio.run(watch_it(close_early=True)) == 0
