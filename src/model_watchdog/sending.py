"""Sends canaries: real requests, to a service that has nothing else to do."""

from typing import TYPE_CHECKING

from model_watchdog.config.model import ProbeConfig
from model_watchdog.core.canary import find_objection, skip
from model_watchdog.core.sample import Outcome
from model_watchdog.wording import say

if TYPE_CHECKING:
    from model_watchdog.tick import Watch

SOON = 0.9
"""Of `every`: a canary that comes a little early comes all the same."""


def is_too_soon(watch: "Watch", name: str) -> bool:
    """A real request is asked for no more often than `every`, whatever else has the probes run."""
    asked_at = watch.asked_at.get(name)
    return asked_at is not None and watch.means.clock.steady() - asked_at < SOON * watch.probes[name].every


async def send_canary(watch: "Watch", probe: ProbeConfig) -> Outcome:
    """A look at what the service does, the request if it has nothing to do, and another look: others may have been served meanwhile."""
    service, state = watch.service, watch.state
    progress = [plan.name for plan in service.list_probes("scrape")]
    await watch.look_at(progress)
    against, now = find_objection(service, state), watch.means.clock.steady()
    watch.asked_at[probe.name] = now
    if against is not None:
        return skip(service, state, probe.name, say(against), now)
    watch.running_since[probe.name] = now  # its time counts from here
    outcome = await watch.observe(probe)
    if outcome.ok is False:
        await watch.look_at(progress)
    return outcome
