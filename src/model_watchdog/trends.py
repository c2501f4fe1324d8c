"""The last half hour of what matters most of each service, as sparklines, from the record: its latency, its heartbeat, its GPU memory."""

from model_watchdog.chunks import unpack_chunk, unpack_head
from model_watchdog.language import count_cells, pad, phrase
from model_watchdog.record import Record, identity

SLOT, SLOTS = 60, 30
"""Seconds of a bar, of which the greatest value is drawn, and how many bars there are."""
OVERLAP = 5.0
"""Seconds of what was seen that are looked at again: samples are not written in the order of their times."""
LONGEST_GAP = 30.0
"""Seconds without a look after which all is read anew: meanwhile samples may have been folded."""
NEW_SERIES_SECONDS = 10.0
ROOMY = 110
"""Columns from which on there is room for every bar; on a narrower terminal one stands for two."""
BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
GAP = "·"
LATENCY, MEMORY, STALLED = "latency", "GPU memory", "stalled"
_KINDS = {
    "canary_first_token_seconds": LATENCY,
    "probe_duration_seconds": LATENCY,
    "service_stalled_seconds": STALLED,
    "service_gpu_memory_bytes": MEMORY,
}
_NOT_LATENCY = ("unit", "process")
"""Probes whose duration says nothing of the service."""

Key = tuple[str, str]
"""Service and kind."""


class Trends:
    """Keeps what it has read: a look costs what has come since the last one."""

    def __init__(self) -> None:
        self._file = 0
        self._looked_at = self._named_at = float("-inf")
        self._keys: dict[int, Key] = {}
        self._slots: dict[int, dict[int, tuple[float, float, float]]] = {}  # by series and slot: greatest value, time and value of the last

    def refresh(self, record: Record, now: float) -> None:
        """Reads what has come until wall time `now`. Raises `WatchdogError`."""
        if identity(record.path) != self._file or not 0 <= now - self._looked_at <= LONGEST_GAP:  # another record, or a long sleep
            self.__init__()  # type: ignore[misc]
        begin = now - SLOT * SLOTS
        if not 0 <= now - self._named_at < NEW_SERIES_SECONDS:
            chosen = choose(record.series_numbers())
            self._read_chunks(record, [number for number in chosen if number not in self._keys], begin)
            if chosen.keys() - self._keys.keys():
                self._looked_at = float("-inf")  # the head is read anew for them
            self._keys, self._named_at = chosen, now
        for row in record.rows("SELECT at, data FROM sample_head WHERE at >= ?", max(begin, self._looked_at - OVERLAP)):
            for number, offset, value in zip(*unpack_head(row["data"]), strict=True):
                if number in self._keys:
                    self._add(number, row["at"] + offset / 1000, value)
        self._file, self._looked_at = identity(record.path), now
        oldest = int(begin // SLOT)
        self._slots = {number: {at: one for at, one in slots.items() if at > oldest} for number, slots in self._slots.items()}

    def _read_chunks(self, record: Record, numbers: list[int], begin: float) -> None:
        marks = ", ".join("?" * len(numbers))
        query = f"SELECT series, at, data FROM sample_chunk WHERE series IN ({marks}) AND until >= ?"
        for row in record.rows(query, *numbers, begin) if numbers else ():
            for offset, value in zip(*unpack_chunk(row["data"]), strict=True):
                self._add(row["series"], row["at"] + offset / 1000, value)

    def _add(self, number: int, at: float, value: float) -> None:
        slots, slot = self._slots.setdefault(number, {}), int(at // SLOT)
        most, last_at, last = slots.get(slot, (value, at, value))
        slots[slot] = (max(most, value), at, value) if at >= last_at else (max(most, value), last_at, last)

    def tell(self, names: list[str], now: float, width: int, *, plain: bool = False) -> list[tuple[str, str]]:
        """A line for each of these services that has any, with its heading. `plain` for a terminal that has no bars."""
        lines, cells = [], max((count_cells(name) for name in names), default=0)
        for name in names:
            parts = [self._draw((name, kind), now, width, plain=plain) for kind in (LATENCY, STALLED, MEMORY)]
            if any(parts):
                lines.append(pad(name, cells) + "".join(f"   {part}" for part in parts if part))
        return [(phrase("TRENDS") if number == 0 else "", line) for number, line in enumerate(lines)]

    def _draw(self, key: Key, now: float, width: int, *, plain: bool) -> str:
        mine = [self._slots.get(number, {}) for number, its in self._keys.items() if its == key]
        end = int(now // SLOT)
        values: list[float | None] = []
        for slot in range(end - SLOTS + 1, end + 1):
            here = [slots[slot][0] for slots in mine if slot in slots]  # of several GPUs it is what they hold together
            values.append(sum(here) if here else None)
        newest = [slots[max(slots)][2] for slots in mine if slots]
        if not newest:
            return ""
        if width < ROOMY:
            values = [max((one for one in pair if one is not None), default=None) for pair in zip(values[::2], values[1::2], strict=True)]
        told = {LATENCY: phrase("latency"), STALLED: phrase("stalled"), MEMORY: phrase("GPU memory")}[key[1]]
        return f"{told} {draw_bars(values, PLAIN_BARS if plain else BARS)} {_measure(key[1], sum(newest))}"


def choose(numbers: dict[int, tuple[str, dict[str, str]]]) -> dict[int, Key]:
    """Of all series those that are drawn: each with its service and kind. A canary's first token says more than a probe's duration."""
    latency: dict[str, tuple[int, int]] = {}
    chosen: dict[int, Key] = {}
    for number, (metric, labels) in numbers.items():
        service, kind, probe = labels.get("service"), _KINDS.get(metric), labels.get("probe")
        if service is None or kind is None:
            continue
        if kind != LATENCY:
            chosen[number] = (service, kind)
        elif probe not in _NOT_LATENCY:
            rank = 0 if metric != "probe_duration_seconds" else 1 if probe == "health" else 2
            latency[service] = min(latency.get(service, (rank, number)), (rank, number))
    return chosen | {number: (service, LATENCY) for service, (_, number) in latency.items()}


def draw_bars(values: list[float | None], bars: str = BARS) -> str:
    """From nothing to the greatest of them; a dot where there is none."""
    most = max((value for value in values if value is not None), default=0.0)
    top = len(bars) - 1
    return "".join(GAP if value is None else bars[round(value / most * top) if most > 0 and value > 0 else 0] for value in values)


def _measure(kind: str, value: float) -> str:
    if kind == MEMORY:
        return f"{value / 2**30:.1f} GiB"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
