"""The rig itself: what the other tests rely on is there and is real."""

import http.client
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from tests.rig.box import RIG_IN_BOX
from tests.rig.certificates import Certificates
from tests.rig.chaos import Chaos, closed_port, wait_open
from tests.rig.sinks import HttpSink, SmtpSink
from tests.rig.waiting import wait_until
from tests.rig.wallclock import IN_BOX, WallClock
from tests.rig.watched_box import DAEMON, PREFIX, USER, WatchedBox

SLEEP = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n"
RULE = """
polkit.addRule(function (action, subject) {
    if (action.id != "org.freedesktop.systemd1.manage-units" || subject.user != "watcher")
        return polkit.Result.NOT_HANDLED;
    return action.lookup("unit") == "allowed.service" && action.lookup("verb") == "restart" ? polkit.Result.YES : polkit.Result.NO;
});
"""


# ---------------------------------------------------------------- systemd, journal, polkit
def test_a_restart_changes_the_main_process_and_the_journal_counts_it(module_box: WatchedBox) -> None:
    box = module_box
    box.unit("counted.service", SLEEP)
    box.systemctl("start", "counted")
    before = box.main_pid("counted")
    box.systemctl("restart", "counted")
    assert box.main_pid("counted") not in (0, before)
    assert (box.starts("counted.service"), box.restarts_by_job("counted.service")) == (2, 1)
    box.kill("counted")
    box.wait("counted", "ActiveState", "failed")
    box.systemctl("restart", "counted")  # systemd logs this one as a start, since nothing was to be stopped
    assert (box.starts("counted.service"), box.restarts_by_job("counted.service")) == (3, 2)


def test_restarts_by_systemd_itself_are_starts_that_nobody_asked_for(module_box: WatchedBox) -> None:
    box = module_box
    box.unit("phoenix.service", SLEEP + "Restart=always\nRestartSec=20ms\n")
    box.systemctl("start", "phoenix")
    old = box.kill("phoenix", signal.SIGKILL)
    wait_until(lambda: box.main_pid("phoenix") not in (0, old))
    box.wait("phoenix", "NRestarts", "1")
    assert (box.starts("phoenix.service"), box.restarts_by_job("phoenix.service")) == (2, 0)


def test_a_wedged_notify_service_is_killed_and_the_journal_says_why(module_box: WatchedBox) -> None:
    box = module_box
    notify = "Type=notify\nWatchdogSec=300ms\nWatchdogSignal=SIGKILL\nRestart=on-watchdog\nRestartSec=50ms\n"
    box.unit("wedged.service", f"[Service]\n{notify}ExecStart=/usr/bin/python3 -I {RIG_IN_BOX}/model_service.py {closed_port()} --notify\n")
    box.systemctl("start", "wedged")
    box.wait("wedged", "NRestarts", "1")
    assert any("Watchdog timeout" in entry["MESSAGE"] for entry in box.journal("wedged.service"))


def test_the_start_limit_and_the_stop_timeout_are_real(module_box: WatchedBox) -> None:
    box = module_box
    limit = "[Unit]\nStartLimitIntervalSec=10\nStartLimitBurst=3\n"
    box.unit("crashing.service", f"{limit}[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=20ms\n")
    box.systemctl("start", "crashing", check=False)
    box.wait("crashing", "ActiveState", "failed")
    assert box.systemctl("restart", "crashing", check=False).returncode == 1
    assert box.starts("crashing.service") == 3
    service = f"/usr/bin/python3 -I {RIG_IN_BOX}/model_service.py {closed_port()} --notify --default ignore-term"
    box.unit("stubborn.service", f"[Service]\nType=notify\nExecStart={service}\nTimeoutStopSec=1s\n")
    box.systemctl("start", "stubborn")
    began = time.monotonic()
    box.systemctl("stop", "stubborn")
    assert time.monotonic() - began >= 1
    assert box.show("stubborn", "Result") == {"Result": "timeout"}


def test_masked_and_missing_units_answer_as_systemd_does(module_box: WatchedBox) -> None:
    box = module_box
    box.systemctl("mask", "--runtime", "masked.service", check=False)
    assert box.systemctl("restart", "missing", check=False).returncode == 5
    assert box.systemctl("restart", "masked", check=False).returncode == 1


def test_polkit_allows_exactly_what_its_rule_says(module_box: WatchedBox) -> None:
    box = module_box
    box.add_user("watcher")
    box.write("/etc/polkit-1/rules.d/10-watcher.rules", RULE)
    for name in ("allowed", "other"):
        box.unit(f"{name}.service", SLEEP)
        box.systemctl("start", name)
    before = {name: box.main_pid(name) for name in ("allowed", "other")}
    assert box.systemctl("restart", "allowed", user="watcher").returncode == 0
    denied = box.systemctl("restart", "other", user="watcher", check=False)
    assert denied.returncode == 4
    assert "Access denied" in denied.stderr
    for command in (("kill", "allowed"), ("mask", "--runtime", "allowed"), ("daemon-reload",)):
        assert box.systemctl(*command, user="watcher", check=False).returncode != 0
    assert box.main_pid("allowed") != before["allowed"]
    assert box.main_pid("other") == before["other"]


def test_the_project_is_installed_for_every_user(module_box: WatchedBox) -> None:
    box = module_box
    box.add_user("watcher")
    code = "import model_watchdog as m, httpx, psutil, apprise, sys; print(m.__file__, m.__version__, sys.executable)"
    shown = box.run(f"{PREFIX}/bin/python", "-I", "-c", code, user="watcher").stdout.split()
    assert shown[0].startswith(PREFIX)
    assert shown[2] == f"{PREFIX}/bin/python"
    assert box.read(f"{PREFIX}/bin/watchdog").startswith(f"#!{PREFIX}/bin/python\n")


@pytest.mark.parametrize("cgroup", ["v1", "v2"])
def test_both_cgroup_modes_boot_with_a_network_of_their_own(make_box: Callable[..., WatchedBox], cgroup: str) -> None:
    if cgroup == "v1" and not os.path.isdir("/sys/fs/cgroup/memory"):
        pytest.skip("this machine has no cgroup v1 hierarchies")
    box = make_box(cgroup=cgroup, private_network=True)
    assert box.cgroup == cgroup
    box.unit("there.service", SLEEP)
    box.systemctl("start", "there")
    assert (
        str(box.main_pid("there")) in box.run("sh", "-c", "cat $(find /sys/fs/cgroup -path '*there.service/cgroup.procs')").stdout.split()
    )
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        reach = f"import socket; socket.create_connection(('127.0.0.1', {ours.getsockname()[1]}), 1)"
        assert "refused" in box.run("/usr/bin/python3", "-c", reach, check=False).stderr


# ---------------------------------------------------------------- the model service
def test_the_model_service_breaks_as_its_mode_says_and_counts_its_starts(module_box: WatchedBox) -> None:
    box, port = module_box, closed_port()
    command = f"/usr/bin/python3 -I {RIG_IN_BOX}/model_service.py {port} --starts /run/model.starts --mode /run/model.mode"
    box.unit("model.service", f"[Service]\nExecStart={command}\nExecStopPost=/bin/rm -f /run/model.mode\n")
    box.systemctl("start", "model")
    wait_open(port)
    assert health(port) == 200
    for mode, wanted in (("500", 500), ("loading:60", 503), ("hang", "timeout"), ("busy", "timeout"), ("ok", 200), ("refuse", "refused")):
        box.write("/run/model.mode", mode)
        wait_health(port, wanted)
    assert box.show("model", "ActiveState") == {"ActiveState": "active"}
    box.write("/run/model.mode", "exit:3")
    box.wait("model", "ExecMainStatus", "3")
    box.systemctl("restart", "model")
    wait_until(lambda: len(box.read("/run/model.starts").splitlines()) == 2)
    assert box.starts("model.service") == 2


def wait_health(port: int, wanted: int | str) -> None:
    """Until /health answers, or fails, as wanted."""
    wait_until(lambda: health(port, 0.5) == wanted, told=lambda: f"wanted {wanted}, got {health(port, 0.5)}")


def health(port: int, timeout: float = 2) -> int | str:
    """The status of /health, or why there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (
        TimeoutError,
        urllib.error.URLError,
        ConnectionError,
        http.client.HTTPException,
    ) as error:  # the last two while it changes its mode
        reason = getattr(error, "reason", error)
        return "timeout" if isinstance(reason, TimeoutError) else "refused" if isinstance(reason, ConnectionRefusedError) else str(reason)


def test_the_daemon_watches_in_a_box_as_an_operator_installed_it(box: WatchedBox, chaos: Chaos) -> None:
    health = f'{{kind: http, url: "{chaos.url()}", every: 200ms, timeout: 200ms}}'
    config = f"services:\n  model:\n    unit: model.service\n    probes:\n      health: {health}\n"
    box.install_watchdog(config, {"model.service": SLEEP}, "[Service]\nEnvironment=SEEN=1\n", start=False)
    box.systemctl("start", "model")
    box.start_watchdog()
    assert box.wait_state("model", "healthy")["unit_state"]["main_pid"] == box.main_pid("model")
    assert chaos.count() > 0
    assert "healthy" in [event["event"] for event in box.events("model")]
    assert "SEEN=1" in box.show(DAEMON, "Environment")["Environment"]
    assert box.run("stat", "--format", "%U", f"/proc/{box.main_pid(DAEMON)}").stdout.strip() == USER


# ---------------------------------------------------------------- endpoints
def test_chaos_does_as_it_is_told_and_counts_what_it_was_asked(chaos: Chaos) -> None:
    assert status(chaos, "/health") == 200
    chaos.set("script:ok,500,ok")
    assert [status(chaos, "/health") for _ in range(4)] == [200, 500, 200, 200]
    chaos.set("cycle:ok,503")
    assert [status(chaos, "/health") for _ in range(4)] == [200, 503, 200, 503]
    chaos.set("500", path="/other")
    assert (status(chaos, "/other"), status(chaos, "/204"), status(chaos, "/latin1")) == (500, 204, 200)
    chaos.set("loading:0.3")
    assert status(chaos, "/health") == 503
    wait_until(lambda: status(chaos, "/health") == 200)
    assert chaos.counts()["/other"] == 1
    assert chaos.count("/health") >= 11
    assert chaos.requests("/other")[0]["headers"]["host"] == f"127.0.0.1:{chaos.port}"


def test_chaos_hangs_breaks_off_and_refuses(chaos: Chaos) -> None:
    with pytest.raises(TimeoutError):
        status(chaos, "/hang", timeout=0.2)
    with pytest.raises(ConnectionError):
        status(chaos, "/reset")
    with pytest.raises(http.client.HTTPException):
        status(chaos, "/garbage")
    with pytest.raises(http.client.HTTPException):
        status(chaos, "/half")
    chaos.set("busy:1")
    with pytest.raises(TimeoutError):
        status(chaos, "/health", timeout=0.2)
    assert chaos.count("/health") == 1, "the control answers while the loop is blocked"
    chaos.stop()
    with pytest.raises(ConnectionRefusedError):
        status(chaos, "/health")


def test_each_bad_certificate_is_bad_in_its_own_way(start_chaos: Callable[..., Chaos], certificates: Certificates) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca_file))
    seen = {}
    for name in ("good", "wrong_name", "expired", "self_signed"):
        made = getattr(certificates, name)
        server = start_chaos(made.certfile, made.keyfile)
        try:
            seen[name] = str(status(server, "/health", context=context))
        except ssl.SSLCertVerificationError as error:
            seen[name] = error.verify_message
    assert seen["good"] == "200"
    assert "not valid for '127.0.0.1'" in seen["wrong_name"]
    assert seen["expired"] == "certificate has expired"
    assert seen["self_signed"].startswith("self-signed certificate")


def status(chaos: Chaos, path: str, timeout: float = 5, context: ssl.SSLContext | None = None) -> int:
    """One request on a connection of its own; raises what goes wrong."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", chaos.port, timeout=timeout, context=context)
        if context
        else http.client.HTTPConnection("127.0.0.1", chaos.port, timeout=timeout)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


# ---------------------------------------------------------------- receivers and clocks
def test_both_sinks_hold_what_apprise_sends(http_sink: HttpSink, smtp_sink: SmtpSink) -> None:
    code = (
        "import apprise, sys\n"
        "for url in sys.argv[1:]:\n"
        "    print(bool(apprise.Apprise([url]).notify(title='whisper is down', body='since 02:04', notify_type='failure')))"
    )
    command = [sys.executable, "-c", code, http_sink.url, smtp_sink.url]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert told.stdout.split() == ["True", "True"], told.stderr
    posted, mailed = http_sink.wait_for(1)[0], smtp_sink.wait_for(1)[0]
    assert (posted.title, posted.body, posted.kind) == ("whisper is down", "since 02:04", "failure")
    assert mailed.title == "whisper is down"
    assert "since 02:04" in mailed.body


def test_a_refusing_sink_keeps_attempts_apart_from_messages(http_sink: HttpSink) -> None:
    http_sink.answer = lambda attempt: 500 if attempt == 1 else 200
    posted = urllib.request.Request(http_sink.url.replace("json", "http"), b'{"title": "t", "message": "m"}')
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(posted, timeout=5)
    assert http_sink.messages == []
    urllib.request.urlopen(posted, timeout=5).close()
    assert http_sink.wait_text("m").title == "t"
    assert [received.answered for received in http_sink.attempts] == [500, 200]


def test_a_mail_server_that_is_down_refuses(smtp_sink: SmtpSink) -> None:
    smtp_sink.close()
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", smtp_sink.port, timeout=2)


def test_the_wall_clock_steps_and_the_steady_clock_does_not(wallclock: WallClock, make_box: Callable[..., WatchedBox]) -> None:
    box = make_box(read_only_binds=[(wallclock.directory, IN_BOX)])
    environment = [f"{name}={value}" for name, value in wallclock.environment(IN_BOX).items()]
    wallclock.step_to(-86400)
    shown = box.run("env", *environment, "/usr/bin/python3", "-c", "import time; print(time.time(), time.monotonic()); time.sleep(0.01)")
    wall, steady = map(float, shown.stdout.split())
    assert abs(wall + 86400 - time.time()) < 60
    assert abs(steady - time.monotonic()) < 60
