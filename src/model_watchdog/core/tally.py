"""What is counted of a service's log, and what must not be shown of it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL", "SEVERE"})
"""Levels, in capitals, that count as errors in a row; any other level ends the row."""
MASK = "***"
MOST_LEVELS = 20
"""So many levels are told apart; a log that has more is not what it was taken for."""
PRIVATE = re.compile(
    r"""(?ix)
    \bbearer\s+[\w.~+/=-]{8,}                                 # tokens
    | \b(?:sk|pk|ghp|xox[bp])[-_][\w-]{10,}
    | [\w.+-]{1,64}@[\w-]+\.[\w.-]+                           # mail; bounded, or a long word costs its square
    | (?<!\d)\d{6}(?:18|19|20)\d{2}(?:0\d|1[0-2])(?:[0-2]\d|3[01])\d{3}[\dx](?!\d)   # ID cards of 18 digits
    | (?<!\d)(?<!\d\.)(?:\+?86[-\s]?)?1[3-9]\d[-\s]?\d{4}[-\s]?\d{4}(?!\d|\.\d)      # mobile phones
    | (?<!\d)(?<!\d\.)\+\d{1,3}[-\s]?\d{2,4}(?:[-\s]?\d{2,4}){2,3}(?!\d|\.\d)        # phones with a country
    | (?<!\d)\(?0\d{2,3}\)?[-\s]\d{3,4}[-\s]?\d{4}(?!\d|\.\d)              # phones with an area
    | (?<!\d)(?:\(\d{3}\)\s?|\d{3}[-\s])\d{3}[-\s]\d{4}(?!\d|\.\d)
    | (?<!\d)\d{3}-\d{2}-\d{4}(?!\d|-)                               # social security
    | (?<!\d)(?<!\d\.)\d{12,}(?!\d|\.\d)                      # cards and other long numbers
    | (?<!\d)\d{4}[-\s]\d{4}[-\s]\d{4}[-\s]\d{1,7}(?:[-\s]\d{1,3})?(?!\d)         # cards in groups of four
    """
)


_NARROW = {ord("０") + digit: ord("0") + digit for digit in range(10)} | {ord("－"): ord("-"), ord("＋"): ord("+")}
"""Digits of full width are digits."""


def is_error(level: str) -> bool:
    return level.upper() in ERRORS


@dataclass(slots=True)
class Tally:
    """Totals over the life of a log, and the errors in a row at its end. `longest` is the longest row seen in the last look."""

    levels: dict[str, int] = field(default_factory=dict)
    patterns: dict[str, int] = field(default_factory=dict)
    in_a_row: int = 0
    longest: int = 0

    def begin_look(self) -> None:
        self.longest = self.in_a_row

    def take(self, levels: Iterable[str]) -> None:
        """Levels of records, in their order."""
        for level, same in groupby(levels):
            count = sum(1 for _ in same)
            if level in self.levels or (len(self.levels) < MOST_LEVELS and level.isprintable()):
                self.levels[level] = self.levels.get(level, 0) + count
            self.in_a_row = self.in_a_row + count if is_error(level) else 0
            self.longest = max(self.longest, self.in_a_row)

    def remember(self) -> dict[str, Any]:
        return {"levels": self.levels, "patterns": self.patterns, "in_a_row": self.in_a_row}

    @classmethod
    def recall(cls, plain: Mapping[str, Any]) -> "Tally":
        return cls(dict(plain["levels"]), dict(plain["patterns"]), int(plain["in_a_row"]))


def mask(text: str) -> str:
    """The text without what looks private: mail addresses, phone and ID numbers, tokens, long numbers."""
    return PRIVATE.sub(MASK, text.translate(_NARROW))
