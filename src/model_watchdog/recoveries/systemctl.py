"""Restarts a unit through `systemctl restart`, and reads its refusals."""

import math
import re
import time
from dataclasses import dataclass

from model_watchdog.children import Finished
from model_watchdog.core.unit import split_unit
from model_watchdog.errors import ProbeError, RecoveryError
from model_watchdog.recoveries import Act
from model_watchdog.systemd import is_denied, is_unreachable

SLACK = 10.0
"""Seconds more than the unit's own limits allow."""
_HINT = re.compile(r"^(See |Hint:|Use )|^\s*$")


@dataclass(frozen=True)
class Systemctl:
    """The kind `systemctl`. It has no options."""

    async def restart(self, act: Act) -> str:
        """Asks systemd for a restart and waits for its job; the proof is somebody else's."""
        unit = act.unit
        assert unit is not None, "a service without a unit has a recovery of kind command"
        if act.clear_start_limit:
            await _reset(act, unit)
        deadline, began = find_deadline(act), time.monotonic()
        try:
            answered = await act.systemd.restart(unit, deadline)
        except TimeoutError:
            text = f"systemctl restart {unit} was not done within {deadline:g} s; its job is left to systemd"
            raise RecoveryError("start_timeout", text) from None
        if answered.returncode != 0:
            raise await _explain(act, unit, answered, began)
        return ""


def find_deadline(act: Act) -> float:
    """How long a restart may take: what the unit allows itself for stopping and starting, and a little. `infinity` counts as `startup`."""
    limits = (act.facts.timeout_stop, act.facts.timeout_start) if act.facts else (90.0, 90.0)
    return sum(act.startup if math.isinf(limit) else limit for limit in limits) + SLACK


async def _reset(act: Act, unit: str) -> None:
    """Where nothing is to be reset any more (`not loaded`), the restart says what it thinks of that."""
    try:
        answered = await act.systemd.reset_failed(unit)
    except TimeoutError:
        raise RecoveryError("cannot_act", "systemctl reset-failed was not answered") from None
    if answered.returncode != 0 and (is_denied(answered.stderr) or is_unreachable(answered.stderr)):
        raise await _explain(act, unit, answered, time.monotonic())


async def _explain(act: Act, unit: str, answered: Finished, began: float) -> RecoveryError:
    """What a refusal means. Words, not exit codes: 4 is a denial and a destructive transaction, 1 is almost everything.

    The words are systemd 252's; that of a dead polkit or a missing bus is about another unit than ours.
    """
    text, name = answered.stderr.decode(errors="replace"), split_unit(unit)[1]
    line = next((one.strip() for one in text.splitlines() if not _HINT.match(one)), f"systemctl ended with {answered.returncode}")
    if is_denied(answered.stderr):  # guard: 14
        return RecoveryError("not_permitted", line)
    if await act.systemd.is_host_stopping():  # its word, not the text's: any irreversible job makes a restart "destructive"
        return RecoveryError("host_stopping", line)
    if is_unreachable(answered.stderr):
        return RecoveryError("cannot_act", line)
    if f"Unit {name} is masked" in text:
        return RecoveryError("masked", line)
    if f"Unit {name} not found" in text or f"Unit {name} not loaded" in text or "has a bad unit file setting" in text:
        return RecoveryError("unit_missing", line)
    if "attempted too often" in text:
        return RecoveryError("start_limit", line)
    if line.startswith("Job for ") and line.endswith(" canceled."):
        return RecoveryError("operator_stop", line)  # somebody stopped the unit while it was being restarted
    if line.startswith("Job for ") and await _is_limited(act, unit, began):
        return RecoveryError("start_limit", f"{unit}: start request repeated too quickly (StartLimitBurst=)")
    if line.startswith(("Job for ", "A dependency job for ")):
        return RecoveryError("start_failed", line)
    return RecoveryError("cannot_act", line)


async def _is_limited(act: Act, unit: str, began: float) -> bool:
    """systemctl names the failure before where systemd refuses to start a crashed unit once more; the journal tells."""
    try:
        return await act.systemd.hit_start_limit(unit, began)
    except ProbeError:
        return False
