"""What the shell knows of a service besides what its probes say."""

from dataclasses import dataclass

from model_watchdog.core.decision import Reason
from model_watchdog.core.unit import Ended, UnitFacts


@dataclass(frozen=True, slots=True)
class Facts:
    """What the shell knows besides the probes' outcomes.

    `unit` where systemd was asked in this step, `unit_error` why it could not be; `ended` why a unit that is down is
    down; `inhibited` the rule that forbids restarts; `left_over` processes of the old invocation that outlived a
    restart; `start_moves`: something of a start under way has moved since the last step; `jitter` a random number
    within -1 and 1; `next_id` an unused number for an incident or an attempt; `leaving`: another configuration waits
    for the end of the restart under way; `together` why it has to wait because others fail with it.
    """

    unit: UnitFacts | None = None
    unit_error: str = ""
    ended: Ended | None = None
    host_stopping: bool = False
    permitted: bool | None = None
    inhibited: str = ""
    left_over: tuple[int, ...] = ()
    start_moves: bool = False
    jitter: float = 0.0
    next_id: int = 1
    dry_run: bool = False
    leaving: bool = False
    together: Reason | None = None
