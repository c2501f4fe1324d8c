"""A page of metrics, in Prometheus' text format or as OpenMetrics, of which only some names are wanted.

The library that reads a series takes 50 to 100 us for it, and a page of vLLM has thousands. So what is not wanted is dropped before, by
its name, and a series that is the same as at the last scrape is not read anew: only its value is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import translate

from prometheus_client.parser import text_string_to_metric_families

MOST_SERIES = 2000
"""So many series of a page are kept: each is a row a scrape, and a series of each rule that looks at it."""
MOST_LINES = 1_000_000
"""A page of 5 MB has 100,000 to 400,000."""
_LABELS = re.compile(rb'\{(?:[^"}]|"(?:[^"\\]|\\.)*+")*+\}')
"""Each letter is looked at once, whatever the line is."""
LONGEST_LINE = 64 * 1024
_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MARKS = (b"# TYPE ", b"# HELP ", b"# UNIT ", b"# EOF")
_RESERVED = ("service", "probe")

Series = tuple[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """What was found: series with their values, how many there were in all, and which of the wanted names were not there.

    `is_metrics` is False where nothing on the page looks like a metric. `dropped` series were wanted, and beyond `MOST_SERIES`; `refused`
    are names that were wanted, and that no page may give.
    """

    samples: Sequence[tuple[str, dict[str, str], float]]
    lines: int
    missing: tuple[str, ...]
    is_metrics: bool
    dropped: int = 0
    refused: tuple[str, ...] = ()


@dataclass
class Reader:
    """Reads the pages of one service, one after another; `keep` are the wanted names, with `*` and `?`, and `never` those that are not
    taken from a page whatever is wanted."""

    keep: tuple[str, ...]
    never: frozenset[str] = frozenset()
    _wants: Callable[[str], object] = field(init=False)
    _never: frozenset[bytes] = field(init=False)
    _names: dict[bytes, bool] = field(default_factory=dict)
    _series: dict[bytes, Series | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._wants = match_any(self.keep)
        self._never = frozenset(name.encode() for name in self.never)

    def read(self, text: bytes) -> Page:
        """The page; values that are no finite number are left out, for what cannot be known is absent."""
        before, self._series = self._series, {}
        samples = list[tuple[str, dict[str, str], float]]()
        seen, met, lines, marks, dropped = set[str](), set[bytes](), 0, 0, 0
        if text.count(b"\n") > MOST_LINES:  # no page is like that, and to go through it would hold everything else up
            text = b""
        for line in text.split(b"\n"):
            if not line or line[:1] == b"#":
                marks += line.startswith(_MARKS)
                continue
            named = _NAME.match(line)
            if named is None:
                continue
            lines += 1
            name = named.group()
            if not self._is_wanted(name) or len(line) > LONGEST_LINE:
                if name in self._never:
                    met.add(name)
                continue
            if len(samples) >= MOST_SERIES:
                dropped += 1
                continue
            cut = _find_end(line, named.end())
            value = _read_value(line[cut:])
            key = line[:cut]
            if key in self._series:  # said twice: the first counts, as it does for Prometheus
                continue
            series = self._series[key] = before[key] if key in before else _read_series(key)
            if series is not None and value is not None:
                samples.append((series[0], series[1], value))
                seen.add(series[0])
        missing = tuple(name for name in self.keep if name not in seen and not _is_pattern(name))
        is_metrics = bool(marks or samples) or (lines > 0 and _looks_like_metrics(text))
        refused = tuple(sorted(name.decode() for name in met if self._wants(name.decode())))
        return Page(samples, lines, missing, is_metrics, dropped, refused)

    def _is_wanted(self, name: bytes) -> bool:
        known = self._names.get(name)
        if known is None:
            if len(self._names) > 10 * MOST_SERIES:
                self._names.clear()  # names that are new at each scrape must not fill the memory
            known = self._names[name] = name not in self._never and bool(self._wants(name.decode()))
        return known


def match_any(patterns: Sequence[str]) -> Callable[[str], object]:
    """What tells whether a name is one of these, in which `*` and `?` stand for anything."""
    return re.compile("|".join(translate(pattern) for pattern in patterns) or r"(?!)").match


def _is_pattern(name: str) -> bool:
    return any(letter in name for letter in "*?[")


def _find_end(line: bytes, after_name: int) -> int:
    """Where the series ends and its value begins: behind the labels, in whose values a brace may stand too."""
    if line[after_name : after_name + 1] != b"{":
        return after_name
    found = _LABELS.match(line, after_name)
    return found.end() if found is not None else len(line)


def _read_value(rest: bytes) -> float | None:
    """The first word behind the series; a time and an exemplar may follow it."""
    words = rest.split(None, 1)
    try:
        value = float(words[0])
    except (IndexError, ValueError):
        return None
    return value if abs(value) < float("inf") else None  # NaN is not either


def _read_series(key: bytes) -> Series | None:
    """Name and labels; None where it is no series."""
    try:
        (family,) = text_string_to_metric_families(key.decode("utf-8") + " 0\n")
        (sample,) = family.samples
    except (ValueError, IndexError, KeyError):
        return None
    return sample.name, {f"exported_{name}" if name in _RESERVED else name: value for name, value in sample.labels.items()}


def _looks_like_metrics(text: bytes) -> bool:
    """Whether a line of it, near its beginning, is a series with a value."""
    for line in text[:LONGEST_LINE].split(b"\n")[:200]:
        named = _NAME.match(line)
        if named is None:
            continue
        cut = _find_end(line, named.end())
        if _read_value(line[cut:]) is not None and line[cut : cut + 1] in (b" ", b"\t"):
            return True
    return False
