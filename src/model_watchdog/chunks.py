"""How samples lie in the record: as they came, all series in one row (`sample_head`), and folded, one series a row (`sample_chunk`)."""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, pairwise

Row = tuple[int, float, bytes]
"""Whether it is of the head, wall time of its first sample, and its data."""


def write_labels(labels: Mapping[str, str]) -> str:
    """One text for one set of labels, whatever their order."""
    return json.dumps(dict(sorted(labels.items())), ensure_ascii=False, separators=(",", ":"))


def pack_head(series: list[int], offsets: list[int], values: Iterable[float]) -> bytes:
    """Samples as they came: numbers of the series, milliseconds since the first sample, values."""
    count = len(series)
    return struct.pack(f"<{count}I{count}I{count}d", *series, *offsets, *values)


def unpack_head(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
    count = len(data) // 16
    numbers = struct.unpack_from(f"<{2 * count}I", data)
    return numbers[:count], numbers[count:], struct.unpack_from(f"<{count}d", data, 8 * count)


def pack_chunk(times: list[int], values: list[float]) -> bytes:
    """The samples of one series: milliseconds from one to the next, and values. `times` do not go back."""
    count = len(times)
    steps = [0, *(after - before for before, after in pairwise(times))]
    return zlib.compress(struct.pack(f"<{count}I{count}d", *steps, *values), 1)


def unpack_chunk(data: bytes) -> tuple[Iterator[int], tuple[float, ...]]:
    """Milliseconds since the first sample, and values."""
    steps, values = unpack_steps(data)
    return accumulate(steps), values


def unpack_steps(data: bytes) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Milliseconds from each sample to the next, beginning with 0, and values."""
    data = zlib.decompress(data)
    count = len(data) // 12
    return struct.unpack_from(f"<{count}I", data), struct.unpack_from(f"<{count}d", data, 4 * count)


def read_last(data: bytes) -> float:
    """The value of a chunk's last sample."""
    data = zlib.decompress(data)
    last: float = struct.unpack_from("<d", data, len(data) - 8)[0]
    return last


def read_rows(rows: Iterable[Row], series: int, since: float, until: float) -> list[tuple[float, float]]:
    """(wall time, value) of each sample of a series within these times, oldest first."""
    found: list[tuple[float, float]] = []
    samples: Iterable[tuple[int, float]]
    for is_head, at, data in rows:
        if is_head:
            numbers, offsets, values = unpack_head(data)
            samples = [(offsets[place], values[place]) for place, number in enumerate(numbers) if number == series]
        else:
            samples = zip(*unpack_chunk(data), strict=True)
        found += [(when, value) for offset, value in samples if since <= (when := at + offset / 1000) <= until]
    found.sort(key=lambda sample: sample[0])  # the wall clock may have been set back
    return found
