"""`heartbeat`, `work`, `attempts` and `stall_after` of a service."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Items, Table
from model_watchdog.config.faults import quote
from model_watchdog.config.model import ProbeConfig
from model_watchdog.config.options import MISSING
from model_watchdog.config.probe_section import SHORTEST
from model_watchdog.config.sources import tell
from model_watchdog.core.progress import ProgressPlan
from model_watchdog.core.sample import Selector

OF_PROGRESS = ("work", "attempts", "stall_after", "engine", "page_asks_engine")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def read_progress(context: Context, table: Table, path: str, kinds: Mapping[str, str | None]) -> ProgressPlan | None:
    """`heartbeat`, with `work`, `attempts` and `stall_after`; None where there is no heartbeat, or it is faulty."""
    entries, options = table.entries, context.options
    if "heartbeat" not in entries:
        for name in OF_PROGRESS:
            if name in entries:
                options.refuse(
                    entries[name].key.place, f"{path}.{name}", "needs heartbeat beside it: the counter of the steps that are done"
                )
        return None
    if "scrape" not in kinds.values():
        text = "comes from a page of metrics; add a probe of kind scrape, such as metrics: {kind: scrape, url: http://HOST:PORT/metrics}"
        options.refuse(entries["heartbeat"].key.place, f"{path}.heartbeat", text)
    heartbeat, work, attempts = (_read_names(context, entries.get(name), f"{path}.{name}") for name in ("heartbeat", "work", "attempts"))
    stated = {**context.defaults.service, **entries}.get("stall_after")
    stall_after = context.read_duration(stated, f"{path}.stall_after", SHORTEST) if stated else None
    if "work" not in entries and "attempts" not in entries:
        text = "needs work beside it: the gauges of what runs and waits, for a counter that stands still while nothing is asked is idle"
        options.refuse(entries["heartbeat"].key.place, f"{path}.heartbeat", text)
    if not heartbeat:
        return None
    plan = ProgressPlan(heartbeat, work, attempts, **_read_page(context, entries, path))
    return plan if stall_after is None else replace(plan, stall_after=stall_after)


def _read_page(context: Context, entries: Mapping[str, Entry], path: str) -> dict[str, Any]:
    """`engine` and `page_asks_engine`, as far as they are stated."""
    found: dict[str, Any] = {}
    for name, hint in (("engine", str), ("page_asks_engine", bool)):
        value = context.options.read(entries[name].value, hint, f"{path}.{name}") if name in entries else MISSING
        if value is MISSING:
            continue
        if hint is str and not _LABEL.fullmatch(str(value)):
            text = f"{quote(tell(str(value)))} is no name of a label; it takes letters, digits and _"
            context.options.refuse(entries[name].value.place, f"{path}.{name}", text)
        else:
            found[name] = value
    return found


def _read_names(context: Context, entry: Entry | None, path: str) -> tuple[str, ...]:
    """One metric, with matchers where not all of its series count; or a list of them."""
    if entry is None:
        return ()
    found = []
    for node in entry.value.items if isinstance(entry.value, Items) else (entry.value,):
        name = context.options.read(node, str, path)
        if name is MISSING:
            continue
        try:
            found.append(str(Selector.parse(name)))
        except ValueError:
            text = f'{quote(tell(name))} is no metric; write its name, which takes letters, digits, _ and :, or name{{label="value"}}'
            context.options.refuse(node.place, path, text)
    return tuple(found)


def keep_heartbeat(probe: ProbeConfig, progress: ProgressPlan | None) -> ProbeConfig:
    """A scrape keeps what tells the service's progress, without being told."""
    if progress is None or probe.kind != "scrape":
        return probe
    more = tuple(name for name in progress.names if not probe.probe.gives(name))  # type: ignore[attr-defined]
    return replace(probe, probe=replace(probe.probe, keep=(*probe.probe.keep, *more))) if more else probe  # type: ignore[attr-defined, type-var]
