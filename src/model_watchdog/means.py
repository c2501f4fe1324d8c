"""What all watches share."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_watchdog.clock import Clock
from model_watchdog.core.common import CommonCause
from model_watchdog.core.decision import Restart
from model_watchdog.core.sample import Sample
from model_watchdog.feeding import Feed
from model_watchdog.gpuview import GpuHolder
from model_watchdog.outbox import Outbox
from model_watchdog.store import Store
from model_watchdog.systemd import MainProcessWatch, Systemd, UnitReader
from model_watchdog.telling import Teller

if TYPE_CHECKING:
    from model_watchdog.tick import Watch


@dataclass
class Means:
    """What every watch shares. `inhibited` gives the host's rule that forbids restarts; `list_pids` the processes of each service;
    `look_at_gpus` has the GPUs read now, beside their interval; `notes` are what probes keep in the record; `samples`, and the
    `unwritten` watches as they stand, are to be written within a second.
    """

    clock: Clock
    store: Store
    outbox: Outbox
    teller: Teller
    systemd: Systemd
    units: UnitReader
    main_processes: MainProcessWatch
    hostname: str
    dry_run: bool
    inhibited: Callable[[], str]
    own_metrics: "Callable[[], list[tuple[str, dict[str, str], float]]]"
    restart: "Callable[[Watch, Restart], Awaitable[None]]"
    list_pids: Callable[[], dict[str, frozenset[int]]] = dict
    look_at_gpus: Callable[[], None] = lambda: None
    gpus: GpuHolder = field(default_factory=GpuHolder)
    common: CommonCause = field(default_factory=lambda: CommonCause(None))
    next_id: int = 1
    notes: dict[str, str] = field(default_factory=dict)
    feed: Feed = field(default_factory=Feed)
    host_stopping: bool = False
    permitted: dict[str, bool] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    unwritten: "set[Watch]" = field(default_factory=set)
    chance: random.Random = field(default_factory=random.Random)

    def take_id(self) -> int:
        """A number that no incident or restart has."""
        self.next_id += 1
        return self.next_id - 1
