"""Rules alone, in a file of their own, to be tried on data: `rules: {NAME: {…}}`, `rule_files: […]`, or a rule file of Prometheus itself.

Which probes there are is not known there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model_watchdog.config import document
from model_watchdog.config.context import Context
from model_watchdog.config.faults import Faults
from model_watchdog.config.files import read_config
from model_watchdog.config.model import ProbeConfig
from model_watchdog.config.options import Options
from model_watchdog.config.rule_section import Scope, read_rules
from model_watchdog.core.rule import Rule
from model_watchdog.rules.expr import KIND

KEYS = ("rules", "rule_files", "groups")
"""By which such a file is known; `groups` is what a rule file of Prometheus holds."""


@dataclass(frozen=True)
class RulesAlone:
    """`rules` are those of each service, and of the host; `of_files` come from rule files, are of the host, and `probes` evaluate them."""

    rules: tuple[Rule, ...] = ()
    of_files: tuple[Rule, ...] = ()
    probes: tuple[ProbeConfig, ...] = ()

    def list_probes(self, service: str | None) -> Sequence[ProbeConfig]:
        """What evaluates the expressions among `rules` for a service, or for the host."""
        if not any(rule.selector.metric.startswith(f"{KIND}:") for rule in self.rules):
            return ()
        from model_watchdog.config.expr_section import add_expressions  # what it needs takes 6 MB, and few have expressions

        return add_expressions((), self.rules, service)


def is_rules_file(path: Path) -> bool:
    """Whether a file holds rules alone. One that cannot be read, or is no YAML, is taken for a configuration, whose reader says why."""
    faults = Faults(path)
    root = document.parse(read_config(path), faults)
    return bool(root.entries.keys() & set(KEYS)) and not root.entries.keys() & {"services", "host", "notifiers"}


def load_rules(path: Path) -> RulesAlone:
    """The rules of such a file, those under `rules` as a service's: any metric may be there. Raises `InvalidConfig` with every fault."""
    faults = Faults(path)
    root = document.parse(read_config(path), faults)
    options = Options(faults, None)
    is_of_prometheus = "groups" in root.entries and not root.entries.keys() & {"rules", "rule_files"}
    if not is_of_prometheus:
        options.check_keys(root.entries, "", KEYS[:2], "file")
    context, scope = Context(faults, options, options), Scope("replay", {}, is_open=True)
    rules = read_rules(context, root.entries.get("rules"), "rules", scope, {})
    found = RulesAlone(rules)
    if is_of_prometheus or "rule_files" in root.entries:
        from model_watchdog.config import expr_section

        if is_of_prometheus:
            files = expr_section.make_rule_files(context, [(path, root)], rules)
        else:
            files = expr_section.read_rule_files(context, root.entries["rule_files"], rules)
        found = RulesAlone(rules, files.rules, files.probes)
    faults.raise_if_any()
    return found
