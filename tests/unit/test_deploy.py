"""The rules and the dashboard of deploy/ ask for what this project measures, by the names that it has here."""

import json
import re
from pathlib import Path

import yaml

from model_watchdog.config.vocabulary import EVERY_PROBE, OWN_METRICS
from model_watchdog.probes.canary import Canary
from model_watchdog.probes.host import Host
from model_watchdog.probes.http import Http
from model_watchdog.probes.log import Log
from model_watchdog.probes.nvml import Nvml
from model_watchdog.probes.process import Process
from model_watchdog.probes.unit import Unit
from model_watchdog.web import metrics
from tests.rig.fleet import list_samples

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KINDS = (Canary, Host, Http, Log, Nvml, Process, Unit)
OF_PROMETHEUS = ("up", "ALERTS")
WORDS = {"bool", "by", "without", "on", "ignoring", "and", "or", "unless"}


def list_expressions() -> list[str]:
    files = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))
    rules = [rule["expr"] for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    panels = json.loads((DEPLOY / "grafana/dashboards/model-watchdog.json").read_text())["panels"]
    return rules + [target["expr"] for panel in panels for target in panel.get("targets", [])]


def find_metrics(expression: str) -> set[str]:
    """Names that are neither a function, an aggregation, a word of the language, nor a label."""
    plain = re.sub(r'"[^"]*"', "", expression)
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring) *\([^)]*\)", " ", plain)
    return {name for name, called in re.findall(r"([A-Za-z_][\w:]*)( *\()?", plain) if not called and name not in WORDS}


def test_every_name_in_the_rules_and_the_dashboard_is_one_that_is_measured() -> None:
    of_the_page = {name for name, _, _ in metrics.tell_states([{"name": "chatglm", "state": "healthy"}])}
    measured = {name for kind in KINDS for name in kind.metrics} | {*EVERY_PROBE, *OWN_METRICS, *of_the_page}
    recorded = {rule["record"] for rule in yaml.safe_load((DEPLOY / "prometheus/rules/recording.yml").read_text())["groups"][0]["rules"]}
    asked = {name for expression in list_expressions() for name in find_metrics(expression)}
    assert len(asked) > 40
    assert asked - measured - recorded - set(OF_PROMETHEUS) == set()
    assert recorded - asked == set(), "recorded, and asked by nobody"
    assert {name for name, _, _ in list_samples(0, 1.0)} - measured == set(), "the simulated hosts measure what real ones do"
