"""Rights that are missing when the daemon starts, as before the first `watchdog install`: told once for all, and found when they come."""

from collections.abc import Iterator

import pytest

from tests.rig.sinks import HttpSink
from tests.rig.stand import SLEEP, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, PREFIX

RULE = "/etc/polkit-1/rules.d/50-model-watchdog.rules"
SOONER = "import model_watchdog.rights as rights; rights.WHILE_MISSING = 2.0; from model_watchdog.cli.main import main; main()"
"""The shipped unit, but a right that is missing is asked for again after 2 s, not 5 min."""
DROP_IN = f"/etc/systemd/system/{DAEMON}.d/test.conf"


@pytest.fixture
def sooner(stand: Stand) -> Iterator[None]:
    stand.box.write(DROP_IN, f"[Service]\nExecStart=\nExecStart={PREFIX}/bin/python -I -c '{SOONER}' run\n")
    stand.box.systemctl("daemon-reload")
    yield
    stand.box.run("rm", DROP_IN)
    stand.box.systemctl("daemon-reload")


def test_rights_that_are_missing_are_one_message_and_are_noticed_when_they_come(stand: Stand, http_sink: HttpSink, sooner: None) -> None:
    box, models = stand.box, [stand.model(program=SLEEP) for _ in range(3)]
    first, second, dies = models
    names = ", ".join(model.name for model in models)
    stand.start(*models)
    rule = box.read(RULE)
    box.run("rm", RULE)
    stand.watch(http_sink, *[model.config() for model in models])
    body = stand.message(f"{names} cannot be restarted by the watchdog").body
    assert ", ".join(model.unit for model in models) in body and "sudo watchdog install" in body

    problems = box.status()["daemon"]["problems"]
    assert [(problem["cause"], problem["service"]) for problem in problems] == [("not_permitted", model.name) for model in models]
    shown = box.watchdog("status", check=False)
    assert shown.returncode == 1 and shown.stdout.startswith(f"WARNING: may not restart {names}; ")
    assert [line for line in shown.stdout.splitlines() if line.startswith("PROBLEM")] == [
        f"PROBLEM   may not restart {names}   \N{RIGHTWARDS ARROW}   sudo watchdog install   ·   it is noticed within 5 minutes"
    ]

    dies.kill()
    stand.wait_state("dead", dies)
    box.watchdog("reset", first.name)  # which changes nothing, and is nothing to be told again
    stand.stays((first, 0), (second, 0), (dies, 0), messages=1)
    assert not dies.calls()

    box.write(RULE, rule)
    assert stand.message(f"{names} can be restarted by the watchdog again").title.startswith("[critical]")
    stand.message(f"{dies.name} was restarted and is well again")
    wait_until(lambda: not box.status()["daemon"]["problems"], 5, stand.log)
    for model in models:
        assert [event["event"] for event in model.events()].count("right_proved") == 1
    stand.stays((first, 0), (second, 0), (dies, 1), messages=3)
