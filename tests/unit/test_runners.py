"""Probes that are opened, replaced and closed: what stays the same keeps its connection, and nothing is closed in the middle of a run."""

import asyncio

from model_watchdog.config.model import ProbeConfig
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds
from model_watchdog.probes import Observation
from model_watchdog.runners import Runners


class Asked:
    """A probe that answers when it is let."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.closed = 0

    async def observe(self) -> Observation:
        await self.answers.wait()
        return Observation(detail="good")

    async def close(self) -> None:
        self.closed += 1


def config(name: str, every: float = 1.0) -> ProbeConfig:
    return ProbeConfig(name, "http", None, Seconds(every), Seconds(5.0), Seconds(1.0))  # type: ignore[arg-type]


def test_only_what_changed_is_opened_anew_and_nothing_is_closed_while_it_runs() -> None:
    opened: list[tuple[str, Asked]] = []

    def open_probe(probe: ProbeConfig) -> Asked:
        opened.append((probe.name, Asked()))
        return opened[-1][1]

    async def main() -> None:
        runners = Runners(open_probe)
        assert runners.take([config("a"), config("b"), config("c")]) == {"a", "b", "c"}
        (_, a), (_, b), (_, c) = opened
        under_way = asyncio.ensure_future(runners.observe(config("b"), "m/b"))
        await asyncio.sleep(0)
        assert runners.take([config("a"), config("b", 2.0), config("d")]) == {"b", "c", "d"}
        await runners.tidy()
        assert [name for name, _ in opened] == ["a", "b", "c", "b", "d"]
        assert (a.closed, b.closed, c.closed) == (0, 0, 1)
        assert runners.has(config("a")) and not runners.has(config("b")) and runners.has(config("b", 2.0)) and not runners.has(config("c"))
        b.answers.set()
        assert (await under_way)[0].detail == "good"
        await runners.tidy()
        assert b.closed == 1
        assert (await runners.observe(config("c"), "m/c"))[1] is Failure.WATCHER, "it was replaced before it began"
        await runners.close()
        assert [asked.closed for _, asked in opened] == [1] * 5

    asyncio.run(main())
