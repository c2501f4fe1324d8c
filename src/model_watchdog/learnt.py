"""What the rules have learnt of what is usual, in the record: written now and then while the daemon runs, and when it ends."""

import json
import logging
from collections.abc import Collection, Iterable, Mapping, MutableMapping

from model_watchdog import writes as record
from model_watchdog.clock import Clock
from model_watchdog.core.alert import Alert
from model_watchdog.core.learning import recall_learnt, remember_learnt
from model_watchdog.core.rule import Rule
from model_watchdog.hostwatch import HostWatch
from model_watchdog.means import Means
from model_watchdog.store import Store
from model_watchdog.tick import Watch

log = logging.getLogger(__name__)

LEAST_PAUSE = 300.0
"""Seconds between two writings: what a crash takes is the last of hours or days of learning."""
BYTES_A_SECOND = 1000.0
"""Of one service: what has learnt much, of many series, is written less often."""


class Learnt:
    """Writes it down. A baseline that loses its last minutes has lost nothing, so it is in no hurry."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._due: dict[str, float] = {}
        self._written: set[str] = set()

    def write(self, watches: Iterable[Watch], host: HostWatch, *, at_once: bool = False) -> None:
        """That of each service, and of the host, of which it is time (or `at_once`)."""
        if self._means.dry_run:
            return
        self._write("", "", host.state.alerts.values(), at_once)
        for watch in watches:
            self._write(watch.service.name, watch.state.invocation, watch.state.alerts.values(), at_once)

    def _write(self, owner: str, invocation: str, alerts: Iterable[Alert], at_once: bool) -> None:
        now = self._means.clock.steady()
        if not at_once and now < self._due.get(owner, 0.0):
            return
        self._due[owner] = now + LEAST_PAUSE
        learnt = remember_learnt(alerts)
        if not learnt and owner not in self._written:
            return
        self._written.add(owner)
        text = json.dumps([self._means.clock.anchor(), invocation, learnt])
        self._due[owner] = now + max(LEAST_PAUSE, len(text) / BYTES_A_SECOND)
        self._means.store.put(record.setting(_key(owner), text))


def take_up(
    owner: str,
    invocation: str,
    alerts: MutableMapping[str, Alert],
    rules: Iterable[Rule],
    clock: Clock,
    kept: Mapping[str, str],
    probes: Collection[str] | None = None,
    mounts: Collection[str] | None = None,
) -> None:
    """Gives the rules of a service, or of the host (`owner` is ""), back what they had learnt; of another invocation it says nothing.

    `kept` is what `load_learnt` gave.
    """
    text = kept.get(owner)
    if text is None:
        return
    try:
        anchor, of, learnt = json.loads(text)
        if of == invocation:
            recall_learnt(alerts, rules, learnt, clock.shift(anchor), probes, mounts)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        log.warning("service=%s event=state_unreadable reason=%r", owner or "host", f"{error!r}; what is usual is learnt anew")


def load_learnt(store: Store) -> dict[str, str]:
    """What all of them had learnt, in one question."""
    return store.settings(_key(""))


def _key(owner: str) -> str:
    return f"learnt {owner}"
