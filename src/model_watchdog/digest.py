"""The digest: what was healed without a person since the last one. Nothing where there is nothing to say."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from model_watchdog import writes as record
from model_watchdog.config.model import Digest
from model_watchdog.record import Record
from model_watchdog.stories import list_incidents
from model_watchdog.wording import compose_healed

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

LAST = "digest"
"""The setting that keeps the day of the last digest."""
DAY = 86_400.0


def is_due(digest: Digest, last: str | None, now: datetime) -> bool:
    """Whether the next one is due at `now` (local); `last` is the day of the one before, None where there was none yet."""
    second = now.hour * 3600 + now.minute * 60 + now.second
    if second < digest.at:
        return False
    return last is None or datetime.fromisoformat(last).date() + timedelta(seconds=digest.every) <= now.date()


def gather(state_dir: Any, since: float, now: float) -> list[dict[str, Any]]:
    """The incidents since then that are over, that were restarted in and in which nobody was told that it was given up, oldest first."""
    with Record.open(state_dir) as opened:
        stories = list_incidents(opened, since, None, now)
        healed = []
        for story in stories:
            if story["closed_at"] is None or not story["restarts"]:
                continue
            events = opened.events_of([story["id"], *story["follows"]])
            if any(event["event"] == "recovered" for event in events) and not any(event["event"] == "gave_up" for event in events):
                healed.append(story)
        return healed


def look(daemon: "Daemon") -> None:
    """Once a minute: tells it when its time has come. The day is written together with the message, so it is told once."""
    digest = daemon.config.digest
    now = datetime.fromtimestamp(daemon.clock.wall())
    if digest is None or daemon.dry_run:
        return
    last = daemon.store.setting(LAST)
    if last is None:  # the first day: it begins now
        daemon.store.put(record.setting(LAST, now.date().isoformat()))
        return
    if not is_due(digest, last, now):
        return
    wall = daemon.clock.wall()
    healed = gather(daemon.state_dir, wall - digest.every, wall)
    writes = [record.setting(LAST, now.date().isoformat())]
    if healed:
        message = compose_healed(daemon.means.hostname, f"digest/{now.date().isoformat()}", healed, digest.every)
        for name in digest.to:
            writes += daemon.outbox.add(name, message)
    daemon.store.put(*writes)
    daemon.outbox.wake()
