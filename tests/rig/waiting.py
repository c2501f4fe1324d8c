"""Waiting for a condition, with a deadline, instead of sleeping and hoping."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], timeout: float = 10.0, told: Callable[[], object] | str = "", every: float = 0.05) -> Found:
    """Asks `condition` every so often until it gives something true, and gives that.

    Fails after `timeout` seconds with `told`, which may be a function that says how things stand by then.
    """
    end = time.monotonic() + timeout
    while True:
        if found := condition():
            return found
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout:g} s: {told() if callable(told) else told}")
        time.sleep(every)


def holds_for(condition: Callable[[], object], seconds: float, told: Callable[[], object] | str = "", every: float = 0.05) -> None:
    """Fails as soon as `condition` is not true within the next `seconds`: how a test shows that something does *not* happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            raise AssertionError(f"did not hold for {seconds:g} s: {told() if callable(told) else told}")
        time.sleep(every)
