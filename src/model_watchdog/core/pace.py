"""How often people are told of an alert that comes again and again. Suppresses telling, never judging."""

from collections.abc import Sequence


class Pace:
    """Not before `cooldown` samples have passed since it was told last, and ever fewer times while it keeps coming.

    An alert told less than four waits after the one before doubles the wait, to at most `cooldown * backoff`; a later one resets it.
    """

    __slots__ = ("_cooldown", "_most", "_passed", "_wait")

    def __init__(self, cooldown: int, backoff: float) -> None:
        self._cooldown = float(cooldown)
        self._most = cooldown * backoff
        self._wait = self._cooldown
        self._passed: int | None = None  # samples since it was told last

    def count(self) -> None:
        """One sample has come."""
        if self._passed is not None:
            self._passed += 1

    def remember(self) -> list[float | None]:
        """How things stand, for `recall`."""
        return [self._wait, self._passed]

    def recall(self, plain: Sequence[float | None]) -> None:
        wait, passed = plain
        self._wait, self._passed = float(wait or 0.0), None if passed is None else int(passed)

    def ask(self) -> bool:
        """Whether it may be told now; then it counts as told."""
        passed = self._passed
        if passed is not None and passed < self._wait:
            return False
        again = passed is not None and passed < 4 * self._wait
        self._wait = min(2 * self._wait, self._most) if again else self._cooldown
        self._passed = 0
        return True
