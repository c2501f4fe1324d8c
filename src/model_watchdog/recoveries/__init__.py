"""What can be done. One file a kind; no file imports another."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from model_watchdog.core.unit import UnitFacts

if TYPE_CHECKING:
    from model_watchdog.systemd import Systemd


@dataclass(frozen=True, slots=True)
class Act:
    """What a recovery is told: the unit and what was last read of it (None for a service without one), its deadline and systemd."""

    unit: str | None
    facts: UnitFacts | None
    startup: float
    clear_start_limit: bool
    systemd: "Systemd"


class Recovery(Protocol):
    """A recovery as configured: a frozen dataclass whose fields are its options in the YAML."""

    async def restart(self, act: Act) -> str:
        """Asks for the restart and waits until it is answered. Gives a detail for a person ("" where all is well).

        Raises `RecoveryError` where the restart was not made (denied, masked, missing, systemd not reachable, host
        stopping) or where it is known to have failed (`start_failed`, `start_timeout`). To return proves nothing.
        """
