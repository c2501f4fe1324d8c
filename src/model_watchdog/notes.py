"""What probes keep in the record."""

from model_watchdog import writes as record
from model_watchdog.probes import Notebook
from model_watchdog.store import Store


class StoredNotes(Notebook):
    """The note of one probe, `owner` being its service and its name. It is read once, and written with what is written next."""

    def __init__(self, store: Store, owner: str) -> None:
        super().__init__()
        self._store = store
        self._key = f"note {owner}"
        self._is_read = False

    def get(self) -> str | None:
        if not self._is_read:
            self._is_read, self._text = True, self._store.setting(self._key)
        return self._text

    def set(self, text: str) -> None:
        self._is_read, self._text = True, text
        self._store.put(record.setting(self._key, text))
