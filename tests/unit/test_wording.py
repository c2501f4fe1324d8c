"""Every reason that the core can give has a sentence, and every message says what, since when, what was done and what next."""

import ast
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from model_watchdog.core.decision import Cause, Notification, Reason
from model_watchdog.core.host import HostState, tell_rights
from model_watchdog.core.rule import Severity
from model_watchdog.notifiers import Message
from model_watchdog.wording import Story, clean, compose, compose_digest, duration, remedy, say, tell_event
from model_watchdog.wording.en import SENTENCES, TITLES

SOURCE = Path(__file__).parents[2] / "src" / "model_watchdog"


def calls(name: str, argument: int) -> set[str]:
    """The literal texts that are given to calls of `name` anywhere in the source."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name and len(node.args) > argument:
                given = node.args[argument]
                branches = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
                found |= {str(branch.value) for branch in branches if isinstance(branch, ast.Constant)}
    return found


def test_every_reason_has_a_sentence() -> None:
    missing = calls("Reason", 0) - set(SENTENCES)
    assert not missing, f"no sentence for {sorted(missing)}"


def test_every_kind_of_message_has_a_title() -> None:
    missing = calls("Notification", 2) - set(TITLES)
    assert not missing, f"no title for {sorted(missing)}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0.4 s"),
        (12, "12 s"),
        (190, "3 min 10 s"),
        (1800, "30 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86_400, "1 day"),
        (6e5, "6 days"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_text_from_outside_is_made_safe() -> None:
    assert clean("\x1b[31mred\x1b[0m\x07 and \x00 long " + "x" * 500).startswith("red and long x")
    assert len(clean("x" * 500)) == 300


def test_a_message_that_we_gave_up_says_everything() -> None:
    at = datetime(2026, 1, 1, 2, 4, 11)
    tries = [(at.replace(second=second), "failed", "ended by itself with exit 1") for second in (11, 23, 45)]
    first = "main process was killed by SIGKILL (pid 81233, up 3 h 10 min)"
    story = Story("gpu-box-7", "whisper", "whisper.service", at, at, first, tries, "RuntimeError: CUDA error", at.replace(minute=34))
    reason = Reason("ended", {"status": 1})
    message = compose(Notification("k", Severity.CRITICAL, "gave_up", Cause.ENDED_BY_ITSELF, reason), story)
    assert message.title == "[critical] gpu-box-7: whisper is down and could not be restarted"
    assert message.body.splitlines() == [
        "What      ended by itself with exit 1",
        "Since     2026-01-01 02:04:11   ·   first: main process was killed by SIGKILL (pid 81233, up 3 h 10 min)",
        "Done      3 restarts (02:04:11, 02:04:23, 02:04:45), all failed; breaker open, next trial 02:34",
        "Last log  RuntimeError: CUDA error",
        "Next      journalctl -u whisper.service -n 50   ·   after mending: watchdog reset whisper",
    ]


def test_the_same_in_chinese(chinese: None) -> None:
    at = datetime(2026, 1, 1, 2, 4, 11)
    ended = say(Reason("ended", {"status": 1}))
    tries = [(at.replace(second=second), "failed", ended) for second in (11, 23, 45)]
    first = say(Reason("killed", {"signal": 9, "pid": 81233, "up": 11_400.0}))
    story = Story("gpu-box-7", "whisper", "whisper.service", at, at, first, tries, "RuntimeError: CUDA error", at + timedelta(days=1))
    message = compose(Notification("k", Severity.CRITICAL, "gave_up", Cause.ENDED_BY_ITSELF, Reason("ended", {"status": 1})), story)
    assert message.title == "[严重] gpu-box-7：whisper 宕机，重启未能恢复"
    assert message.body.splitlines() == [
        "现象  进程自行退出，退出码 1",
        "开始  2026-01-01 02:04:11   ·   最初：主进程被 SIGKILL 杀死（pid 81233，已运行 3 小时 10 分）",
        "处置  重启 3 次（02:04:11, 02:04:23, 02:04:45），全部失败；熔断器已打开，下次试探 周五 02:04",
        "日志  RuntimeError: CUDA error",
        "建议  journalctl -u whisper.service -n 50   ·   修复后：watchdog reset whisper",
    ]
    flood = compose_digest("gpu-box-7", [message, message], at)
    assert flood.title == "[严重] gpu-box-7：短时间内 2 条消息"
    assert flood.body.splitlines()[2:4] == ["内容  [严重] whisper 宕机，重启未能恢复", "      [严重] whisper 宕机，重启未能恢复"]


def test_a_title_in_another_language_stays_whole_in_a_digest(chinese: None) -> None:
    at = datetime(2026, 1, 1, 2, 4, 11)
    english = Message("k", Severity.CRITICAL, "[critical] box: whisper is down", "")
    assert "内容  [critical] box: whisper is down\n" in compose_digest("box", [english], at).body


def test_what_was_kept_in_english_is_said_in_chinese(chinese: None) -> None:
    failed: dict[str, str | float | int] = {"probe": "health", "detail": "no answer within 5 s", "count": 3, "of": 3}
    why = say(Reason("restart_started", {**failed, "why": "health_failed", "attempt": 1, "attempts": 3}))
    assert why == "第 1/3 次重启：开始，原因：health：5 秒内无应答（第 3/3 次）"
    assert tell_event("not_restarted", say(Reason("backoff", {"seconds": 20.0}))) == "不重启：退避等待 20 秒后再重启"


def test_what_the_last_restart_failed_with_is_said_where_the_line_above_does_not() -> None:
    at = datetime(2026, 1, 1, 2, 4, 11)
    tries = [(at, "failed", "ended by itself with exit 1"), (at, "recovered", "well again")]
    story = Story("box", "whisper", "whisper.service", at, at, "", tries)
    told = Notification("k", Severity.WARNING, "recovered", None, Reason("killed", {"signal": 9}), {"seconds": 12.0, "tries": 2})
    assert "\nDone    2 restarts (02:04:11, 02:04:11), 1 failed; last: ended by itself with exit 1\n" in compose(told, story).body


def test_a_trial_that_is_not_today_has_its_day() -> None:
    at = datetime(2026, 1, 1, 22, 4, 11)
    story = Story("box", "whisper", "whisper.service", at, at, "", [(at, "failed", "x")], retry_at=at + timedelta(hours=8))
    body = compose(Notification("k", Severity.CRITICAL, "gave_up", None, Reason("ended", {"status": 1})), story).body
    assert "next trial Fri 06:04\n" in body


def test_a_pause_says_until_when() -> None:
    at = datetime(2026, 1, 1, 22, 4, 11)
    reason = Reason("pause_set", {"seconds": 30 * 3600.0, "text": "new weights", "uid": 1000})
    body = compose(Notification("k", Severity.INFO, "paused", None, reason), Story("box", "m", "m.service", at, at)).body
    assert body.splitlines() == ["What   paused for 1 day 6 h by uid 1000: new weights", "Until  Sat 04:04"]


def test_an_alert_of_the_host_is_titled_by_its_rule() -> None:
    at = datetime(2026, 1, 1, 2, 4, 11)
    told = Notification("k", Severity.WARNING, "alert_fired", None, Reason("over", {"rule": "load-high"}), {"rule": "load-high"})
    assert compose(told, Story("gpu-box-7", None, None, at, at)).title == "[warning] gpu-box-7: load-high fires"


def test_rights_are_told_for_all_services_that_lack_them() -> None:
    at, names = datetime(2026, 1, 1, 2, 4, 11), [f"m{number}" for number in range(1, 9)]
    missing, back = (
        tell_rights(HostState(), about, {name: f"{name}.service" for name in names})[0] for about in ("rights_missing", "rights_back")
    )
    assert isinstance(missing, Notification) and isinstance(back, Notification)
    told = compose(missing, Story("gpu-box-7", None, None, at, at))
    assert told.title == "[critical] gpu-box-7: m1, m2, m3, m4, m5 and 3 more cannot be restarted by the watchdog"
    assert told.body.splitlines() == [
        "What   systemd denies the right to restart m1.service, m2.service, m3.service, m4.service, m5.service and 3 more",
        "Since  2026-01-01 02:04:11",
        "Next   sudo watchdog install   ·   it is noticed within 5 minutes",
    ]
    over = compose(back, Story("gpu-box-7", None, None, at, at))
    assert over.title == "[critical] gpu-box-7: m1, m2, m3, m4, m5 and 3 more can be restarted by the watchdog again"
    assert "Next" not in over.body


def test_a_failure_is_counted_and_asked_about() -> None:
    params: dict[str, str | float | int] = {"probe": "health", "detail": "connection refused", "of": 3}
    assert say(Reason("health_failed", {**params, "count": 3})) == "health: connection refused (3 of 3)"
    assert say(Reason("health_failed", {**params, "count": 4})) == "health: connection refused 4 times"
    asked = say(Reason("health_failed", {**params, "count": 4, "never": 1}))
    assert asked == "health: connection refused 4 times (has never answered; is the port in its address right?)"


def test_in_chinese_too_it_is_the_port_of_an_address(chinese: None) -> None:
    said = say(Reason("health_failed", {"probe": "port", "detail": "connection refused", "count": 1, "of": 3, "never": 1}))
    assert said == "port：连接被拒绝（第 1/3 次；从未有过应答，请检查其地址中的端口）"


def test_who_started_it_stands_in_chinese_without_stray_blanks(chinese: None) -> None:
    for by, told in (("somebody else", "由他人启动"), ("systemd's own Restart=", "由 systemd 自身的 Restart= 启动")):
        assert say(Reason("new_invocation", {"pid": 7, "by": by})) == f"新进程已运行（pid 7），{told}"


def test_how_a_restart_and_a_trial_failed() -> None:
    ended = {"status": 1, "pid": 499, "up": 0.53}
    assert say(Reason("restart_failed", {**ended, "what": "ended", "attempt": 2, "attempts": 3})) == (
        "restart 2 of 3: failed, ended by itself with exit 1 (pid 499, up 0.5 s)"
    )
    assert say(Reason("restart_failed", {**ended, "what": "ended"})) == "restart failed: ended by itself with exit 1 (pid 499, up 0.5 s)"
    assert say(Reason("trial_failed", {"status": 1, "what": "ended", "retry_in": 3600.0})) == (
        "trial: failed, ended by itself with exit 1; next in 1 h"
    )


def test_what_keeps_the_watchdog_from_acting_comes_with_the_command_that_mends_it() -> None:
    assert "watchdog install" in remedy(Cause.NOT_PERMITTED, "a.service", "a")
    assert remedy(Cause.MASKED, "a.service", "a") == "sudo systemctl unmask a.service"
    assert remedy(None, "a.service", "a") == "journalctl -u a.service -n 50"
    assert remedy(Cause.MASKED, "alice/a.service", "a") == "sudo systemctl unmask --user -M alice@ a.service"
    assert remedy(None, "alice/a.service", "a") == "journalctl USER_UNIT=a.service + _SYSTEMD_USER_UNIT=a.service -n 50"
    assert remedy(Cause.CANNOT_ACT, "alice/", None).startswith("sudo loginctl enable-linger alice")


def test_an_unknown_signal_is_still_said() -> None:
    assert say(Reason("killed", {"signal": 9})) == "main process was killed by SIGKILL"
    assert say(Reason("killed", {"signal": 250})) == "main process was killed by signal 250"
