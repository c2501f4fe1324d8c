"""What the rules have learnt of what is usual, as plain values, and back: it takes hours to learn, and outlives the daemon."""

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from typing import Any
from zlib import crc32

from model_watchdog.core.alert import Alert
from model_watchdog.core.memory import is_still_there
from model_watchdog.core.rule import Learner, Rule
from model_watchdog.core.sample import SeriesId

Plain = dict[str, Any]


def remember_learnt(alerts: Iterable[Alert]) -> list[Plain]:
    """Of each alert whose rule learns. Times stay steady seconds of this boot."""
    found = []
    for alert in alerts:
        remember = getattr(alert.watch, "remember", None)
        learnt = remember() if remember is not None else None
        if learnt is not None:
            found.append(
                {
                    "rule": alert.rule.name,
                    "form": _identify(alert.rule),
                    "metric": alert.series.metric,
                    "labels": list(alert.series.labels),
                    "learnt": learnt,
                    "pace": None if alert.pace is None else alert.pace.remember(),
                    "judged_at": alert.judged_at,
                    "probe": alert.probe,
                }
            )
    return found


def recall_learnt(
    alerts: MutableMapping[str, Alert],
    rules: Iterable[Rule],
    kept: Iterable[Mapping[str, Any]],
    shift: float,
    probes: Collection[str] | None = None,
    mounts: Collection[str] | None = None,
) -> None:
    """Gives the rules back what they had learnt, times moved by `shift` seconds. A rule that judges otherwise now learns anew."""
    named = {rule.name: rule for rule in rules}
    for plain in kept:
        series = SeriesId(plain["metric"], tuple((name, value) for name, value in plain["labels"]))
        rule = named.get(plain["rule"])
        if rule is None or _identify(rule) != plain["form"] or not is_still_there(rule, series, probes, mounts):
            continue
        alert = alerts.get(f"{rule.name} {series}") or Alert.on(rule, series)
        assert isinstance(alert.watch, Learner)
        alert.watch.recall(plain["learnt"], shift)
        if alert.pace is not None and plain["pace"] is not None:
            alert.pace.recall(plain["pace"])
        if alert.judged_at is None and plain["judged_at"] is not None:
            alert.judged_at = plain["judged_at"] + shift
        alert.probe = alert.probe or plain["probe"]
        alerts[alert.key] = alert


def _identify(rule: Rule) -> int:
    """The same for rules that judge alike, in whichever run of the daemon."""
    return crc32(repr((rule.condition, rule.over, rule.as_, rule.minus)).encode())
