"""What an earlier run of the daemon knew, from the texts that it kept in the record."""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from model_watchdog.clock import Clock
from model_watchdog.config.model import HostConfig, ServiceConfig
from model_watchdog.core.gap import forget_confirmations
from model_watchdog.core.host import HostState
from model_watchdog.core.memory import recall, recall_host
from model_watchdog.core.state import ServiceState
from model_watchdog.learnt import load_learnt, take_up
from model_watchdog.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Past:
    """The texts that an earlier run kept, by service ("" for the host)."""

    states: Mapping[str, str] = field(default_factory=dict)
    learnt: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, store: Store) -> "Past":
        return cls(store.load_states(), load_learnt(store))

    def without(self, names: Collection[str]) -> "Past":
        """The same of all others."""
        return Past({name: text for name, text in self.states.items() if name not in names}, self.learnt)


def recall_service(service: ServiceConfig, past: Past, clock: Clock, store: Store, away: float) -> ServiceState:
    """The state of a service that was not watched for `away` seconds.

    A fresh one numbers its messages from the time of day on, so that no old number comes again.
    """
    now, kept = clock.steady(), past.states.get(service.name)
    if kept is not None:
        try:
            anchor, plain = json.loads(kept)
            state = recall(service.core, plain, clock.shift(anchor), now)
            forget_confirmations(service.core, state, away)
            probes = {plan.name for plan in service.core.probes}
            take_up(service.name, state.invocation, state.alerts, service.core.rules, clock, past.learnt, probes)
            return state
        except (ValueError, KeyError, TypeError) as error:
            log.warning("service=%s event=state_unreadable reason=%r", service.name, f"{error!r}; it is watched as if it were new")
    state = ServiceState.fresh(service.core, now)
    state.sequence = int(clock.wall())
    if store.is_lost or store.is_unread:
        state.breaker.distrust()
    return state


def recall_of_host(config: HostConfig, past: Past, clock: Clock) -> HostState:
    """The state of the host."""
    kept = past.states.get("")
    if kept is not None:
        try:
            anchor, plain = json.loads(kept)
            state = recall_host(config.rules, plain, clock.shift(anchor), clock.steady(), config.mounts)
            take_up("", "", state.alerts, config.rules, clock, past.learnt, {probe.name for probe in config.probes}, config.mounts)
            return state
        except (ValueError, KeyError, TypeError) as error:
            log.warning("event=state_unreadable reason=%r", f"{error!r}; the host is watched as if it were new")
    return HostState(sequence=int(clock.wall()))
