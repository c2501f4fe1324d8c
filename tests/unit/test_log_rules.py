"""The rules on a log in config.example.yaml, on lines of the form that they are for."""

import asyncio
import json
from pathlib import Path

import pytest

from model_watchdog.config.loading import load
from model_watchdog.core.alert import Alert, find_alert
from model_watchdog.core.sample import conclude
from model_watchdog.probes import Surroundings
from model_watchdog.probes.log import Log

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "level": "INFO",
    "module": "inference",
    "task": "mask_prediction",
    "inference_time_ms": 127,
    "gpu_memory_mb": 1024,
    "status": "success",
}
BAD = {"level": "ERROR", "module": "inference", "task": "mask_prediction", "status": "failed", "error": "CUDA out of memory"}
SLOW = {**GOOD, "module": "loading", "task": "model_load", "inference_time_ms": 8500}
LOW = {"level": "WARNING", "module": "inference", "status": "low_confidence", "score": 0.12}
RULES = ("errors-in-a-row", "slow-on-average", "slow-inference", "low-confidence")


def fired_by(tmp_path: Path, looks: list[list[dict[str, object]]]) -> set[str]:
    """The rules of the example that fire after these lines, one list every five seconds."""
    bert = load(ROOT / "config.example.yaml", environment={}, credentials_dir=None, strict_secrets=False).services["bert"]
    path = tmp_path / "bert.log"
    path.touch()
    (probe,) = [probe.probe for probe in bert.probes if probe.name == "log"]
    assert isinstance(probe, Log)
    running = Log(path, fields=probe.fields, patterns=probe.patterns).open(Surroundings("bert", None, 5.0, None))  # type: ignore[arg-type]
    rules = [rule for rule in bert.core.rules if rule.name in RULES]
    alerts: dict[str, Alert] = {}
    asyncio.run(running.observe())
    fired, now = set(), 0.0
    for lines in looks:
        with path.open("a") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        now += 5.0
        seen = asyncio.run(running.observe())
        for sample in conclude("bert", "log", now, now, seen.measurements).samples:
            for rule in rules:
                if rule.selector.matches(sample.series):
                    alert = find_alert(alerts, rule, sample.series)
                    alert.judge(sample.value, sample.at)
                    fired |= {rule.name} if alert.is_firing else set()
    return fired


@pytest.mark.parametrize(
    ("looks", "fired"),
    [
        ([[GOOD] * 5] * 70, set()),
        ([[GOOD], [BAD, BAD], [BAD, BAD]], set()),
        ([[GOOD], [BAD, BAD], [BAD, BAD], [BAD, GOOD]], {"errors-in-a-row"}),
        ([[GOOD], [SLOW]], {"slow-inference"}),
        ([[{**GOOD, "inference_time_ms": 700}]] * 70, {"slow-on-average"}),
        ([[GOOD, LOW]] * 70, {"low-confidence"}),
        ([[GOOD, LOW]] * 2 + [[GOOD]] * 70, set()),
    ],
)
def test_the_rules_of_the_example_fire_on_what_they_are_for(tmp_path: Path, looks: list[list[dict[str, object]]], fired: set[str]) -> None:
    assert fired_by(tmp_path, looks) == fired
