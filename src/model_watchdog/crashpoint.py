"""Named points at which tests end the daemon as `kill -9` would, or hold its loop up. Not for operation.

    MODEL_WATCHDOG_CRASH_AT=message_sent    ends the process at that point, each time
    MODEL_WATCHDOG_STALL_AT=beat:5          blocks the loop there for so many seconds, as a call that hangs would
    MODEL_WATCHDOG_CRASH_AT=/run/strike     as the file says by then; it is removed, so it strikes once (the stall's file alike)

Of one point that has both, the stall comes first. The points:

    beat            the round that the loop makes each second
    intent          the intent of a restart is in the record, nothing has been done
    called          systemctl (or the command) runs, and has not answered
    answered        it has answered, which is not in the record yet
    holding         the service is good again, and has to stay so
    message_sent    a notifier has taken a message, which is not in the record yet
    routed          it is decided who is told of something and when, which is not in the record yet
    acknowledged    an incident was acknowledged; whoever asked for that has no answer yet
    silenced        the same of a silence that began or was ended
"""

import os
import signal
import time
from pathlib import Path

_CRASH_AT = os.environ.get("MODEL_WATCHDOG_CRASH_AT", "")
_STALL_AT = os.environ.get("MODEL_WATCHDOG_STALL_AT", "")


def crash_point(name: str) -> None:
    """Ends or stalls this process here, at once, where the environment asks for it."""
    seconds = _take(_STALL_AT, name)
    if seconds is not None:
        time.sleep(float(seconds))
    if _take(_CRASH_AT, name) is not None:
        os.kill(os.getpid(), signal.SIGKILL)


def _take(asked: str, name: str) -> str | None:
    """What is asked for at this point, behind the colon; None where nothing is."""
    if not asked:
        return None
    file = Path(asked) if asked.startswith("/") else None
    if file is not None:
        try:
            asked = file.read_text().strip()
        except OSError:
            return None  # not asked yet, or struck already
    point, _, argument = asked.partition(":")
    if point != name:
        return None
    if file is not None:
        file.unlink()
    return argument
