"""Main processes under watch: the kernel tells at once when one ends."""

import asyncio
import os
from collections.abc import Callable


class MainProcessWatch:
    """One pidfd a unit, on the running loop."""

    def __init__(self) -> None:
        self._watched: dict[str, tuple[int, int]] = {}  # unit: pid, pidfd

    def watch(self, unit: str, pid: int, callback: Callable[[], None]) -> bool:
        """Calls back once, soon, when process `pid` has ended. `pid` 0 watches nothing, another pid replaces the one before.

        A process that is gone already is told of in the next round of the loop, once. Gives False where it cannot be watched (no
        descriptor is free, or the kernel has no pidfds): the interval of the probe sees the end all the same, only later.
        """
        known = self._watched.get(unit)
        if known is not None and known[0] == pid:
            return True
        self.unwatch(unit)
        if pid <= 0:
            return True
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._watched[unit] = (pid, -1)
            loop.call_soon(callback)
            return True
        except OSError:
            return False
        self._watched[unit] = (pid, descriptor)
        loop.add_reader(descriptor, self._tell, unit, pid, callback)
        return True

    def unwatch(self, unit: str) -> None:
        """Nothing more is told of the unit."""
        _, descriptor = self._watched.pop(unit, (0, -1))
        _close(descriptor)

    def close(self) -> None:
        for unit in list(self._watched):
            self.unwatch(unit)

    def _tell(self, unit: str, pid: int, callback: Callable[[], None]) -> None:
        known = self._watched.get(unit)
        if known is not None and known[0] == pid:
            _close(known[1])
            self._watched[unit] = (pid, -1)  # told; a pid that systemd goes on naming for a moment is not told again
            callback()


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
