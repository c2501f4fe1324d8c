"""Faults of a configuration: each with its place, all of them reported in one go."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from model_watchdog.errors import ConfigError
from model_watchdog.language import phrase, retell

MANY, FEW = 200, 15
"""How many words are compared with a misspelt one, and how many are listed where none is near."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column in a file, both counted from 1; line 0 is the file as a whole. `part` is the file's number in `Faults.files`."""

    line: int
    column: int
    part: int = 0


class InvalidConfig(ConfigError):
    """A configuration that cannot be used. `faults` and `warnings` are finished lines, `str()` is all the faults."""

    def __init__(self, faults: Iterable[str], warnings: Iterable[str] = ()) -> None:
        self.faults = tuple(faults)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(self.faults))


class Faults:
    """Collects what is wrong with a file, and with those that it includes; texts never hold a value that came from outside of them."""

    def __init__(self, file: Path) -> None:
        self.files = [file]
        self._faults: set[tuple[Place, str, str]] = set()
        self._warnings: set[tuple[Place, str, str]] = set()

    def add(self, place: Place, path: str, text: str) -> None:
        """`path` names the option, such as `services.chatglm.unit`, or is empty."""
        self._faults.add((place, path, text))

    def warn(self, place: Place, path: str, text: str) -> None:
        self._warnings.add((place, path, text))

    def describe(self, place: Place, path: str, text: str) -> str:
        """One line as `check` prints it."""
        where = str(self.files[place.part]) + (f":{place.line}:{place.column}" if place.line else "")
        text = retell(text, "faults")
        return make_printable(f"{where}: {_cut(path, 200)}: {_cut(text, 500)}" if path else f"{where}: {_cut(text, 500)}")

    def point_to(self, place: Place, here: Place) -> str:
        """Names one place in a fault of another one: `line 4`, and the file where it is not the same."""
        return f"line {place.line}" if place.part == here.part else make_printable(f"{self.files[place.part]}:{place.line}")

    @property
    def warnings(self) -> tuple[str, ...]:
        told = sorted(self._warnings, key=_by_place)
        return tuple(self.describe(place, path, phrase("warning: {fault}", fault=retell(text, "faults"))) for place, path, text in told)

    def raise_if_any(self) -> None:
        """Raises `InvalidConfig` with every fault, in the order of the files."""
        if self._faults:
            raise InvalidConfig((self.describe(*fault) for fault in sorted(self._faults, key=_by_place)), self.warnings)


def _by_place(fault: tuple[Place, str, str]) -> tuple[int, Place, str, str]:
    place, path, text = fault
    return place.part, place, path, text


def make_printable(text: str) -> str:
    """Text that cannot move a terminal's cursor: what is not printable is written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def quote(text: str) -> str:
    """The text in quotes, cut where it is long."""
    return f'"{_cut(text, 60)}"'


def find_nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant, or None where none is near."""
    return _find_nearest(word, tuple(islice(dict.fromkeys(words), MANY)))


@lru_cache(maxsize=64)
def _find_nearest(word: str, candidates: tuple[str, ...]) -> str | None:
    """Remembered, since a mistake is often made on each line of a file."""
    by_fold = {candidate.lower().replace("-", "_"): candidate for candidate in candidates}
    folded = word[:80].lower().replace("-", "_")
    begun = sorted((fold for fold in by_fold if len(folded) > 2 and fold.startswith(folded)), key=len)
    near = begun or difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.6)
    if near:
        return by_fold[near[0]]
    return next((candidate for candidate in candidates if len(candidate) > 2 and candidate.lower() in folded), None)


def suggest(word: str, words: Iterable[str]) -> str:
    """`; did you mean "x"?`, or the list of what there is."""
    candidates = sorted(islice(dict.fromkeys(words), MANY))
    near = find_nearest(word, candidates)
    if near:
        return f'; did you mean "{near}"?'
    return f"; there is {', '.join(candidates[:FEW])}" + (" ..." if len(candidates) > FEW else "") if candidates else ""


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
