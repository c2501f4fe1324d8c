"""The NVIDIA driver's library without a GPU: real to pynvml, and told by a file what to answer, when to hang and when to crash."""

import os
import subprocess
from pathlib import Path

from tests.rig.wallclock import compiler

SOURCE = Path(__file__).with_name("fakenvml.c")
IN_BOX = "/opt/fakenvml"
"""Where to bind `FakeNvml.directory` in a box."""


def uuid(number: int, kind: str = "GPU") -> str:
    """The name that the library gives its device of this number (of a part: 16 + 8 * device + part, kind MIG)."""
    return f"{kind}-fa4e0000-0000-0000-0000-{number:012d}"


class FakeNvml:
    """Compiled into `directory`, which also holds its state (see fakenvml.c for the keys)."""

    def __init__(self, directory: Path) -> None:
        cc = compiler()
        assert cc, "no C compiler"
        self.directory = directory
        self.library = directory / "libnvidia-ml.so.1"
        flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1")
        subprocess.run([cc, *flags, "-o", self.library, SOURCE, "-lpthread", "-ldl"], check=True, timeout=60)
        self.set("count=2")

    def environment(self, seen_at: str | None = None) -> dict[str, str]:
        """Variables for a process that is to find this library; `seen_at` is where it sees `directory` (IN_BOX in a box)."""
        return {"LD_LIBRARY_PATH": seen_at or str(self.directory)}

    def set(self, *lines: str) -> None:
        """What holds from now on, and nothing of what was set before."""
        fresh = self.directory / "state.new"
        fresh.write_text("\n".join(lines) + "\n")
        os.replace(fresh, self.directory / "state")

    def hide(self) -> None:
        """Takes the library away, as where no driver is installed; `show` puts it back."""
        os.rename(self.library, self.directory / "hidden")

    def show(self) -> None:
        os.rename(self.directory / "hidden", self.library)
