"""Recorded data for a replay, in windows that do not grow with it: our own record, a CSV, Prometheus' answer, pages of metrics."""

import json
import re
import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, islice
from math import isfinite
from operator import lt
from pathlib import Path
from typing import Any

from model_watchdog.chunks import unpack_head, unpack_steps
from model_watchdog.core.decision import State
from model_watchdog.core.sample import SeriesId
from model_watchdog.errors import WatchdogError
from model_watchdog.exposition import Reader
from model_watchdog.history import FOLD_SAMPLES
from model_watchdog.language import phrase
from model_watchdog.record import Record
from model_watchdog.replaying import Column

Window = list[Column]
Progress = Callable[[float], None]
"""Is told how far the reading has got, from 0 to 1."""

WINDOW = 400_000
"""So many samples of the record make a window, about."""
BLOCK = 4 * 1024 * 1024
"""Bytes of a CSV that make one."""
PAGES = 200
LONGEST_LINE = 1024 * 1024
LARGEST_JSON = 512 * 1024 * 1024
LARGEST_PAGE = 16 * 1024 * 1024
_STAMP = re.compile(r"\d{4}-?\d\d-?\d\d[T_ ]?\d\d[:.-]?\d\d(?:[:.-]?\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?|(?<!\d)\d{9,10}(?:\.\d+)?(?!\d)")
_PARTS = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)[T_ ]?(\d\d)[:.-]?(\d\d)(?:[:.-]?(\d\d))?(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?")


class Unreadable(WatchdogError):
    """Data that cannot be read: place, cause and remedy in one line."""


def read_record(record: Record, service: str | None, since: float | None, tell: Progress) -> Iterator[Window]:
    """What the record has of one service, or of everything; of the last `since` seconds of it."""
    last, head = record.head()
    times, numbers = record.chunk_times(last), record.series_numbers()
    names = {
        number: SeriesId.of(metric, labels)
        for number, (metric, labels) in numbers.items()
        if service is None or labels.get("service") == service
    }
    newest = _unfold_head(head, names)
    end = max([*(column[-1] for column, _ in newest.values()), *([times[1]] if times else [])], default=0.0)
    begin = float("-inf") if since is None else end - since
    waiting: dict[int, tuple[array[float], array[float]]] = {}
    if times is not None:
        samples = times[2] * FOLD_SAMPLES / max(len(numbers), 1)
        width = max(60.0, (times[1] - times[0]) * WINDOW / max(samples, 1.0))
        place = max(times[0], begin - width)
        reached = float("-inf")  # a chunk that begins before what is wanted may reach into it
        while place <= times[1]:
            for row in record.chunks(service, reached, place + width, last, begin):
                if row["series"] in names:
                    _add(waiting, row["series"], *_unpack(row["at"], row["data"]))
            reached = place = place + width
            yield _cut(waiting, names, begin, place)
            tell((place - times[0]) / max(times[1] - times[0], 1.0))
    for number, (at, values) in newest.items():
        _add(waiting, number, at, values)
    yield _cut(waiting, names, begin, float("inf"))


def list_stops(record: Record) -> dict[str, list[tuple[float, float]]]:
    """When each service was stopped on purpose, as its events tell: from and to."""
    states = tuple(State)
    stops: dict[str, list[tuple[float, float]]] = {}
    last = 0
    while page := record.events(after_id=last, limit=1000):
        last = page[-1]["id"]
        for row in page:
            if not row["service"] or row["event"] not in states:
                continue
            known = stops.setdefault(row["service"], [])
            if known and known[-1][1] == float("inf"):
                known[-1] = (known[-1][0], row["at"])
            if row["event"] == "stopped" and row["cause"] in ("operator_stop", "masked"):
                known.append((row["at"] - 60.0, float("inf")))  # it was seen to be down before the journal was asked why
    return stops


def read_csv(path: Path, series: SeriesId, since: float | None, tell: Progress) -> Iterator[Window]:
    """`timestamp,value` with a header, times in unix seconds or as ISO 8601 writes them; rows without a value are left out."""
    size, line, last = _measure(path), 1, float("-inf")
    begin = float("-inf") if since is None else _last_time(path) - since
    with path.open("rb") as file:
        when, what, width = _read_header(path, file.readline(LONGEST_LINE))
        while block := file.read(BLOCK):
            block += file.readline(LONGEST_LINE)
            times, values = _read_block(path, block, line, when, what, width)
            line += block.count(b"\n")
            column = _order(Column(series, times, values), max(last, begin))
            if len(column.times):
                last = column.times[-1]
                yield [column]
            tell(file.tell() / size)


def read_prometheus(path: Path, since: float | None, tell: Progress) -> Iterator[Window]:
    """The answer of `/api/v1/query_range` (or its `data`, or its `result`): a matrix."""
    if _measure(path) > LARGEST_JSON:
        raise Unreadable(phrase("{path}: it is larger than 512 MiB; ask for fewer series, or a shorter time", path=path))
    try:
        found = json.loads(path.read_bytes())
        for part in ("data", "result"):
            found = found[part] if isinstance(found, dict) and (part in found or part == "result") else found
        columns = [_read_series(one) for one in found]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        template = "{path}: this is no answer of query_range ({error}); it holds data.result, a list of metric and values"
        raise Unreadable(phrase(template, path=path, error=_explain(error))) from None
    end = max((column.times[-1] for column in columns if len(column.times)), default=0.0)
    begin = float("-inf") if since is None else end - since
    tell(1.0)
    yield [_order(column, begin) for column in columns]


def read_pages(path: Path, wanted: Sequence[str], since: float | None, tell: Progress) -> Iterator[Window]:
    """A directory of pages, each with its time in its name (unix seconds, or a date and a time), else by when it was written; of them the
    metrics that are `wanted`."""
    files = sorted((_time_of(file), file) for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise Unreadable(phrase("{path}: there is no file in it; save pages there: curl -s URL/metrics > $(date +%s).txt", path=path))
    begin = float("-inf") if since is None else files[-1][0] - since
    reader = Reader(tuple(wanted))
    found: dict[SeriesId, tuple[array[float], array[float]]] = {}
    for number, (at, file) in enumerate(files, 1):
        if at < begin:
            continue
        if file.stat().st_size > LARGEST_PAGE:
            raise Unreadable(phrase("{path}: it is larger than 16 MiB; no page of metrics is", path=file))
        page = reader.read(file.read_bytes())
        if not page.is_metrics:
            raise Unreadable(phrase("{path}: this is no page of metrics in Prometheus' format; take it out of the directory", path=file))
        for metric, labels, value in page.samples:
            times, values = found.setdefault(SeriesId.of(metric, labels), (array("d"), array("d")))
            times.append(at)
            values.append(value)
        if number % PAGES == 0 or number == len(files):
            yield [_order(Column(series, times, values), begin) for series, (times, values) in found.items()]
            found.clear()
            tell(number / len(files))


# ---------------------------------------------------------------- the record
def _unpack(at: float, data: bytes) -> "tuple[array[float], array[float]]":
    """Times in whole milliseconds, so that what was measured together has the same time in each series."""
    steps, values = unpack_steps(data)
    first = round(at * 1000)
    return array("d", map((0.001).__mul__, accumulate((first, *islice(steps, 1, None))))), array("d", values)


def _unfold_head(rows: Iterable[Mapping[str, Any]], names: Mapping[int, SeriesId]) -> "dict[int, tuple[array[float], array[float]]]":
    found: dict[int, tuple[array[float], array[float]]] = {}
    for row in sorted(rows, key=lambda row: float(row["at"])):
        first = round(row["at"] * 1000)
        for number, offset, value in zip(*unpack_head(row["data"]), strict=True):
            if number in names:
                times, values = found.setdefault(number, (array("d"), array("d")))
                times.append(0.001 * (first + offset))
                values.append(value)
    return found


def _add(waiting: "dict[int, tuple[array[float], array[float]]]", number: int, times: "array[float]", values: "array[float]") -> None:
    known = waiting.get(number)
    if known is None:
        waiting[number] = (times, values)
    else:
        known[0].extend(times)
        known[1].extend(values)


def _cut(waiting: "dict[int, tuple[array[float], array[float]]]", names: Mapping[int, SeriesId], begin: float, end: float) -> Window:
    """What lies before `end`; the rest waits on."""
    window = []
    for number, (times, values) in list(waiting.items()):
        column = _order(Column(names[number], times, values), begin)
        place = bisect_left(column.times, end)
        if place:
            window.append(Column(column.series, column.times[:place], column.values[:place]))
        if place < len(column.times):
            waiting[number] = array("d", column.times[place:]), array("d", column.values[place:])
        else:
            del waiting[number]
    return window


# ---------------------------------------------------------------- columns
def _order(column: Column, after: float) -> Column:
    """Its samples later than a time, each once, in their order."""
    times, values = column.times, column.values
    if len(times) and not (times[0] > after and all(map(lt, times, islice(times, 1, None)))):
        pairs: dict[float, float] = {}
        for at, value in sorted(zip(times, values, strict=True), key=lambda pair: pair[0]):
            pairs.setdefault(at, value)
        times, values = array("d", (at for at in pairs if at > after)), array("d", (value for at, value in pairs.items() if at > after))
    return Column(column.series, times, values)


def _measure(path: Path) -> int:
    """The size of a file. What is none (a pipe, say) could hold us up for ever."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable(phrase("{path}: it is not a regular file; save the data to one first", path=path))
    return found.st_size


# ---------------------------------------------------------------- CSV
def _read_header(path: Path, line: bytes) -> tuple[int, int, int]:
    """In which columns timestamp and value stand, and how many there are."""
    names = [name.strip(b'\xef\xbb\xbf \t\r\n"').lower() for name in line.split(b",")]
    if b"timestamp" not in names or b"value" not in names:
        raise Unreadable(phrase("{path}:1: the header must name the columns timestamp and value", path=path))
    return names.index(b"timestamp"), names.index(b"value"), len(names)


def _read_block(path: Path, block: bytes, line: int, when: int, what: int, width: int) -> "tuple[array[float], array[float]]":
    """Whole lines of it: all at once where every field is a number, else line by line."""
    if width == 2 and b'"' not in block:
        try:
            return _read_plain(block, when, what)
        except ValueError:
            pass  # line by line it is known which
    times, values = array("d"), array("d")
    for number, row in enumerate(block.decode("utf-8", "replace").split("\n"), line + 1):
        parts = row.strip("\r").split(",")
        if not row.strip() or (len(parts) > what and not parts[what].strip(' "')):
            continue
        try:
            times.append(_read_time(parts[when].strip(' "')))
            values.append(float(parts[what].strip(' "')))
        except (ValueError, IndexError) as error:
            template = "{path}:{line}: it {fault}; mend the line, or take it out"
            raise Unreadable(phrase(template, path=path, line=number, fault=_explain(error))) from None
    return times, values


def _read_plain(block: bytes, when: int, what: int) -> "tuple[array[float], array[float]]":
    """Where every line is a time and a number. Raises ValueError where one is not."""
    fields = block.replace(b"\r\n", b"\n").removesuffix(b"\n").replace(b",", b"\n").split(b"\n")
    rows = block.count(b"\n") + (not block.endswith(b"\n"))
    if not rows == block.count(b",") == len(fields) / 2:
        raise ValueError
    values = array("d", map(float, fields[what::2]))
    try:
        times = array("d", map(float, fields[when::2]))
    except ValueError:
        stamps = (b"\n".join(fields[when::2])).decode().split("\n")
        times = array("d", map(datetime.timestamp, map(datetime.fromisoformat, stamps)))
    if not isfinite(sum(times)):
        raise ValueError
    return times, values


def _last_time(path: Path) -> float:
    """Of the last row of a CSV."""
    with path.open("rb") as file:
        when, _, _ = _read_header(path, file.readline(LONGEST_LINE))
        file.seek(max(file.tell(), path.stat().st_size - 64 * 1024))
        rows = [row for row in file.read().decode("utf-8", "replace").split("\n") if row.strip()]
    try:
        return _read_time(rows[-1].split(",")[when].strip(' "\r'))
    except (ValueError, IndexError):
        raise Unreadable(phrase("{path}: its last line has no time; mend it, or take it out", path=path)) from None


def _read_time(text: str) -> float:
    """Unix seconds, or as ISO 8601 writes it (without a zone: this machine's)."""
    try:
        at = float(text)
    except ValueError:
        return datetime.fromisoformat(text).timestamp()
    if not isfinite(at):
        raise ValueError(f"Invalid isoformat string: {text!r}")
    return at


def _explain(error: Exception) -> str:
    if isinstance(error, IndexError):
        return phrase("has fewer columns than the header")
    if isinstance(error, KeyError):
        return phrase("it lacks {name}", name=error.args[0])
    text = str(error)
    for start in ("could not convert string to float: ", "Invalid isoformat string: "):
        if text.startswith(start):
            return phrase("holds {word}, which is no number and no time", word=text.removeprefix(start)[:60])
    return text[:100]


# ---------------------------------------------------------------- others
def _read_series(one: Any) -> Column:
    labels = {name: str(value) for name, value in one["metric"].items()}
    metric = labels.pop("__name__", "value")
    pairs = one["values"] if "values" in one else [one["value"]]
    times: Sequence[float] = array("d", (float(at) for at, _ in pairs))
    return Column(SeriesId.of(metric, labels), times, array("d", (float(value) for _, value in pairs)))


def _time_of(file: Path) -> float:
    found = _STAMP.search(file.name)
    if found is None:
        return file.stat().st_mtime
    parts = _PARTS.fullmatch(found[0])
    if parts is None:
        return float(found[0])
    year, month, day, hour, minute, second, zone = parts.groups()
    stamp = f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}"
    at = datetime.fromisoformat(stamp + ("+00:00" if zone == "Z" else zone or ""))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
