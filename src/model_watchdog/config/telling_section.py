"""`notifiers:`, and what goes with telling: `maintenance:`, `digest:`, `report:`, `heartbeat:`."""

import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Items
from model_watchdog.config.faults import quote, suggest
from model_watchdog.config.masking import MASK
from model_watchdog.config.model import Digest, Heartbeat, NotifierConfig, Report, Window
from model_watchdog.config.options import MISSING, list_options
from model_watchdog.config.sources import tell
from model_watchdog.core.routes import HOST, Route, is_covered
from model_watchdog.core.units import Secret
from model_watchdog.notifiers import Notifier

WISHES = {option.name: option.hint for option in list_options(Route) if option.name != "name"}
"""What every notifier may be asked for, whatever its kind."""
FOR_PEOPLE = "is for people; kind: alertmanager takes each alert and its end, and repeats and routes them by itself"


def read_notifiers(context: Context, entries: Mapping[str, Entry], services: Collection[str], ask: bool) -> dict[str, NotifierConfig]:
    """All notifiers. `services` are the names that there are, `ask` has each library say whether it understands its address."""
    options, notifiers = context.options, dict[str, NotifierConfig]()
    for name, entry in entries.items():
        path = f"notifiers.{name}"
        context.check_name(entry.key, path)
        table = options.read_table(entry.value, path)
        found = context.read_kind("notifiers", table, entry, path) if table else None
        if table is None or found is None:
            continue
        word, cls = found
        names = [option.name for option in list_options(cls)]
        options.check_keys(table.entries, path, ["kind", *WISHES, *names], "notifier")
        route = _read_route(context, table.entries, path, entry)
        _check_services(context, table.entries.get("services"), f"{path}.services", services)
        gaps = options.gaps
        notifier = options.build(cls, {key: table.entries[key] for key in names if key in table.entries}, path, entry.key.place)
        if ask and notifier is not None and options.gaps == gaps:
            _ask_library(context, notifier, table.entries.get("url", entry), f"{path}.url")
        if notifier is not None and route is not None:
            notifiers[name] = NotifierConfig(name, word, notifier, route.min_severity, route)
            for wish in ("group_wait", "repeat_every", "escalate") if notifiers[name].takes_each else ():
                if wish in table.entries:
                    options.refuse(table.entries[wish].key.place, f"{path}.{wish}", FOR_PEOPLE)
    _check_escalations(context, entries, notifiers)
    return notifiers


def read_maintenance(context: Context, entry: Entry | None, services: Collection[str]) -> tuple[Window, ...]:
    """`maintenance:`, a list of windows."""
    if entry is None:
        return ()
    if not isinstance(entry.value, Items):
        context.options.refuse(entry.value.place, "maintenance", "expected a list of windows in [ ]")
        return ()
    windows = []
    for number, item in enumerate(entry.value.items):
        path, gaps = f"maintenance[{number}]", context.options.gaps
        read = context.options.read(item, Window, path)
        entries = getattr(item, "entries", {})
        _check_services(context, entries.get("services"), f"{path}.services", services)
        if read is not MISSING and context.options.gaps == gaps:
            if read.cron is not None and (fault := _check_cron(read.cron)):
                text = f"{quote(tell(read.cron))} is no cron expression: {fault}"
                context.options.refuse(entries["cron"].value.place, f"{path}.cron", text)
            windows.append(read)
    return tuple(windows)


def read_digest(context: Context, entry: Entry | None, notifiers: Mapping[str, NotifierConfig], names: Collection[str]) -> Digest | None:
    """`digest:`, or none. `names` are those of all notifiers, faulty ones too."""
    read = context.options.read(entry.value, Digest, "digest") if entry else MISSING
    if not isinstance(read, Digest) or entry is None:
        return None
    for name in read.to:
        if name not in names:
            context.options.refuse(entry.value.place, "digest.to", f"there is no notifier {quote(tell(name))}{suggest(name, names)}")
        elif name in notifiers and notifiers[name].takes_each:
            context.options.refuse(entry.value.place, "digest.to", FOR_PEOPLE)
    return read


def read_report(context: Context, entry: Entry | None, notifiers: Mapping[str, NotifierConfig], names: Collection[str]) -> Report | None:
    """`report:`, or none. `names` are those of all notifiers, faulty ones too."""
    read = context.options.read(entry.value, Report, "report") if entry else MISSING
    if not isinstance(read, Report) or entry is None:
        return None
    listed = getattr(getattr(getattr(entry.value, "entries", {}).get("to"), "value", None), "items", ())
    for number, (name, item) in enumerate(zip(read.to, listed, strict=True)):
        if name not in names:
            text = f"there is no notifier {quote(tell(name))}{suggest(name, names)}"
            context.options.refuse(item.place, f"report.to[{number}]", text)
        elif name in notifiers and notifiers[name].takes_each:
            context.options.refuse(item.place, f"report.to[{number}]", FOR_PEOPLE)
    return read


def read_heartbeat(context: Context, entry: Entry | None) -> Heartbeat | None:
    """`heartbeat:`, or none."""
    read = context.options.read(entry.value, Heartbeat, "heartbeat") if entry else MISSING
    if not isinstance(read, Heartbeat) or entry is None:
        return None
    from model_watchdog.asking import find_faults  # it loads what asks, which nothing else of a configuration may need

    for fault in find_faults(read):
        context.options.refuse(entry.value.place, "heartbeat", fault)
    return read


def _check_cron(text: str) -> str:
    """What is wrong with it, or nothing."""
    from model_watchdog.schedule import check_cron  # only where there is one

    return check_cron(text)


def _read_route(context: Context, entries: Mapping[str, Entry], path: str, entry: Entry) -> Route | None:
    """What it wants to hear, and when. None where that is faulty."""
    options, given, is_whole = context.options, dict[str, Any](), True
    for name, hint in WISHES.items():
        if name in entries:
            value = options.read(entries[name].value, hint, f"{path}.{name}")
            if value is MISSING:
                is_whole = False
            else:
                given[name] = value
    if not is_whole:
        return None
    try:
        return Route("", **given)
    except ValueError as error:
        options.refuse(entry.key.place, path, str(error))
        return None


def _check_services(context: Context, entry: Entry | None, path: str, services: Collection[str]) -> None:
    """A pattern that no service is like is a slip of the pen."""
    if entry is None or not isinstance(entry.value, Items):
        return
    for number, item in enumerate(entry.value.items):
        text = getattr(item, "text", "")
        if text and "$" not in text and not any(is_covered([text], name) for name in (*services, None)):
            near = suggest(text, [*services, HOST])
            context.options.refuse(item.place, f"{path}[{number}]", f"no service is like {quote(tell(text))}{near}")


def _check_escalations(context: Context, entries: Mapping[str, Entry], notifiers: Mapping[str, NotifierConfig]) -> None:
    for config in notifiers.values():
        wish = config.wishes.escalate
        if wish is None or (wish.to in entries and wish.to != config.name and not (wish.to in notifiers and notifiers[wish.to].takes_each)):
            continue
        others: Iterable[str] = [name for name in entries if name != config.name]
        text = f"there is no notifier {quote(tell(wish.to))}{suggest(wish.to, others)}"
        if wish.to == config.name:
            text = "is this notifier itself; name another"
        elif wish.to in notifiers:
            text = FOR_PEOPLE
        context.options.refuse(entries[config.name].key.place, f"notifiers.{config.name}.escalate.to", text)


def _ask_library(context: Context, notifier: Notifier, entry: Entry, path: str) -> None:
    """The notifier's library knows best whether it understands an address; the kind's `check_url` asks it in a child process."""
    check = getattr(sys.modules[type(notifier).__module__], "check_url", None)
    url = getattr(notifier, "url", None)
    if check is None or not isinstance(url, Secret) or MASK in url.reveal():  # nothing to ask, or written by `check --show`
        return
    fault = check(url.reveal())
    if fault:
        context.options.refuse(entry.value.place, path, fault)
