"""One run of a probe under its deadline: whatever goes wrong becomes a failure with its detail, and nothing else."""

import asyncio
import logging
import time

from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Running

log = logging.getLogger(__name__)

GRACE = 0.25
"""A probe holds its own deadline; so many seconds later it is ended all the same."""

HELD_UP = 0.25
"""A time-out that is seen later than it was due, by so much of it and at least so many seconds, is our own: we were stopped, or did not
get the processor, and the answer may have lain there all the while."""

Seen = tuple[Observation, Failure | None, str]


async def observe(running: Running, timeout: float, name: str) -> Seen:  # noqa: ASYNC109 (the deadline is the caller's, not a cancellation)
    """What was measured, the failure where there was one, and its detail. `name` is for the log."""
    began = time.monotonic()
    seen = await _observe(running, timeout, name)
    late = time.monotonic() - began - timeout
    if seen[1] is Failure.TIMEOUT and late > max(HELD_UP, HELD_UP * timeout) + GRACE:
        return Observation(), Failure.WATCHER, f"the watchdog itself was held up for {late:.1f} s, so that the time-out says nothing"
    return seen


async def _observe(running: Running, timeout: float, name: str) -> Seen:  # noqa: ASYNC109
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
