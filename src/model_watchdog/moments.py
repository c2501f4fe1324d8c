"""A moment, as people write it. `status` imports this."""

import time
from math import isfinite

from model_watchdog.language import phrase


def tell_moment(at: float, now: float) -> str:
    """Local time, with as much of a date as it needs: `02:34` today, `Fri 02:34` within six days, `2026-11-28 02:34` otherwise.

    Both are Unix seconds.
    """
    local = time.localtime(at)
    if local[:3] == time.localtime(now)[:3]:
        return time.strftime("%H:%M", local)
    if 0 < at - now < 6 * 86400:
        return f"{phrase(time.strftime('%a', local))} {time.strftime('%H:%M', local)}"
    return time.strftime("%Y-%m-%d %H:%M", local)


def read_time(text: str) -> float:
    """Unix seconds, or as ISO 8601 writes it (without a zone: this machine's). Raises ValueError."""
    try:
        at = float(text)
    except ValueError:
        from datetime import datetime  # `status` does not wait for it

        return datetime.fromisoformat(text.strip()).timestamp()
    if not isfinite(at):
        raise ValueError(f"Invalid isoformat string: {text!r}")
    return at
