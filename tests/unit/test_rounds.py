"""Which probes run together, and that a job whose interval stays keeps its beat when others come and go."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from model_watchdog.rounds import Rounds
from model_watchdog.schedule import Schedule
from tests.rig.waiting import wait_until


class Watched:
    """In the place of a watch: its probes by name and interval, and what was asked of it."""

    def __init__(self, **every: float) -> None:
        self.probes = {name: SimpleNamespace(kind="unit" if name == "unit" else "http", every=seconds) for name, seconds in every.items()}
        self.config = SimpleNamespace(probes=[SimpleNamespace(name=name, every=seconds) for name, seconds in every.items()])
        self.asked: list[list[str]] = []

    def measure(self, names: list[str]) -> None:
        self.asked.append(names)


def test_jobs_come_and_go_and_those_that_stay_keep_their_beat() -> None:
    a, b, host = Watched(unit=0.6, health=0.9, model=0.9), Watched(health=0.6), Watched(system=0.6)
    watches: dict[str, Any] = {"a": a, "b": b}

    async def main() -> None:
        schedule = Schedule(time.monotonic)
        rounds = Rounds(schedule, watches, host)  # type: ignore[arg-type]
        rounds.arrange()
        assert schedule.intervals == {"every 0.6 s": 0.6, "every 0.9 s": 0.9, "host every 0.6 s": 0.6}
        schedule.start()
        await asyncio.sleep(0.15)
        del watches["a"]
        watches["c"] = c = Watched(other=0.1)
        before = schedule.last_run["every 0.6 s"]
        rounds.arrange()
        assert schedule.intervals == {"every 0.6 s": 0.6, "every 0.1 s": 0.1, "host every 0.6 s": 0.6}
        assert schedule.last_run["every 0.6 s"] == before, "as if nothing had been arranged"
        await asyncio.to_thread(wait_until, lambda: b.asked and c.asked and host.asked, 10, "somebody is not asked")
        schedule.stop()
        assert (b.asked[0], c.asked[0], host.asked[0]) == (["health"], ["other"], ["system"])
        assert a.asked == []

    asyncio.run(main())


def test_probes_of_one_interval_are_asked_in_one_go_units_first() -> None:
    order: list[tuple[str, list[str]]] = []
    a, b, host = Watched(health=0.05, unit=0.05, model=0.05), Watched(unit=0.05), Watched()
    for name, watch in (("a", a), ("b", b)):
        watch.measure = lambda names, name=name: order.append((name, names))  # type: ignore[method-assign,misc]

    async def main() -> None:
        schedule = Schedule(time.monotonic)
        Rounds(schedule, {"a": a, "b": b}, host).arrange()  # type: ignore[dict-item,arg-type]
        schedule.start()
        await asyncio.sleep(0.09)
        schedule.stop()

    asyncio.run(main())
    assert order[:3] == [("a", ["unit"]), ("b", ["unit"]), ("a", ["health", "model"])]
