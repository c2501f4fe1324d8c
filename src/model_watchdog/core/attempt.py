"""One restart, from the intent to its proof.

That `systemctl restart` answered 0 proves nothing. Recovered means: a new invocation, active, no process left of the
old one, probes good, and still good after `stable`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from model_watchdog.core.decision import Actor, Cause, Param, Reason
from model_watchdog.core.diagnosis import Diagnosis, ask_for_port, cause_of_failure, describe_end
from model_watchdog.core.sample import Outcome
from model_watchdog.core.unit import UnitFacts


class RecoveryPhase(StrEnum):
    IDLE = "idle"
    PREFLIGHT = "preflight"
    EVIDENCE = "evidence"
    STOPPING = "stopping"
    STARTING = "starting"
    VERIFYING = "verifying"
    HOLDING = "holding"
    GAVE_UP = "gave_up"
    PAUSED = "paused"


@dataclass(slots=True)
class Attempt:
    """A restart under way; times are steady seconds, `answered_at` when the call came back, `good_since` the first good round."""

    id: int
    actor: Actor
    cause: Cause | None
    reason: Reason
    asked_at: float
    old_invocation: str = ""
    phase: RecoveryPhase = RecoveryPhase.PREFLIGHT
    answered_at: float | None = None
    good_since: float | None = None
    new_invocation: str = ""  # the first that was seen after the call, and when it began
    new_began: float = 0.0
    old_processes: tuple[tuple[int, int], ...] = ()  # pid and start time of what ran before
    is_cut: bool = False  # the host was started anew since: nobody will know what came of it


class Verdict(StrEnum):
    HOLDING = "holding"
    RECOVERED = "recovered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Proof:
    """What the evidence says of an attempt. `is_hopeless`: another restart would make it worse."""

    verdict: Verdict
    cause: Cause | None = None
    reason: Reason = field(default_factory=lambda: Reason("recovered"))
    is_hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known after the call. `outcomes` are this invocation's; `confirmed`: a rule that restarts is in breach now."""

    now: float
    startup: float
    stable: float
    has_unit: bool
    unit: UnitFacts | None
    outcomes: Mapping[str, Outcome]
    probes: frozenset[str]  # that must be good
    diagnosis: Diagnosis
    confirmed: bool
    left_over: tuple[int, ...] = ()
    never_reached: frozenset[str] = frozenset()  # probes that never got an answer, in this invocation or any before

    @property
    def is_good(self) -> bool:
        """A good round: every probe was good, each asked after the restart."""
        return all(name in self.outcomes and self.outcomes[name].ok for name in self.probes)


def prove(attempt: Attempt, seen: Seen) -> Proof | None:
    """Judges an attempt whose call has been answered; None while it is too early to tell."""
    if attempt.answered_at is None:
        return None
    if seen.left_over:
        pids = " ".join(map(str, seen.left_over))
        return Proof(Verdict.FAILED, Cause.OLD_PROCESS_LEFT, Reason("old_process_left", {"pids": pids}), is_hopeless=True)
    if seen.has_unit:
        if seen.unit is None or seen.unit.at < attempt.answered_at:
            return None
        failed = _prove_unit(attempt, seen, seen.unit)
        if failed or not seen.unit.is_up or seen.unit.invocation == attempt.old_invocation:
            return failed or _prove_in_time(attempt, seen)
    if attempt.phase is RecoveryPhase.HOLDING:
        return _prove_held(attempt, seen)
    return Proof(Verdict.HOLDING) if seen.is_good else _prove_in_time(attempt, seen)


def _prove_unit(attempt: Attempt, seen: Seen, unit: UnitFacts) -> Proof | None:
    if unit.job or unit.active in ("activating", "deactivating"):
        return None
    if unit.is_down:
        cause, reason = describe_end(unit)
        return Proof(Verdict.FAILED, cause, reason)
    if unit.invocation == attempt.old_invocation:
        return Proof(Verdict.FAILED, Cause.START_FAILED, Reason("not_restarted"))
    if attempt.new_invocation and unit.invocation != attempt.new_invocation:
        return Proof(Verdict.FAILED, Cause.CRASHED, Reason("ended_again"))
    return None


def _prove_held(attempt: Attempt, seen: Seen) -> Proof | None:
    """Good for `stable`: bad in between counts once a rule has confirmed it; at the end the last round must be good."""
    assert attempt.good_since is not None
    if seen.confirmed:
        return Proof(Verdict.FAILED, seen.diagnosis.cause, seen.diagnosis.reason)
    held = seen.now - attempt.good_since
    if held < seen.stable:
        return None
    if seen.is_good:
        return Proof(Verdict.RECOVERED)
    return Proof(Verdict.FAILED, seen.diagnosis.cause, seen.diagnosis.reason) if held >= seen.stable + seen.startup else None


def _prove_in_time(attempt: Attempt, seen: Seen) -> Proof | None:
    """Not good yet: it has until `startup` after it was started."""
    assert attempt.answered_at is not None
    if seen.now < deadline(attempt, seen.startup):
        return None
    for name, outcome in seen.outcomes.items():
        if outcome.ok is False and outcome.failure is not None:
            params: dict[str, Param] = {"probe": name, "detail": outcome.detail, "startup": seen.startup}
            params |= ask_for_port(outcome, seen.never_reached)
            return Proof(Verdict.FAILED, cause_of_failure(outcome.failure), Reason("not_good_in_time", params))
    return Proof(Verdict.FAILED, Cause.START_TIMEOUT, Reason("start_timeout", {"startup": seen.startup}))


def deadline(attempt: Attempt, startup: float) -> float:
    """When an attempt that is not good has failed, in steady seconds: `startup` after its own start, not after any later one."""
    return max(attempt.new_began, attempt.answered_at or attempt.asked_at) + startup
