"""While a unit is down nobody is asked in its place: whoever has taken the port by then would get what the probe sends."""

from typing import Any

import pytest

from tests.rig.chaos import Chaos
from tests.rig.sinks import HttpSink
from tests.rig.stand import SLEEP, Model, Stand
from tests.rig.waiting import holds_for, wait_until
from tests.rig.watched_box import DAEMON

TOKEN = "t0p-s3cret"
NOT_ASKED = "not asked: the unit is down"
OFTEN, SELDOM = "/health", "/seldom"


@pytest.fixture
def model(stand: Stand, chaos: Chaos) -> Model:
    """A model that listens nowhere: the chaos server is whoever has its port."""
    made = stand.model(program=SLEEP)
    made.systemctl("start")
    return made


def config(model: Model, chaos: Chaos, **keys: str) -> str:
    """One probe that runs often, and one that a restart could not be proved with in time if it only ran at its own pace."""
    often = f"{{kind: http, url: '{chaos.url(OFTEN)}', bearer: {TOKEN}, every: 200ms, timeout: 200ms}}"
    seldom = f"{{kind: http, url: '{chaos.url(SELDOM)}', bearer: {TOKEN}, every: 8s, timeout: 200ms, retry_every: 8s}}"
    probes = f"{{unit: {{kind: unit, every: 500ms}}, health: {often}, seldom: {seldom}}}"
    return model.config(probes=probes, startup="30s", **keys)


def shown_probes(model: Model) -> dict[str, Any]:
    return {probe["name"]: probe for probe in model.shown()["probes"]}


def nobody_is_asked(model: Model, chaos: Chaos, seconds: float = 1.5) -> None:
    """From now on, and `status --json` says so of each probe, as of now."""

    def say_so() -> bool:
        shown = shown_probes(model)
        return all(shown.get(name, {}).get("detail") == NOT_ASKED for name in ("health", "seldom"))

    wait_until(say_so, 5, lambda: str(model.shown()))
    asked = chaos.counts()
    before = shown_probes(model)
    holds_for(lambda: chaos.counts() == asked, seconds, lambda: f"{chaos.requests()[-1]} was sent although the unit is down")
    for name, probe in shown_probes(model).items():
        if name != "unit":
            assert (probe["ok"], probe["detail"]) == (None, NOT_ASKED)
    again = "it is looked at again and again; what led to nothing is written once a second, and told in seconds"
    wait_until(lambda: shown_probes(model)["health"]["at"] > before["health"]["at"], 3, again)


def up_since(model: Model) -> float:
    """When systemd started it: seconds of CLOCK_MONOTONIC."""
    return int(model.box.show(model.unit, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"]) / 1e6


def asked_after(model: Model, chaos: Chaos, path: str) -> float:
    """How long after its start the new process was first asked, in seconds."""
    began = up_since(model)
    return min(request["at"] for request in chaos.requests(path) if request["at"] > began) - began


def test_an_operators_stop(stand: Stand, http_sink: HttpSink, chaos: Chaos, model: Model) -> None:
    stand.watch(http_sink, config(model, chaos))
    stand.wait_state("healthy", model)
    assert {request["headers"]["authorization"] for request in chaos.requests()} == {f"Bearer {TOKEN}"}
    model.systemctl("stop")
    stand.wait_state("stopped", model)
    nobody_is_asked(model, chaos)

    stand.box.systemctl("restart", DAEMON)  # a new daemon looks at the unit before it asks anybody
    asked = chaos.counts()
    stand.wait_state("stopped", model)
    nobody_is_asked(model, chaos)
    assert chaos.counts() == asked

    model.systemctl("start")
    stand.wait_state("healthy", model, timeout=5)
    for path in (OFTEN, SELDOM):
        assert asked_after(model, chaos, path) < 1.0, "as soon as the unit is seen to be up: it is looked at every 500 ms"
    assert model.restarts == 0


def test_a_restart_of_ours_is_proved_at_once(stand: Stand, http_sink: HttpSink, chaos: Chaos, model: Model) -> None:
    """The first one fails; until an operator's nobody is asked, and then, when it is well, at once."""
    stand.watch(http_sink, config(model, chaos, recovery="{stable: 1s, backoff: {first: 1m, max: 1m}}"))
    stand.wait_state("healthy", model)
    model.write(program="/bin/false")
    stand.box.systemctl("daemon-reload")
    model.kill()
    stand.wait_restarts(model, 1)
    stand.wait_state("dead", model)
    nobody_is_asked(model, chaos, seconds=1.0)
    model.write(program=SLEEP)
    stand.box.systemctl("daemon-reload")
    assert "recovered" in stand.box.watchdog("restart", model.name, "--reason", "mended").stdout
    for path in (OFTEN, SELDOM):
        assert asked_after(model, chaos, path) < 0.5, "without waiting for its turn"
    assert model.restarts == 2


def test_systemds_own_restart(stand: Stand, http_sink: HttpSink, chaos: Chaos, model: Model) -> None:
    """Until RestartSec is over nothing of the unit runs, although systemd calls that `activating`."""
    model.write("Restart=always\nRestartSec=10", program=SLEEP)
    stand.box.systemctl("daemon-reload")
    stand.watch(http_sink, config(model, chaos))
    stand.wait_state("healthy", model)
    model.kill()
    stand.wait_state("dead", model)
    nobody_is_asked(model, chaos, seconds=1.5)
    stand.wait_state("healthy", model)
    for path in (OFTEN, SELDOM):
        assert asked_after(model, chaos, path) < 1.0, "as soon as the unit is seen to be up"
    assert model.restarts == 0
