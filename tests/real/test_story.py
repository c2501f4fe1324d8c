"""What the project is for: a real unit, brought back by the daemon as its own user under its shipped unit and rule."""

from tests.rig.sinks import HttpSink
from tests.rig.stand import Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, USER


def test_brought_back(stand: Stand, http_sink: HttpSink) -> None:
    """A crash, a hang, 500s and refused connections: one restart and one message each."""
    faults = {
        "crash": (stand.model(), "main process was killed by SIGKILL (pid "),
        "hang": (stand.model(heals=True), "health timed out"),
        "500": (stand.model(heals=True), "health: status 500"),
        "refuse": (stand.model(heals=True), "health: connection refused"),
    }
    models = [model for model, _ in faults.values()]
    stand.start(*models)
    stand.watch(http_sink, *[model.config() for model in models])
    stand.wait_state("healthy", *models)
    assert stand.box.watchdog("status").returncode == 0
    daemon = stand.box.show(DAEMON, "User", "MainPID", "FragmentPath", "DropInPaths")
    assert (daemon["User"], daemon["FragmentPath"], daemon["DropInPaths"]) == (USER, f"/etc/systemd/system/{DAEMON}", "")
    assert stand.box.run("ps", "-o", "user:20=", "-p", daemon["MainPID"]).stdout.strip() == USER
    for fault, (model, _) in faults.items():
        if fault == "crash":
            model.kill()
        else:
            model.set(fault)
    for model, what in faults.values():
        message = stand.message(f"{model.name} was restarted and is well again")
        assert message.title.startswith("[warning]") and what in message.body and "1 restart (" in message.body
        assert model.shown()["recovery"]["last_result"] == "recovered"
    stand.stays(*[(model, 1) for model in models], messages=len(faults), seconds=1.5)
    assert [len(model.started_at()) for model in models] == [2, 2, 2, 2]
    assert stand.box.watchdog("status").returncode == 0


def test_gives_up_tries_again_and_is_back(stand: Stand, http_sink: HttpSink) -> None:
    """Exactly `failures` restarts, one message, a trial each time `retry_after` has passed, and one message when it is well again."""
    by_trial, by_hand = models = stand.model(), stand.model()
    stand.start(*models)
    stand.watch(http_sink, by_trial.config("failures: 2, retry_after: 2s"), by_hand.config("failures: 3, retry_after: 1h"))
    stand.wait_state("healthy", *models)
    for model in models:
        model.set("exit:1")
    for model, failures in ((by_trial, 2), (by_hand, 3)):
        message = stand.message(f"{model.name} is down and could not be restarted")
        assert message.title.startswith("[critical]") and f"{failures} restarts (" in message.body and "all failed" in message.body
        assert "breaker open, next trial" in message.body and f"watchdog reset {model.name}" in message.body
    wait_until(lambda: "trial_failed" in [event["event"] for event in by_trial.events()], 15, stand.log, every=0.2)
    by_trial.set("ok")
    status = stand.box.watchdog("status", check=False)
    assert status.returncode == 2 and status.stdout.startswith("CRITICAL: ")
    assert by_hand.restarts == 3
    by_hand.set("ok")
    by_hand.start()
    for model in models:
        message = stand.message(f"{model.name} is well again")
        assert message.title.startswith("[critical]")
        assert model.shown()["breaker"]["state"] == "closed"
    second, first_trial, second_trial = by_trial.calls()[1:]
    assert 1.9 <= first_trial - second <= 5.0 and 3.9 <= second_trial - first_trial <= 8.0  # `retry_after`, then twice that
    stand.stays((by_trial, 4), (by_hand, 3), messages=4, seconds=1.5)
    assert stand.box.watchdog("status").returncode == 0
