"""Follows a service's log, and counts what it says."""

import asyncio
import errno
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from model_watchdog.children import pick_environment, read_lines, run_child
from model_watchdog.core.sample import Failure
from model_watchdog.core.tally import MASK, Tally, mask
from model_watchdog.core.unit import for_journalctl
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.filesystems import can_hang, find_file_system, read_file_systems
from model_watchdog.following import Tail
from model_watchdog.language import strip_controls
from model_watchdog.logreading import make_reader
from model_watchdog.logtimes import find_newest, find_zone
from model_watchdog.patterns import Pattern
from model_watchdog.probes import Measurement, Observation, Surroundings

BUDGET = 0.5
"""Seconds that one run reads at most; what is left is read by the next, and the detail says how much that is."""
JOURNAL_CAP = 4 * 1024 * 1024
JOURNAL_SLICE = 500
"""Entries between which the loop does other things: some milliseconds of work."""
MOST_VALUES = 200
"""Values of one field that become samples of one run; of more, as many, evenly spread."""
QUOTED = 200
NO_LEVEL = 100
"""Lines without a level, after which it is asked whether the format is right."""
BUILT_IN = {
    "cuda_out_of_memory": "CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|torch[.]OutOfMemoryError",
    "cuda_error": "CUDA error|CUDA_ERROR_|cudaError|device-side assert",
    "nccl": "NCCL (?:error|failure|WARN)|Watchdog caught collective operation timeout",
    "traceback": "Traceback [(]most recent call last[)]",
}
"""Patterns that are counted without being told."""
OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True)
class Log:
    """The kind `log`: a file (`path`), or the unit's `journal`. It begins at the end, and goes on where it stopped.

    `format` text takes level and numbers from the named groups of `pattern`, which is RE2; json from the keys `level` and `fields`, where
    `a.b` is b in a. Lines that match one of `patterns` are counted by its name; what `mask` matches is never shown, nor are addresses,
    phone and ID numbers. A time that a record says without a zone is of `timezone`, or of the machine's.
    """

    path: Path | None = None
    journal: bool = False
    format: Literal["json", "text"] = "json"
    pattern: str | None = None
    level: str = "level"
    fields: tuple[str, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)
    mask: tuple[str, ...] = ()
    timezone: str | None = None

    default_every: ClassVar[Seconds] = Seconds(5.0)
    metrics: ClassVar[tuple[str, ...]] = (
        *("log_records_total", "log_consecutive_errors", "log_pattern_matches_total", "log_field", "log_age_seconds"),
    )

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        found = []
        if (self.path is None) == (not self.journal):
            found.append("state path: FILE, or journal: true")
        if self.path is not None and not self.path.is_absolute():
            found.append(f"path must begin with /, and {self.path} does not")
        if self.format == "json" and self.pattern is not None:
            found.append("pattern goes with format: text")
        for written in (*self.patterns.values(), *self.mask, *([self.pattern] if self.pattern else [])):
            try:
                Pattern(written)
            except ValueError as error:
                found.append(str(error))
        if self.format == "text" and self.pattern and not found:
            missing = [name for name in self.fields if name not in Pattern(self.pattern).names]
            if missing:
                found.append(f"pattern has no group named {', '.join(missing)}, as (?P<{missing[0]}>[0-9.]+) would be")
        try:
            find_zone(self.timezone)
        except ValueError as error:
            found.append(str(error))
        if self.timezone is not None and self.journal:
            found.append("timezone goes with path; the journal knows when an entry was written")
        for name in self.fields:
            if not re.fullmatch(r"[\w.-]{1,60}", name):
                found.append(f'"{name}" cannot be the name of a field')
        return found

    def open(self, surroundings: Surroundings) -> "_Running":
        """The probe, ready to be run; nothing is opened yet."""
        return _Running(self, surroundings)


class _Running:
    def __init__(self, config: Log, surroundings: Surroundings) -> None:
        self._config = config
        self._notes = surroundings.notes
        self._unit = surroundings.unit or ""
        self._timeout = surroundings.timeout
        self._tail = Tail(config.path) if config.path is not None else None
        self._cursor, self._written_at = "", 0  # of the newest entry that was read: its place, and its time in microseconds
        self._tally: Tally | None = None
        self._read = make_reader(config)
        self._patterns = {name: Pattern(written) for name, written in {**BUILT_IN, **config.patterns}.items()}
        self._masks = [Pattern(written) for written in config.mask]
        self._kept = ""
        self._newest: bytes | None = None  # line that is an error, of this run
        self._newest_error = ""
        self._unread = 0  # lines in a row of which none bore a level
        self._zone = find_zone(config.timezone)
        self._said_at: float | None = None  # what the newest record says of its time

    @property
    def progress(self) -> int:
        """How far it has got in the log: what grows as the log does."""
        return self._tail.offset if self._tail is not None else self._written_at

    async def observe(self) -> Observation:
        """Reads what has come since the last run. Raises ProbeError where the log cannot be read."""
        tally = self._tally or self._recall()
        tally.begin_look()
        values: dict[str, list[float]] = {name: [] for name in self._config.fields}
        notes: list[str] = []
        if self._tail is not None:
            await self._read_file(self._tail, tally, values, notes)
        else:
            await self._read_journal(tally, values, notes)
        self._remember(tally)
        if self._newest is not None:
            self._newest_error, self._newest = self._show(self._newest), None
        if self._unread > NO_LEVEL and not tally.levels:
            notes.append(f"no line bears a level: is it format: {self._config.format}, and level: {self._config.level}?")
        if self._newest_error:
            notes.append(self._newest_error)
        measured = _measure(tally, values, self._patterns)
        if self._tail is None and self._written_at:
            self._said_at = self._written_at / 1e6
        if self._said_at is not None:
            measured.append(("log_age_seconds", {}, max(0.0, time.time() - self._said_at)))
        return Observation(measured, "; ".join(notes))

    async def close(self) -> None:
        if self._tail is not None:
            self._tail.close()

    async def _read_file(self, tail: Tail, tally: Tally, values: dict[str, list[float]], notes: list[str]) -> None:
        if can_hang(kind := find_file_system(str(tail.path), read_file_systems())):
            text = f"{tail.path} lies on a file system that may hang ({kind}): have the service write to a local disk, or to the journal"
            raise ProbeError(Failure.CONFIG, text)
        end, has_read = time.monotonic() + min(BUDGET, self._timeout / 2), False
        try:
            for piece in tail.read():
                self._take(piece, tally, values)
                await asyncio.sleep(0)
                if time.monotonic() > end:
                    notes.append(f"{tail.behind / 1e6:.0f} MB behind: the log grows faster than it is read")
                    break
                has_read = True
        except FileNotFoundError:
            if not has_read:
                notes.append(f"{tail.path} is not there (yet)")
        except OSError as error:
            if error.errno in OUT_OF:
                raise  # our own want, not a fault of the log
            raise ProbeError(Failure.CONFIG, f"{tail.path} cannot be read: {error.strerror}") from None
        notes += tail.notes
        tail.notes.clear()

    async def _read_journal(self, tally: Tally, values: dict[str, list[float]], notes: list[str]) -> None:
        """What the unit wrote to the journal after the kept cursor; at the first time, only where its end is.

        Asked is from that cursor on: `--after-cursor` leaves out an entry too many where the cursor's own is gone.
        """
        was_there, since = bool(self._written_at), f"--since=@{self._written_at / 1e6:.6f}"
        lines = await self._ask_journal(["--cursor", self._cursor] if self._cursor else [since] if was_there else ["--lines=1"])
        if lines is None:
            notes.append("the place in the journal is lost: it goes on by its time")
            lines = await self._ask_journal([since]) or []
        if not was_there and not any(lines):
            self._written_at = int(time.time() * 1e6)  # it has said nothing yet: whatever it says is new
        if sum(map(len, lines)) + len(lines) > JOURNAL_CAP:
            notes.append("the journal grows faster than it is read")
        for first in range(0, len(lines), JOURNAL_SLICE):
            texts = self._read_entries(lines[first : first + JOURNAL_SLICE])
            if was_there and texts:
                self._take("\n".join([*texts, ""]).encode("utf-8", "replace"), tally, values)
            await asyncio.sleep(0)

    def _read_entries(self, lines: list[bytes]) -> list[str]:
        """What they say, without what was counted already."""
        texts = []
        for line in lines:
            try:
                entry = json.loads(line)
                written_at = int(entry["__REALTIME_TIMESTAMP"])
                if (cursor := str(entry["__CURSOR"])) == self._cursor:
                    continue  # counted already
            except (ValueError, KeyError, TypeError):
                continue  # the last one, cut off
            self._cursor, self._written_at = cursor, written_at
            message = entry.get("MESSAGE")
            if isinstance(message, list):
                message = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256).decode("utf-8", "replace")
            texts.append(str(message or "").replace("\n", " "))
        return texts

    async def _ask_journal(self, place: list[str]) -> list[bytes] | None:
        """Lines of JSON; None where the journal does not know the place any more."""
        program = shutil.which("journalctl")
        if program is None:
            raise ProbeError(Failure.WATCHER, "journalctl is not there")
        unit = for_journalctl(self._unit).split(" ")
        argv = [program, "--quiet", "--no-pager", "--output=json", "--output-fields=MESSAGE", *place, *unit]
        try:
            environment = {**pick_environment(), "LC_ALL": "C.UTF-8"}
            asked = await run_child(argv, self._timeout, env=environment, cap=JOURNAL_CAP, enough_at_cap=True)
        except TimeoutError:
            raise ProbeError(Failure.WATCHER, f"journalctl gave no answer within {self._timeout:g} s") from None
        if asked.returncode != 0 and b"cursor" in asked.stderr:
            return None
        complaint = read_lines(asked.stderr)
        if asked.returncode > 0 and complaint:
            raise ProbeError(Failure.WATCHER, f"journalctl cannot read the journal: {complaint[0]}")
        return asked.stdout.split(b"\n")

    def _take(self, piece: bytes, tally: Tally, values: dict[str, list[float]]) -> None:
        """Whole lines: their levels, the numbers in their fields, and what their text matches."""
        levels, newest = self._read(piece, values)
        tally.take(levels)
        self._unread = 0 if levels else self._unread + piece.count(b"\n")
        for name, pattern in self._patterns.items():
            if found := pattern.count(piece):
                tally.patterns[name] = tally.patterns.get(name, 0) + found
        if newest is not None:
            self._newest = newest
        if self._tail is not None:
            said_at = find_newest(piece, is_json=self._config.format == "json", zone=self._zone, now=time.time())
            self._said_at = self._said_at if said_at is None else said_at

    def _show(self, line: bytes) -> str:
        """A line for people: masked before it is cut."""
        line = _spell_out(line)
        for pattern in self._masks:
            line = pattern.replace(line[:4096], MASK.encode())
        text = " ".join(strip_controls(mask(line[:4096].decode("utf-8", "replace"))).split())
        return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"

    def _recall(self) -> Tally:
        kept = self._notes.get()
        tally = Tally()
        try:
            plain = json.loads(kept) if kept else {}
            if plain:
                tally = Tally.recall(plain["tally"])
                if self._tail is not None and plain["path"] == str(self._tail.path):
                    self._tail.recall(plain["tail"])
                self._cursor, self._written_at = str(plain["cursor"]), int(plain["written_at"])
        except (ValueError, KeyError, TypeError):
            tally = Tally()  # of another version: it begins at the end, as at the first time
        self._tally = tally
        return tally

    def _remember(self, tally: Tally) -> None:
        """Place and totals together, so that neither is ahead of the other."""
        tail = self._tail
        plain = {
            "path": str(tail.path) if tail else "",
            "tail": tail.remember() if tail else {},
            "cursor": self._cursor,
            "written_at": self._written_at,
            "tally": tally.remember(),
        }
        text = json.dumps(plain)
        if text != self._kept and (tail is None or tail.is_known):
            self._kept = text
            self._notes.set(text)


def _spell_out(line: bytes) -> bytes:
    """A JSON record with its letters instead of their escapes, which no mask would know; any other line as it is."""
    try:
        return json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return re.sub(rb"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)).encode("utf-8", "replace"), line)


def _measure(tally: Tally, values: Mapping[str, list[float]], patterns: Mapping[str, Pattern]) -> list[Measurement]:
    measured: list[Measurement] = [("log_records_total", {"level": level}, float(count)) for level, count in tally.levels.items()]
    measured.append(("log_consecutive_errors", {}, float(tally.longest)))
    measured += [("log_pattern_matches_total", {"pattern": name}, float(tally.patterns.get(name, 0))) for name in patterns]
    for name, numbers in values.items():
        measured += [("log_field", {"field": name}, number) for number in _thin(numbers)]
    return measured


def _thin(numbers: list[float]) -> Iterator[float]:
    step = max(1.0, len(numbers) / MOST_VALUES)
    return (numbers[int(place * step)] for place in range(min(len(numbers), MOST_VALUES)))
