"""The restart as a verified transaction: look again, act, and leave the proof to the ticks that follow.

The intent is in the record before anything is done, so a daemon that dies in it verifies the restart and does not
repeat it.
"""

import asyncio
import contextlib
import logging

from model_watchdog import writes as record
from model_watchdog.cgroup import processes
from model_watchdog.core.attempt import RecoveryPhase
from model_watchdog.core.decision import Actor, Cause, Decision, Event, Reason, Restart
from model_watchdog.core.restarting import answered, call_failed, cannot_act, withdraw
from model_watchdog.core.tally import MASK, mask
from model_watchdog.core.unit import UnitFacts
from model_watchdog.crashpoint import crash_point
from model_watchdog.errors import ProbeError, RecoveryError
from model_watchdog.recoveries import Act
from model_watchdog.tick import Watch

log = logging.getLogger(__name__)

FRESH = 0.1
"""What systemd said so many seconds ago need not be asked again before acting."""
NOT_THE_SERVICE = {Cause.NOT_PERMITTED, Cause.MASKED, Cause.UNIT_MISSING, Cause.CANNOT_ACT}
"""Refusals that say nothing about the service: not counted, told once with the remedy."""


async def carry_out(watch: Watch, restart: Restart) -> None:
    """Makes one restart. What comes of it is judged by `core.attempt.prove` from what the next ticks see.

    Cancelled, because the daemon stops, it leaves the job to systemd and the intent in the record: `resume` goes on with it.
    """
    if not await watch.means.store.commit():
        log.error(
            "service=%s event=record_unwritable reason=%r", watch.service.name, "the restart goes on; breaker counts are kept in memory"
        )
    crash_point("intent")
    try:
        facts = await _look_again(watch, restart)
        if facts is None and watch.service.unit:
            return
        if watch.state.attempt is not None and facts is not None:
            watch.state.attempt.old_processes = tuple(sorted(processes(facts)))
        _enter(watch, RecoveryPhase.STOPPING if facts is not None and facts.is_up else RecoveryPhase.STARTING)
        await _call(watch, restart, facts)
        watch.means.permitted.pop(watch.service.name, None)  # it was not denied
    except RecoveryError as error:
        _take_refusal(watch, Cause(error.cause), error.detail)
        return
    crash_point("answered")
    answered(watch.state, watch.means.clock.steady())
    _enter(watch, RecoveryPhase.VERIFYING)
    watch.measure_all()


async def resume(watch: Watch) -> None:
    """At start: a restart that was under way is verified, not repeated; one that was never made, or that a reboot cut, is taken back."""
    attempt = watch.state.attempt
    if attempt is not None and attempt.is_cut:
        watch.carry_out(withdraw(watch.service, watch.state, "interrupted", Reason("host_restarted"), watch.means.clock.steady()))
        return
    if attempt is None or attempt.answered_at is not None:
        return
    was_made = True  # also where nobody can tell: then it has as long as any restart to prove itself
    if watch.service.unit:
        with contextlib.suppress(ProbeError):
            facts = await watch.means.units.read(watch.service.unit)
            was_made = facts.invocation != attempt.old_invocation or facts.job != 0 or not (facts.is_up or facts.is_down)
    if was_made:  # guard: 16
        answered(watch.state, watch.means.clock.steady())
        watch.carry_out(
            [Event("verifying", attempt.cause, Reason("note", {"text": "the watchdog was restarted; it verifies the restart under way"}))]
        )
        return
    watch.carry_out(withdraw(watch.service, watch.state, "interrupted", Reason("interrupted"), watch.means.clock.steady()))


async def _look_again(watch: Watch, restart: Restart) -> UnitFacts | None:
    """Measures again before acting. None where there is nothing to restart any more, which is then on record."""
    unit, means = watch.service.unit, watch.means
    if unit is None:
        return None
    facts = watch.state.unit
    if facts is None or means.clock.steady() - facts.at > FRESH or restart.actor is Actor.OPERATOR:
        facts = await _read(watch, unit)
    if restart.actor is Actor.OPERATOR:
        return facts
    attempt = watch.state.attempt
    assert attempt is not None
    was_up = watch.state.unit is not None and watch.state.unit.is_up
    if facts.is_down and was_up:  # somebody may have stopped it since: that is for the journal to say, and for the next look
        _back_out(watch, Reason("not_needed"))
        watch.measure_unit()
        return None
    moved_on = facts.invocation != attempt.old_invocation or facts.active in ("activating", "deactivating")
    if moved_on:
        _back_out(watch, Reason("not_needed"))
        return None
    if facts.result == "success" or facts.job:
        means.host_stopping = await means.systemd.is_host_stopping()
        if means.host_stopping:  # guard: 14
            _back_out(watch, Reason("host_stopping"))
            return None
        if facts.job and await means.systemd.has_stop_job(unit):
            _back_out(watch, Reason("stop_job"))
            return None
    return facts


async def _read(watch: Watch, unit: str) -> UnitFacts:
    try:
        return await watch.means.units.read(unit)
    except ProbeError as error:
        raise RecoveryError(Cause.CANNOT_ACT, error.detail) from error


async def _call(watch: Watch, restart: Restart, facts: UnitFacts | None) -> None:
    act = Act(watch.service.unit, facts, watch.service.startup, restart.clear_start_limit, watch.means.systemd)
    calling = asyncio.ensure_future(watch.config.recovery.restart(act))
    await asyncio.sleep(0)
    crash_point("called")
    if facts is not None:
        watch.spawn(_keep_last_log(watch, facts))
    try:
        await calling
    except RecoveryError as error:
        if Cause(error.cause) not in (Cause.START_FAILED, Cause.START_LIMIT) or watch.service.unit is None:
            raise
        # systemd's own words on the unit say more than the client's: they are read next, and count


def _take_refusal(watch: Watch, cause: Cause, detail: str) -> None:
    now, state, service = watch.means.clock.steady(), watch.state, watch.service
    decisions: list[Decision]
    if cause is Cause.HOST_STOPPING:
        watch.means.host_stopping = True
        decisions = withdraw(service, state, "withdrawn", Reason("host_stopping"), now)
    elif cause is Cause.OPERATOR_STOP:
        decisions = withdraw(service, state, "withdrawn", Reason("stop_job"), now)
    elif cause in NOT_THE_SERVICE:
        if cause is Cause.NOT_PERMITTED:
            watch.means.permitted[service.name] = False
        reasons = {
            Cause.NOT_PERMITTED: Reason("not_permitted", {"unit": service.unit or ""}),
            Cause.MASKED: Reason("masked_while_failing"),
            Cause.UNIT_MISSING: Reason("unit_missing", {"unit": service.unit or "", "load": "not-found"}),
        }
        decisions = cannot_act(service, state, cause, reasons.get(cause, Reason("cannot_act", {"detail": detail})), now)
    else:
        decisions = call_failed(service, state, cause, Reason("call_failed", {"detail": detail}), watch.facts(), now)
    watch.carry_out(decisions)
    watch.measure_all()


def _back_out(watch: Watch, reason: Reason) -> None:
    watch.carry_out(withdraw(watch.service, watch.state, "withdrawn", reason, watch.means.clock.steady()))


def _enter(watch: Watch, phase: RecoveryPhase) -> None:
    attempt = watch.state.attempt
    if attempt is not None:
        attempt.phase = phase
        watch.means.store.put(record.restart_phase(attempt.id, phase.value), *watch.write_down([]))


async def _keep_last_log(watch: Watch, facts: UnitFacts) -> None:
    """The last line that the service wrote in the life that ends goes into what people are told."""
    text = mask(await watch.means.systemd.last_log(facts.unit, facts.invocation))
    for written in (one for probe in watch.config.probes for one in getattr(probe.probe, "mask", ())):
        from model_watchdog.patterns import Pattern  # RE2 is there where a log is followed

        text = Pattern(written).replace(text.encode("utf-8", "replace"), MASK.encode()).decode("utf-8", "replace")
    watch.last_log = text
