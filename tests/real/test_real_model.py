"""A model server that nobody here has written, with real weights: killed, stopped, made to answer wrongly, and to leak."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import make_boxes
from tests.rig.box import RIG_IN_BOX
from tests.rig.sinks import HttpSink
from tests.rig.stand import MODELS, Model, Stand
from tests.rig.waiting import holds_for, wait_until
from tests.rig.watched_box import WatchedBox

PACKAGES = "/opt/packages"
REFERENCE = "/srv/models/reference.json"
PROMPT = "The capital of France is Paris."
FAST = {"every": "1s", "timeout": "800ms"}


@pytest.fixture(scope="module")
def module_box(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedBox]:
    """With the packages of the tests in it: the model's are among them."""
    for make in make_boxes(installed, tmp_path_factory):
        yield make(read_only_binds=[(Path(sys.prefix), PACKAGES)])


def embedding_service(stand: Stand) -> Model:
    model = stand.model(program="/bin/true", mode="ok")
    files = f"{MODELS}/{model.name}.cache {MODELS}/{model.name}.mode"
    heal = f"ExecStartPre=/bin/sh -c 'echo ok > {MODELS}/{model.name}.mode'\nTimeoutStopSec=2"
    model.write(heal, program=f"{PACKAGES}/bin/python {RIG_IN_BOX}/embedding_service.py {model.port} {files}")
    stand.start(model)
    knock = ("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{model.port}")
    wait_until(lambda: stand.box.run(*knock, check=False).returncode == 0, 60, lambda: stand.box.log(model.unit))
    return model


def make_reference(stand: Stand, model: Model) -> None:
    """What the model says of the sentence while it is well."""
    body = json.dumps({"input": PROMPT})
    ask = (
        "import json, sys, urllib.request as u; r = u.Request(sys.argv[1], sys.argv[2].encode(), {'Content-Type': 'application/json'}); "
        "print(json.dumps(json.load(u.urlopen(r))['data'][0]['embedding']))"
    )
    url = f"http://127.0.0.1:{model.port}/v1/embeddings"
    stand.box.write(REFERENCE, stand.box.run("/usr/bin/python3", "-I", "-c", ask, url, body).stdout, mode="644")


def config(model: Model) -> str:
    url = f"http://127.0.0.1:{model.port}"
    canary = {"kind": "canary", "url": url, "endpoint": "embeddings", "prompt": PROMPT, "expect": {"embedding": REFERENCE}, **FAST}
    health = {"kind": "http", "url": f"{url}/health", **FAST, "retry_every": "500ms"}
    unit = {"kind": "unit", "every": "1s", "retry_every": "300ms"}
    probes = json.dumps({"health": health, "canary": canary, "used": {"kind": "process", **FAST}, "unit": unit})
    leak = {"metric": "service_memory_bytes", "over": "5s", "as": "range", "above": "100MiB", "message": "its memory grows"}
    return model.config(server="openai", url=url, startup="30s", probes=probes, rules=json.dumps({"leak": leak}))


def test_a_real_model_is_watched_by_its_health_and_a_canary_with_a_reference(stand: Stand, http_sink: HttpSink) -> None:
    model = embedding_service(stand)
    make_reference(stand, model)
    stand.watch(http_sink, config(model))
    stand.wait_state("healthy", model)
    canary = wait_until(
        lambda: next((probe for probe in model.shown()["probes"] if probe["name"] == "canary" and probe["ok"]), None), 20, stand.log
    )
    assert canary is not None
    holds_for(lambda: model.restarts == 0, 5.0, stand.log, every=0.5)

    model.kill()
    stand.message("was restarted and is well again", timeout=60)
    assert model.restarts == 1

    model.kill(signal.SIGSTOP)
    wait_until(lambda: model.restarts == 2, 30, stand.log)
    stand.wait_state("healthy", model, timeout=40)

    model.set("scramble")
    wait_until(lambda: model.restarts == 3, 40, lambda: f"{model.shown()}\n{stand.log()}")
    assert any(event["cause"] == "canary_wrong" for event in model.events()), model.events()
    stand.wait_state("healthy", model, timeout=40)

    model.set("leak")
    message = stand.message("leak fires", timeout=60)
    assert "its memory grows" in message.body and model.restarts == 3
