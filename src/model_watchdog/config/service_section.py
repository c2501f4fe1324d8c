"""`services:` and `host:`."""

import pwd
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Scalar, Table
from model_watchdog.config.faults import Place, quote
from model_watchdog.config.kinds import find_kind
from model_watchdog.config.model import HostConfig, ProbeConfig, ServiceConfig
from model_watchdog.config.options import MISSING, list_options
from model_watchdog.config.probe_section import SHORTEST, make_probe, read_probe
from model_watchdog.config.profile import expand
from model_watchdog.config.progress_section import keep_heartbeat, read_progress
from model_watchdog.config.rule_section import Scope, is_ours, make_builtin_rules, make_host_rules, read_rules
from model_watchdog.config.sources import tell
from model_watchdog.config.values import write_seconds
from model_watchdog.containers import NAME as CONTAINER
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy
from model_watchdog.core.common import CommonCausePolicy
from model_watchdog.core.rule import Rule
from model_watchdog.core.state import ProbePlan, Service
from model_watchdog.core.units import Seconds
from model_watchdog.core.unstable import UnstablePolicy
from model_watchdog.recoveries import Recovery
from model_watchdog.rules.expr import Expr

Policy = TypeVar("Policy")
KEYS = (
    *("unit", "user", "container", "server", "url", "startup", "startup_max", "busy_patience"),
    *("heartbeat", "work", "attempts", "stall_after", "engine", "page_asks_engine", "unstable", "probes", "rules", "recovery"),
)
OF_A_UNIT = ("unit", "process")
"""Kinds of probes that look at the service's unit."""
_ONCE = {
    "unit": "a unit is asked once",
    "host": "the host is measured once",
    "nvml": "the GPUs of the host are measured once",
}
"""Kinds of which there is one in a place, with what is said of a second."""
STARTS = 3
"""`startup_max` is so many times `startup` where it is not stated."""
OWN_UNIT = "model-watchdog.service"
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*")
_OTHER_UNITS = (".socket", ".target", ".mount", ".automount", ".swap", ".timer", ".path", ".slice", ".scope", ".device")


def read_service(context: Context, entry: Entry, path: str, units: dict[str, tuple[str, Place]]) -> ServiceConfig | None:
    """One service. `units` maps the units seen so far to their service and place. None where it is faulty or not complete here."""
    options = context.options
    context.check_name(entry.key, path)
    table = options.read_table(entry.value, path)
    if table is None:
        return None
    options.check_keys(table.entries, path, KEYS, "service")
    table = expand(context, table, path)
    merged = {**context.defaults.service, **table.entries}
    unit, unit_is_known = _read_unit(context, table, path, units, entry.key.text)
    container = _read_container(context, table, path)
    startup = _read_duration(context, merged, "startup", path, SHORTEST)
    startup_max = _read_duration(context, merged, "startup_max", path, SHORTEST)
    if startup_max is not None and startup is not None and startup_max < startup:
        text = f"{write_seconds(startup_max)} is shorter than startup {write_seconds(startup)}"
        options.refuse(merged["startup_max"].value.place, f"{path}.startup_max", text)
    busy_patience = _read_duration(context, merged, "busy_patience", path)
    recovery = _read_recovery(context, entry, table, path, has_unit="unit" in table.entries)
    kinds, probes = _read_probes(context, table, path, Scope(entry.key.text, {}), entry.key if "unit" in table.entries else None)
    if not kinds and recovery is not None:
        options.refuse(entry.key.place, f"{path}.probes", "is missing; without a unit and without a probe there is nothing to watch")
    for probe in probes:
        if getattr(probe.probe, "journal", False) and "unit" not in table.entries:
            text = "there is no unit here whose journal could be read; state unit: beside probes:, or path: FILE"
            options.refuse(entry.key.place, f"{path}.probes.{probe.name}.journal", text)
    progress = read_progress(context, table, path, kinds)
    probes = tuple(keep_heartbeat(probe, progress) for probe in probes)
    scope = Scope(entry.key.text, kinds, {probe.name: probe for probe in probes}, progress)
    rules = read_rules(context, table.entries.get("rules"), f"{path}.rules", scope, make_builtin_rules(unit, kinds, progress))
    probes = _add_expressions(probes, rules, entry.key.text)
    if recovery is None or not unit_is_known:
        return None
    kind, act, stable, backoff, breaker = recovery
    plans = tuple(ProbePlan(probe.name, probe.kind, probe.every, probe.timeout, probe.retry_every) for probe in probes)
    core = Service(entry.key.text, unit, plans, rules, breaker=breaker, backoff=backoff, progress=progress)
    stated: dict[str, Any] = {"startup": startup, "busy_patience": busy_patience, "stable": stable}
    core = replace(core, **{name: value for name, value in stated.items() if value is not None})
    core = replace(core, unstable=_read_or_off(context, table.entries.get("unstable"), UnstablePolicy, f"{path}.unstable"))
    core = replace(core, startup_max=startup_max or Seconds(STARTS * core.startup))
    return ServiceConfig(core, probes, kind, act, container)


def read_host(context: Context, entry: Entry | None, place: Place) -> HostConfig:
    """The host's probes and rules; without `probes:` it has `system` of kind host and, where there is a driver, `gpu` of kind nvml."""
    table = context.options.read_table(entry.value, "host") if entry else None
    entries = table.entries if table else {}
    context.options.check_keys(entries, "host", ("probes", "rules", "common_cause"))
    kinds: dict[str, str | None]
    if "probes" in entries:
        kinds, probes = _read_probes(context, Table(entries, place), "host", Scope(None, {}), None)
    else:
        kinds = {"system": "host"}
        if find_kind("probes", "nvml").is_installed():
            kinds["gpu"] = "nvml"
        key = Scalar("host", True, place)
        made = [make_probe(context, name, kind, key, f"host.probes.{name}") for name, kind in kinds.items() if kind]
        probes = tuple(probe for probe in made if probe is not None)
    scope = Scope(None, kinds, {probe.name: probe for probe in probes})
    rules = read_rules(context, entries.get("rules"), "host.rules", scope, make_host_rules(kinds))
    probes = _add_expressions(probes, rules, None)
    return HostConfig(probes, rules, _read_or_off(context, entries.get("common_cause"), CommonCausePolicy, "host.common_cause"))


def _add_expressions(probes: tuple[ProbeConfig, ...], rules: tuple[Rule, ...], service: str | None) -> tuple[ProbeConfig, ...]:
    """The probes, with the one that evaluates the expressions of these rules, if there are any."""
    if not any(isinstance(rule.condition, Expr) for rule in rules):
        return probes
    from model_watchdog.config import expr_section

    return expr_section.add_expressions(probes, rules, service)


def _read_or_off(context: Context, entry: Entry | None, cls: type[Policy], path: str) -> Policy | None:
    """A policy such as `common_cause: {services: 3, within: 10s}`, its defaults where nothing is stated, or None for off."""
    if entry is None:
        return cls()
    if isinstance(entry.value, Scalar) and entry.value.plain and entry.value.text == "off":
        return None
    read = context.options.read(entry.value, cls, path)
    return read if isinstance(read, cls) else None


def _read_unit(context: Context, table: Table, path: str, units: dict[str, tuple[str, Place]], service: str) -> tuple[str | None, bool]:
    """The unit's full name, and whether it is known: False where it is faulty or not set here.

    That of a unit of a user's manager is `alice/model.service`.
    """
    entry = table.entries.get("unit")
    user = _read_user(context, table, path)
    if entry is None:
        return None, True
    options, inside, gaps = context.options, f"{path}.unit", context.options.gaps
    text = options.read(entry.value, str, inside)
    if text is MISSING or user is None or options.gaps != gaps:
        return None, False
    fault = _judge_unit(text)
    unit = f"{user}/" * bool(user) + (text if text.endswith(".service") else f"{text}.service")
    if not fault and unit == OWN_UNIT:
        fault = "is the watchdog's own unit, which it cannot restart; systemd does that"
    if not fault and unit in units:
        other, place = units[unit]
        fault = f"is the unit of {other} already ({context.faults.point_to(place, entry.value.place)})"
    if fault:
        options.refuse(entry.value.place, inside, f"{quote(tell(text))} {fault}")
        return None, False
    units[unit] = service, entry.value.place
    return str(unit), True


def _read_user(context: Context, table: Table, path: str) -> str | None:
    """In whose manager the unit is: "" in the system's, None where that is faulty or not set here.

    A user that this machine does not have is told as a warning: the file may be meant for another machine.
    """
    entry = table.entries.get("user")
    if entry is None:
        return ""
    inside, place = f"{path}.user", entry.value.place
    user = context.options.read(entry.value, str, inside)
    if user is MISSING:
        return None
    if "unit" not in table.entries:
        context.options.refuse(entry.key.place, inside, "says in whose manager the unit is, and there is none; state unit: beside it")
    elif not _USER.fullmatch(user):
        context.options.refuse(place, inside, f"{quote(tell(user))} is no name of a user; it takes letters, digits, _ . -")
    elif user == "root":
        context.options.refuse(place, inside, "root's units are the system's; take user: out")
    else:
        try:
            pwd.getpwnam(user)
        except KeyError:
            context.faults.warn(place, inside, f"there is no user {quote(tell(user))} on this machine")
        return str(user)
    return None


def _read_container(context: Context, table: Table, path: str) -> str:
    """The container that the unit runs, by its name; "" for none."""
    entry = table.entries.get("container")
    if entry is None:
        return ""
    inside, place = f"{path}.container", entry.value.place
    name = context.options.read(entry.value, str, inside)
    if name is MISSING:
        return ""
    if "unit" not in table.entries:
        context.options.refuse(entry.key.place, inside, "says what the unit runs, and there is none; state unit: beside it")
    elif not CONTAINER.fullmatch(name):
        text = f"{quote(tell(name))} is no name of a container; it takes letters, digits, _ . - and begins with a letter or a digit"
        context.options.refuse(place, inside, text)
    return str(name)


def _judge_unit(text: str) -> str:
    """What is wrong with the name of a unit, or nothing."""
    if not _UNIT.fullmatch(text) or len(text) > 247 or text.startswith("."):
        return r"is no name of a unit; it takes letters, digits, : _ . \ @ - and does not begin with - or ."
    if text.endswith(_OTHER_UNITS):
        return "is not a service; only units that end in .service are watched"
    if text.removesuffix(".service").endswith("@"):
        return "is a template; name an instance, such as name@1.service"
    return ""


def _read_probes(
    context: Context, table: Table, path: str, scope: Scope, unit: Scalar | None
) -> tuple[dict[str, str | None], tuple[ProbeConfig, ...]]:
    """Name to kind of all probes, faulty ones too, and the probes. A service with a unit has the probe `unit` without being told."""
    entry = table.entries.get("probes")
    inside = f"{path}.probes"
    named = context.options.read_table(entry.value, inside) if entry else None
    entries = named.entries if named else {}
    kinds = {name: _judge_kind(context, one, f"{inside}.{name}", scope, unit is not None) for name, one in entries.items()}
    read = [read_probe(context, one, f"{inside}.{name}") for name, one in entries.items()]
    kinds |= dict.fromkeys(_check_declared(context, entries, kinds, read, inside))
    for kind in ("unit",) if scope.service is not None else _ONCE:
        _check_once(context, [entries[name] for name in kinds if kinds[name] == kind], kind, inside)
    if unit is not None and "unit" not in kinds.values():
        if "unit" in entries:
            text = "this name belongs to the probe of kind unit; choose another"
            context.options.refuse(entries["unit"].key.place, f"{inside}.unit", text)
        kinds = {"unit": "unit", **kinds}
        read.insert(0, make_probe(context, "unit", "unit", unit, f"{inside}.unit"))
    return kinds, tuple(probe for probe in read if probe is not None)


def _check_once(context: Context, probes: Sequence[Entry], kind: str, path: str) -> None:
    """Of two that give the same series each would overwrite what the other has seen."""
    for extra in probes[1:]:
        text = f"{_ONCE[kind]}; {probes[0].key.text} does that already"
        context.options.refuse(extra.key.place, f"{path}.{extra.key.text}", text)


def _check_declared(
    context: Context, entries: Mapping[str, Entry], kinds: Mapping[str, str | None], read: Iterable[ProbeConfig | None], path: str
) -> list[str]:
    """Tells metrics that a probe's options name although somebody else gives them. Gives the probes whose options nobody knows."""
    probes = {probe.name: probe for probe in read if probe is not None}
    naming = [name for name, kind in kinds.items() if kind and _names_metrics(kind)]
    givers: dict[str, str] = {}
    for name in naming:
        for metric in getattr(probes[name].probe, "metrics", ()) if name in probes else ():
            if metric in givers or is_ours(metric):
                giver = "the watchdog itself" if is_ours(metric) else f"the probe {givers[metric]}"
                fault = f"{quote(metric)} is given by {giver} already; choose another name"
                context.options.refuse(entries[name].key.place, f"{path}.{name}.metrics", fault)
            givers[metric] = name
    return [name for name in naming if name not in probes]


def _names_metrics(kind: str) -> bool:
    return any(option.name == "metrics" for option in list_options(find_kind("probes", kind)))


def _judge_kind(context: Context, entry: Entry, path: str, scope: Scope, has_unit: bool) -> str | None:
    """The kind of a probe, None where it is not one of ours; a kind in the wrong place is told."""
    if not isinstance(entry.value, Table):
        return None
    found = context.read_kind("probes", entry.value, entry, path)
    if found is None:
        return None
    place = entry.value.entries["kind"].value.place
    if found[0] in OF_A_UNIT and not has_unit:
        where = "put this probe under a service that has one" if scope.service is None else "state unit: beside probes:"
        context.options.refuse(place, f"{path}.kind", f"there is no unit here to ask about; {where}")
    if getattr(found[1], "for_host", False) and scope.service is not None:
        whole = "the host is" if found[0] == "host" else "the GPUs of the host are"
        context.options.refuse(place, f"{path}.kind", f"{whole} no part of a service; put this probe under host:")
    if getattr(found[1], "for_service", False) and scope.service is None:
        text = "is of a service: it is sent while that has nothing else to do; put this probe under one"
        context.options.refuse(place, f"{path}.kind", text)
    return found[0]


def _read_recovery(
    context: Context, service: Entry, table: Table, path: str, has_unit: bool
) -> tuple[str, Recovery, Seconds | None, BackoffPolicy, BreakerPolicy] | None:
    """Kind, recovery, stable, backoff and breaker. None where one of them is faulty."""
    options, inside, entry = context.options, f"{path}.recovery", table.entries.get("recovery")
    own = options.read_table(entry.value, inside) if entry else Table({}, service.key.place)
    if own is None:
        return None
    at = entry or service
    if "kind" not in own.entries and has_unit:
        word, cls = "systemctl", find_kind("recoveries", "systemctl")
    elif "kind" not in own.entries:
        options.refuse(service.key.place, path, "nothing could restart it; it needs a unit, or a recovery of kind command")
        return None
    else:
        found = context.read_kind("recoveries", own, at, inside)
        if found is None:
            return None
        word, cls = found
    if word == "systemctl" and not has_unit:
        options.refuse(own.entries["kind"].value.place, f"{inside}.kind", "systemctl needs a unit; state unit: beside recovery:")
    names = [option.name for option in list_options(cls)]
    options.check_keys(own.entries, inside, ["kind", "stable", "backoff", "breaker", *names])
    stable = _read_duration(context, {**context.defaults.recovery, **own.entries}, "stable", inside)
    backoff = _read_policy(context, own, "backoff", BackoffPolicy, context.defaults.backoff, inside)
    breaker = _read_policy(context, own, "breaker", BreakerPolicy, context.defaults.breaker, inside)
    recovery = options.build(cls, {name: own.entries[name] for name in names if name in own.entries}, inside, at.key.place)
    return (word, recovery, stable, backoff, breaker) if recovery is not None and backoff and breaker else None


def _read_policy(context: Context, own: Table, name: str, cls: type[Any], defaults: Mapping[str, Entry], path: str) -> Any | None:
    """`backoff` or `breaker`, with `defaults:` under it."""
    options, inside, entry = context.options, f"{path}.{name}", own.entries.get(name)
    table = options.read_table(entry.value, inside) if entry else Table({}, own.place)
    if table is None:
        return None
    options.check_keys(table.entries, inside, (option.name for option in list_options(cls)))
    merged = {**defaults, **table.entries}
    policy = options.build(cls, merged, inside, entry.key.place if entry else own.place)
    for part in ("per", "retry_after"):
        if policy is not None and getattr(policy, part, 1) == 0:
            options.refuse(merged[part].value.place, f"{inside}.{part}", "must be longer than 0s")
    return policy


def _read_duration(context: Context, entries: Mapping[str, Entry], name: str, path: str, least: float = 0.0) -> Seconds | None:
    entry = entries.get(name)
    return context.read_duration(entry, f"{path}.{name}", least) if entry else None
