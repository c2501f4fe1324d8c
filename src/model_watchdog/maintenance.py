"""The windows of `maintenance:`: which are open just now, so that nobody is told of their services, and some are not restarted either."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from model_watchdog.config.model import Window, read_moment
from model_watchdog.core import commands
from model_watchdog.core.routes import Silence, is_covered
from model_watchdog.schedule import find_start

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon


def find_open(windows: tuple[Window, ...], now: datetime, steady: float) -> Iterator[tuple[Window, Silence]]:
    """Those that are open at `now` (local, with its zone; `steady` is the same moment), each as the silence that it is."""
    for number, window in enumerate(windows, 1):
        left = seconds_left(window, now)
        if left > 0:
            yield window, Silence(f"maintenance {number}", window.services, round(steady + left, 1), window.reason)


def seconds_left(window: Window, now: datetime) -> float:
    """Until the window ends; 0 where it is not open."""
    if window.cron is not None and window.for_ is not None:
        start = find_start(window.cron, window.for_, now)
        return 0.0 if start is None else window.for_ - (now - start).total_seconds()
    if window.from_ is None or window.until is None:
        return 0.0
    begin, end = (read_moment(text).astimezone(now.tzinfo) for text in (window.from_, window.until))
    return (end - now).total_seconds() if begin <= now < end else 0.0


def look(daemon: "Daemon") -> None:
    """Opens and closes windows. A service is paused for what is left of the window, and only once in it: an operator may resume it."""
    clock, router = daemon.clock, daemon.means.teller.router
    now = datetime.fromtimestamp(clock.wall()).astimezone()
    found = list(find_open(daemon.config.maintenance, now, clock.steady()))
    before = list(router.windows)
    router.windows = [next((known for known in before if _is_same(known, silence)), silence) for _, silence in found]
    for window, silence in found:
        if window.pause and not any(_is_same(known, silence) for known in before):
            for name, watch in daemon.watches.items():
                if is_covered(window.services, name) and watch.state.paused_until is None:
                    left = silence.until - clock.steady()
                    watch.carry_out(commands.pause(watch.service, watch.state, left, window.reason, daemon.uid, clock.steady()))
    if router.windows != before:
        daemon.store.put(*daemon.means.teller.write_state())


def _is_same(known: Silence, silence: Silence) -> bool:
    """The window was open already, wherever it stood in the file; computed anew, its end differs by a little."""
    return (known.services, known.reason) == (silence.services, silence.reason) and abs(known.until - silence.until) < 5.0
