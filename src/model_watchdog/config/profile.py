"""`server:`: what is known of a model server, put under what the file says of the service. A profile is data: `profiles/NAME.yaml`.

A profile is a piece of the file itself, with `{url}` where the service's own goes, so it is read, and checked, as if the user had
written it. What the user has written stands: a key of the service, a probe or a rule of the same name takes the profile's place, a probe
that does not say its `kind` changes the profile's, and `off` takes one of its probes or rules away.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from model_watchdog.config import document
from model_watchdog.config.context import Context
from model_watchdog.config.document import Entry, Items, Node, Scalar, Table
from model_watchdog.config.faults import Faults, Place, quote, suggest
from model_watchdog.config.options import MISSING
from model_watchdog.config.sources import tell

FOLDER = "model_watchdog.profiles"
_URL, _HOST = "{url}", "{host}"
"""The service's address as stated, and without its port."""
_PORT = re.compile(r":[0-9]+(?:/.*)?$")
_ROOT = re.compile(r"(?<=[^/])/v1$")
"""What clients of OpenAI's API call the base: the server's own pages lie beside it."""
_PAGES = re.compile(r"(?<=[^/])/(?:v1/.*|health(?:z|_generate)?|metrics|api/.*|v2/.*)$")
"""Paths of pages: the address of one is not that of its server."""


@cache
def list_servers() -> tuple[str, ...]:
    """The model servers of which there is a profile."""
    return tuple(sorted(Path(file.name).stem for file in resources.files(FOLDER).iterdir() if file.name.endswith(".yaml")))


def expand(context: Context, table: Table, path: str) -> Table:
    """The service with its profile under it; itself where it names no server, or one that nobody knows."""
    entry, url = table.entries.get("server"), table.entries.get("url")
    own = {name: one for name, one in table.entries.items() if name not in ("server", "url")}
    if entry is None:
        if url is not None:
            text = "is where the probes of a server: go, and there is none; give the probe its own url, or state server: beside it"
            context.options.refuse(url.key.place, f"{path}.url", text)
        return Table(own, table.place)
    server = context.options.read(entry.value, str, f"{path}.server")
    if server is MISSING:
        return Table(own, table.place)
    if server not in list_servers():
        text = f"there is no profile of {quote(tell(server))}{suggest(server, list_servers())}"
        context.options.refuse(entry.value.place, f"{path}.server", text)
        return Table(own, table.place)
    if url is None or not isinstance(url.value, Scalar):
        text = f"is missing; server: {server} needs the address that it serves, such as url: http://127.0.0.1:8000"
        context.options.refuse((url or entry).key.place, f"{path}.url", text)
        return Table(own, table.place)
    if server != "http" and (page := _PAGES.search(url.value.text.rstrip("/"))):
        text = f"is the address of a page; take {page[0]} away, for the profile of {server} knows its pages"
        context.options.refuse(url.value.place, f"{path}.url", text)
        return Table(own, table.place)
    profile = _fill(_read(server), _ROOT.sub("", url.value.text.rstrip("/")), entry.value.place)
    assert isinstance(profile, Table)
    return Table(_merge(profile.entries, own), table.place)


@cache
def _read(server: str) -> Table:
    file = resources.files(FOLDER) / f"{server}.yaml"
    return document.parse(file.read_text("utf-8"), Faults(Path(str(file))))


def _merge(profile: Mapping[str, Entry], own: Mapping[str, Entry]) -> dict[str, Entry]:
    """A probe that is `off` is none; a rule of the profile goes where what it looks at is measured no longer."""
    merged = {**profile, **own}
    under, above = _entries(profile, "probes"), _entries(own, "probes")
    above = {name: _complete(entry, under[name]) if name in under else entry for name, entry in above.items()}
    changed = [(entry, above[name]) for name, entry in under.items() if name in above]
    probes = {name: entry for name, entry in {**under, **above}.items() if not (name in under and _is_off(entry))}
    rules = {
        name: entry
        for name, entry in _entries(profile, "rules").items()
        if not any(_gives(old, entry) and not _gives(new, entry) for old, new in changed)
    }
    for name, entries in (("probes", probes), ("rules", {**rules, **_entries(own, "rules")})):
        stated = own.get(name, profile.get(name))
        if stated is not None and (name not in own or isinstance(own[name].value, Table)):
            merged[name] = Entry(stated.key, Table(entries, stated.value.place))
    return merged


def _complete(entry: Entry, by: Entry) -> Entry:
    """A probe that does not say its kind is the profile's, with these options; one that says it takes its place."""
    if not isinstance(entry.value, Table) or not isinstance(by.value, Table) or "kind" in entry.value.entries:
        return entry
    return Entry(entry.key, Table({**by.value.entries, **entry.value.entries}, entry.value.place))


def _entries(table: Mapping[str, Entry], name: str) -> Mapping[str, Entry]:
    value = table[name].value if name in table else None
    return value.entries if isinstance(value, Table) else {}


def _is_off(entry: Entry) -> bool:
    return isinstance(entry.value, Scalar) and entry.value.plain and entry.value.text == "off"


def _gives(probe: Entry, rule: Entry) -> bool:
    """Whether a rule of a profile looks at what this probe of it measures."""
    kind, metric = (_text(entry, key) for entry, key in ((probe, "kind"), (rule, "metric")))
    named = _entries(probe.value.entries, "metrics") if isinstance(probe.value, Table) else {}
    return metric in named or (kind == "canary" and metric.startswith("canary_"))


def _text(entry: Entry, key: str) -> str:
    value = entry.value.entries[key].value if isinstance(entry.value, Table) and key in entry.value.entries else None
    return value.text if isinstance(value, Scalar) else ""


def _fill(node: Node, url: str, place: Place) -> Node:
    """The same at `place`, with the service's address in it: what is wrong with it is wrong there."""
    if isinstance(node, Scalar):
        text = node.text.replace(_URL, url).replace(_HOST, _PORT.sub("", url))
        return Scalar(text, node.plain and text == node.text, place)
    if isinstance(node, Items):
        return Items(tuple(_fill(one, url, place) for one in node.items), place)
    filled = ((name, Scalar(one.key.text, one.key.plain, place), _fill(one.value, url, place)) for name, one in node.entries.items())
    return Table({name: Entry(key, value) for name, key, value in filled}, place)
