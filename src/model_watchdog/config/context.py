"""What the readers of the sections share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model_watchdog.config.document import Entry, Scalar, Table
from model_watchdog.config.faults import Faults, Place, quote
from model_watchdog.config.kinds import find_kind, list_kinds
from model_watchdog.config.options import MISSING, Options
from model_watchdog.config.sources import tell
from model_watchdog.config.values import write_seconds
from model_watchdog.core.units import Seconds

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Defaults:
    """The valid part of `defaults:`; each entry lies under a service's own of the same name."""

    service: Mapping[str, Entry] = field(default_factory=dict)
    probes: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    recovery: Mapping[str, Entry] = field(default_factory=dict)
    backoff: Mapping[str, Entry] = field(default_factory=dict)
    breaker: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """`options` replaces variables, `literal` (for rules) does not; both add to the same faults. Samples are `kept` so many seconds."""

    faults: Faults
    options: Options
    literal: Options
    defaults: Defaults = field(default_factory=Defaults)
    kept: float = float("inf")
    expressions: list[tuple[Place, str, Any]] = field(default_factory=list)
    """Place, path and expression of every rule that has one."""

    def read_duration(self, entry: Entry, path: str, least: float = 0.0) -> Seconds | None:
        """A duration of at least `least` seconds. None where it is faulty."""
        value = self.options.read(entry.value, Seconds, path)
        if value is MISSING:
            return None
        if value < least:
            self.options.refuse(entry.value.place, path, f"must be at least {write_seconds(least)}")
            return None
        return Seconds(value)

    def read_kind(self, folder: str, table: Table, entry: Entry, path: str) -> tuple[str, type[Any]] | None:
        """The word and class of `kind:`; `entry` is the mapping's place."""
        kind = table.entries.get("kind")
        if kind is None:
            self.options.refuse(entry.key.place, f"{path}.kind", f"is missing; there is {', '.join(list_kinds(folder))}")
            return None
        word = self.options.read(kind.value, str, f"{path}.kind")
        if word is MISSING:
            return None
        try:
            return str(word), find_kind(folder, word)
        except ValueError as error:
            self.options.refuse(kind.value.place, f"{path}.kind", str(error).replace(quote(word), quote(tell(word))))
            return None

    def check_name(self, key: Scalar, path: str) -> None:
        """Names end up in labels, on command lines and in messages."""
        if not NAME.fullmatch(key.text):
            self.options.refuse(
                key.place, path, f"{quote(key.text)} is no name; it takes letters and digits, and after the first of them _ . -"
            )
