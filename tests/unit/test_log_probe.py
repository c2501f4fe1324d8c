"""The probe `log` on real files that grow, turn over, are cut and vanish; faults 81 to 84 of the list."""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from model_watchdog.core.sample import Failure
from model_watchdog.core.tally import Tally, mask
from model_watchdog.errors import ProbeError
from model_watchdog.patterns import Pattern
from model_watchdog.probes import Notebook, Observation, Surroundings
from model_watchdog.probes.log import BUILT_IN, MOST_VALUES, Log

BERT = {"timestamp": "2025-04-05T10:23:45Z", "module": "inference", "task": "mask_prediction", "input_text": "中国的首都是[MASK]。"}


class Follower:
    """A probe on one file, with what it keeps; `begin_anew` is what another daemon does."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path, self.options, self.notes = path, options, Notebook()
        self.begin_anew()

    def begin_anew(self) -> None:
        self.running = Log(self.path, **self.options).open(Surroundings("bert", "bert.service", 5.0, None, notes=self.notes))  # type: ignore[arg-type]

    def look(self) -> Observation:
        return asyncio.run(self.running.observe())

    def count(self, level: str = "INFO") -> float:
        return value(self.look(), "log_records_total", level=level) or 0.0


def value(seen: Observation, metric: str, **labels: str) -> float | None:
    return next((number for name, own, number in seen.measurements if name == metric and own == labels), None)


def write(path: Path, *records: dict[str, Any] | str, mode: str = "a") -> None:
    with path.open(mode, encoding="utf-8", errors="surrogateescape") as file:
        file.writelines((one if isinstance(one, str) else json.dumps({**BERT, **one}, ensure_ascii=False)) + "\n" for one in records)


INFO = {"level": "INFO", "status": "success", "inference_time_ms": 127, "score": 0.9}
ERROR = {"level": "ERROR", "status": "failed", "error": "CUDA out of memory"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "bert.log"
    write(path, INFO, INFO, INFO)
    return path


def test_it_begins_at_the_end_and_counts_what_comes(log: Path) -> None:
    follower = Follower(log, fields=("inference_time_ms", "score"), patterns={"low": '"status": ?"low_confidence"'})
    assert follower.count() == 0, "what was there before is history"
    write(log, INFO, {"level": "WARNING", "status": "low_confidence", "score": 0.12}, ERROR)
    seen = follower.look()
    assert [value(seen, "log_records_total", level=level) for level in ("INFO", "WARNING", "ERROR")] == [1, 1, 1]
    assert value(seen, "log_pattern_matches_total", pattern="low") == 1
    assert value(seen, "log_pattern_matches_total", pattern="cuda_out_of_memory") == 1
    assert value(seen, "log_pattern_matches_total", pattern="nccl") == 0
    assert [number for name, own, number in seen.measurements if own == {"field": "score"}] == [0.9, 0.12]
    assert value(seen, "log_field", field="inference_time_ms") == 127
    assert "CUDA out of memory" in seen.detail


def test_how_long_ago_the_newest_record_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.touch()
    follower = Follower(path, format="text", timezone="Asia/Shanghai")
    assert value(follower.look(), "log_age_seconds") is None
    hour_ago = datetime.now(ZoneInfo("Asia/Shanghai")) - timedelta(hours=1)
    write(path, f"{hour_ago:%Y-%m-%d %H:%M:%S},123 [INFO] 推理完成")
    for _ in range(2):  # it grows while nothing is said
        assert value(follower.look(), "log_age_seconds") == pytest.approx(3600, abs=60)
    assert "there is no time zone" in Log(path, timezone="Asia/Beijing").faults()[0]


def test_five_errors_in_a_row_are_seen_also_when_a_good_one_follows(log: Path) -> None:
    follower = Follower(log)
    follower.look()
    write(log, ERROR, ERROR)
    assert value(follower.look(), "log_consecutive_errors") == 2
    write(log, ERROR, ERROR, ERROR, INFO)
    assert value(follower.look(), "log_consecutive_errors") == 5
    assert value(follower.look(), "log_consecutive_errors") == 0


def test_a_text_log_of_the_seeds_form_with_its_traceback(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.touch()
    follower = Follower(path, format="text")
    follower.look()
    write(path, "2026-01-01 12:00:00,123 [INFO] 🟢 开始加载万物识别模型...", "2026-01-01T12:00:01 [ERROR] 推理失败 [x]")
    write(path, "Traceback (most recent call last):", '  File "a.py"')
    seen = follower.look()
    assert (value(seen, "log_records_total", level="INFO"), value(seen, "log_records_total", level="ERROR")) == (1, 1)
    assert value(seen, "log_pattern_matches_total", pattern="traceback") == 1 and "推理失败" in seen.detail


def test_a_pattern_of_the_users_gives_level_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.touch()
    follower = Follower(path, format="text", pattern=r"^(?P<level>\w+): took (?P<took>[0-9.]+) ms", fields=("took",))
    follower.look()
    write(path, "INFO: took 12.5 ms", "noise", "WARN: took 900 ms")
    seen = follower.look()
    assert [number for _, own, number in seen.measurements if own == {"field": "took"}] == [12.5, 900.0]
    assert value(seen, "log_records_total", level="WARN") == 1


@pytest.mark.parametrize("turn", ["rename", "rename twice", "copytruncate", "delete", "rename while the daemon is away"])
def test_fault_81_a_log_that_is_rotated_truncated_or_deleted_loses_no_line(log: Path, turn: str) -> None:
    follower = Follower(log)
    follower.look()
    write(log, INFO, INFO)
    assert follower.count() == 2
    write(log, INFO)
    if turn == "copytruncate":
        assert follower.count() == 3
        os.truncate(log, 0)
        write(log, INFO)
        seen = follower.look()
        assert value(seen, "log_records_total", level="INFO") == 4 and "truncated" in seen.detail
        assert "truncated" not in follower.look().detail, "once"
        return
    if turn == "delete":
        assert follower.count() == 3
        log.unlink()
        assert follower.count() == 3
        write(log, INFO)
        assert follower.count() == 4
        return
    if turn.endswith("away"):
        asyncio.run(follower.running.close())
    os.rename(log, log.with_suffix(".log.1"))
    write(log.with_suffix(".log.1"), INFO)  # its writer has not noticed yet
    write(log, INFO, INFO)
    if turn.endswith("away"):
        follower.begin_anew()
    assert follower.count() == 6
    if turn == "rename twice":
        os.rename(log, log.with_suffix(".log.2"))
        write(log, INFO)
        assert follower.count() == 7


def test_fault_81_what_the_old_file_gets_after_the_new_one_was_made_is_counted(log: Path) -> None:
    """logrotate makes the new file, and signals the writer later."""
    follower = Follower(log)
    follower.look()
    with log.open("a") as old:
        os.rename(log, log.with_suffix(".log.1"))
        log.touch()
        assert follower.count() == 0
        old.write('{"level": "INFO"}\n{"level": "INFO"}')  # and its last line has no end
    write(log, INFO)
    assert follower.count() == 3
    write(log, INFO)
    assert follower.count() == 4


def test_fault_81_no_line_counts_twice_after_a_restart_of_the_daemon(log: Path) -> None:
    follower = Follower(log)
    follower.look()
    write(log, INFO)
    with log.open("a") as file:
        file.write('{"level": "IN')  # a line that is not whole yet
    assert follower.count() == 1
    follower.begin_anew()
    assert follower.count() == 1
    with log.open("a") as file:
        file.write('FO"}\n')
    follower.begin_anew()
    assert follower.count() == 2


def test_fault_82_binary_nul_and_escapes_harm_nothing(log: Path) -> None:
    follower = Follower(log)
    follower.look()
    with log.open("ab") as file:
        file.write(os.urandom(300_000) + b"\n\x00\x00\x00\n")
        file.write(b'{"level": "ERROR", "error": "\x1b[2J\x1b]0;evil\x07 \xff\xfe boom"}\n')
    seen = follower.look()
    assert value(seen, "log_records_total", level="ERROR") == 1
    assert "boom" in seen.detail and all(letter.isprintable() for letter in seen.detail)


def test_a_line_is_one_record_whatever_stands_deeper_in_it(log: Path) -> None:
    follower = Follower(log, fields=("total", "usage.total", "timing.total"))
    follower.look()
    write(log, {"level": "INFO", "total": 3, "usage": {"total": "1"}, "timing": {"total": 2}, "more": {"level": "ERROR"}})
    with log.open("a") as file:
        file.write('{"level": "INFO", "total": 1e999, "usage": {"total": [1]}}\n{"level": "INFO", "usage": {"total"\n')
    seen = follower.look()
    assert [own["level"] for name, own, _ in seen.measurements if name == "log_records_total"] == ["INFO"]
    assert value(seen, "log_records_total", level="INFO") == 3
    fields = [(own["field"], number) for name, own, number in seen.measurements if name == "log_field"]
    assert fields == [("total", 3.0), ("usage.total", 1.0), ("timing.total", 2.0)]


def test_fault_82_a_level_is_no_way_for_escapes(log: Path) -> None:
    follower = Follower(log, format="text", pattern=r"^\[(?P<level>[^\]]+)\]")
    follower.look()
    write(log, "[\x1b[2J] x", "[错误] x")
    seen = follower.look()
    assert [own["level"] for name, own, _ in seen.measurements if name == "log_records_total"] == ["错误"]


def test_fault_83_a_line_without_an_end_is_skipped_and_takes_no_memory(log: Path) -> None:
    follower = Follower(log)
    follower.look()
    piece = b"x" * 1_000_000
    with log.open("ab") as file:
        for _ in range(200):
            file.write(piece)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        follower.look()
    write(log, "", INFO)
    assert any(follower.count() == 1 for _ in range(20))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "KiB"


def test_fault_84_a_storm_is_read_in_a_budget_and_the_loop_goes_on(log: Path) -> None:
    follower = Follower(log, fields=("score",))
    follower.look()
    line = json.dumps({**BERT, **INFO}) + "\n"
    with log.open("a") as file:
        file.write(line * 600_000)

    async def look() -> tuple[Observation, float]:
        longest, done = 0.0, False

        async def watch() -> None:
            nonlocal longest
            while not done:
                began = time.monotonic()
                await asyncio.sleep(0.005)
                longest = max(longest, time.monotonic() - began - 0.005)

        watching = asyncio.ensure_future(watch())
        seen = await follower.running.observe()
        done = True
        await watching
        return seen, longest

    began = time.monotonic()
    seen, longest = asyncio.run(look())
    assert time.monotonic() - began < 2.0 and longest < 0.1, longest
    assert sum(own == {"field": "score"} for _, own, _ in seen.measurements) <= MOST_VALUES
    for _ in range(60):
        if value(seen, "log_records_total", level="INFO") == 600_000:
            break
        assert "MB behind" in seen.detail
        seen, _ = asyncio.run(look())
    assert value(seen, "log_records_total", level="INFO") == 600_000


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(.*a){12}"])
def test_fault_84_a_catastrophic_pattern_takes_linear_time(pattern: str) -> None:
    began = time.process_time()
    Pattern(pattern).count(b"a" * 100_000 + b"!")
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("pattern", ["a*", "ERROR.*timeout|ERROR", r"(?P<level>[A-Z]+)(.*END)?"])
def test_fault_84_a_line_full_of_matches_takes_linear_time(pattern: str) -> None:
    text = b"ERROR " * 40_000 + b"\nERROR\n"
    began = time.process_time()
    assert Pattern(pattern).count(text) == len(Pattern(pattern, each_line=True).find_groups(text)) == 2
    assert time.process_time() - began < 0.1


def test_fault_84_a_short_timeout_is_no_reason_to_fail_in_a_storm(log: Path) -> None:
    follower = Follower(log)
    follower.running = Log(log).open(Surroundings("bert", "bert.service", 0.1, None, notes=follower.notes))  # type: ignore[arg-type]
    follower.look()
    line = json.dumps({**BERT, **INFO}) + "\n"
    with log.open("a") as file:
        file.write(line * 600_000)
    began = time.monotonic()
    assert "MB behind" in follower.look().detail and time.monotonic() - began < 0.4


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(a)\1", r"(?<!a)b", "("])
def test_fault_84_what_cannot_be_linear_is_refused_by_name(pattern: str) -> None:
    (fault,) = Log(Path("/a"), patterns={"x": pattern}).faults()
    assert f'"{pattern}" cannot be used' in fault


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("mail to li.wei+x@example.com.cn now", "li.wei+x@example.com.cn"),
        ("电话 13812345678 打不通", "13812345678"),
        ("call +86 138-1234-5678", "138-1234-5678"),
        ("call +49 30 1234 5678", "1234 5678"),
        ("身份证 11010519491231002X。", "11010519491231002X"),
        ("Authorization: Bearer abcdef123456789", "abcdef123456789"),
        ("key sk-abcdefghij0123456789", "sk-abcdefghij0123456789"),
        ("card 6222021234567890123", "6222021234567890123"),
        ("card 6222021234567890123.", "6222021234567890123"),
        ('"id":6222021234567890123,', "6222021234567890123"),
        ("card 6222 0212 3456 7890 123", "0212 3456"),
        ("call 13812345678.", "13812345678"),
        ("call +49 30 1234 5678.", "1234 5678"),
    ],
)
def test_what_is_private_is_masked(text: str, hidden: str) -> None:
    assert hidden not in mask(text) and "***" in mask(text)


@pytest.mark.parametrize(
    "text", ["tensor of 1024x768 at step 123456", "2026-01-01 12:00:00,123 [ERROR] x", "127.0.0.1:38117", "127.53 ms", "0.123456789012345"]
)
def test_what_is_not_private_stays(text: str) -> None:
    assert mask(text) == text


def test_a_mask_of_the_users_is_applied_before_anything_is_cut(log: Path) -> None:
    follower = Follower(log, mask=("patient [A-Z]+",))
    follower.look()
    write(log, {"level": "ERROR", "error": "patient MEYER is ill"})
    assert "MEYER" not in follower.look().detail


def test_what_is_masked_is_masked_also_as_json_escapes_it(log: Path) -> None:
    follower = Follower(log, mask=("张三",))
    follower.look()
    with log.open("a") as file:
        file.write(json.dumps({"level": "ERROR", "error": "张三 推理失败 😀"}) + "\n")
    assert follower.look().detail == '{"level": "ERROR", "error": "*** 推理失败 😀"}'


def test_to_mask_takes_linear_time() -> None:
    began = time.process_time()
    assert mask("a" * 200_000) == "a" * 200_000
    assert time.process_time() - began < 1.0


def test_a_log_that_is_not_there_yet_is_waited_for_and_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "late.log"
    follower = Follower(path)
    assert "is not there (yet)" in follower.look().detail
    write(path, INFO, INFO)
    assert follower.count() == 2


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(ProbeError) as caught:
        Follower(tmp_path).look()
    assert caught.value.failure == Failure.CONFIG and "no regular file" in caught.value.detail


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Log(), "state path: FILE, or journal: true"),
        (lambda: Log(Path("/a"), journal=True), "state path: FILE, or journal: true"),
        (lambda: Log(Path("a")), "path must begin with /"),
        (lambda: Log(Path("/a"), pattern="x"), "pattern goes with format: text"),
        (lambda: Log(journal=True, timezone="Asia/Shanghai"), "timezone goes with path"),
        (lambda: Log(Path("/a"), format="text", pattern="x", fields=("took",)), "pattern has no group named took"),
        (lambda: Log(Path("/a"), fields=("a b",)), "cannot be the name of a field"),
    ],
)
def test_options_that_cannot_be(make: Callable[[], Log], said: str) -> None:
    assert any(said in fault for fault in make().faults())


def test_built_in_patterns_are_taken_and_find_what_they_are_for() -> None:
    texts = {
        "cuda_out_of_memory": b"RuntimeError: CUDA out of memory. Tried to allocate 2 GiB",
        "cuda_error": b"RuntimeError: CUDA error: an illegal memory access was encountered",
        "nccl": b"[E] Watchdog caught collective operation timeout: WorkNCCL",
        "traceback": b"Traceback (most recent call last):",
    }
    assert {name: Pattern(BUILT_IN[name]).count(text) for name, text in texts.items()} == dict.fromkeys(BUILT_IN, 1)


def put_journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Any:
    """A probe on the journal with a program in the place of journalctl, for what no journal can be made to do in a moment."""
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Log(journal=True).open(Surroundings("bert", "bert.service", 5.0, None))  # type: ignore[arg-type]


ENTRY = json.dumps({"__CURSOR": "c1", "__REALTIME_TIMESTAMP": "5", "MESSAGE": json.dumps(INFO)})


def test_fault_85_a_journal_with_more_than_can_be_read_in_time_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "entry").write_text(ENTRY + "\n")
    (tmp_path / "endless").write_text(
        f"line = {ENTRY!r}\nn = 1\nwhile True:\n    n += 1\n    print(line.replace('c1', f'c{{n}}'))\n",
    )
    script = f'case "$*" in *--lines=1*) cat {tmp_path}/entry;; *) exec {sys.executable} {tmp_path}/endless;; esac'
    running = put_journalctl(tmp_path, monkeypatch, script)
    asyncio.run(running.observe())
    began = time.monotonic()
    seen = asyncio.run(running.observe())
    assert time.monotonic() - began < 4.0 and "the journal grows faster than it is read" in seen.detail
    assert (value(seen, "log_records_total", level="INFO") or 0) > 10_000


def test_fault_85_a_journal_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = put_journalctl(tmp_path, monkeypatch, "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1")
    with pytest.raises(ProbeError) as caught:
        asyncio.run(running.observe())
    assert caught.value.failure == Failure.WATCHER and "insufficient permissions" in caught.value.detail


def test_what_a_unit_says_first_is_counted_also_where_it_had_said_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = put_journalctl(tmp_path, monkeypatch, f"[ ! -e {tmp_path}/said ] || cat {tmp_path}/said")
    assert value(asyncio.run(running.observe()), "log_records_total", level="INFO") is None
    (tmp_path / "said").write_text(ENTRY + "\n")
    assert value(asyncio.run(running.observe()), "log_records_total", level="INFO") == 1
    assert value(asyncio.run(running.observe()), "log_records_total", level="INFO") == 1, "once"


def test_a_json_log_is_followed_at_a_hundred_megabytes_a_second(log: Path) -> None:
    follower = Follower(log)
    follower.look()
    line = json.dumps({**BERT, **INFO}) + "\n"
    with log.open("a") as file:
        file.write(line * 300_000)
    began = time.process_time()
    while (value(follower.look(), "log_records_total", level="INFO") or 0) < 300_000:
        pass
    spent = time.process_time() - began
    assert 300_000 / spent > 300_000 and len(line) * 0.3 / spent > 100, f"{300_000 / spent:.0f} lines/s, {len(line) * 0.3 / spent:.0f} MB/s"


def test_levels_beyond_measure_are_not_told_apart() -> None:
    tally = Tally()
    tally.take(f"L{number}" for number in range(1000))
    assert len(tally.levels) <= 20


def test_what_stands_within_a_record_of_a_user_is_not_the_records_own(log: Path) -> None:
    follower = Follower(log, fields=("score", "request.score"))
    follower.look()
    nested = {"request": {"level": "ERROR", "score": 0.01}, "level": "INFO", "score": 0.9}
    write(log, *(json.dumps(one) for one in [nested] * 6))
    seen = follower.look()
    assert value(seen, "log_records_total", level="INFO") == 6 and value(seen, "log_records_total", level="ERROR") is None
    assert value(seen, "log_consecutive_errors") == 0
    assert {number for name, own, number in seen.measurements if own == {"field": "score"}} == {0.9}
    assert {number for name, own, number in seen.measurements if own == {"field": "request.score"}} == {0.01}


def test_a_format_that_does_not_fit_is_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.touch()
    follower = Follower(path)
    follower.look()
    write(path, *["2026-01-01 12:00:00 [INFO] 推理完成"] * 120)
    assert "no line bears a level: is it format: json" in follower.look().detail
    fitting = Follower(path, format="text")
    fitting.look()
    write(path, *["2026-01-01 12:00:00 [INFO] 推理完成"] * 120)
    assert "bears a level" not in fitting.look().detail


@pytest.mark.parametrize("away", [False, True])
def test_a_log_that_turned_over_twice_between_two_looks_loses_nothing(log: Path, away: bool) -> None:
    follower = Follower(log)
    follower.look()
    (log.parent / "bert.log.error").write_text(json.dumps({"level": "INFO"}) + "\n")  # another log, of a similar name
    for number in range(4):
        write(log, {"level": "INFO", "n": number})
        time.sleep(0.02)
        for older in range(3, 0, -1):
            if (one := Path(f"{log}.{older}")).exists():
                one.rename(f"{log}.{older + 1}")
        log.rename(f"{log}.1")
    write(log, {"level": "INFO", "n": 4})
    if away:
        follower.begin_anew()
    assert follower.count() == 5
    write(log, {"level": "INFO", "n": 5})
    assert follower.count() == 6


def test_a_file_that_is_cut_and_grows_beyond_its_old_length_is_read_from_its_start(log: Path) -> None:
    follower = Follower(log)
    follower.look()
    write(log, {"level": "INFO", "n": 0})
    assert follower.count() == 1
    size = log.stat().st_size
    os.truncate(log, 0)
    write(log, *({"timestamp": f"2026-01-01T00:00:0{number}Z", "level": "INFO"} for number in range(9)))
    assert log.stat().st_size > size
    seen = follower.look()
    assert value(seen, "log_records_total", level="INFO") == 10 and "truncated" in seen.detail
