"""What the lines of a log say: the levels of its records, in their order, and the numbers in their fields."""

import json
import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from model_watchdog.core.tally import is_error
from model_watchdog.patterns import Pattern

if TYPE_CHECKING:
    from model_watchdog.probes.log import Log

LONGEST_LEVEL = 20
TEXT = r"^[^\n\[]{0,40}\[(?P<level>[A-Za-z]{3,9})\]"
"""`2026-01-01 12:00:00,123 [ERROR] message`: time, level in brackets, message."""
_NUMBER = rb'\s{0,4}:\s{0,4}"?(-?[0-9][0-9.eE+-]{0,24})'
_REST = rb"[^\n]*"
"""Taken with each match, so that a line counts once: what stands deeper in a record, under the same key, is something else."""


class JsonReader:
    """One record a line. Levels and fields are found by their keys, without reading the rest of the record."""

    def __init__(self, config: "Log") -> None:
        key = re.escape(config.level.encode())
        self._level = re.compile(rb'"' + key + rb'"\s{0,4}:\s{0,4}"([^"\\\x00-\x1f\x7f]{1,20})"' + _REST)
        flat = [name for name in config.fields if "." not in name]
        self._fields = [(name, re.compile(rb'"' + re.escape(name.encode()) + rb'"' + _NUMBER + _REST)) for name in flat]
        self._key = config.level
        self._all = [(name, name.split(".")) for name in config.fields]
        self._marks = {b'"' + key.encode() + b'"' for key in (config.level, *(keys[-1] for _, keys in self._all))}

    def __call__(self, piece: bytes, values: dict[str, list[float]]) -> tuple[list[str], bytes | None]:
        if piece.count(b"{") > piece.count(b"\n"):  # records within records: only their own keys count
            return self._read_whole(piece, values)
        return self._read_flat(piece, values)

    def _read_flat(self, piece: bytes, values: dict[str, list[float]]) -> tuple[list[str], bytes | None]:
        found = self._level.findall(piece)
        levels = [level.decode("utf-8", "replace") for level in found]
        for name, pattern in self._fields:
            values[name] += _to_numbers(pattern.findall(piece))
        newest = None
        if any(map(is_error, set(levels))):
            place = max(match.start() for match in self._level.finditer(piece) if is_error(match.group(1).decode("utf-8", "replace")))
            newest = _line_at(piece, place)
        return levels, newest

    def _read_whole(self, piece: bytes, values: dict[str, list[float]]) -> tuple[list[str], bytes | None]:
        """Only the whole record tells what stands in what: it takes four times as long."""
        levels, newest = list[str](), None
        for line in piece.splitlines():
            if not any(mark in line for mark in self._marks):
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):  # cut off, or no record
                record = None
            if not isinstance(record, dict):
                found, error = self._read_flat(line + b"\n", values)
            else:
                level = record.get(self._key)
                found = [level] if isinstance(level, str) and 0 < len(level) <= LONGEST_LEVEL else []
                error = line if any(map(is_error, found)) else None
                self._take_fields(record, values)
            levels += found
            newest = error or newest
        return levels, newest

    def _take_fields(self, record: dict[str, Any], values: dict[str, list[float]]) -> None:
        for name, keys in self._all:
            inner: Any = record
            for key in keys:
                inner = inner.get(key) if isinstance(inner, dict) else None
            if isinstance(inner, int | float | str) and not isinstance(inner, bool):
                values[name] += _to_numbers([inner])


class TextReader:
    """Lines with a level in them; a line without one (a traceback) is part of the record before it."""

    def __init__(self, config: "Log") -> None:
        self._pattern = Pattern(config.pattern or TEXT, each_line=True)
        self._fields = config.fields

    def __call__(self, piece: bytes, values: dict[str, list[float]]) -> tuple[list[str], bytes | None]:
        levels, newest = [], None
        for groups in self._pattern.find_groups(piece):
            level = groups.get("level", b"").decode("utf-8", "replace")
            if level:
                levels.append(level)
            for name in self._fields:
                if name in groups:
                    values[name] += _to_numbers([groups[name]])
        if any(map(is_error, set(levels))):
            newest = next((line for line in reversed(piece.splitlines()) if self._is_error_line(line)), None)
        return levels, newest

    def _is_error_line(self, line: bytes) -> bool:
        return any(is_error(groups.get("level", b"").decode("utf-8", "replace")) for groups in self._pattern.find_groups(line))


def make_reader(config: "Log") -> "JsonReader | TextReader":
    return JsonReader(config) if config.format == "json" else TextReader(config)


def _to_numbers(texts: Iterable[bytes | str | float]) -> list[float]:
    """Those that are finite numbers."""
    found = []
    for text in texts:
        try:
            number = float(text)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number):
            found.append(number)
    return found


def _line_at(piece: bytes, place: int) -> bytes:
    end = piece.find(b"\n", place)
    return piece[piece.rfind(b"\n", 0, place) + 1 : end if end >= 0 else len(piece)]
