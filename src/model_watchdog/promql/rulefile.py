"""Prometheus' rule files as data: groups of alerting and recording rules.

What is read is what a YAML parser gives (mappings, lists, texts, numbers); whoever parses the file knows the lines. So each fault names
where it lies as a path, such as ("groups", 0, "rules", 2, "expr"), and all faults are found, not the first alone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from model_watchdog.promql import Expression, Needs, add_needs, parse_rule
from model_watchdog.promql.durations import read_duration
from model_watchdog.promql.faults import PromqlError
from model_watchdog.promql.labels import NAME, is_label_name
from model_watchdog.promql.templating import Template, read_template

Path = tuple[str | int, ...]

_FILE_KEYS = ("groups",)
_GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_ALERT_KEYS = ("alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_RECORD_KEYS = ("record", "expr", "labels")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@dataclass(frozen=True)
class Fault:
    """What is wrong, and where."""

    path: Path
    text: str

    @property
    def place(self) -> str:
        """`groups[0].rules[2].expr`."""
        shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return shown.lstrip(".")


@dataclass(frozen=True)
class Alerting:
    """An alert; `hold` (for) and `keep_firing_for` are seconds, labels and annotations are templates."""

    name: str
    expression: Expression
    hold: float = 0.0
    keep_firing_for: float = 0.0
    labels: Mapping[str, Template] = field(default_factory=dict)
    annotations: Mapping[str, Template] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A series that is computed of others."""

    metric: str
    expression: Expression
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.metric


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other at the same moment.

    `interval` in seconds (None: as often as all others), `offset` seconds before now, and no more than `limit` alerts or series of each
    rule (0: as many as there are).
    """

    name: str
    rules: tuple[Alerting | Recording, ...]
    interval: float | None = None
    limit: int = 0
    offset: float = 0.0

    @property
    def needs(self) -> Needs:
        needs = add_needs(rule.expression.needs for rule in self.rules)
        return Needs(needs.selectors, needs.span + round(self.offset * 1000))

    @property
    def recorded(self) -> frozenset[str]:
        """The metrics that its rules give."""
        return frozenset(rule.metric for rule in self.rules if isinstance(rule, Recording))


def read_rule_file(content: Any) -> tuple[tuple[Group, ...], tuple[Fault, ...]]:
    """The groups of a file's content, and all that is wrong with it; groups hold only rules that are right."""
    reader = _Reader()
    groups = tuple(reader.read_groups(content))
    return groups, tuple(reader.faults)


class _Reader:
    def __init__(self) -> None:
        self.faults = list[Fault]()

    def add(self, path: Path, text: str) -> None:
        self.faults.append(Fault(path, text))

    def read_groups(self, content: Any) -> Iterator[Group]:
        if content is None:
            return
        if not isinstance(content, Mapping):
            self.add((), "a rule file is a mapping with the key groups")
            return
        self._check_keys((), content, _FILE_KEYS)
        names = set[str]()
        for place, group in enumerate(self._list((), content, "groups")):
            path: Path = ("groups", place)
            if not isinstance(group, Mapping):
                self.add(path, "a group is a mapping with a name and rules")
                continue
            name = self._text(path, group, "name")
            if not name:
                self.add((*path, "name"), "a group needs a name; write name: NAME")
            elif name in names:
                self.add((*path, "name"), f'the group name "{name}" is there twice in this file; give each its own')
            names.add(name)
            yield self._read_group(path, name, group)

    def _read_group(self, path: Path, name: str, group: Mapping[str, Any]) -> Group:
        self._check_keys(path, group, _GROUP_KEYS)
        common = self._read_labels((*path, "labels"), group.get("labels"))
        rules = list[Alerting | Recording]()
        for place, rule in enumerate(self._list(path, group, "rules")):
            rule_path = (*path, "rules", place)
            if not isinstance(rule, Mapping):
                self.add(rule_path, "a rule is a mapping with alert or record, and expr")
                continue
            before = len(self.faults)
            found = self._read_rule(rule_path, rule, common)
            if found is not None and len(self.faults) == before:
                rules.append(found)
        interval = self._duration(path, group, "interval")
        if interval == 0:
            interval = None
        return Group(name, tuple(rules), interval, self._limit(path, group), self._duration(path, group, "query_offset") or 0.0)

    def _limit(self, path: Path, group: Mapping[str, Any]) -> int:
        limit = group.get("limit", 0)
        if isinstance(limit, str) and limit.isdigit():
            limit = int(limit)
        if not isinstance(limit, int) or isinstance(limit, bool):
            self.add((*path, "limit"), "limit is a whole number")
            return 0
        return max(0, limit)

    def _read_rule(self, path: Path, rule: Mapping[str, Any], common: Mapping[str, str]) -> Alerting | Recording | None:
        alert, record = self._text(path, rule, "alert"), self._text(path, rule, "record")
        if alert and record:
            self.add(path, "a rule states one of alert and record, not both")
            return None
        if not alert and not record:
            self.add(path, "a rule states alert or record; write alert: NAME")
            return None
        self._check_keys(path, rule, _ALERT_KEYS if alert else _RECORD_KEYS)
        expression = self._read_expression(path, rule)
        stated = self._read_labels((*path, "labels"), rule.get("labels"))
        if record:
            if not _METRIC.fullmatch(record):
                self.add((*path, "record"), f'"{record}" is no name of a metric; write letters, digits, _ and :')
            return None if expression is None else Recording(record, expression, {**common, **stated})
        labels = {**self._read_templates((*path, "labels"), {**common, **stated})}
        notes = self._read_labels((*path, "annotations"), rule.get("annotations"))
        annotations = self._read_templates((*path, "annotations"), notes)
        hold, kept = self._duration(path, rule, "for") or 0.0, self._duration(path, rule, "keep_firing_for") or 0.0
        return None if expression is None else Alerting(alert, expression, hold, kept, labels, annotations)

    def _read_expression(self, path: Path, rule: Mapping[str, Any]) -> Expression | None:
        path = (*path, "expr")
        text = self._text(path[:-1], rule, "expr")
        if isinstance(rule.get("expr"), (Mapping, list)):
            return None  # and said so
        if not text.strip():
            self.add(path, "a rule needs an expression; write expr: EXPRESSION")
            return None
        try:
            return parse_rule(text)
        except PromqlError as error:
            self.add(path, str(error))
            return None

    def _read_labels(self, path: Path, labels: Any) -> dict[str, str]:
        if labels is None:
            return {}
        if not isinstance(labels, Mapping):
            self.add(path, f"{path[-1]} are a mapping of names to texts")
            return {}
        read = dict[str, str]()
        for name, value in labels.items():
            if not isinstance(name, str) or not is_label_name(name) or (name == NAME and path[-1] == "labels"):
                self.add((*path, str(name)), f'"{name}" is no name of a label; write letters, digits and _')
            elif isinstance(value, (Mapping, list)):
                self.add((*path, name), f"{name} is a text")
            else:
                read[name] = _as_text(value)
        return read

    def _read_templates(self, path: Path, texts: Mapping[str, str]) -> dict[str, Template]:
        templates = dict[str, Template]()
        for name, text in texts.items():
            try:
                templates[name] = read_template(text)
            except PromqlError as error:
                self.add((*path, name), str(error))
        return templates

    def _text(self, path: Path, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key)
        if isinstance(value, (Mapping, list)):
            self.add((*path, key), f"{key} is a text")
            return ""
        return _as_text(value)

    def _duration(self, path: Path, table: Mapping[str, Any], key: str) -> float | None:
        if table.get(key) is None:
            return None
        text = self._text(path, table, key)
        seconds = read_duration(text)
        if seconds is None:
            self.add((*path, key), f'"{text}" is no duration; write it as 30s, 5m or 1h30m')
        return seconds

    def _list(self, path: Path, table: Mapping[str, Any], key: str) -> list[Any]:
        value = table.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.add((*path, key), f"{key} is a list")
            return []
        return value

    def _check_keys(self, path: Path, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                near = get_close_matches(str(key), known, 1)
                self.add(
                    (*path, str(key)),
                    f'"{key}" is not known here' + (f"; did you mean {near[0]}?" if near else f"; there is {', '.join(known)}"),
                )


def _as_text(value: Any) -> str:
    """A scalar as it is written: YAML has made `1` a number and `true` a truth."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
