"""Patterns of the user's over text that anybody may have written: RE2, whose time grows with the text and never with the pattern."""

from collections.abc import Callable, Iterator
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
            raise ValueError(_explain(written, error)) from None
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
        _compile(written)  # what is wrong is said of what was written
        self._compiled = _compile(f"(?s:{written})")

    def matches(self, text: str) -> bool:
        return self._compiled.fullmatch(text) is not None

    def find_groups(self, text: str) -> dict[str, str] | None:
        """What its groups found, by number and by name; None where it does not match."""
        found = self._compiled.fullmatch(text)
        return None if found is None else _name_groups(self._compiled, found)


class Anywhere:
    """A compiled pattern that is looked for anywhere in a text, as in templates. Raises ValueError as `Pattern`."""

    def __init__(self, written: str) -> None:
        self._compiled = _compile(written)

    def is_in(self, text: str) -> bool:
        return self._compiled.search(text) is not None

    def replace(self, text: str, by: Callable[[dict[str, str]], str]) -> str:
        """Each match replaced by what its groups (by number and by name) become."""
        return "".join(self._pieces(text, by))

    def _pieces(self, text: str, by: Callable[[dict[str, str]], str]) -> Iterator[str]:
        place = 0
        for found in self._compiled.finditer(text):
            yield text[place : found.start()]
            yield by(_name_groups(self._compiled, found))
            place = found.end()
        yield text[place:]


def _compile(written: str) -> Any:
    try:
        return re2.compile(written, _SILENT)
    except re2.error as error:
        raise ValueError(_explain(written, error)) from None


def _explain(written: str, error: Exception) -> str:
    said = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
    return f'"{written}" cannot be used: {said}; patterns are RE2, without look-around and references back'


def _name_groups(compiled: Any, found: Any) -> dict[str, str]:
    """What the groups found, by number and by name. A group that took no part found nothing: ""."""
    groups = {str(number): found.group(number) or "" for number in range(compiled.groups + 1)}
    return groups | {name: groups[str(number)] for name, number in compiled.groupindex.items()}
