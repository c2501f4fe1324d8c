"""`probes:` of a service or of the host."""

from collections.abc import Mapping

from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Scalar, Table
from model_watchdog.config.model import ProbeConfig
from model_watchdog.config.options import list_options
from model_watchdog.config.values import write_seconds
from model_watchdog.core.units import Seconds

EVERY, TIMEOUT, RETRY_EVERY = Seconds(30.0), Seconds(5.0), Seconds(5.0)
SHORTEST = 0.1
COMMON = ("every", "timeout", "retry_every")


def read_probe(context: Context, entry: Entry, path: str) -> ProbeConfig | None:
    """One probe, with `defaults:` under its own options. None where it is faulty or holds what is not set here."""
    options = context.options
    context.check_name(entry.key, path)
    table = options.read_table(entry.value, path)
    found = context.read_kind("probes", table, entry, path) if table else None
    if table is None or found is None:
        return None
    word, cls = found
    names = [option.name for option in list_options(cls)]
    options.check_keys(table.entries, path, ["kind", *COMMON, *names])
    merged = {**context.defaults.probes.get(word, {}), **table.entries}
    every, timeout, retry_every = _read_timing(context, table, merged, getattr(cls, "default_every", EVERY), path)
    probe = options.build(cls, {name: merged[name] for name in names if name in merged}, path, entry.key.place)
    slow = getattr(probe, "max_duration", None)
    if slow is not None and slow > timeout:
        text = (
            f"{write_seconds(slow)} is longer than the timeout {write_seconds(timeout)}, so it is never reached; it must be at most timeout"
        )
        options.refuse(merged["max_duration"].value.place, f"{path}.max_duration", text)
    return ProbeConfig(entry.key.text, word, probe, every, timeout, retry_every) if probe is not None else None


def make_probe(context: Context, name: str, word: str, place: Scalar, path: str) -> ProbeConfig | None:
    """A probe that nobody has written down, of a kind that needs no options."""
    kind = Entry(Scalar("kind", True, place.place), Scalar(word, True, place.place))
    key = Scalar(name, True, place.place)
    return read_probe(context, Entry(key, Table({"kind": kind}, place.place)), path)


def _read_timing(
    context: Context, own: Table, merged: Mapping[str, Entry], default_every: Seconds, path: str
) -> tuple[Seconds, Seconds, Seconds]:
    """`every`, `timeout` and `retry_every`; the last two shrink to `every` where they are not stated."""
    every = _read(context, merged, "every", path, SHORTEST) or default_every
    timeout = _read(context, merged, "timeout", path, 0.001)
    retry_every = _read(context, merged, "retry_every", path, SHORTEST)
    if timeout and timeout > every:
        _refuse_timeout(context, own, merged, (timeout, every), path)
    if retry_every and retry_every > every and "retry_every" in own.entries:
        text = f"{write_seconds(retry_every)} is slower than every {write_seconds(every)}; after a failure it must not run less often"
        context.options.refuse(own.entries["retry_every"].value.place, f"{path}.retry_every", text)
    return every, timeout or min(TIMEOUT, every), min(retry_every or RETRY_EVERY, every)


def _refuse_timeout(context: Context, own: Table, merged: Mapping[str, Entry], timing: tuple[Seconds, Seconds], path: str) -> None:
    timeout, every = (write_seconds(seconds) for seconds in timing)
    place, rule = merged["timeout"].value.place, "timeout must be at most every"
    if "timeout" in own.entries:
        text = f"{timeout} is longer than every {every}, which is the default; {rule}"
        if "every" in merged:
            text = f"{timeout} is longer than every {every} ({context.faults.point_to(merged['every'].value.place, place)}); {rule}"
        context.options.refuse(place, f"{path}.timeout", text)
    elif "every" in own.entries:
        here = own.entries["every"].value.place
        text = f"{every} is shorter than the timeout {timeout} of defaults ({context.faults.point_to(place, here)}); {rule}"
        context.options.refuse(here, f"{path}.every", text)
    else:
        text = f"{timeout} is longer than every {every} of {path}; {rule}"
        context.options.refuse(place, "defaults.probes", text)


def _read(context: Context, entries: Mapping[str, Entry], name: str, path: str, least: float) -> Seconds | None:
    entry = entries.get(name)
    return context.read_duration(entry, f"{path}.{name}", least) if entry else None
