"""Follows a file as it grows: through rotation, truncation and deletion, and over a restart of the daemon.

No line is given twice, and none is lost, unless the file that was read is deleted before its end was, or is cut and written anew from the
same beginning and beyond the old length.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SLICE = 256 * 1024
"""Bytes that are read in one go: 1 ms of work, between two of which the loop does other things."""
LONGEST_LINE = 64 * 1024
"""Bytes of a line that are kept; the rest of it is skipped."""
HEAD = 256
"""Bytes of a file's beginning by which it is known again: one that was cut, or deleted and made anew, has the same number."""
_TURNED = re.compile(r"[.-]\d[\d_.-]*")
"""What a rotated file has behind its name: a number, or a date."""


@dataclass
class Tail:
    """The place in a file up to which its whole lines have been given. `notes` are what a person should know of it, once."""

    path: Path
    inode: int = 0
    device: int = 0
    offset: int = 0
    skipping: bool = False
    is_known: bool = False
    notes: list[str] = field(default_factory=list)
    _head: bytes = b""
    _is_awaited: bool = False  # it was not there when it was looked for: all of it is new
    _is_last: bool = False  # nobody writes to it any more: what is there is all of it
    _file: int | None = None

    def remember(self) -> dict[str, Any]:
        """What another daemon must know to go on here."""
        return {"inode": self.inode, "device": self.device, "offset": self.offset, "skipping": self.skipping, "head": self._head.hex()}

    def recall(self, plain: dict[str, Any]) -> None:
        self.inode, self.device = int(plain["inode"]), int(plain["device"])
        self.offset, self.skipping, self.is_known = int(plain["offset"]), bool(plain["skipping"]), True
        self._head = bytes.fromhex(plain.get("head", ""))  # an older version kept none

    @property
    def behind(self) -> int:
        """Bytes that are there and have not been given."""
        return max(0, os.fstat(self._file).st_size - self.offset) if self._file is not None else 0

    def read(self) -> Iterator[bytes]:
        """Pieces of whole lines, each ending with a newline, as far as there are any. Raises OSError where the file cannot be read."""
        self._open()
        assert self._file is not None
        if self._is_another(self._file):
            self._note_truncated()
        while True:
            assert self._file is not None
            piece = self._next()
            if piece is not None:
                if piece:
                    yield piece
                continue
            if not self._follow():
                return

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> None:
        if self._file is not None:
            return
        if self.is_known:
            left = self._find_rotated()
            if left is not None:
                self._file = left
                return
        try:
            file = self._open_path()
        except FileNotFoundError:
            self._is_awaited = True
            raise
        self._take(file, from_start=self.is_known or self._is_awaited)

    def _open_path(self) -> int:
        file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(22, "it is no regular file")
        return file

    def _take(self, file: int, *, from_start: bool) -> None:
        """This file from now on: at its end where the log was never seen before, else where it was left, or from its start."""
        found = os.fstat(file)
        same = (found.st_ino, found.st_dev) == (self.inode, self.device)
        if not (same and self.is_known):
            self.offset, self.skipping = 0 if from_start else _end_of_line(file, found.st_size), False
            self._head = b""
        elif found.st_size < self.offset or self._is_another(file):
            self._note_truncated()
        self.close()
        self._file, self.inode, self.device, self.is_known = file, found.st_ino, found.st_dev, True

    def _find_rotated(self) -> int | None:
        """The file that was being read, under another name by now: its rest comes first."""
        with contextlib.suppress(OSError):
            found = os.stat(self.path)
            if (found.st_ino, found.st_dev) == (self.inode, self.device):
                return None
            for entry in os.scandir(self.path.parent):
                if entry.inode() == self.inode and entry.name.startswith(self.path.name) and entry.is_file(follow_symlinks=False):
                    file = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                    if os.fstat(file).st_dev == self.device and os.fstat(file).st_size >= self.offset:
                        return file
                    os.close(file)
        return None

    def _next(self) -> bytes | None:
        """The next piece, empty where only a part of a long line was skipped; None where no whole line is there."""
        assert self._file is not None
        data = os.pread(self._file, SLICE, self.offset)
        if self.skipping:
            end = data.find(b"\n") + 1
            if not end and not data:
                return None
            self.offset += end or len(data)
            self.skipping = not end
            return b""
        end = data.rfind(b"\n") + 1
        if end:
            self.offset += end
            return data[:end]
        if len(data) > LONGEST_LINE or (data and self._is_last):
            self.offset += len(data)
            self.skipping = True
            return data[:LONGEST_LINE] + b"\n"
        return None

    def _follow(self) -> bool:
        """At the end of what is there: whether there is more to read in its place, because it was truncated or rotated."""
        assert self._file is not None
        if os.fstat(self._file).st_size < self.offset or self._is_another(self._file):
            self._note_truncated()
            return True
        self._keep_head()
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False  # rotated, or deleted: its writer may go on with it, and somebody may make another
        if (found.st_ino, found.st_dev) == (self.inode, self.device):
            return False
        if not found.st_size:
            return False  # rotated, and its writer has not come over yet: until it has, it may write here
        if os.fstat(self._file).st_size > self.offset and not self._is_last:
            self._is_last = True  # what it wrote before it came over, also where that has no end of line
            return True
        self._is_last = False
        between = self._find_between(found.st_ino)
        self._take(self._open_path() if between is None else between, from_start=True)
        return True

    def _find_between(self, current: int) -> int | None:
        """The oldest file that was rotated after the one that was read, and before the one that is written now: nobody has read it."""
        assert self._file is not None
        mine = os.fstat(self._file)
        found = []
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.path.parent):
                name = entry.name
                if not name.startswith(self.path.name) or not _TURNED.fullmatch(name[len(self.path.name) :]):
                    continue
                stats = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(stats.st_mode) and stats.st_ino not in (self.inode, current) and stats.st_mtime_ns > mine.st_mtime_ns:
                    found.append((stats.st_mtime_ns, entry.path))
            if found:
                return os.open(min(found)[1], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return None

    def _is_another(self, file: int) -> bool:
        """It does not begin as it began: what was read of it is not there any more."""
        return os.pread(file, len(self._head), 0) != self._head

    def _keep_head(self) -> None:
        assert self._file is not None
        if len(self._head) < min(HEAD, self.offset):
            self._head = os.pread(self._file, min(HEAD, self.offset), 0)

    def _note_truncated(self) -> None:
        self.offset, self.skipping, self._head = 0, False, b""
        self.notes.append("the file was truncated, and is read from its start")


def _end_of_line(file: int, size: int) -> int:
    """The end of the last whole line."""
    begin = max(0, size - LONGEST_LINE)
    return begin + os.pread(file, size - begin, begin).rfind(b"\n") + 1 if size else 0
