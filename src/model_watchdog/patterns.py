"""Patterns of the user's over text that anybody may have written: RE2, whose time grows with the text and never with the pattern."""

from collections.abc import Iterator
from typing import Any

import re2  # type: ignore[import-untyped]  # it has no types

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.never_nl = True  # no match goes beyond its line
_SILENT = re2.Options()
_SILENT.log_errors = False


class Pattern:
    """A compiled pattern over bytes. Raises ValueError for one that RE2 does not take (a look-around, a reference back)."""

    def __init__(self, written: str, *, each_line: bool = False) -> None:
        try:
            self._compiled = re2.compile((f"(?m){written}" if each_line else written).encode(), _OPTIONS)
        except re2.error as error:
            said = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
            raise ValueError(f'"{written}" cannot be used: {said}; patterns are RE2, without look-around and references back') from None
        self.names = {name.decode(): number for name, number in self._compiled.groupindex.items()}

    def count(self, text: bytes) -> int:
        """In how many lines it is found."""
        return sum(1 for _ in self._find(text))

    def find_groups(self, text: bytes) -> list[dict[str, bytes]]:
        """The named groups of the first match in each line that has one."""
        return [
            {name: found.group(number) for name, number in self.names.items() if found.group(number) is not None}
            for found in self._find(text)
        ]

    def replace(self, text: bytes, by: bytes) -> bytes:
        replaced: bytes = self._compiled.sub(by, text)
        return replaced

    def _find(self, text: bytes) -> Iterator[Any]:
        """The first match in each line. One search is linear, but a line full of matches costs its square: each may look at all of it."""
        place = 0
        while place < len(text) and (found := self._compiled.search(text, place)) is not None:
            yield found
            place = text.find(b"\n", found.end()) + 1
            if not place:
                return


class Whole:
    """A compiled pattern that a text must match from its first letter to its last, as a label's value must. Raises ValueError as `Pattern`.

    A dot stands for any letter, a line's end too.
    """

    def __init__(self, written: str) -> None:
        try:
            self._compiled = re2.compile(f"(?s:{written})", _SILENT)
        except re2.error as error:
            said = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
            raise ValueError(f'"{written}" cannot be used: {said}; patterns are RE2, without look-around and references back') from None

    def matches(self, text: str) -> bool:
        return self._compiled.fullmatch(text) is not None

    def find_groups(self, text: str) -> dict[str, str] | None:
        """What its groups found, by number and by name; None where it does not match. A group that took no part found nothing: ""."""
        found = self._compiled.fullmatch(text)
        if found is None:
            return None
        groups = {str(number): found.group(number) or "" for number in range(self._compiled.groups + 1)}
        return groups | {name: groups[str(number)] for name, number in self._compiled.groupindex.items()}
