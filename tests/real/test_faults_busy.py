"""F43: a service that times out because it works, and one that is hung, in both kinds of control groups; judged from outside."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import FaultRow
from tests.rig.sinks import HttpSink
from tests.rig.stand import Model, Stand
from tests.rig.waiting import holds_for
from tests.rig.watched_box import DAEMON, PREFIX, WatchedBox

PATIENCE = 3.0
"""Seconds; three time-outs in a row take less than one."""
TELL_AFTER = 3.0
SOONER = (
    f"import model_watchdog.core.service as service; service.TELL_AFTER = {TELL_AFTER}; from model_watchdog.cli.main import main; main()"
)
"""The shipped unit, but what lasts is told after 3 s, not 2 min."""
DROP_IN = f"/etc/systemd/system/{DAEMON}.d/test.conf"


def probes(model: Model) -> str:
    """Its health and its metrics come from one loop, as those of a model server do: both time out together."""
    times = "every: 300ms, timeout: 200ms, retry_every: 300ms"
    paths = ("health", "metrics")
    http = [f"{path}: {{kind: http, url: 'http://127.0.0.1:{model.port}/{path}', {times}}}" for path in paths]
    return f"{{unit: {{kind: unit, every: 1s}}, {', '.join(http)}}}"


def start(stand: Stand, sink: HttpSink, count: int, patience: float = PATIENCE) -> list[Model]:
    """So many models, well and watched."""
    models = [stand.model("TimeoutStopSec=500ms", heals=True) for _ in range(count)]  # a blocked loop is deaf to SIGTERM too
    stand.start(*models)
    config = {"stable": "500ms", "busy_patience": f"{patience:g}s"}
    stand.watch(sink, *(model.config(probes=probes(model), **config) for model in models))
    stand.wait_state("healthy", *models)
    return models


@pytest.mark.parametrize("mode", ["v1", "v2"])
def test_fault_f43_busy_is_not_hung(make_box: Callable[..., WatchedBox], http_sink: HttpSink, fault_row: FaultRow, mode: str) -> None:
    stand = Stand(make_box(cgroup=mode))
    assert stand.box.cgroup == mode
    stand.install()
    works, hangs = start(stand, http_sink, 2)
    began = time.monotonic()
    works.set("busy")
    hangs.set("hang")
    stand.wait_state("busy", works)
    holds_for(lambda: works.restarts == 0, 0.6 * PATIENCE - (time.monotonic() - began), stand.log, every=0.2)
    works.set("ok")
    stand.wait_state("healthy", works)
    assert "nothing moved" in stand.message(f"{hangs.name} was restarted and is well again").body
    stand.stays((works, 0), (hangs, 1), messages=1, seconds=0.4)
    assert len(works.started_at()) == 1
    stand.end()
    fault_row("F43", f"its loop is blocked by work for less than its patience (cgroup {mode})", works.restarts, 0)
    fault_row("F43", f"the counterpart: it hangs and nothing moves (cgroup {mode})", hangs.restarts, 1)


def test_fault_f43_patience_ends(stand: Stand, http_sink: HttpSink, fault_row: FaultRow) -> None:
    """A spinning deadlock moves, too."""
    (model,) = start(stand, http_sink, 1)
    began = time.monotonic()
    model.set("busy")
    assert "although the service uses its processor" in stand.message(f"{model.name} was restarted and is well again", 20).body
    stand.stays((model, 1), messages=1, seconds=0.4)
    assert model.started_at()[1] - began >= PATIENCE
    fault_row("F43", "its loop is blocked for longer than its patience", model.restarts, 1)


@pytest.fixture
def sooner(stand: Stand) -> Iterator[None]:
    stand.box.write(DROP_IN, f"[Service]\nExecStart=\nExecStart={PREFIX}/bin/python -I -c '{SOONER}' run\n")
    stand.box.systemctl("daemon-reload")
    yield
    stand.box.run("rm", DROP_IN)
    stand.box.systemctl("daemon-reload")


def test_fault_f43_busy_is_told(stand: Stand, http_sink: HttpSink, sooner: None, fault_row: FaultRow) -> None:
    """Once, when it has lasted; and once that it is over."""
    (model,) = start(stand, http_sink, 1, patience=60)
    began = time.monotonic()
    model.set("busy")
    stand.wait_state("busy", model)
    holds_for(lambda: not http_sink.messages, 0.8 * TELL_AFTER - (time.monotonic() - began), stand.log, every=0.2)
    told = stand.message(f"{model.name}: busy fires", 10)
    assert "cores are working" in told.body
    stand.stays((model, 0), messages=1, seconds=1.5 * TELL_AFTER)
    model.set("ok")
    stand.wait_state("healthy", model)
    stand.message(f"{model.name}: busy is over", 10)
    stand.stays((model, 0), messages=2, seconds=1.0)
    fault_row("F43", "its loop is blocked for longer than it takes to be told, and then it is well", model.restarts, 2)
