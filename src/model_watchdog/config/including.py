"""`include:`: more files, whose services and notifiers stand beside those of the file that includes them."""

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from model_watchdog.config import document
from model_watchdog.config.document import Entry, Items, Table
from model_watchdog.config.faults import InvalidConfig, Place, quote
from model_watchdog.config.files import Refused, read_part
from model_watchdog.config.options import MISSING, Options

SHARED = ("services", "notifiers")
"""What every file may add to. Anything else is stated in one file only."""
MOST_FILES = 256
TOTAL_CAP = 1024 * 1024
"""Characters of all included files together."""
_PATTERN = re.compile(r"[*?\[]")


def include(root: Table, options: Options) -> Table:
    """The file with all that it includes, so that it can be read as one. What is wrong with it is added to the faults."""
    entry = root.entries.get("include")
    if entry is None:
        return root
    merged = {name: one for name, one in root.entries.items() if name != "include"}
    for _, table in read_files(entry, options, "include"):
        for name, one in table.entries.items():
            _merge(merged, name, one, options)
    return Table(merged, root.place)


def read_files(entry: Entry, options: Options, key: str) -> Iterator[tuple[Path, Table]]:
    """The files that a key names, those that can be read. What is wrong with the others is added to the faults."""
    faults, room = options.faults, TOTAL_CAP
    for path, place in _find_files(entry, options, key).items():
        part = len(faults.files)
        faults.files.append(path)
        try:
            text = read_part(path)
            room -= len(text)
            if room < 0:
                raise Refused(f"is too much: the included files may have {TOTAL_CAP} characters together")
            table = document.parse(text, faults, part)
        except FileNotFoundError:
            options.refuse(place, key, f"there is no file {path}")
        except Refused as error:
            options.refuse(Place(error.line, 1 if error.line else 0, part), "", str(error))
        except InvalidConfig:
            continue  # its faults are among the others by now
        else:
            yield path, table


def _find_files(entry: Entry, options: Options, key: str) -> dict[Path, Place]:
    """The files, in the order in which they are named and then by their names, each once, with the place that names it."""
    file = options.faults.files[0]
    base = file.resolve().parent if file.is_symlink() else file.parent  # `install` has the daemon read the file itself
    found, seen = dict[Path, Place](), {os.path.realpath(file)}
    for node in entry.value.items if isinstance(entry.value, Items) else (entry.value,):
        pattern = options.read(node, str, key)
        if pattern is MISSING:
            continue
        try:
            paths = _list_files(base, pattern)
        except ValueError as error:
            options.refuse(node.place, key, str(error))
            continue
        for path in paths:
            if os.path.realpath(path) not in seen:
                found[path] = node.place
                seen.add(os.path.realpath(path))
        if len(found) > MOST_FILES:
            options.refuse(node.place, key, f"names {len(found)} files; {MOST_FILES} are the most")
            return {}
    return found


def _list_files(base: Path, pattern: str) -> list[Path]:
    """What a pattern names, which may be nothing; a name without * ? [ is that file, whether it is there or not. Raises ValueError."""
    folder, _, name = pattern.rpartition("/")
    where = base / (folder or ("/" if pattern.startswith("/") else "."))
    if _PATTERN.search(folder):
        raise ValueError(f"{quote(pattern)}: * ? and [ stand in the last part of a path only, as in conf.d/*.yaml")
    if not _PATTERN.search(name):
        return [where / name]
    try:
        names = os.listdir(where)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error.strerror}; root and the group model-watchdog should be able to") from None
    hidden = name.startswith(".")
    return sorted(where / one for one in names if fnmatchcase(one, name) and one.startswith(".") == hidden)


def _merge(merged: dict[str, Entry], name: str, entry: Entry, options: Options) -> None:
    """Adds one key of an included file."""
    faults, before = options.faults, merged.get(name)
    if name == "include":
        options.refuse(entry.key.place, name, f"stands in {faults.files[0].name} only: an included file includes no other")
    elif before is None:
        merged[name] = entry
    elif name not in SHARED:
        _refuse_twice(entry, before, name, options)
    else:
        ours, theirs = options.read_table(before.value, name), options.read_table(entry.value, name)
        if ours is None or theirs is None:
            return
        together = dict(ours.entries)
        for key, one in theirs.entries.items():
            if together.setdefault(key, one) is not one:
                _refuse_twice(one, together[key], f"{name}.{key}", options)
        merged[name] = Entry(before.key, Table(together, ours.place))


def _refuse_twice(entry: Entry, before: Entry, path: str, options: Options) -> None:
    there = options.faults.point_to(before.key.place, entry.key.place)
    options.refuse(entry.key.place, path, f"is there twice; the first one is in {there}")
