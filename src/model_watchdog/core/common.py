"""A common cause: what many services share is down. Restarting all of them at once would make it worse, and mends nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field

from model_watchdog.core.decision import Reason
from model_watchdog.core.units import Seconds


@dataclass(frozen=True, slots=True)
class CommonCausePolicy:
    """More than `services` of them, bad within `within` of each other, are taken to have one cause."""

    services: int = 3
    within: Seconds = Seconds(10.0)

    def __post_init__(self) -> None:
        if self.services < 1:
            raise ValueError("services must be at least 1")
        if self.within <= 0:
            raise ValueError("within must be longer than 0s")


@dataclass(slots=True)
class CommonCause:
    """Which services are bad, since when (steady seconds), and which are being restarted. `policy` None: off.

    `group` are those that failed together; each is in it until it is well.
    """

    policy: CommonCausePolicy | None
    bad: dict[str, float] = field(default_factory=dict)
    restarting: set[str] = field(default_factory=set)
    group: dict[str, float] = field(default_factory=dict)

    def see(self, service: str, now: float, *, is_bad: bool, is_restarting: bool) -> None:
        """Takes in how a service is. One that is being restarted is not well yet."""
        if is_bad or (is_restarting and service in self.bad):
            self.bad.setdefault(service, now)
        else:
            self.bad.pop(service, None)
            self.group.pop(service, None)
        (self.restarting.add if is_restarting else self.restarting.discard)(service)
        if self.policy is not None and len(self.bad) > self.policy.services:
            together = {name: since for name, since in self.bad.items() if now - since <= self.policy.within}
            if len(together) > self.policy.services:
                self.group.update(together)

    def follow(self, policy: CommonCausePolicy | None, services: Collection[str]) -> None:
        """Another policy, and these services only. Those that failed together stay a group, unless it is off now."""
        self.policy = policy
        kept = services if policy is not None else ()
        self.bad = {name: since for name, since in self.bad.items() if name in services}
        self.group = {name: since for name, since in self.group.items() if name in kept}
        self.restarting.intersection_update(services)

    def object(self, service: str, now: float, hold: float) -> Reason | None:
        """Why this one must not be restarted now: held for `hold` seconds after the last joined, then one at a time."""
        if service not in self.group:
            return None
        until = max(self.group.values()) + hold
        if now < until:
            return Reason("common_cause", {"services": len(self.group), "seconds": until - now})
        others = sorted((self.restarting & self.group.keys()) - {service})
        return Reason("one_at_a_time", {"services": len(self.group), "other": others[0]}) if others else None
