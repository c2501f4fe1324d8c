"""What incidents follow from: a lost GPU, a rule of the host, a dependency, or many services that fail together."""

from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.routes import Thread, Threads

SHORTLY_BEFORE = 300.0
"""Seconds: what has been wrong with the host for longer has not just brought a service down."""
KEPT = 3600.0
"""Seconds for which an incident that is over is remembered: what is still to be told of it belongs to it."""


def open_thread(threads: Threads, thread: Thread, policy: CommonCausePolicy | None) -> list[Thread]:
    """Takes in a new incident, or one whose root is known by now; gives those that follow from another one from now on.

    Its root is, in this order: an open incident with the same hint; one of the host that has begun shortly before; the first of those
    that have begun together, where they are more than the policy takes for chance.
    """
    known = threads.known.get(thread.id)
    if known is not None and (known.parent or not thread.hint or known.hint == thread.hint):
        return []
    others = [other for other in threads.known.values() if not other.is_over and threads.root(other.id) != thread.id]
    if known is None:
        threads.known[thread.id] = thread
    else:  # what began together with it, or shortly before, was looked at when it began
        known.hint, policy = thread.hint, None
    parent = next((other for other in others if thread.hint and other.hint == thread.hint), None)
    if parent is None and known is None and thread.service is not None:
        of_host = [other for other in others if other.service is None and other.hint and thread.opened - other.opened <= SHORTLY_BEFORE]
        parent = min(of_host, key=lambda other: other.opened, default=None)
    if parent is not None:
        return _follow(threads, [threads.known[thread.id]], threads.root(parent.id))
    return _join(threads, thread, others, policy)


def suspect_until(threads: Threads, incident: int, policy: CommonCausePolicy | None) -> float:
    """Until when (steady seconds) it is not known whether an incident is one of many that begin together; 0 where it stands alone."""
    thread = threads.known.get(incident)
    if policy is None or thread is None or thread.service is None:
        return 0.0
    before = [
        other.opened
        for other in threads.known.values()
        if other.service not in (None, thread.service)
        and 0 <= thread.opened - other.opened <= policy.within
        and other.id < thread.id
        and threads.root(other.id) != threads.root(incident)
    ]
    return min(before) + policy.within if before else 0.0


def close_thread(threads: Threads, incident: int) -> None:
    """Nothing of it is left."""
    if incident in threads.known:
        threads.known[incident].is_over = True


def forget_old(threads: Threads, used: set[int], now: float) -> None:
    """Forgets whole families that are over, and of which nothing is left to be told (`used` names the incidents that are)."""
    families: dict[int, list[Thread]] = {}
    for thread in threads.known.values():
        families.setdefault(threads.root(thread.id), []).append(thread)
    for family in families.values():
        ids = {thread.id for thread in family}
        if not ids & used and all(thread.is_over and now - thread.opened > KEPT for thread in family):
            for number in ids:
                del threads.known[number]


def _join(threads: Threads, thread: Thread, others: list[Thread], policy: CommonCausePolicy | None) -> list[Thread]:
    """Many that begin within a short time of each other have one root: the first of them."""
    if policy is None or thread.service is None:
        return []
    together = [other for other in others if other.service is not None and thread.opened - other.opened <= policy.within]
    services = {other.service for other in together} | {thread.service}
    if len(services) <= policy.services:
        return []
    root = threads.root(min(together, key=lambda other: (other.opened, other.id)).id)
    return _follow(threads, [*together, thread], root)


def _follow(threads: Threads, members: list[Thread], root: int) -> list[Thread]:
    changed = []
    for member in members:
        top = threads.known[threads.root(member.id)]  # with whatever follows from it already
        if top.id != root:
            top.parent = root
            changed.append(top)
    return changed
