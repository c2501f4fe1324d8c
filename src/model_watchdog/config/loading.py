"""From the file to a `Config`: every fault in one go, each with its line and column."""

import os
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path

from model_watchdog.config import document
from model_watchdog.config.context import Context, Defaults
from model_watchdog.config.document import Entry, Table
from model_watchdog.config.faults import Faults, InvalidConfig, Place, quote, suggest
from model_watchdog.config.files import read_config
from model_watchdog.config.including import include
from model_watchdog.config.kinds import find_kind
from model_watchdog.config.masking import mask_url
from model_watchdog.config.model import Config, RecordConfig, ServiceConfig
from model_watchdog.config.options import MISSING, Options, list_options
from model_watchdog.config.probe_section import COMMON
from model_watchdog.config.service_section import read_host, read_service
from model_watchdog.config.sources import Sources, tell
from model_watchdog.config.telling_section import read_digest, read_heartbeat, read_maintenance, read_notifiers, read_report
from model_watchdog.core.breaker import BackoffPolicy, BreakerPolicy
from model_watchdog.core.units import Seconds
from model_watchdog.language import LANGUAGES

__all__ = ["InvalidConfig", "load", "load_here", "mask_url"]

KEYS = (
    *("include", "defaults", "services", "host", "rule_files"),
    *("notifiers", "maintenance", "digest", "report", "heartbeat", "language", "record"),
)


def load(
    path: Path,
    *,
    environment: Mapping[str, str],
    credentials_dir: Path | None,
    strict_secrets: bool,
    ask_notifiers: bool = False,
) -> Config:
    """Reads a configuration. Raises `InvalidConfig`, a `ConfigError` that holds every fault.

    A variable, file or credential that is not there is a fault where `strict_secrets`, else one of `Config.warnings`;
    what needs it is then left out, or holds a placeholder. `credentials_dir` is systemd's `$CREDENTIALS_DIRECTORY`.
    `ask_notifiers` starts a child process for each notifier, which says whether its address is understood.
    """
    text = read_config(path)
    faults = Faults(path)
    root = document.parse(text, faults)
    options = Options(faults, Sources(environment, credentials_dir), strict_secrets)
    literal = Options(faults, None)
    root = include(root, options)
    options.check_keys(root.entries, "", KEYS, "file")
    entry = root.entries.get("record")
    record = options.read(entry.value, RecordConfig, "record") if entry else RecordConfig()
    kept = record.raw if isinstance(record, RecordConfig) else inf
    context = Context(faults, options, literal, _read_defaults(Context(faults, options, literal), root), kept)
    services = _read_services(context, root)
    host = read_host(context, root.entries.get("host"), root.place)
    rule_files: tuple[Path, ...] = ()
    if "rule_files" in root.entries or context.expressions:
        from model_watchdog.config import expr_section  # what it needs takes 6 MB, and few have expressions

        files = expr_section.read_rule_files(context, root.entries.get("rule_files"), host.rules)
        host = replace(host, rules=(*host.rules, *files.rules), probes=(*host.probes, *files.probes))
        rule_files = files.paths
        expr_section.warn_of_unknown(context, *expr_section.list_measured(services.values(), host, files.recorded))
    names, named = list(_read_section(context, root, "services")), _read_section(context, root, "notifiers")
    notifiers = read_notifiers(context, named, names, ask_notifiers)
    maintenance = read_maintenance(context, root.entries.get("maintenance"), names)
    digest = read_digest(context, root.entries.get("digest"), notifiers, list(named))
    report = read_report(context, root.entries.get("report"), notifiers, list(named))
    heartbeat = read_heartbeat(context, root.entries.get("heartbeat"))
    language = _read_language(context, root)
    faults.raise_if_any()
    return Config(
        path,
        services,
        host,
        notifiers,
        language,
        record,
        faults.warnings,
        tuple(path for path in faults.files[1:] if path not in rule_files),
        maintenance,
        digest,
        heartbeat,
        rule_files,
        report,
    )


def load_here(path: Path, *, ask_notifiers: bool = False) -> Config:
    """As the daemon reads it: with this process's variables and systemd's credentials; one that is not there is a fault."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    directory = Path(credentials) if credentials else None
    return load(path, environment=os.environ, credentials_dir=directory, strict_secrets=True, ask_notifiers=ask_notifiers)


def load_here_leniently(path: Path) -> Config:
    """The same to look at, and not to act on: what is not set here is left out."""
    return load(path, environment=os.environ, credentials_dir=None, strict_secrets=False)


def _read_services(context: Context, root: Table) -> dict[str, ServiceConfig]:
    services, units = {}, dict[str, tuple[str, Place]]()
    for name, entry in _read_section(context, root, "services").items():
        service = read_service(context, entry, f"services.{name}", units)
        if service is not None:
            services[name] = service
    return services


def _read_section(context: Context, root: Table, name: str) -> Mapping[str, Entry]:
    """A part of the file, empty where it is not there."""
    entry = root.entries.get(name)
    table = context.options.read_table(entry.value, name) if entry else None
    return table.entries if table else {}


def _read_language(context: Context, root: Table) -> str:
    entry = root.entries.get("language")
    language = context.options.read(entry.value, str, "language") if entry else "en"
    if language in (*LANGUAGES, MISSING):
        return language if language in LANGUAGES else "en"
    if entry:
        context.options.refuse(entry.value.place, "language", f"{quote(tell(language))} is not spoken here{suggest(language, LANGUAGES)}")
    return "en"


def _read_defaults(context: Context, root: Table) -> Defaults:
    """`defaults:`, each value checked once, here; what is faulty is left out."""
    entries = _read_section(context, root, "defaults")
    own = _keep_valid(
        context,
        entries,
        dict.fromkeys(("startup", "startup_max", "stall_after", "busy_patience"), Seconds),
        "defaults",
        ("probes", "recovery"),
    )
    probes = {}
    for word, entry in _read_part(context, entries, "probes", "defaults").items():
        path = f"defaults.probes.{word}"
        try:
            cls = find_kind("probes", word)
        except ValueError as error:
            context.options.refuse(entry.key.place, path, str(error))
            continue
        hints = {option.name: option.hint for option in list_options(cls)} | dict.fromkeys(COMMON, Seconds)
        table = context.options.read_table(entry.value, path)
        probes[word] = _keep_valid(context, table.entries if table else {}, hints, path)
    recovery = _read_part(context, entries, "recovery", "defaults")
    inside = "defaults.recovery"
    stable = _keep_valid(context, recovery, {"stable": Seconds}, inside, ("backoff", "breaker"))
    policies = []
    for name, policy in (("backoff", BackoffPolicy), ("breaker", BreakerPolicy)):
        hints = {option.name: option.hint for option in list_options(policy)}
        policies.append(_keep_valid(context, _read_part(context, recovery, name, inside), hints, f"{inside}.{name}"))
    return Defaults(own, probes, stable, *policies)


def _read_part(context: Context, entries: Mapping[str, Entry], name: str, path: str) -> Mapping[str, Entry]:
    entry = entries.get(name)
    table = context.options.read_table(entry.value, f"{path}.{name}") if entry else None
    return table.entries if table else {}


def _keep_valid(
    context: Context, entries: Mapping[str, Entry], hints: Mapping[str, object], path: str, others: tuple[str, ...] = ()
) -> dict[str, Entry]:
    """The entries whose values are what their hints want; each of the others becomes a fault (or a warning)."""
    options = context.options
    options.check_keys(entries, path, [*hints, *others])
    kept = {}
    for name, entry in entries.items():
        gaps = options.gaps
        if name in hints and options.read(entry.value, hints[name], f"{path}.{name}") is not MISSING and options.gaps == gaps:
            kept[name] = entry
    return kept
