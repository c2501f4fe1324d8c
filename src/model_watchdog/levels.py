"""The levels at which rules fire, as the record tells them to whoever draws a series: nobody else need read the configuration."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from model_watchdog import writes
from model_watchdog.config.model import Config
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Selector, SeriesId

KEY = "levels"


def write_levels(config: Config) -> writes.Write:
    """Every rule over a metric, of each service and of the host (`service` is null): a JSON list."""
    levels = [_describe(rule, name) for name, service in config.services.items() for rule in service.core.rules]
    return writes.setting(KEY, json.dumps([*levels, *_of_host(config)]))


def is_over(level: Mapping[str, Any], metric: str, labels: Mapping[str, str]) -> bool:
    """Whether a rule, as `write_levels` tells it, is over this series."""
    if level["metric"] != metric or level["service"] != labels.get("service"):
        return False
    written = level.get("selector", level["metric"])  # an older version wrote none
    return Selector.parse(written).matches(SeriesId.of(metric, labels))


def _of_host(config: Config) -> Iterator[dict[str, Any]]:
    return (_describe(rule, None) for rule in config.host.rules)


def _describe(rule: Rule, service: str | None) -> dict[str, Any]:
    """`above` and `below` only where samples themselves are judged; `selector` as `Selector` writes and reads it."""
    judges_samples = rule.as_ is None and rule.minus is None
    levels = {side: getattr(rule.condition, side, None) if judges_samples else None for side in ("above", "below")}
    low, high = getattr(rule.condition, "outside", None) or (None, None)
    return {
        "rule": rule.name,
        "service": service,
        "severity": rule.severity.value,
        "metric": rule.selector.metric,
        "selector": str(rule.selector),
        "above": levels["above"] if high is None else high,
        "below": levels["below"] if low is None else low,
        "sigma": getattr(rule.condition, "sigma", None) if judges_samples else None,
        "window": getattr(rule.condition, "window", None),
        "then": rule.then.value,
        "for": rule.for_,
        "times": rule.times,
        "keep_firing_for": rule.keep_firing_for,
    }
