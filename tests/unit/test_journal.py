"""What systemd's entries prove of the end of a unit, where the journal holds only some of them."""

from model_watchdog.core.unit import Ending
from model_watchdog.journal import FAILED, STARTED, STOPPED, Entry, drop_later_lives, find_ending

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
