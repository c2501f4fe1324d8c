"""The schedule where the daemon's own end meets a job."""

import asyncio
import time

import pytest

from model_watchdog.schedule import Schedule


def test_a_job_that_is_ended_by_the_stop_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """As a daemon under load is stopped: a job of it is in the middle of something."""

    async def main() -> None:
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()
            await asyncio.sleep(60)

        schedule = Schedule(time.monotonic)
        schedule.add("job", 0.05, work)
        schedule.start()
        async with asyncio.timeout(20):
            await begun.wait()
        schedule.stop()
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR", "CRITICAL")] == []
