"""`watchdog status --watch`: how things stand, looked at again and again, until `q`. A daemon or a record that is away is waited for."""

import contextlib
import os
import select
import signal
import socket
import sys
import termios
import time
import tty
from typing import Any

from model_watchdog import status
from model_watchdog.cli import EXIT_UNKNOWN_NAME, EXIT_USAGE, CommandError, suggest_known
from model_watchdog.cli.drawing import INDENT, Screen, draw
from model_watchdog.errors import WatchdogError
from model_watchdog.language import phrase
from model_watchdog.record import Record
from model_watchdog.trends import Trends

EVERY = 1.0
"""Seconds between two looks."""
HANG_UP = "\x04"
LEAVING = ("q", "Q", HANG_UP)
MOVES = {"\x1b[A": -1, "k": -1, "\x1b[B": 1, "j": 1, "\x1b[5~": -10, "\x1b[6~": 10, " ": 10, "b": -10, "g": -(10**6), "G": 10**6}
MOVES |= {"\x1bOA": -1, "\x1bOB": 1, "\x1b[H": -(10**6), "\x1b[F": 10**6}
"""Lines by which a key moves what is shown."""
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_WAKING = {*_ENDING, signal.SIGWINCH, signal.SIGTSTP}


def watch(state_dir: str, runtime_dir: str, service: str | None) -> int:
    """Until somebody leaves. Raises `CommandError` where there is no terminal, or no such service."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("", "dumb"):
        remedy = phrase("without one: watch -n 2 watchdog status, or watchdog events --follow")
        raise CommandError(phrase("--watch needs a terminal that can be drawn on; {remedy}", remedy=remedy), EXIT_USAGE)
    try:
        return _go_on(View(state_dir, runtime_dir, service))
    except KeyboardInterrupt:
        return 0


class View:
    """What was seen last, and what keeps from seeing more."""

    def __init__(self, state_dir: str, runtime_dir: str, service: str | None) -> None:
        """Raises `WatchdogError` where nothing can be seen, or there is no such service: whoever has just asked is told at once."""
        self._places = state_dir, runtime_dir
        self._service = service
        self._trends = Trends()
        self._troubles: list[str] = []
        self._doc, self._more = self._collect()
        self._look_back(time.time())

    def look(self, now: float) -> None:
        """What is wrong is shown above what was seen last."""
        self._troubles.clear()
        try:
            self._doc, self._more = self._collect()
        except WatchdogError as error:
            self._troubles.append(str(error))
        else:
            self._look_back(now)

    def draw(self, width: int, now: float) -> list[Any]:
        """The lines as `drawing` makes them."""
        names = [one["name"] for one in self._doc["services"]]
        plain = "utf" not in (sys.stdout.encoding or "").lower()
        trends = self._trends.tell(names, now, width - INDENT, plain=plain)
        return [*draw(self._doc, self._more, width, now, trends, self._troubles)]

    def _collect(self) -> tuple[dict[str, Any], dict[str, Any]]:
        doc, more = status.collect(*self._places)
        if self._service is not None:
            names = [one["name"] for one in doc["services"]]
            if self._service not in names and doc["daemon"]["version"] is not None:  # a record that is away has none, and that is told
                text = phrase("there is no service {name}", name=self._service) + suggest_known(self._service, names)
                raise CommandError(text, EXIT_UNKNOWN_NAME)
            status.select(doc, self._service)
        return doc, more

    def _look_back(self, now: float) -> None:
        try:
            with Record.open(self._places[0]) as record:
                self._trends.refresh(record, now)
        except WatchdogError as error:
            self._troubles.append(str(error))


class Keys:
    """The keyboard, a key at a time and without an echo, where there is one; and the signals that want to be seen at once."""

    def __init__(self) -> None:
        self.caught: set[int] = set()
        self._input = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._saved: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Keys":
        self._woken, self._waking = socket.socketpair()
        for end in (self._woken, self._waking):
            end.setblocking(False)
        for number in _WAKING:
            self._handlers[number] = signal.signal(number, self._catch)
        self._wakeup = signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._woken.close()
        self._waking.close()

    def _catch(self, number: int, _: object) -> None:
        """An exception may come where nobody can pass it on: only who presses Ctrl-C twice, since something hangs, raises one."""
        if number == signal.SIGINT and number in self.caught:
            raise KeyboardInterrupt
        self.caught.add(number)

    def take(self) -> None:
        if self._input is not None:
            self._saved = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)

    def give_back(self) -> None:
        if self._input is not None and self._saved:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._saved)

    def wait(self, seconds: float) -> str:
        """The next key (of several at once all), or nothing: the time is over, or a signal came."""
        waited = [self._woken, *([self._input] if self._input is not None else [])]
        ready, _, _ = select.select(waited, [], [], seconds)
        if self._woken in ready:
            self._woken.recv(64)
        if self._input not in ready:
            return ""
        try:
            return os.read(self._input, 64).decode(errors="replace") or HANG_UP
        except OSError:
            return HANG_UP


def _go_on(view: View) -> int:
    first, looked = 0, time.monotonic()
    with Keys() as keys, Screen() as screen:
        while True:
            last = screen.show(view.draw(screen.size[0], time.time()), first)
            key = keys.wait(max(0.0, looked + EVERY - time.monotonic()))
            caught, keys.caught = keys.caught, set()
            if key in LEAVING or caught & _ENDING:
                return 0
            if signal.SIGTSTP in caught:
                _rest(keys, screen)
            first = min(last, max(0, min(first, last) + MOVES.get(key, 0)))
            if time.monotonic() - looked >= EVERY:
                looked = time.monotonic()
                view.look(time.time())


def _rest(keys: Keys, screen: Screen) -> None:
    """Ctrl-Z: the shell gets its terminal back, until `fg`."""
    screen.leave()
    keys.give_back()
    os.kill(os.getpid(), signal.SIGSTOP)
    keys.take()
    screen.enter()
