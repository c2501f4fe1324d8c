"""Named points at which tests end the daemon as `kill -9` would: `MODEL_WATCHDOG_CRASH_AT=message_sent`. Not for operation."""

import os
import signal

_CRASH_AT = os.environ.get("MODEL_WATCHDOG_CRASH_AT", "")


def crash_point(name: str) -> None:
    """Ends this process here, at once, where the environment asks for it."""
    if name == _CRASH_AT:
        os.kill(os.getpid(), signal.SIGKILL)
