"""Rules alone, in a file of their own: `rules: {NAME: {…}}`, to be tried on data. Which probes there are is not known there."""

from pathlib import Path

from model_watchdog.config import document
from model_watchdog.config.context import Context
from model_watchdog.config.faults import Faults
from model_watchdog.config.files import read_config
from model_watchdog.config.options import Options
from model_watchdog.config.rule_section import Scope, read_rules
from model_watchdog.core.rule import Rule


def is_rules_file(path: Path) -> bool:
    """Whether a file holds rules alone. One that cannot be read, or is no YAML, is taken for a configuration, whose reader says why."""
    faults = Faults(path)
    root = document.parse(read_config(path), faults)
    return "rules" in root.entries and not root.entries.keys() & {"services", "host", "notifiers"}


def load_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of such a file, as those of a service: any metric may be there. Raises `InvalidConfig` with every fault."""
    faults = Faults(path)
    root = document.parse(read_config(path), faults)
    options = Options(faults, None)
    options.check_keys(root.entries, "", ("rules",), "file")
    scope = Scope("replay", {}, is_open=True)
    rules = read_rules(Context(faults, options, options), root.entries.get("rules"), "rules", scope, {})
    faults.raise_if_any()
    return rules
