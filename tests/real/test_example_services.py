"""The services of examples/ with the YAML beside them, under the installed daemon: well, frozen, stuck, failing."""

import json
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import make_boxes
from tests.rig.box import RIG_IN_BOX
from tests.rig.sinks import HttpSink
from tests.rig.stand import MODELS, Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import WatchedBox

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PACKAGES, IN_BOX = "/opt/packages", "/opt/examples"
FAST = {"every": "1s", "timeout": "900ms", "retry_every": "500ms"}
FAILURES = 10


class Example:
    """One of them as a unit, on a model that can be broken."""

    def __init__(self, name: str, stand: Stand) -> None:
        self.name = name
        (self.written,) = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())["services"].values()
        self.model = stand.model(program="/bin/true")
        self.log, mode = (f"{MODELS}/{self.model.name}.{what}" for what in ("log", "mode"))
        script = f"{RIG_IN_BOX}/faulty_service.py {IN_BOX}/{name}.py {mode} --port {self.model.port} --log {self.log}"
        self.model.write(f"TimeoutStopSec=1\nExecStartPre=/bin/sh -c 'echo ok > {mode}'", program=f"{PACKAGES}/bin/python {script}")

    def config(self) -> str:
        """Its YAML as it is, but for addresses, paths and times."""
        service = json.loads(re.sub(r":800\d/", f":{self.model.port}/", json.dumps(self.written)))
        probes = service["probes"]
        probes["log"]["path"] = self.log
        for probe in probes.values():
            probe |= FAST
        probes |= {"health": FAST, "unit": {"kind": "unit", **FAST}}
        for rule in service["rules"].values():
            rule |= {"over": "2s"} if "over" in rule else {}
        recovery = {"stable": "1s", "backoff": {"first": "200ms"}}
        service |= {"unit": self.model.unit, "startup": "15s", "stall_after": "2s", "probes": probes, "recovery": recovery}
        return f"{self.model.name}: {json.dumps(service)}"

    def ask(self, timeout: float = 5.0) -> tuple[int, str]:
        """The canary's own request: status, and after how many seconds to come again."""
        canary = self.written["probes"]["canary"]
        path = canary["url"].rpartition("/")[2]
        body = json.dumps(canary["body"]).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.model.port}/{path}", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, ""
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Retry-After", "")


@pytest.fixture(scope="module")
def module_box(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedBox]:
    """With the examples and the packages of the tests in it."""
    for make in make_boxes(installed, tmp_path_factory):
        yield make(read_only_binds=[(Path(sys.prefix), PACKAGES), (EXAMPLES, IN_BOX)])


def test_the_examples_are_watched_as_their_yaml_says(stand: Stand, http_sink: HttpSink) -> None:
    examples = [Example("fastapi_service", stand), Example("script_service", stand)]
    models = [example.model for example in examples]

    def said() -> str:
        return f"{[(model.name, model.restarts, model.shown()) for model in models]}\n{stand.log()}"

    def wait_restarts(count: int) -> None:
        wait_until(lambda: all(model.restarts == count for model in models), 20, said)
        stand.wait_state("healthy", *models)

    stand.start(*models)
    knocks = [("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{model.port}") for model in models]
    wait_until(lambda: all(stand.box.run(*knock, check=False).returncode == 0 for knock in knocks), 30, said)
    stand.watch(http_sink, *[example.config() for example in examples])
    stand.wait_state("healthy", *models)
    good = {"health", "metrics", "log", "canary", "unit"}
    wait_until(lambda: all({probe["name"] for probe in model.shown()["probes"] if probe["ok"]} == good for model in models), 10, said)
    wait_restarts(0)

    for model in models:  # frozen: nothing answers, nothing moves
        model.kill(signal.SIGSTOP)
    wait_restarts(1)

    for example in examples:  # stuck in the model: /healthz is still good, and only the heartbeat tells
        example.model.set("hang")
        with pytest.raises(TimeoutError):
            example.ask(timeout=0.3)
    wait_restarts(2)
    for model in models:
        causes = {event["cause"] for event in model.events()}
        assert "stalled" in causes and "evidence_missing" not in causes, model.events()

    for example in examples:
        example.model.set("fail")
        answers = [example.ask() for _ in range(FAILURES + 2)]
        statuses = [status for status, _ in answers]
        assert statuses == sorted(statuses) and FAILURES / 2 < statuses.count(500) <= FAILURES, answers
        assert statuses[-1] == 503 and 25 <= int(answers[-1][1]) <= 30, answers
    for example in examples:  # its callers come again meanwhile, as callers do
        for reason in ("requests_shed_total", f"{example.model.name} failed"):
            wait_until(lambda: example.ask()[0] == 503 and reason in fired(example.model), 20, said, every=0.3)  # noqa: B023
        judge_log(stand.box.read(example.log))
    assert [model.restarts for model in models] == [2, 2], "what is turned away counts for nothing"


def fired(model: Model) -> str:
    """The reasons of the alerts that have fired."""
    return "\n".join(event["reason"] for event in model.events() if event["event"] == "alert_fired")


def judge_log(text: str) -> None:
    """Starts, answers and failures, in the words that the rules look for, and nothing of what people wrote."""
    records = [json.loads(line) for line in text.splitlines()]
    by_status: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_status.setdefault(f"{record.get('task')} {record.get('status')}", []).append(record)
    starts = by_status.pop("model_load success")
    assert len(starts) == 3 and {"python", "model", "pid", "host"} <= starts[0].keys()
    (good,) = [found for name, found in by_status.items() if name.endswith(" success")]
    assert {"timestamp", "level", "module", "input_bytes", "input_sha256", "prediction", "score", "inference_time_ms"} <= good[0].keys()
    (bad,) = [found for name, found in by_status.items() if name.endswith(" failed")]
    assert len(bad) > FAILURES / 2 and bad[0]["level"] == "ERROR" and "Traceback" in bad[0]["exception"]
    assert bad[0]["error"] == "CUDA error: device-side assert triggered, at the text of ***, ***"
    assert not any(secret in text for secret in ("13812345678", "zhang@", "首都", "image"))
