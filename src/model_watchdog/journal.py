"""What the journal proves about the end of a unit. Entries in, an ending out; `systemd.py` fetches the entries.

What systemd 252 writes (seen in a box, cgroup v1 and v2; the later versions' message ids are the same):

what happened                    entries about the unit, oldest first (MESSAGE_ID, JOB_TYPE, JOB_RESULT)
systemctl stop                   STOPPING stop · SUCCEEDED or FAILED · STOPPED stop done
stop timed out, or exit 1 on TERM  as above: the stop job is `done` whatever became of the process (Result says timeout, exit-code)
stop while it waits for its own Restart=, or while it starts   STOPPED stop done
stop through PartOf=, Requires=, Conflicts=, BindsTo=, isolate, shutdown   as `systemctl stop`: nothing tells them apart
systemctl restart                STOPPING stop · … · STOPPED **restart** done · STARTED start done
own Restart=                     FAILED · RESTART_SCHEDULED · STOPPED restart done · STARTED start done
exit 0, kill -TERM of the main process, systemctl kill   SUCCEEDED, and no job
crash                            EXITED · FAILED, and no job
Requires= could not be started   START_FAILED start **dependency**, with an empty INVOCATION_ID
condition not met                STARTED start done, with an empty INVOCATION_ID
systemctl stop of what is down already   nothing at all

All but the last carry INVOCATION_ID, the life they belong to, also for units that systemd has forgotten since. A user's manager calls
it USER_INVOCATION_ID, and writes no SUCCEEDED.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model_watchdog.core.unit import Ended, Ending, UnitFacts

STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
STARTED = "39f53479d3a045ac8e11786248231fbf"
START_FAILED = "be02cf6855d2428ba40df7e9d022f03d"
SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
MESSAGE_IDS = (STOPPING, STOPPED, STARTED, START_FAILED, SUCCEEDED, FAILED)
FIELDS = ("MESSAGE_ID", "JOB_TYPE", "JOB_RESULT", "INVOCATION_ID", "MESSAGE", "USER_INVOCATION_ID")
"""What is read of each; the last is what a user's manager calls the fourth."""

TOO_QUICKLY = "Start request repeated too quickly"
"""What systemd writes, without an id, when it refuses a start because of the unit's StartLimitBurst=."""
MOST = 200
"""Entries that are asked for: a life has about four."""
TOGETHER = 1.0
"""Seconds between the end of a unit and the stop jobs that it causes: systemd takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of systemd about a unit. `job`, `result` and `invocation` are "" where it has none; `at` is steady seconds."""

    message: str
    job: str
    result: str
    invocation: str
    text: str = ""
    at: float = 0.0


def parse_entries(output: bytes) -> list[Entry]:
    """What `journalctl -o json` printed, in its order. A field that is not text (binary, or given twice) counts as missing."""
    entries = []
    for line in output.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:  # cut off at the cap
            continue
        texts = (value if isinstance(value := fields.get(field), str) else "" for field in FIELDS)
        message, job, result, invocation, text, of_user = texts
        entries.append(Entry(message, job, result, invocation or of_user, text, int(fields.get("__MONOTONIC_TIMESTAMP", 0)) / 1e6))
    return entries


def find_ending(newest_first: Sequence[Entry], current: str, known: str) -> Ended | None:
    """Why the unit is down, from systemd's entries about it in this boot.

    `current` is the life that systemd names, "" where it has forgotten it; `known` the last one that we saw, "" for none. None
    while the journal does not hold the end of the last life (it lags a few milliseconds behind systemd). NEVER_STARTED rests on
    the journal having been kept since the boot: the caller checks that. A stop counts as the operator's; the caller looks for a
    dependency that took the unit down with it.
    """
    life, since = _split_last_life(newest_first)
    if any(entry.message == START_FAILED and entry.result == "dependency" for entry in since):
        return Ended(Ending.DEPENDENCY_FAILED)
    if not life:
        return None if current or known else Ended(Ending.NEVER_STARTED, _skipped(since))
    if current and life[0].invocation != current:
        return None
    if known and len(newest_first) < MOST and not any(entry.invocation == known for entry in newest_first):
        return None
    if any(entry.message == STOPPED and entry.job == "stop" for entry in life):
        return Ended(Ending.OPERATOR_STOP)
    if _stops_now(life):
        return None
    if any(entry.message in (SUCCEEDED, START_FAILED) for entry in life):
        return Ended(Ending.BY_ITSELF)
    if any(entry.message == FAILED for entry in life):
        # A stop is logged at level info, a failure as a warning: where the journal keeps no info lines, only the second is there.
        if any(entry.message == STARTED for entry in life):
            return Ended(Ending.BY_ITSELF)
        return Ended(Ending.NOT_PROVED, "the journal keeps no info lines of systemd about it (LogLevelMax=, MaxLevelStore=)")
    return None


def ended_unwritten(newest_first: Sequence[Entry], facts: UnitFacts) -> bool:
    """It ended with exit 0 by itself, of which a user's manager writes nothing (that line is for debugging there).

    systemd's own times prove it: the main process ended, and then, because of that, the unit left the active state. One that is told to
    stop does so the other way round, and has a stop job in the journal.
    """
    ended, left = facts.main_exit_at, facts.active_exit_at
    if facts.told_to_stop or ended is None or left is None or left - ended > TOGETHER:
        return False
    life = [entry for entry in newest_first if entry.invocation == facts.invocation]
    return any(entry.message == STARTED for entry in life) and all(entry.job != "stop" for entry in life)


def drop_later_lives(newest_first: Sequence[Entry], looked_at: float) -> list[Entry]:
    """Without the lives that began after a look at the unit (steady seconds): who restarts it does not wait until we have read on."""
    later = {entry.invocation for entry in newest_first if entry.message == STARTED and entry.invocation and entry.at > looked_at}
    return [entry for entry in newest_first if entry.invocation not in later]


def find_stop(newest_first: Sequence[Entry]) -> float:
    """When the stop job of the last life began, in steady seconds; 0 where there is none."""
    life, _ = _split_last_life(newest_first)
    return min((entry.at for entry in life if entry.job == "stop"), default=0.0)


def ended_by_itself(newest_first: Sequence[Entry], around: float) -> bool:
    """Of the unit's lives, the one that ended at that time (steady seconds) ended without having been stopped."""
    ends = [entry for entry in newest_first if entry.message in (SUCCEEDED, FAILED) and abs(entry.at - around) <= TOGETHER]
    stopped = {entry.invocation for entry in newest_first if entry.message == STOPPED and entry.job == "stop"}
    return bool(ends) and min(ends, key=lambda entry: abs(entry.at - around)).invocation not in stopped


def _split_last_life(newest_first: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The entries of the newest life, and those after it that belong to none, each newest first."""
    since: list[Entry] = []
    for place, entry in enumerate(newest_first):
        if entry.invocation:
            return [other for other in newest_first[place:] if other.invocation == entry.invocation], since
        since.append(entry)
    return [], since


def _stops_now(life: Iterable[Entry]) -> bool:
    """A stop job has begun whose end is not written yet."""
    return any(entry.message == STOPPING for entry in life) and not any(entry.message == STOPPED for entry in life)


def _skipped(entries: Iterable[Entry]) -> str:
    """systemd's own words where it skipped a start because of a condition."""
    return next((entry.text for entry in entries if entry.message == STARTED), "")
