"""`language: zh`: who reads only Chinese is told everything, and what programs read does not change."""

import re

from tests.rig.sinks import HttpSink
from tests.rig.stand import Stand
from tests.rig.waiting import wait_until

CHINESE = re.compile(r"[\u4e00-\u9fff]")
WORDS = re.compile(r"(?<![\w/.-])(?:the|is|was|and|not|of|for|after|with|by|restart|failed|healthy)(?![\w/.-])")
"""What no Chinese line has, unless a command is named."""


def test_chinese_is_spoken(stand: Stand, http_sink: HttpSink) -> None:
    """A crash that a restart mends, a service that it does not mend, a pause: message, status, events and answers."""
    well, lost = stand.model(), stand.model()
    stand.start(well, lost)
    stand.watch(http_sink, well.config(), lost.config("failures: 2, retry_after: 1h"), more="\nlanguage: zh\n")
    stand.wait_state("healthy", well, lost)
    stand.wait_rights(well, lost)
    plain = stand.box.watchdog("status").stdout.splitlines()
    assert plain[0] == "OK: 2 个健康"
    assert plain[1].split() == ["服务", "状态", "持续", "原因"]

    well.kill()
    lost.set("exit:1")
    back = stand.message(f"{well.name} 已自动重启并恢复正常")
    assert back.title.startswith("[警告] ")
    assert re.search(r"^现象  主进程被 SIGKILL 杀死（pid \d+，已运行 .*）$", back.body, re.MULTILINE), back.body
    assert re.search(r"^处置  重启 1 次（\d\d:\d\d:\d\d）$", back.body, re.MULTILINE), back.body
    down = stand.message(f"{lost.name} 宕机，重启未能恢复")
    assert down.title.startswith("[严重] ")
    assert f"watchdog reset {lost.name}" in down.body and "熔断器已打开，下次试探 " in down.body

    answered = stand.box.watchdog("status", check=False)
    assert answered.returncode == 2
    assert answered.stdout.startswith(f"CRITICAL: {lost.name} 宕机（已放弃重启；")
    assert f"修复后：watchdog reset {lost.name}" in answered.stdout
    told = stand.box.watchdog("events").stdout
    assert f"{well.name} 第 1/3 次重启：开始，原因：主进程被 SIGKILL 杀死" in re.sub(" +", " ", told)
    assert "放弃重启：" in told and "已通知 ops：[严重] " in told
    for line in (told + answered.stdout).splitlines():
        assert not WORDS.search(line), line

    paused = stand.box.watchdog("pause", well.name, "--for", "20m", "--reason", "换权重")
    assert paused.stdout == f"{well.name} 已暂停：继续监控，但不重启\n"
    assert "换权重" in stand.message(f"{well.name} 已暂停自动重启").body
    unknown = stand.box.watchdog("pause", "m99", "--for", "20m", "--reason", "x", check=False)
    assert unknown.returncode == 4 and "没有服务 m99" in unknown.stderr
    assert stand.box.watchdog("notify-test").stdout == "ops：已发送\n"
    assert any(CHINESE.search(message.body) for message in http_sink.messages if "测试消息" in message.title)
    doctor = stand.box.watchdog("doctor", "--quiet", check=False).stdout
    assert f"有权重启 {well.unit}" in doctor and "日志可读" in doctor


def test_what_programs_read_stays_english(stand: Stand, http_sink: HttpSink) -> None:
    """Keys, states, causes and events; only `reason` and `detail` are for people."""
    model = stand.model(heals=True)
    stand.start(model)
    stand.watch(http_sink, model.config(), more="\nlanguage: zh\n")
    stand.wait_state("healthy", model)
    stand.wait_rights(model)
    model.set("500")
    wait_until(lambda: model.shown()["state"] == "unhealthy", 10, stand.log, every=0.05)
    shown = model.shown()
    assert shown["cause"] == "health_status" and "状态码 500" in shown["reason"]
    assert all(key.isascii() for key in _keys(stand.box.status()))
    stand.message(f"{model.name} 已自动重启并恢复正常")
    for event in model.events():
        assert set(event) == {"at", "service", "event", "cause", "reason", "incident"}
        assert event["event"].isascii() and (event["cause"] is None or event["cause"].isascii())
        assert CHINESE.search(event["reason"]), event


def test_it_is_spoken_without_the_daemon_too(stand: Stand, http_sink: HttpSink) -> None:
    """The record says which language; without a record the configuration does."""
    model = stand.model()
    stand.start(model)
    stand.watch(http_sink, model.config(), more="\nlanguage: zh\n")
    stand.wait_state("healthy", model)
    stand.box.systemctl("stop", "model-watchdog.service")
    answered = stand.box.watchdog("status", check=False)
    assert answered.returncode == 3
    assert answered.stdout.startswith("UNKNOWN: 守护进程未运行或无应答")
    assert "守护进程未运行" in stand.box.watchdog("events").stderr
    stand.box.run("sh", "-c", "rm -rf /var/lib/model-watchdog/*")
    assert "没有记录" in stand.box.watchdog("events", check=False).stderr
    assert "守护进程未运行或无应答" in stand.box.watchdog("resume", model.name, check=False).stderr


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(_keys(inner) for inner in value.values()))
    return set().union(*(_keys(inner) for inner in value)) if isinstance(value, list) else set()
