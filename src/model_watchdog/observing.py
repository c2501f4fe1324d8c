"""One run of a probe under its deadline: whatever goes wrong becomes a failure with its detail, and nothing else."""

import asyncio
import logging

from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Running

log = logging.getLogger(__name__)

GRACE = 0.25
"""A probe holds its own deadline; so many seconds later it is ended all the same."""

Seen = tuple[Observation, Failure | None, str]


async def observe(running: Running, timeout: float, name: str) -> Seen:  # noqa: ASYNC109 (the deadline is the caller's, not a cancellation)
    """What was measured, the failure where there was one, and its detail. `name` is for the log."""
    try:
        async with asyncio.timeout(timeout + GRACE):
            return await running.observe(), None, ""
    except ProbeError as error:
        return Observation(error.measurements), Failure(error.failure), error.detail
    except TimeoutError:
        return Observation(), Failure.TIMEOUT, f"no answer within {timeout:g} s"
    except OSError as error:
        return Observation(), Failure.WATCHER, f"{type(error).__name__}: {error.strerror or error}"
    except Exception as error:  # a bug in one probe must not end the watch of everything else; it is told as ours
        log.exception("probe=%s event=bug", name)
        return Observation(), Failure.WATCHER, f"a bug in the watchdog: {type(error).__name__}"
