"""What probes keep in the record."""

from collections.abc import Mapping

from model_watchdog import writes as record
from model_watchdog.probes import Notebook
from model_watchdog.store import NOTE, Store
from model_watchdog.writes import Write


def keep_notes(kept: Mapping[str, str]) -> list[Write]:
    """All of them, by service and name of the probe, for a record that has begun anew."""
    return [record.setting(NOTE + owner, text) for owner, text in kept.items()]


class StoredNotes(Notebook):
    """The note of one probe, `owner` being its service and its name.

    `kept` holds all notes, read once at the start of the daemon: the record may be slow, or behind what was put into it.
    """

    def __init__(self, store: Store, kept: dict[str, str], owner: str) -> None:
        super().__init__()
        self._store = store
        self._kept = kept
        self._owner = owner

    def get(self) -> str | None:
        return self._kept.get(self._owner)

    def set(self, text: str) -> None:
        self._kept[self._owner] = text
        self._store.put(*keep_notes({self._owner: text}))
