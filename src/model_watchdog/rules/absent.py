"""Has it stopped arriving?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from model_watchdog.core.rule import OK, Judgement, Verdict
from model_watchdog.core.units import Seconds

_ITS_OWN_TIME = "absent states the time itself"
_NO_VALUE = "absent looks at no value"


@dataclass(frozen=True, slots=True)
class Absent:
    """No sample of a series for `absent`; also where none ever came. Judged as time passes (core/arrivals.py)."""

    absent: Seconds

    refuses: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("for", "times"), _ITS_OWN_TIME),
        **dict.fromkeys(("over", "as", "minus"), _NO_VALUE),
    }
    """Keys of every rule that mean nothing here."""
    no_proof: ClassVar[str] = "silence proves nothing: it may be the watchdog that does not see"
    """Why it restarts nothing."""

    def __post_init__(self) -> None:
        if self.absent <= 0:
            raise ValueError("absent must be longer than 0s")

    def watch(self) -> "Absent":
        """It remembers nothing: it is its own watch."""
        return self

    def pace(self) -> None:
        """Each is told."""

    def judge(self, value: float, at: float, firing: bool) -> Verdict:
        """`value` is for how many seconds the series has been silent."""
        return Verdict(Judgement.BREACH, {"absent": self.absent}) if value >= self.absent else OK
