"""A terminal: a program runs in it as in a window or over ssh, and what stands on its screen can be read."""

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pyte

SRC = Path(__file__).resolve().parents[2] / "src"


class Terminal:
    """`watchdog WORDS` in a terminal of that size. `lines` is what can be seen, `written` all that was ever sent to it."""

    def __init__(self, *words: str, columns: int = 120, rows: int = 40, term: str = "xterm-256color") -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.written = b""
        self._leader, self._follower = pty.openpty()
        self._set_size(columns, rows)
        self.settings = termios.tcgetattr(self._follower)
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        environment |= {"PYTHONPATH": str(SRC), "TERM": term, "PYTHONUTF8": "1"}
        end = self._follower
        command = [sys.executable, "-m", "model_watchdog", *words]
        self.process = subprocess.Popen(
            command, stdin=end, stdout=end, stderr=end, env=environment, preexec_fn=self._take_terminal, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _take_terminal(self) -> None:
        fcntl.ioctl(self._follower, termios.TIOCSCTTY, 0)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._leader, 65536)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.written += data
                self._stream.feed(data)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """As a window that is drawn larger: the program is told so."""
        with self._lock:
            self._screen.resize(rows, columns)
            self._screen.erase_in_display(2)
            self._set_size(columns, rows)

    def press(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    @property
    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def is_as_before(self) -> bool:
        """The settings are those from before, the first page is shown, and so is the cursor."""
        pages = [self.written.rfind(end) for end in (b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25l", b"\x1b[?25h")]
        return termios.tcgetattr(self._follower) == self.settings and pages[0] < pages[1] and pages[2] < pages[3]

    def used_seconds(self) -> float:
        """Processor time."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)
        os.close(self._follower)
        self._reader.join(5)
        with contextlib.suppress(OSError):
            os.close(self._leader)
