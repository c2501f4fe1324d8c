"""A wall clock that a test may step, for one process and its children, while the steady clock and all waits stay true."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("wallclock.c")
IN_BOX = "/opt/wallclock"
"""Where to bind `WallClock.directory` in a box (read-only will do)."""


def compiler() -> str | None:
    """The C compiler; None where there is none."""
    return shutil.which("cc") or shutil.which("gcc")


class WallClock:
    """Compiled into `directory`, which also holds the file with the offset."""

    def __init__(self, directory: Path) -> None:
        cc = compiler()
        assert cc, "no C compiler"
        self.directory = directory
        self._offset = directory / "offset"
        self.step_to(0)
        subprocess.run([cc, "-O1", "-Wall", "-shared", "-fPIC", "-o", directory / "wallclock.so", SOURCE, "-ldl"], check=True, timeout=60)

    def environment(self, seen_at: str | None = None) -> dict[str, str]:
        """Variables for a process that is to live by this clock; `seen_at` is where it sees `directory` (IN_BOX in a box)."""
        directory = seen_at or str(self.directory)
        return {"LD_PRELOAD": f"{directory}/wallclock.so", "MW_WALL_FILE": f"{directory}/offset"}

    def step_to(self, seconds: int) -> None:
        """From now on those processes see the true time plus `seconds`."""
        self._offset.write_text(str(seconds))  # in place, so that a bound directory shows it too
