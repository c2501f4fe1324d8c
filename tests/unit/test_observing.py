"""A time-out counts against the service only where it was the service that took the time."""

import asyncio
import socket
import time

import pytest

from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Url
from model_watchdog.observing import observe
from model_watchdog.probes import Surroundings
from model_watchdog.probes.http import Http


@pytest.mark.parametrize(("held_up", "failure"), [(0.0, Failure.TIMEOUT), (1.5, Failure.WATCHER)])
def test_a_time_out_while_the_watchdog_was_held_up_says_nothing_of_the_service(held_up: float, failure: Failure) -> None:
    async def ask(port: int) -> tuple[Failure | None, str]:
        running = Http(Url(f"http://127.0.0.1:{port}/")).open(Surroundings("model", None, 0.3, None))  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(0.1, time.sleep, held_up)
        _, seen, detail = await observe(running, 0.3, "model/health")
        await running.close()
        return seen, detail

    with socket.create_server(("127.0.0.1", 0)) as silent:
        seen, detail = asyncio.run(ask(silent.getsockname()[1]))
    assert seen is failure, detail
    assert ("held up for 1." in detail) is (failure is Failure.WATCHER)
