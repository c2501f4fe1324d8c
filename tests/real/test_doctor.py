"""`watchdog doctor` on a sound box and on broken ones, and `events --follow`: by the daemon, and by hand where it is dead."""

import json
import subprocess

from tests.rig.chaos import Chaos
from tests.rig.sinks import HttpSink
from tests.rig.stand import SLEEP, UNIT_ONLY, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import CONFIG, DAEMON, USER, WATCHDOG

RULE = "/etc/polkit-1/rules.d/50-model-watchdog.rules"
TOUCHED = "/var/tmp/touched"
ACCESS = ("gpasswd", "--delete", USER, "systemd-journal")


def examine(stand: Stand, *words: str, code: int) -> list[str]:
    """The lines of `watchdog doctor`, whose exit code must be `code`."""
    done = stand.box.watchdog("doctor", *words, check=False, timeout=60)
    assert done.returncode == code and not done.stderr, f"{done.returncode}\n{done.stdout}{done.stderr}\n{stand.log()}"
    return done.stdout.splitlines()


def starts(lines: list[str], text: str) -> bool:
    return any(line.startswith(text) for line in lines)


def test_a_sound_box(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model()
    stand.start(model)
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    lines = examine(stand, code=0)
    assert not starts(lines, "✘"), lines
    for line in (
        f"✔ {CONFIG} is valid",
        "✔ the daemon runs (pid ",
        "✔ systemd 2",
        "✔ polkit 1",
        f"✔ may restart {model.unit}",
        "✔ journal readable",
        f"✔ {model.name}: health is good",
        "✔ notifier ops answered in ",
    ):
        assert starts(lines, line), f"{line} is not in {lines}"
    assert [message.title for message in http_sink.messages if "test message" in message.title]
    assert model.restarts == 0
    told = len(http_sink.messages)
    quiet = json.loads("\n".join(examine(stand, "--quiet", "--json", code=0)))
    assert {link["mark"] for link in quiet} <= {"good", "note"} and len(http_sink.messages) == told


def test_each_broken_link_is_named_with_what_mends_it(stand: Stand, http_sink: HttpSink, chaos: Chaos) -> None:
    box = stand.box
    denied, sick, down = stand.model(program=SLEEP), stand.model(mode="500"), stand.model(program=SLEEP)
    stand.start(denied, sick)
    rule = box.read(RULE)
    box.write(RULE, rule.replace(f'"{denied.unit}"', '"nobody.service"'))
    allowed = ("systemctl", "--no-ask-password", "start", denied.unit)
    wait_until(lambda: box.run(*allowed, user=USER, check=False).returncode != 0, 10, "polkit does not read the rule")
    box.run(*ACCESS)
    unread = "[Service]\nSupplementaryGroups=\n"
    box.write(f"/etc/systemd/system/{DAEMON}.d/unread.conf", unread)
    box.systemctl("daemon-reload")
    missing = "typo:\n  unit: no-such-model.service"
    nobody = "  nobody: {kind: apprise, url: 'json://127.0.0.1:1'}\n"
    try:
        stand.watch(http_sink, denied.config(), sick.config(startup="10m"), down.config(), missing, more=nobody)
        lines = examine(stand, code=1)
    finally:
        box.write(RULE, rule)
        box.run("gpasswd", "--add", USER, "systemd-journal")
        box.run("rm", f"/etc/systemd/system/{DAEMON}.d/unread.conf")
        box.systemctl("daemon-reload")
    for begin, mends in {
        f"✘ may not restart {denied.unit} (Access denied)": "sudo watchdog install",
        f"! {down.unit} is inactive": f"sudo systemctl start {down.unit}",
        "✘ systemd has no unit no-such-model.service (not-found)": "mend the name in the configuration",
        "✘ the journal shows nothing of systemd": "sudo usermod -aG systemd-journal model-watchdog",
        f"✘ {sick.name}: health: status 500": f"journalctl -u {sick.unit} -n 20",
        "✘ notifier nobody: ": "watchdog notify-test nobody",
        "✔ notifier ops answered": "",
    }.items():
        assert any(line.startswith(begin) and mends in line for line in lines), f"{begin} … {mends} is not in {lines}"
    assert starts(lines, f"✔ may restart {sick.unit}")


def test_without_a_daemon_or_a_valid_configuration_it_still_says_what_is_wrong(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(program=SLEEP)
    stand.start(model)
    touch = f"{{kind: command, command: [/usr/bin/touch, {TOUCHED}]}}"
    stand.watch(http_sink, model.config(probes=f"{UNIT_ONLY[:-1]}, touch: {touch}}}"))
    stand.box.systemctl("stop", DAEMON)
    lines = examine(stand, "--quiet", code=1)
    assert starts(lines, f"! {model.name}: touch is not run as root") and stand.box.run("test", "-e", TOUCHED, check=False).returncode != 0
    assert any(line.startswith("✘ the daemon is not running") and "sudo systemctl start model-watchdog" in line for line in lines)
    assert starts(lines, f"✔ may restart {model.unit}") and starts(lines, "! notifier ops: no test message was sent")
    stand.box.write_config("services: [")
    lines = examine(stand, "--quiet", code=1)
    assert any(line.startswith(f"✘ {CONFIG}: ") and line.endswith("→ watchdog check") for line in lines), lines


def test_events_are_followed_over_the_death_of_the_daemon(stand: Stand, http_sink: HttpSink) -> None:
    model = stand.model(program=SLEEP)
    stand.start(model)
    stand.watch(http_sink, model.config())
    stand.wait_state("healthy", model)
    ctrl_c = ("env", "--default-signal=INT")  # whoever runs the tests in the background has it ignored
    following = stand.box.popen(*ctrl_c, WATCHDOG, "events", "--follow", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stand.box.run("sleep", "1")
    model.kill()
    stand.message(f"{model.name} was restarted and is well again")
    stand.box.kill(DAEMON)
    wait_until(lambda: stand.box.watchdog("status", check=False).returncode == 0, 15, stand.log)
    stand.box.watchdog("pause", "--all", "--for", "10m", "--reason", "to be seen")
    stand.box.run("sleep", "1.5")
    stand.box.run("pkill", "-INT", "-f", "watchdog events --follow")
    out, err = following.communicate(timeout=10)
    happened = [json.loads(line)["event"] for line in out.splitlines()]
    assert following.returncode == 0 and not err, err
    for event in ("daemon_started", "restart_started", "recovered", "daemon_died", "paused"):
        assert event in happened, happened
    kept = [event["event"] for event in stand.box.events()]
    assert happened == kept, "none twice, none lost"


def test_all_are_paused_and_resumed_with_one_word(stand: Stand, http_sink: HttpSink) -> None:
    models = stand.model(program=SLEEP), stand.model(program=SLEEP)
    stand.start(*models)
    stand.watch(http_sink, *[model.config() for model in models])
    stand.wait_state("healthy", *models)
    said = stand.box.watchdog("pause", "--all", "--for", "10m", "--reason", "new driver").stdout
    assert said == f"{models[0].name}, {models[1].name} are paused: they are watched, but not restarted\n"
    for model in models:
        assert model.shown()["paused_until"]
        model.kill()
    for model in models:
        stand.message(f"{model.name} is paused")
    stand.stays(*[(model, 0) for model in models], messages=2, seconds=2)
    assert "no longer paused" in stand.box.watchdog("resume", "--all").stdout
    for model in models:
        stand.message(f"{model.name} was restarted and is well again")
    assert stand.box.watchdog("pause", models[0].name, "--all", "--for", "1m", "--reason", "x", check=False).returncode == 64
