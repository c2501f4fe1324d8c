"""What systemd's entries prove of the end of a unit, where the journal holds only some of them."""

import json

from model_watchdog.core.unit import Ending, UnitFacts
from model_watchdog.journal import (
    FAILED,
    STARTED,
    STOPPED,
    STOPPING,
    Entry,
    drop_later_lives,
    ended_unwritten,
    find_ending,
    parse_entries,
)

LIFE, NEXT = "a" * 32, "b" * 32


def entry(message: str, job: str = "", life: str = LIFE, at: float = 0.0) -> Entry:
    return Entry(message, job, "done" if job else "", life, at=at)


def test_a_failure_after_a_start_that_is_on_record_is_its_own() -> None:
    ended = find_ending([entry(FAILED), entry(STARTED, "start")], LIFE, LIFE)
    assert ended is not None and ended.ending is Ending.BY_ITSELF


def test_a_stop_job_is_the_operators_whatever_became_of_the_process() -> None:
    ended = find_ending([entry(STOPPED, "stop"), entry(FAILED), entry(STARTED, "start")], LIFE, LIFE)
    assert ended is not None and ended.ending is Ending.OPERATOR_STOP


def test_a_failure_alone_proves_nothing_for_the_journal_may_drop_the_lines_that_tell_of_a_stop() -> None:
    ended = find_ending([entry(FAILED)], LIFE, LIFE)
    assert ended is not None and ended.ending is Ending.NOT_PROVED and "LogLevelMax" in ended.detail


def test_what_began_after_the_look_says_nothing_of_the_end_that_was_seen() -> None:
    entries = [entry(STARTED, "start", NEXT, 13.0), entry(STOPPED, "stop", at=12.1), entry(STARTED, "start", at=1.0)]
    assert find_ending(entries, LIFE, LIFE) is None, "the newest life is another one, and it runs"
    ended = find_ending(drop_later_lives(entries, looked_at=12.0), LIFE, LIFE)
    assert ended is not None and ended.ending is Ending.OPERATOR_STOP
    assert drop_later_lives(entries, looked_at=14.0) == entries


def test_a_users_manager_calls_a_life_by_another_name() -> None:
    lines = [{"MESSAGE_ID": STARTED, "USER_INVOCATION_ID": LIFE}, {"MESSAGE_ID": STARTED, "INVOCATION_ID": NEXT}]
    assert [one.invocation for one in parse_entries("\n".join(map(json.dumps, lines)).encode())] == [LIFE, NEXT]


def test_an_end_that_nobody_wrote_down_is_proved_by_systemds_own_times() -> None:
    def facts(ended: float | None, left: float | None) -> UnitFacts:
        return UnitFacts("alice/a.service", 20.0, active="inactive", invocation=LIFE, main_exit_at=ended, active_exit_at=left)

    began = [entry(STARTED, "start")]
    assert ended_unwritten(began, facts(10.0, 10.0)) and ended_unwritten(began, facts(10.0, 10.1))
    assert not ended_unwritten(began, facts(10.1, 10.0)), "it was told to stop, and then ended"
    assert not ended_unwritten(began, facts(10.0, 15.0)), "it had ended long before (RemainAfterExit=), when somebody stopped it"
    assert not ended_unwritten([entry(STOPPED, "stop"), *began], facts(10.0, 10.0))
    assert not ended_unwritten([entry(STOPPING, "stop"), *began], facts(10.0, 10.0))
    assert not ended_unwritten([entry(STARTED, "start", NEXT)], facts(10.0, 10.0)), "of that life the journal holds nothing"
    assert not ended_unwritten(began, facts(None, None)), "systemd has forgotten the unit"
