"""The operator's commands against the installed daemon: as root, as a member of its group, and as somebody else."""

import json

import pytest

from tests.rig.sinks import HttpSink
from tests.rig.stand import FRESH, SLEEP, Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, USER, WATCHDOG

COLLEAGUE, STRANGER = "colleague", "stranger"
DEAD = "UNKNOWN: the daemon is not running"


@pytest.fixture(autouse=True)
def people(stand: Stand) -> None:
    stand.box.add_user(COLLEAGUE, USER)
    stand.box.add_user(STRANGER)


def ask(stand: Stand, *words: str, user: str = "root", code: int = 0) -> str:
    """What a command says; `code` is how it must end."""
    done = stand.box.watchdog(*words, user=user, check=False)
    assert done.returncode == code, f"watchdog {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}\n{stand.log()}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def status(stand: Stand, *words: str, code: int) -> str:
    """The first line of `watchdog status`, whose exit code must be `code`."""
    return ask(stand, "status", *words, code=code).splitlines()[0]


def wait_status(stand: Stand, code: int) -> str:
    """Until `watchdog status` ends with a code; gives its first line."""

    def ends_so() -> str:
        done = stand.box.watchdog("status", check=False)
        return done.stdout.splitlines()[0] if done.returncode == code else ""

    return wait_until(ends_so, 15, lambda: f"status does not end with {code}\n{stand.log()}", every=0.2)


def test_pause_and_resume(stand: Stand, http_sink: HttpSink) -> None:
    """Watched but not acted upon, across a restart of the daemon; until it is resumed, or has ended by itself."""
    resumed, ends = models = stand.model(program=SLEEP), stand.model(program=SLEEP)
    stand.start(*models)
    stand.watch(http_sink, *[model.config() for model in models])
    stand.wait_state("healthy", *models)
    assert "is paused" in ask(stand, "pause", resumed.name, "--for", "20m", "--reason", "new weights", user=COLLEAGUE)
    ask(stand, "pause", ends.name, "--for", "12s", "--reason", "a moment")
    uid = stand.box.run("id", "-u", COLLEAGUE).stdout.strip()
    assert f"paused for 20 min by uid {uid}: new weights" in stand.message(f"{resumed.name} is paused").body
    stand.message(f"{ends.name} is paused")
    for model in models:
        model.kill()
    stand.box.systemctl("restart", DAEMON)
    stand.wait_state("dead", *models)
    stand.stays((resumed, 0), (ends, 0), messages=2, seconds=2)
    shown = resumed.shown()
    assert shown["paused_until"] and shown["recovery"]["phase"] == "paused"
    assert status(stand, code=0).startswith("OK: ")
    stand.message(f"{ends.name} was restarted and is well again")
    assert resumed.restarts == 0
    assert "no longer paused" in ask(stand, "resume", resumed.name)
    stand.message(f"{resumed.name} was restarted and is well again")
    assert "is not paused" in ask(stand, "resume", resumed.name, user=COLLEAGUE)
    stand.stays((resumed, 1), (ends, 1), messages=4, seconds=0.5)


def test_restart_and_reset(stand: Stand, http_sink: HttpSink) -> None:
    """An operator's restart overrides a pause and an open breaker, is proved as any other, and is not counted."""
    well, ends, reset, restarted = models = [stand.model() for _ in range(4)]
    stand.start(*models)
    stand.watch(http_sink, *[model.config("failures: 1, retry_after: 1h") for model in models])
    stand.wait_state("healthy", *models)
    for model in (well, ends):
        ask(stand, "pause", model.name, "--for", "1h", "--reason", "so that only an operator restarts it")
    for model in (ends, reset, restarted):
        model.set("exit:3")
    assert f"{well.name}: recovered: " in ask(stand, "restart", well.name, "--reason", "new weights", user=COLLEAGUE)
    shown = well.shown()
    assert shown["breaker"] == FRESH and shown["recovery"]["last_result"] == "recovered" and shown["paused_until"]
    stand.wait_state("dead", ends)
    said = ask(stand, "restart", ends.name, "--reason", "a try", code=1)
    assert said.startswith(f"{ends.name}: failed: ") and "exit 3" in said
    assert ends.shown()["breaker"] == FRESH

    for model in (reset, restarted):
        stand.message(f"{model.name} is down and could not be restarted")
        model.set("ok")
    stand.stays((well, 1), (ends, 1), (reset, 1), (restarted, 1), messages=4, seconds=1.5)
    assert "closed" in ask(stand, "reset", reset.name, user=COLLEAGUE)
    ask(stand, "restart", restarted.name, "--reason", "mended")
    for model in (reset, restarted):
        assert stand.message(f"{model.name} is well again").title.startswith("[critical]")
        assert model.shown()["breaker"]["state"] == "closed"
    stand.stays((reset, 2), (restarted, 2), messages=6, seconds=0.5)
    assert len(well.started_at()) == 2


def test_restart_is_refused_where_it_would_make_it_worse(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(program=SLEEP)
    model.start()
    inhibit = "host: {rules: {short: {metric: host_memory_percent, above: 0, severity: info, then: inhibit}}}"
    stand.watch(http_sink, model.config(), more=inhibit)
    stand.message("short fires")
    assert "rule short forbids restarts" in ask(stand, "restart", model.name, "--reason", "a try", code=1)
    model.kill()
    stand.message(f"{model.name}: down fires")  # nobody mends it, so it is told
    stand.stays((model, 0), messages=2, seconds=2)


COMMANDS = [
    ("pause", "m", "--for", "1m", "--reason", "x"),
    ("resume", "m"),
    ("restart", "m", "--reason", "x"),
    ("reset", "m"),
    ("notify-test",),
    ("reload",),
]


def test_who_may_and_what_is_wrong(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(program=SLEEP)
    model.start()
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    for command in COMMANDS:
        words = [model.name if word == "m" else word for word in command]
        assert "usermod -aG model-watchdog" in ask(stand, *words, user=STRANGER, code=1)
        if "m" in command:
            said = ask(stand, *["mm" if word == "m" else word for word in command], code=4)
            assert "there is no service mm" in said and model.name in said
            ask(stand, *[word for word in command if word != "m"], code=64)
    for unknown in ("notify-test nobody", "status mm", "events --service mm"):
        ask(stand, *unknown.split(), code=4)
    for wrong in (f"pause {model.name} --for tea --reason x", f"pause {model.name} --for 999d --reason x", "status --jsn"):
        ask(stand, *wrong.split(), code=64)
    for command in (("pause", model.name, "--for", "1m"), ("restart", model.name)):
        ask(stand, *command, "--reason", "", code=64)
    for reading in ("status", "events"):
        assert model.name in ask(stand, reading, user=COLLEAGUE)
        assert "may not read the record; become a member" in ask(stand, reading, user=STRANGER, code=1)
    assert json.loads(ask(stand, "status", "--json", user=COLLEAGUE))["services"][0]["name"] == model.name
    stand.stays((model, 0), messages=0, seconds=0.5)
    assert "ops" in ask(stand, "notify-test", user=COLLEAGUE)
    stand.message("test message")

    stand.box.systemctl("stop", DAEMON)
    for command in COMMANDS:
        words = [model.name if word == "m" else word for word in command]
        assert "systemctl start model-watchdog" in ask(stand, *words, user=COLLEAGUE, code=3)
    for user in ("root", COLLEAGUE):
        assert ask(stand, "status", user=user, code=3).startswith(DEAD)
    assert model.name in ask(stand, "events", user=COLLEAGUE)


def test_status_of_each_state(stand: Stand, http_sink: HttpSink) -> None:
    """The exit code for each service, and the worst of them for all."""
    well, loads, stopped, masked, dead, paused, late = (stand.model(program=SLEEP) for _ in range(7))
    broken, missing = stand.model(), stand.model()
    late.write("Type=notify\nTimeoutStartSec=infinity", program=SLEEP)
    late.systemctl("start", "--no-block")
    stand.start(well, loads, stopped, masked, dead, paused, broken)
    usual = "failures: 1, retry_after: 1h"
    refused = f"{{health: {{kind: http, url: 'http://127.0.0.1:{loads.port}/', every: 300ms, timeout: 300ms}}}}"
    stand.watch(
        http_sink,
        *[model.config(usual) for model in (well, stopped, masked, dead, paused, broken)],
        loads.config(probes=refused, startup="10m"),
        late.config(startup="1s"),
        missing.config(unit="m99.service"),
    )
    stand.wait_state("healthy", well, stopped, masked, dead, paused, broken)
    ask(stand, "pause", paused.name, "--for", "1h", "--reason", "x")
    stopped.systemctl("stop")
    masked.systemctl("mask", "--runtime")
    dead.write(program="/bin/false")
    stand.box.systemctl("daemon-reload")
    for model in (masked, paused, dead):
        model.kill()
    broken.set("500")
    for model in (broken, dead):
        stand.message(f"{model.name} is down and could not be restarted")
    stand.message(f"{late.name}: loading fires")
    expected: dict[Model, tuple[int, str, str]] = {
        well: (0, "OK", "healthy"),
        loads: (0, "OK", "loading"),
        stopped: (0, "OK", "stopped"),
        masked: (0, "OK", "stopped"),
        paused: (0, "OK", "dead"),
        late: (1, "WARNING", "loading"),
        missing: (1, "WARNING", "unknown"),
        broken: (2, "CRITICAL", "unhealthy"),
        dead: (2, "CRITICAL", "dead"),
    }
    for model, (code, word, state) in expected.items():
        said = status(stand, model.name, code=code)
        assert said.startswith(f"{word}: ") and state in said, said
        assert model.shown()["state"] == state
    assert status(stand, code=2).startswith("CRITICAL: ")


def test_status_while_a_service_comes_back(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(heals=True)
    model.start()
    stand.watch(http_sink, model.config(stable="3s"))
    stand.wait_state("healthy", model)
    assert status(stand, code=0) == "OK: 1 healthy"
    model.set("500")
    assert model.name in wait_status(stand, 2)
    wait_until(lambda: model.shown()["recovery"]["phase"] == "holding", 10, stand.log)
    assert "verifying" in wait_status(stand, 0)
    stand.message(f"{model.name} was restarted and is well again")
    assert status(stand, code=0) == "OK: 1 healthy"


def test_status_of_the_daemon_itself(stand: Stand, http_sink: HttpSink) -> None:
    """A warning that fires, and a daemon that is killed, frozen, or stopped."""
    model = stand.model(program=SLEEP)
    model.start()
    alert = "host: {rules: {short: {metric: host_memory_percent, above: 0}}}"
    stand.watch(http_sink, model.config(), more=alert)
    stand.message("short fires")
    stand.wait_state("healthy", model)
    assert "short fires" in status(stand, code=1)

    stand.watch(http_sink, model.config())
    assert wait_status(stand, 0) == "OK: 1 healthy"
    stand.box.kill(DAEMON)
    assert status(stand, code=3).startswith(DEAD)
    assert wait_status(stand, 0) == "OK: 1 healthy"  # systemd has started it again
    pid = stand.box.main_pid(DAEMON)
    assert json.loads(ask(stand, "status", "--json"))["daemon"]["pid"] == pid
    stand.box.run("kill", "-STOP", str(pid))
    assert status(stand, code=3).startswith(DEAD)
    stand.box.run("kill", "-CONT", str(pid))
    assert wait_status(stand, 0) == "OK: 1 healthy"


def test_dry_run(stand: Stand, http_sink: HttpSink) -> None:
    """Says what it would do, does nothing and tells nobody."""
    model = stand.model(program=SLEEP)
    model.start()
    drop_in = f"/run/systemd/system/{DAEMON}.d/dry.conf"
    stand.box.write(drop_in, f"[Service]\nExecStart=\nExecStart={WATCHDOG} run --dry-run\n")
    stand.box.systemctl("daemon-reload")
    try:
        stand.watch(http_sink, model.config())
        stand.wait_state("healthy", model)
        assert "dry run" in status(stand, code=1)
        model.kill()
        stand.wait_state("dead", model)
        stand.stays((model, 0), messages=0, seconds=2)
        assert "dry run" in next(event["reason"] for event in model.events() if event["event"] == "not_restarted")
        assert "dry run" in ask(stand, "restart", model.name, "--reason", "x", code=1)
        assert not model.calls()
    finally:
        stand.box.run("rm", drop_in)
        stand.box.systemctl("daemon-reload")


def test_a_member_of_the_group_cannot_keep_the_daemon_from_starting(stand: Stand, http_sink: HttpSink) -> None:
    """Whoever can read a file can lock it; asking for the status does without."""
    model = stand.model(program=SLEEP)
    model.start()
    stand.watch(http_sink, model.config())
    assert wait_status(stand, 0) == "OK: 1 healthy"
    assert status(stand, code=0) == ask(stand, "status", user=COLLEAGUE).splitlines()[0]
    for lock in ("/run/model-watchdog/lock", "/var/lib/model-watchdog/lock"):
        held = stand.box.run("flock", "--nonblock", "--shared", lock, "true", user=COLLEAGUE, check=False)
        assert held.returncode != 0 and "Permission denied" in held.stderr, held.stderr
    stand.box.systemctl("stop", DAEMON)
    assert ask(stand, "status", user=COLLEAGUE, code=3).startswith(DEAD)


def test_a_command_whose_client_has_gone_is_not_carried_out(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(program=SLEEP)
    model.start()
    stand.watch(http_sink, model.config())
    assert wait_status(stand, 0) == "OK: 1 healthy"
    pid = str(stand.box.main_pid(DAEMON))
    stand.box.run("kill", "-STOP", pid)
    gives_up = ("timeout", "--signal=KILL", "1", WATCHDOG, "pause", model.name, "--for", "1h", "--reason", "too late")
    assert stand.box.run(*gives_up, check=False).returncode != 0
    stand.box.run("kill", "-CONT", pid)
    assert wait_status(stand, 0) == "OK: 1 healthy"
    wait_until(lambda: "event=command_dropped" in stand.log(), 5, stand.log)
    assert model.shown()["paused_until"] is None


def test_what_cannot_be_recorded_is_said_with_the_answer(stand: Stand, http_sink: HttpSink) -> None:
    state = "/var/lib/model-watchdog"
    stand.box.run("mount", "-t", "tmpfs", "-o", f"size=512k,mode=750,uid={USER},gid={USER}", "tmpfs", state)
    try:
        model = stand.model(program=SLEEP)
        model.start()
        stand.watch(http_sink, model.config())
        stand.wait_state("healthy", model)
        stand.box.run("systemd-run", "--unit=ballast", "sh", "-c", f"while :; do cat /dev/zero >> {state}/ballast; sleep 0.05; done")
        stand.message("the watchdog cannot do its work")
        said = ask(stand, "pause", model.name, "--for", "1h", "--reason", "x")
        assert "is paused" in said and "the record cannot be written" in said and f"df -h {state}" in said
    finally:
        stand.box.systemctl("stop", DAEMON, "ballast", check=False)
        stand.box.run("umount", state)
