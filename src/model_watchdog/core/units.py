"""Types of values in the configuration; `config.loading` knows how each is written."""

from typing import NewType

Seconds = NewType("Seconds", float)
"""A duration: `500ms 10s 5m 2h 7d` in the YAML."""

Bytes = NewType("Bytes", int)
"""A size: `512MiB 20GB` in the YAML."""

Number = NewType("Number", float)
"""A level in a rule: a plain number, a duration (as seconds), a size (as bytes) or a share (`90%` as 90)."""


class Secret(str):
    """A text that is never shown: `repr` and `format` mask it; `reveal` gives it to the one call that needs it."""

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def reveal(self) -> str:
        """The text itself."""
        return str.__str__(self)


class Url(str):
    """An address that may carry a password; shown through `config.loading.mask_url`, never by `repr`."""

    def __repr__(self) -> str:
        return "Url('***')"
