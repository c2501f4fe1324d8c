"""The circuit breaker: it guards the restart, never the probe.

closed ──failures in a row, or too many restarts within `per`──▶ open
open ──retry_after──▶ half_open: one trial
half_open ──success──▶ closed        half_open ──failure──▶ open, retry_after doubled, up to a day
"""

from dataclasses import dataclass, field
from enum import StrEnum

from model_watchdog.core.units import Seconds

DAY = 86_400.0
FORGET_AFTER = 3_600.0
"""An hour of health forgets the counts."""
JITTER = 0.2


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """`failures` failed restarts in a row, or more than `restarts` within `per`, open it for `retry_after`."""

    failures: int = 3
    restarts: int = 6
    per: Seconds = Seconds(3600.0)
    retry_after: Seconds = Seconds(1800.0)

    def __post_init__(self) -> None:
        if self.failures < 1 or self.restarts < 1:
            raise ValueError("failures and restarts must be at least 1")


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """The wait after a failed restart: `first`, doubled each time up to `max`, ± 20 %."""

    first: Seconds = Seconds(10.0)
    max: Seconds = Seconds(600.0)

    def __post_init__(self) -> None:
        if self.max < self.first:
            raise ValueError("backoff.max must not be less than backoff.first")


class Permit(StrEnum):
    YES = "yes"
    TRIAL = "trial"  # half-open: this one decides
    BACKOFF = "backoff"
    OPEN = "open"
    TOO_MANY = "too_many"  # asking opened it


@dataclass(slots=True)
class CircuitBreaker:
    """The state of one service's breaker; times are steady seconds."""

    policy: BreakerPolicy
    backoff: BackoffPolicy
    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    restarts: list[float] = field(default_factory=list)
    retry_after: float = 0.0
    retry_at: float | None = None
    not_before: float = 0.0
    healthy_since: float | None = None

    def ask(self, now: float) -> Permit:
        """May a restart be made now? Asking may open the breaker, or half-open it."""
        self._forget_restarts(now)
        if self.state is BreakerState.OPEN:
            if self.retry_at is not None and now < self.retry_at:
                return Permit.OPEN
            self.state = BreakerState.HALF_OPEN
            return Permit.TRIAL
        if self.state is BreakerState.HALF_OPEN:
            return Permit.TRIAL
        if now < self.not_before:
            return Permit.BACKOFF
        if len(self.restarts) >= self.policy.restarts:
            self._open(now)
            return Permit.TOO_MANY
        return Permit.YES

    def distrust(self) -> None:
        """What is known of earlier restarts is lost: one is allowed, and if that fails it is open. Being well closes it."""
        self.state = BreakerState.HALF_OPEN

    def started(self, now: float) -> None:
        """A restart begins. Counted now, so that a daemon which dies in it still counts it."""
        self.restarts.append(now)
        self.healthy_since = None

    def withdrawn(self, *, made: bool = False) -> None:
        """The restart that was begun was never made, and does not count; or it was `made`, and nobody will know what came of it."""
        if self.restarts and not made:
            self.restarts.pop()
        if self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.OPEN

    def failed(self, now: float, jitter: float, factor: float = 1.0) -> bool:
        """A restart failed; `jitter` lies within -1 and 1, `factor` lengthens the back-off. True where this opened a closed breaker."""
        self.failures += 1
        if self.state is not BreakerState.CLOSED:
            self._open(now)
            return False
        wait = min(self.backoff.first * 2 ** (self.failures - 1) * factor, self.backoff.max)
        self.not_before = now + wait * (1 + JITTER * jitter)
        if self.failures < self.policy.failures:
            return False
        self._open(now)
        return True

    def trip(self, now: float) -> bool:
        """Opens it at once: more restarts would make it worse. True where it was closed."""
        was_closed = self.state is BreakerState.CLOSED
        self._open(now)
        return was_closed

    def succeeded(self) -> None:
        """A restart held: everything is forgotten but the restarts within `per`."""
        self.state = BreakerState.CLOSED
        self.failures = 0
        self.retry_after = 0.0
        self.retry_at = None
        self.not_before = 0.0

    def healthy(self, now: float) -> None:
        """The service is seen healthy; an hour of it forgets the counts."""
        if self.healthy_since is None:
            self.healthy_since = now
        elif now - self.healthy_since >= FORGET_AFTER and self.state is BreakerState.CLOSED:
            self.reset()

    def unhealthy(self) -> None:
        self.healthy_since = None

    def reset(self) -> None:
        """An operator's word, or an hour of health: closed, and nothing is held against the service."""
        self.succeeded()
        self.restarts.clear()

    def _open(self, now: float) -> None:
        self.retry_after = min(self.retry_after * 2 if self.retry_after else self.policy.retry_after, max(DAY, self.policy.retry_after))
        self.state = BreakerState.OPEN
        self.retry_at = now + self.retry_after

    def _forget_restarts(self, now: float) -> None:
        self.restarts[:] = [at for at in self.restarts if now - at < self.policy.per]
