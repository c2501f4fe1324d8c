"""Steady time, wall time, and the guard that notices a stepped clock."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STEP = 2.0
"""Seconds by which the wall clock must leave the steady one within one look to have been stepped: slewing is far slower."""
SLEWED = 0.5
"""A difference between the clocks that is older than so many seconds is taken anew for telling past times."""

Anchor = tuple[str, float, float]
"""One moment in both times: the boot's id, steady seconds, wall seconds."""


def boot_id() -> str:
    """The kernel's random id of this boot, or "" where there is none. Steady times are comparable within one boot only."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Clock:
    """Both clocks of this machine. Steady seconds count from the boot (CLOCK_MONOTONIC, systemd's too) and never step."""

    def __init__(self) -> None:
        self._boot = boot_id()
        self._difference = self.wall() - self.steady()

    def steady(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def to_wall(self, at: float) -> float:
        """The wall time of a steady time, as the wall clock stands now: the same answer each time, unless that was set."""
        difference = self.wall() - self.steady()
        if abs(difference - self._difference) > SLEWED:
            self._difference = difference
        return at + self._difference

    @property
    def boot(self) -> str:
        """Its id: steady times are of this boot."""
        return self._boot

    def anchor(self) -> Anchor:
        """What makes steady times that are written down readable after another boot."""
        return self._boot, round(self.steady(), 3), round(self.wall(), 3)

    def shift(self, anchor: Sequence[Any]) -> float:
        """What to add to steady times written down beside `anchor`: 0 within one boot.

        After another boot the wall clock tells how long ago they were. One that went back in between (no battery) must not put
        them into the future: then no time has passed.
        """
        boot, steady, wall = anchor
        if boot == self._boot and self._boot:
            return 0.0
        passed = max(0.0, self.wall() - wall)
        return float(self.steady() - passed - steady)


def slept_so_far() -> float:
    """Seconds that this machine has slept since its boot: the steady clock stands still meanwhile."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


class ClockGuard:
    """Shown both clocks once a second, it says when the wall clock was stepped."""

    def __init__(self) -> None:
        self._difference: float | None = None

    def check(self, steady: float, wall: float) -> float:
        """By how many seconds the wall clock was stepped since the last look: 0 for not at all, negative for backwards."""
        difference = wall - steady
        before, self._difference = self._difference, difference
        if before is None or abs(difference - before) <= STEP:
            return 0.0
        return difference - before
