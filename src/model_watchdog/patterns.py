"""Patterns of the user's over text that anybody may have written: RE2, whose time grows with the text and never with the pattern."""

import re2  # type: ignore[import-untyped]  # it has no types

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.never_nl = False


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
        """How often it is found."""
        return sum(1 for _ in self._compiled.finditer(text))

    def find_groups(self, text: bytes) -> list[dict[str, bytes]]:
        """The named groups of each place where it is found."""
        return [
            {name: found.group(number) for name, number in self.names.items() if found.group(number) is not None}
            for found in self._compiled.finditer(text)
        ]

    def replace(self, text: bytes, by: bytes) -> bytes:
        replaced: bytes = self._compiled.sub(by, text)
        return replaced
