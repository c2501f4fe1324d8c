"""The configuration as a JSON Schema, for editors: they complete what is written, and mark what cannot be right.

It is made from the same classes as the configuration itself, and so grows with them. It takes everything that `check` takes; what one value
says of another (a probe that a rule names, times that contradict each other) only `check` can tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from model_watchdog.config import context, probe_section, rule_section, service_section, telling_section
from model_watchdog.config.kinds import find_kind, list_kinds
from model_watchdog.config.model import Digest, Heartbeat, RecordConfig, Report, Window
from model_watchdog.config.options import describe_hint, list_choices, list_options, split_optional
from model_watchdog.config.profile import list_servers
from model_watchdog.config.values import UNITS_OF_SIZE, UNITS_OF_TIME
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy
from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.rollup import As
from model_watchdog.core.rule import Severity, Then
from model_watchdog.core.units import Bytes, Number, Seconds, Secret, Url
from model_watchdog.core.unstable import UnstablePolicy
from model_watchdog.language import LANGUAGES

Schema = dict[str, Any]

VARIABLE: Schema = {"type": "string", "pattern": r"\$\{[^}]*\}"}
_AMOUNT = r"[0-9]{1,18}(\.[0-9]{1,15})?"
_DURATION = rf"{_AMOUNT}({'|'.join(UNITS_OF_TIME)})"
_SIZE = rf"{_AMOUNT} ?({'|'.join(UNITS_OF_SIZE)})"
_SCALARS: dict[Any, tuple[str, Schema]] = {
    Seconds: ("duration", {"type": "string", "pattern": f"^{_DURATION}$"}),
    Bytes: ("size", {"type": "string", "pattern": f"^{_SIZE}$"}),
    Number: ("level", {"type": ["number", "string"], "pattern": rf"^(-?[0-9.]+%?|{_DURATION}|{_SIZE})$"}),
    int: ("count", {"type": "integer"}),
    float: ("number", {"type": "number"}),
    bool: ("truth", {"type": "boolean"}),
    str: ("text", {"type": "string"}),
    Secret: ("secret", {"type": "string", "minLength": 1}),
    Url: ("address", {"type": "string", "pattern": r"^([hH][tT][tT][pP][sS]?://|file:/|credential:)"}),
    Path: ("path", {"type": "string", "pattern": "^/"}),
}
"""Each with the name of its definition."""
_RULE_OPTIONS = {
    "metric": str,
    "severity": Severity,
    "then": Then,
    "for": Seconds,
    "times": int,
    "over": Seconds,
    "as": As,
    "minus": str,
    "keep_firing_for": Seconds,
    "message": str,
    "state": rule_section.Declared,
}
OFF: Schema = {"const": "off"}


_KINDS_WITHOUT_A_SERVER: Schema = {
    "if": {"not": {"required": ["server"]}},
    "then": {"properties": {"probes": {"additionalProperties": {"if": {"type": "object"}, "then": {"required": ["kind"]}}}}},
}
"""Only a probe of a profile may be changed without saying its kind again."""


def make_schema() -> Schema:
    """The whole file, as a JSON Schema of draft 7, which is what editors read."""
    scalars = {name: {"anyOf": [schema, VARIABLE], "description": describe_hint(hint)} for hint, (name, schema) in _SCALARS.items()}
    rules = _named({"anyOf": [{"$ref": "#/definitions/rule"}, OFF]})
    for_host = [kind for kind in list_kinds("probes") if getattr(find_kind("probes", kind), "for_host", False)]
    names = {"anyOf": [_of(str), {"type": "array", "items": _of(str), "minItems": 1}]}
    service = {
        "unit": _of(str),
        "user": _of(str),
        "container": _of(str),
        "server": {"anyOf": [{"enum": list(list_servers())}, VARIABLE]},
        "url": _of(str),
        "heartbeat": names,
        "work": names,
        "attempts": names,
        "stall_after": _of(Seconds),
        "engine": _of(str),
        "page_asks_engine": _of(bool),
        "startup": _of(Seconds),
        "startup_max": _of(Seconds),
        "busy_patience": _of(Seconds),
        "unstable": {"anyOf": [_options(UnstablePolicy), OFF]},
        "probes": _named({"if": {"type": "string"}, "then": OFF, "else": {**_probe(for_host), "required": []}}),
        "rules": rules,
        "recovery": _recovery(),
    }
    notifiers = _by_kind("notifiers", list_kinds("notifiers"), {name: _of(hint) for name, hint in telling_section.WISHES.items()})
    host = {
        "probes": _named(_probe(service_section.OF_A_UNIT)),
        "rules": rules,
        "common_cause": {"anyOf": [_options(CommonCausePolicy), OFF]},
    }
    parts = {
        "include": {"anyOf": [_of(str), {"type": "array", "items": _of(str)}]},
        "defaults": _table(_defaults()),
        "services": _named({**_table(service), "anyOf": [{"required": ["unit"]}, {"required": ["recovery"]}], **_KINDS_WITHOUT_A_SERVER}),
        "host": _table(host),
        "rule_files": {"anyOf": [_of(str), {"type": "array", "items": _of(str)}]},
        "notifiers": _named(notifiers),
        "maintenance": {"type": "array", "items": _options(Window)},
        "digest": _options(Digest),
        "report": _options(Report),
        "heartbeat": _options(Heartbeat),
        "record": _options(RecordConfig),
        "language": {"anyOf": [{"enum": list(LANGUAGES)}, VARIABLE]},
    }
    draft = "http://json-schema.org/draft-07/schema#"
    return {"$schema": draft, "title": "model-watchdog", **_table(parts, empty=False), "definitions": {**scalars, "rule": _rule()}}


def _defaults() -> dict[str, Schema]:
    """What lies under each service: nothing in it is required."""
    common = _timings()
    probes = {kind: _table({**common, **_properties(find_kind("probes", kind))}) for kind in list_kinds("probes")}
    return {
        "startup": _of(Seconds),
        "startup_max": _of(Seconds),
        "stall_after": _of(Seconds),
        "busy_patience": _of(Seconds),
        "probes": _table(probes),
        "recovery": _table(_policies()),
    }


def _timings() -> dict[str, Schema]:
    return {name: _of(Seconds) for name in probe_section.COMMON}


def _policies() -> dict[str, Schema]:
    return {"stable": _of(Seconds), "backoff": _options(BackoffPolicy), "breaker": _options(BreakerPolicy)}


def _probe(but: Iterable[str]) -> Schema:
    """A probe of any kind but these."""
    return _by_kind("probes", [kind for kind in list_kinds("probes") if kind not in but], _timings())


def _recovery() -> Schema:
    """Where no kind is stated it is systemctl."""
    kinds = list_kinds("recoveries")
    schema = _by_kind("recoveries", kinds, _policies())
    unstated = {"if": {"not": {"required": ["kind"]}}, "then": _table(_policies())}
    return {"type": ["object", "null"], "properties": schema["properties"], "allOf": [*schema["allOf"], unstated]}


def _rule() -> Schema:
    """The options of all forms together: which of them go together only `check` can tell, but for a form that restarts nothing."""
    properties = {name: _of(hint) for name, hint in _RULE_OPTIONS.items()}
    telling: dict[str, Schema] = {}
    for form in list_kinds("rules"):
        found = find_kind("rules", form)
        for cls in found.variants() if hasattr(found, "variants") else (found,):
            properties.update(_properties(cls))
            if hasattr(cls, "no_proof"):
                telling[form] = {"required": [form]}
    assert set(rule_section.COMMON) == set(_RULE_OPTIONS)
    no_restart = {"properties": {"then": {"not": {"const": Then.RESTART.value}}}}
    only_telling = {"if": {"anyOf": [*telling.values()]}, "then": no_restart}
    return {**_table(properties, empty=False), "anyOf": [{"required": ["metric"]}, {"required": ["expr"]}], **only_telling}


def _by_kind(folder: str, kinds: Sequence[str], common: Mapping[str, Schema]) -> Schema:
    """A mapping whose `kind` decides which other options it has."""
    kind = {"anyOf": [{"enum": list(kinds)}, VARIABLE]}
    branches = []
    for word in kinds:
        cls = find_kind(folder, word)
        then = _table({"kind": {"const": word}, **common, **_properties(cls)}, empty=False)
        then["description"] = (cls.__doc__ or "").strip().splitlines()[0]
        if required := [option.name for option in list_options(cls) if option.required]:
            then["required"] = required
        branches.append({"if": {"properties": {"kind": {"const": word}}, "required": ["kind"]}, "then": then})
    return {"type": "object", "required": ["kind"], "properties": {"kind": kind}, "allOf": branches}


def _options(cls: type[Any]) -> Schema:
    """A dataclass: its fields are the keys."""
    schema = _table(_properties(cls))
    if required := [option.name for option in list_options(cls) if option.required]:
        schema["required"] = required
    return schema


def _properties(cls: type[Any]) -> dict[str, Schema]:
    defaults = {field.name: field.default for field in fields(cls)}
    properties = {}
    for option in list_options(cls):
        properties[option.name] = _of(option.hint)
        default = defaults[option.field]
        if list_choices(option.hint) and default is not MISSING:
            properties[option.name]["default"] = default
    return properties


def _of(hint: Any) -> Schema:
    """What a value of this type may be, or a variable that stands for it."""
    inner, optional = split_optional(hint)
    choices = [_of_type(inner)]
    if list_choices(inner):
        choices.append(VARIABLE)
    if optional:
        choices.append({"type": "null"})
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _of_type(inner: Any) -> Schema:
    origin = get_origin(inner)
    if inner is Any:
        return {}
    if inner in _SCALARS:
        return {"$ref": f"#/definitions/{_SCALARS[inner][0]}"}
    if choices := list_choices(inner):
        return {"enum": list(choices)}
    if origin in (list, tuple, Sequence):
        return {"type": "array", "items": _of(get_args(inner)[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _of(get_args(inner)[1])}
    if hasattr(inner, "parse"):
        parsed: Schema = inner.schema() if hasattr(inner, "schema") else {}
        return parsed
    cls: type[Any] = inner
    assert is_dataclass(cls), f"{inner} is none of the types of options"
    return _options(cls)


def _table(properties: Mapping[str, Schema], *, empty: bool = True) -> Schema:
    """A mapping with these keys and no others; one that may be `empty` may also have no value at all."""
    return {"type": ["object", "null"] if empty else "object", "properties": dict(properties), "additionalProperties": False}


def _named(schema: Schema) -> Schema:
    """A mapping from names to these."""
    return {"type": ["object", "null"], "propertyNames": {"pattern": f"^{context.NAME.pattern}$"}, "additionalProperties": schema}
