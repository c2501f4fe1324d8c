"""A service that goes bad and well again and again is one thing to tell of, and not many."""

from dataclasses import dataclass

from model_watchdog.core.units import Seconds

UNSTABLE = "unstable"


@dataclass(frozen=True, slots=True)
class UnstablePolicy:
    """So many `times` bad `within` a time is unstable, until it was not bad anew for as long."""

    times: int = 5
    within: Seconds = Seconds(1800.0)

    def __post_init__(self) -> None:
        if self.times < 2:
            raise ValueError("times must be at least 2")
        if self.within < 1:
            raise ValueError("within must be at least 1s")


def count_turns(policy: UnstablePolicy | None, turns: list[float], now: float) -> list[float]:
    """The moments (steady seconds) of those that count."""
    return [] if policy is None else [at for at in turns if now - at < policy.within]


def is_unstable(policy: UnstablePolicy | None, turns: list[float], *, fires: bool) -> bool:
    """Begins with enough of them, and ends when none is left: else it would flap itself."""
    return policy is not None and len(turns) >= (1 if fires else policy.times)
