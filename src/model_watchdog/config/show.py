"""A `Config` as YAML that can be read again: every default named, secrets masked."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from model_watchdog.config.masking import mask_secret, mask_url, mask_urls
from model_watchdog.config.model import Config, NotifierConfig, ProbeConfig, ServiceConfig
from model_watchdog.config.options import list_options, split_optional
from model_watchdog.config.rule_section import make_builtin_rules, make_host_rules
from model_watchdog.config.values import Wrong, read_plain, write_bytes, write_number, write_seconds
from model_watchdog.core.rule import Rule
from model_watchdog.core.sample import Selector
from model_watchdog.core.unit import split_unit
from model_watchdog.core.units import Bytes, Number, Seconds, Secret, Url
from model_watchdog.rules.expr import KIND as EXPRESSIONS
from model_watchdog.rules.expr import Alerted, Expr

_SIMPLE = re.compile(r"[A-Za-z0-9_./@-]+")


class Word(str):
    """What needs no quotes because it is no text: `30s`, `off`."""


class Written(str):
    """A text in which `${` means what it means in the file."""


class Flow(dict[str, Any]):
    """A mapping on one line, in { }."""


def show(config: Config) -> str:
    """The configuration as understood. Read again it gives the same services, rules and timings; a secret is `***`."""
    host = config.host
    builtin = make_host_rules(_list_kinds(host.probes))
    rules = {
        **{name: Word("off") for name in builtin},
        **{rule.name: _show_rule(rule) for rule in host.rules if not isinstance(rule.condition, Alerted)},
    }
    tree = {
        "services": {name: _show_service(service) for name, service in config.services.items()},
        "host": {
            "probes": _show_probes(host.probes),
            "rules": rules,
            "common_cause": Word("off") if host.common_cause is None else Flow(_show_fields(host.common_cause)),
        },
        **({"rule_files": [str(path) for path in config.rule_files]} if config.rule_files else {}),
        "notifiers": {name: _show_notifier(notifier) for name, notifier in config.notifiers.items()},
        **_show_telling(config),
        "language": config.language,
        "record": Flow(_show_fields(config.record)),
    }
    return "\n".join(_write_block(tree, 0)) + "\n"


def _show_service(service: ServiceConfig) -> dict[str, Any]:
    core = service.core
    user, name = split_unit(core.unit or "")
    tree: dict[str, Any] = {key: text for key, text in (("unit", name), ("user", user), ("container", service.container)) if text}
    tree |= {"startup": _show_value(core.startup, Seconds), "startup_max": _show_value(core.startup_max, Seconds)}
    tree["busy_patience"] = _show_value(core.busy_patience, Seconds)
    if core.progress is not None:
        for name in ("heartbeat", "work", "attempts"):
            if names := getattr(core.progress, name):
                tree[name] = list(names)
        tree["stall_after"] = _show_value(core.progress.stall_after, Seconds)
        tree |= {"engine": core.progress.engine, "page_asks_engine": core.progress.page_asks_engine}
    tree["unstable"] = Word("off") if core.unstable is None else Flow(_show_fields(core.unstable))
    tree["probes"] = _show_probes(service.probes)
    builtin = make_builtin_rules(core.unit, _list_kinds(service.probes), core.progress)
    named = {rule.name: _show_rule(rule) for rule in core.rules}
    tree["rules"] = {**{name: Word("off") for name in builtin}, **named}
    policies = {name: Flow(_show_fields(getattr(core, name))) for name in ("backoff", "breaker")}
    timing = {"stable": _show_value(core.stable, Seconds), **policies}
    tree["recovery"] = {"kind": service.recovery_kind, **timing, **_show_fields(service.recovery)}
    return tree


def _list_kinds(probes: Iterable[ProbeConfig]) -> dict[str, str]:
    return {probe.name: probe.kind for probe in probes if probe.kind != EXPRESSIONS}


def _show_probes(probes: Iterable[ProbeConfig]) -> dict[str, Any]:
    timings = ("every", "timeout", "retry_every")
    return {  # those of expressions follow from the rules
        probe.name: Flow(
            {"kind": probe.kind, **_show_fields(probe.probe), **{name: _show_value(getattr(probe, name), Seconds) for name in timings}}
        )
        for probe in probes
        if probe.kind != EXPRESSIONS
    }


def _show_rule(rule: Rule) -> dict[str, Any]:
    shown: dict[str, Any] = {} if isinstance(rule.condition, Expr) else {"metric": Written(_write_selector(rule.selector))}
    if rule.minus is not None:
        shown["minus"] = Written(_write_selector(rule.minus))
    if rule.over is not None and rule.as_ is not None:
        shown |= {"over": _show_value(rule.over, Seconds), "as": rule.as_.value}
    shown |= _show_fields(rule.condition)
    if rule.silence is None:
        shown |= {"times": rule.times} if rule.for_ is None else {"for": _show_value(rule.for_, Seconds)}
    shown |= {"severity": rule.severity.value, "then": rule.then.value}
    if rule.keep_firing_for is not None:
        shown["keep_firing_for"] = _show_value(rule.keep_firing_for, Seconds)
    if rule.means:
        shown["state"] = rule.means
    return Flow(shown | ({"message": Written(rule.message)} if rule.message else {}))


def _show_notifier(notifier: NotifierConfig) -> dict[str, Any]:
    wishes = {name: value for name, value in _show_fields(notifier.route).items() if name != "name" and value != []}
    return Flow({"kind": notifier.kind, **_show_fields(notifier.notifier), **wishes})


def _show_telling(config: Config) -> dict[str, Any]:
    """What goes with telling, where it is configured."""
    shown: dict[str, Any] = {}
    if config.maintenance:
        shown["maintenance"] = [Flow(_show_fields(window)) for window in config.maintenance]
    for name in ("digest", "report", "heartbeat"):
        if (part := getattr(config, name)) is not None:
            shown[name] = Flow(_show_fields(part))
    return shown


def _show_fields(thing: Any) -> dict[str, Any]:
    """The options of a dataclass; what is not stated and has no default is left out."""
    shown = {}
    for option in list_options(type(thing)):
        value = getattr(thing, option.field)
        if value is not None:
            shown[option.name] = _show_value(value, option.hint)
    return shown


def _show_value(value: Any, hint: Any) -> Any:
    """A value as plain texts, numbers, lists and mappings."""
    inner, _ = split_optional(hint)
    if value is None:
        return None
    if isinstance(value, Secret):
        return mask_secret(value.reveal())
    if isinstance(value, Url):
        return Written(mask_url(getattr(value, "written", None) or _escape(value)))
    if hasattr(value, "written"):  # it came from a variable, and so may be a secret
        return Written(mask_urls(value.written))
    for kind, write in ((Seconds, write_seconds), (Bytes, write_bytes), (Number, write_number)):
        if inner is kind:
            return Word(write(value))
    if get_origin(inner) is Literal:
        return Word(value)
    if isinstance(value, (Enum, Path)):
        return value.value if isinstance(value, Enum) else str(value)
    return _show_inside(value, inner)


def _show_inside(value: Any, hint: Any) -> Any:
    if isinstance(value, Mapping):
        arguments = get_args(hint)
        return Flow({name: _show_value(one, arguments[1] if arguments else Any) for name, one in value.items()})
    if isinstance(value, (list, tuple)):
        arguments = get_args(hint)
        shown = [_show_value(one, arguments[0] if arguments and get_origin(hint) else Any) for one in value]
        return [mask_urls(one) if type(one) is str else one for one in shown]  # the words of a command may be addresses
    if hasattr(value, "shown"):
        return value.shown()
    if is_dataclass(value):
        return Flow(_show_fields(value))
    return value


def _write_selector(selector: Selector) -> str:
    """As `Selector.parse` reads it."""
    matchers = (f'{label}{operator}"{_backslash(value)}"' for label, operator, value in selector.matchers)
    return f"{selector.metric}{{{', '.join(matchers)}}}" if selector.matchers else selector.metric


def _backslash(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _write_block(tree: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The lines of a mapping, one key a line."""
    for name, value in tree.items():
        key = f"{'  ' * depth}{_write_text(name)}:"
        if isinstance(value, dict) and not isinstance(value, Flow) and value:
            yield key
            yield from _write_block(value, depth + 1)
        else:
            yield f"{key} {_write_flow(value)}"


def _write_flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, str):
        return _write_text(value if isinstance(value, Written) else _escape(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return write_number(value) if isinstance(value, float) else str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_write_text(name)}: {_write_flow(one)}' for name, one in value.items())}}}"
    return f"[{', '.join(_write_flow(one) for one in value)}]"


def _write_text(text: str) -> str:
    """In quotes unless every reader of YAML takes it for a text without them."""
    try:
        if _SIMPLE.fullmatch(text) and text[0] not in "-%@" and read_plain(text) == text:
            return text
    except Wrong:
        pass  # `no`, `012`, a date: these need their quotes
    return '"' + "".join(_backslash(char) if char.isprintable() else f"\\U{ord(char):08x}" for char in text) + '"'


def _escape(text: str) -> str:
    """A text in which nothing is a variable."""
    return text.replace("${", "$${")
