"""Units of a user's manager, watched by the daemon as it is installed: what it can do there, and that it can do nothing else."""

import json
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.rig.sinks import HttpSink
from tests.rig.user_manager import User, UserStand
from tests.rig.waiting import holds_for, wait_until
from tests.rig.watched_box import DAEMON, USER, WatchedBox

SOCKET = "/run/model-watchdog-user/alice.socket"
SOCKET_UNIT = "model-watchdog-user-alice.socket"
ASK = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode())\n"
    "s.shutdown(socket.SHUT_WR)\nwhile more := s.recv(65536): sys.stdout.write(more.decode())"
)


@pytest.fixture(scope="module")
def user_stand(module_box: WatchedBox) -> UserStand:
    alice = User(module_box, "alice")
    alice.begin()
    stand = UserStand(module_box, alice)
    stand.install()
    return stand


@pytest.fixture
def stand(user_stand: UserStand) -> Iterator[UserStand]:
    yield user_stand
    user_stand.end()


def test_a_crash_a_hang_and_a_stop(stand: UserStand, http_sink: HttpSink) -> None:
    crashes, fails, stopped = stand.model(heals=True), stand.model(heals=True), stand.model(heals=True)
    stand.start(crashes, fails, stopped)
    stand.watch(http_sink, crashes.config(), fails.config(), stopped.config())
    stand.wait_state("healthy", crashes, fails, stopped)
    shown = stopped.shown()
    assert (shown["unit"], shown["user"], shown["unit_state"]["active"]) == (stopped.unit, "alice", "active")
    crashes.kill()
    stand.message(f"{crashes.name} was restarted and is well again")
    fails.set("500")
    stand.message(f"{fails.name} was restarted and is well again")
    stopped.systemctl("stop")
    stand.wait_state("stopped", stopped)
    assert stopped.shown()["cause"] == "operator_stop"
    stand.message(f"{stopped.name} was stopped on purpose")
    stand.stays((crashes, 1), (fails, 1), (stopped, 0), messages=3)
    assert crashes.active == fails.active == "active" and stopped.active == "inactive"
    stopped.systemctl("start")
    stand.wait_state("healthy", stopped)
    metrics = json.loads(stand.box.watchdog("status", "--json", check=False).stdout)["services"][0]["probes"]
    assert all(probe["ok"] for probe in metrics)


def test_what_fails_to_start_opens_the_breaker_and_names_its_exit(stand: UserStand, http_sink: HttpSink) -> None:
    model = stand.model()
    stand.start(model)
    stand.watch(http_sink, model.config(breaker="failures: 2"))
    stand.wait_state("healthy", model)
    model.set("exit:3")
    body = stand.message(f"{model.name} is down and could not be restarted").body
    assert "exit 3" in body and f"journalctl USER_UNIT={model.unit} + _SYSTEMD_USER_UNIT={model.unit} -n 50" in body
    assert model.shown()["breaker"]["state"] == "open"
    stand.stays((model, 2), messages=1)
    model.set("ok")
    model.systemctl("start")
    stand.wait_state("healthy", model)


ENDS = "/bin/sh -c 'trap \"echo goodbye; exit 0\" TERM; echo up; while :; do sleep 0.05; done'"
"""A program that ends with exit 0 when it is asked to, by whomever."""


def test_exit_0_is_its_own_end_where_systemd_still_knows_of_it(stand: UserStand, http_sink: HttpSink) -> None:
    """A user's manager writes nothing of it into the journal, and forgets a unit that nothing wants."""
    enabled, forgotten = stand.model("\n[Install]\nWantedBy=default.target", program=ENDS), stand.model(program=ENDS)
    stand.box.systemctl("--global", "enable", enabled.unit)
    stand.owner.systemctl("daemon-reload")
    stand.start(enabled, forgotten)
    stand.watch(http_sink, enabled.config(), forgotten.config())
    stand.wait_state("healthy", enabled, forgotten)
    enabled.kill(signal.SIGTERM)
    body = stand.message(f"{enabled.name} was restarted and is well again").body
    assert "ended by itself with exit 0" in body and "Last log  goodbye" in body
    forgotten.kill(signal.SIGTERM)
    stand.wait_state("stopped", forgotten)
    assert forgotten.shown()["cause"] == "stopped_not_proved"
    enabled.systemctl("stop")
    stand.wait_state("stopped", enabled)
    assert enabled.shown()["cause"] == "operator_stop"
    holds_for(lambda: forgotten.active == enabled.active == "inactive", 3.0, stand.log, every=0.5)


@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_busy_is_told_from_hung_by_the_users_own_cgroup(make_box: Callable[..., WatchedBox], http_sink: HttpSink, mode: str) -> None:
    alice = User(make_box(cgroup=mode), "alice")
    alice.begin()
    stand = UserStand(alice.box, alice)
    stand.install()
    works, hangs = stand.model("TimeoutStopSec=500ms", heals=True), stand.model("TimeoutStopSec=500ms", heals=True)
    stand.start(works, hangs)
    stand.watch(http_sink, *(model.config(stable="500ms", busy_patience="60s") for model in (works, hangs)))
    stand.wait_state("healthy", works, hangs)
    works.set("busy")
    hangs.set("hang")
    stand.wait_state("busy", works)
    assert "nothing moved" in stand.message(f"{hangs.name} was restarted and is well again").body
    stand.stays((works, 0), (hangs, 1), messages=1, seconds=1.0)
    stand.end()


def test_a_manager_that_ends_is_told_with_what_keeps_it_alive(stand: UserStand, http_sink: HttpSink) -> None:
    model = stand.model()
    stand.start(model)
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    stand.owner.end()
    try:
        told_of_a_manager_that_ended(stand)
    finally:
        stand.owner.begin()
    stand.message("systemd_unreachable alice is over")
    stand.wait_state("stopped", model)
    assert model.shown()["cause"] == "operator_stop" and model.restarts == 0, "it ended with its manager, which somebody stopped"
    model.start()
    stand.wait_state("healthy", model)


def told_of_a_manager_that_ended(stand: UserStand) -> None:
    box = stand.box
    message = stand.message("the watchdog cannot do its work")
    assert message.kind == "failure" and "no systemd of alice runs" in message.body
    assert "sudo loginctl enable-linger alice" in message.body
    shown = box.watchdog("status", check=False)
    assert shown.returncode in (1, 2) and "PROBLEM   systemd cannot be asked: no systemd of alice runs" in shown.stdout
    doctor = box.watchdog("doctor", "--quiet", check=False)
    assert doctor.returncode == 1 and "no systemd of alice runs" in doctor.stdout


def test_a_unit_that_install_was_not_told_of_is_told(stand: UserStand, http_sink: HttpSink) -> None:
    model, box = stand.model(), stand.box
    box.run("cp", f"/etc/systemd/user/{model.unit}", "/etc/systemd/user/other.service")
    stand.owner.systemctl("daemon-reload")
    stand.owner.systemctl("start", "other.service")
    model.asked += 1
    stand.watch(http_sink, model.config(unit="other.service"))
    body = stand.message(f"{model.name} cannot be restarted by the watchdog").body
    assert "systemd denies the right to restart alice/other.service" in body and "sudo watchdog install" in body
    stand.owner.systemctl("kill", "--signal=KILL", "other.service")
    stand.wait_state("dead", model)
    stand.stays((model, 0), messages=1)
    told = box.watchdog("install").stdout
    assert "updated    /etc/systemd/system/model-watchdog-user-alice@.service" in told and "it allows other.service of alice" in told
    assert "systemctl daemon-reload && systemctl restart model-watchdog" in told
    box.systemctl("daemon-reload")
    box.systemctl("restart", DAEMON)
    stand.message(f"{model.name} was restarted and is well again")
    stand.owner.systemctl("stop", "other.service")
    stand.allow()


# ---------------------------------------------------------------- nothing else
def test_the_daemon_can_do_nothing_else_as_alice(stand: UserStand, http_sink: HttpSink) -> None:
    model, box = stand.model(), stand.box
    stand.start(model)
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)

    def ask(line: str, user: str = USER) -> str:
        return box.run("/usr/bin/python3", "-I", "-c", ASK, SOCKET, f"{line}\n", user=user, check=False).stdout

    assert "ActiveState=active" in ask(f"show {model.unit}") and "exit 0" in ask(f"show {model.unit}")
    for line in (
        "start other.service",
        "restart dbus.service",
        f"restart {model.unit} dbus.service",
        f"show --property=Environment {model.unit}",
    ):
        assert ask(line).startswith("Access denied: ") and "exit 4" in ask(line)
    assert "Environment" not in ask(f"show {model.unit}")
    for user in ("nobody", "alice"):
        assert ask(f"show {model.unit}", user) == "", "only the daemon may connect"
    (instance,) = instances(box)
    for words in (
        ("restart", instance),
        ("start", "model-watchdog-user-alice@x.service"),
        ("stop", "model-watchdog-user-alice.socket"),
        ("stop", stand.owner.manager),
        ("set-property", instance, "CPUQuota=1%"),
    ):
        denied = box.systemctl(*words, user=USER, check=False)
        assert denied.returncode != 0, words
    reached = box.run("env", f"XDG_RUNTIME_DIR=/run/user/{stand.owner.uid}", "systemctl", "--user", "show", user=USER, check=False)
    assert reached.returncode != 0, "its manager itself is out of reach"
    assert box.show(instance, "User", "CapabilityBoundingSet", "NoNewPrivileges") == {
        "User": "alice",
        "CapabilityBoundingSet": "",
        "NoNewPrivileges": "yes",
    }
    assert float(box.run("systemd-analyze", "security", "--no-pager", instance).stdout.split()[-3]) < 1.5


def test_watching_writes_nothing_into_the_journal_and_begins_no_process_for_each_question(stand: UserStand, http_sink: HttpSink) -> None:
    model, box = stand.model(), stand.box
    stand.start(model)
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    wait_until(lambda: "2" in box.show(SOCKET_UNIT, "NAccepted").values(), 10, "the right was not proved")
    accepted = box.show(SOCKET_UNIT, "NAccepted", "NConnections")
    since = box.run("date", "+@%s.%N").stdout.strip()
    time.sleep(3.0)
    after = box.show(SOCKET_UNIT, "NAccepted", "NConnections")
    assert after == accepted and int(after["NConnections"]) <= 2
    lines = [entry["MESSAGE"] for entry in box.journal(since=since) if "model-watchdog-user" in json.dumps(entry)]
    assert lines == []
    main = box.main_pid(next(iter(instances(box))))
    box.run("kill", "-KILL", str(main))  # by its user, say: the next question begins another
    stand.stays((model, 0), messages=0, seconds=2.0)
    assert model.shown()["state"] == "healthy"


def instances(box: WatchedBox) -> list[str]:
    """The processes of alice's that answer."""
    listed = box.systemctl("list-units", "--plain", "--no-legend", "model-watchdog-user-alice@*").stdout
    return [line.split()[0] for line in listed.splitlines()]


# ---------------------------------------------------------------- what install writes
def test_install_and_uninstall(box: WatchedBox) -> None:
    box.add_user(USER)
    box.write_config("services:\n  a: {unit: a, user: alice}\n  b: {unit: b}\n")
    refused = box.watchdog("install", check=False)
    assert refused.returncode == 1 and "there is no user alice, whose a.service the configuration names" in refused.stderr
    box.add_user("alice")
    done = box.watchdog("install")
    assert "it allows b.service, a.service of alice" in done.stdout
    assert "warning: the units of alice end when alice logs out: sudo loginctl enable-linger alice" in done.stderr
    assert 'var units = ["b.service"];' in box.read("/etc/polkit-1/rules.d/50-model-watchdog.rules")
    unit = box.read(f"/etc/systemd/system/{DAEMON}")
    assert "Wants=model-watchdog-user-alice.socket\nAfter=model-watchdog-user-alice.socket\n" in unit
    service = "/etc/systemd/system/model-watchdog-user-alice@.service"
    assert "/_systemd/model-watchdog-user a.service\n" in box.read(service) and "\nUser=alice\n" in box.read(service)
    verified = box.run("systemd-analyze", "verify", service, "/etc/systemd/system/model-watchdog-user-alice.socket", check=False)
    assert "model-watchdog" not in verified.stderr, verified.stderr
    assert "created" not in box.watchdog("install").stdout
    box.write_config("services:\n  b: {unit: b}\n")
    assert f"removed    {service}" in box.watchdog("install").stdout and box.read(service) == ""
    box.write_config("services:\n  a: {unit: a, user: alice}\n")
    box.watchdog("install")
    box.watchdog("uninstall")
    assert "model-watchdog-user" not in box.run("ls", "/etc/systemd/system").stdout
