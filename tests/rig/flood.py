"""A flood of requests, by wrk: as fast as they are answered, on hundreds of connections at once."""

import re
import subprocess
import time
from pathlib import Path

from tests.rig.prometheus import find_libraries, find_tool

WRK = find_tool("wrk")
SCRIPT = """\
local paths = {%s}
local place = 0
request = function()
  place = place %% #paths + 1
  return wrk.format("GET", paths[place])
end
"""


class Flood:
    """Of these paths in turn. It runs as low in rank as `watchdog web` does beside the daemon: it stands for another machine."""

    def __init__(self, directory: Path, url: str, paths: list[str], seconds: float, connections: int = 400) -> None:
        script = directory / "flood.lua"
        script.write_text(SCRIPT % ", ".join(f'"{path}"' for path in paths))
        command = ["nice", "-n", "15", str(WRK), "-t2", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(script), url]
        self._began = time.monotonic()
        self._process = subprocess.Popen(command, env=find_libraries(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self) -> float:
        """Waits for its end; requests answered a second."""
        said, _ = self._process.communicate(timeout=60)
        found = re.search(r"Requests/sec: *([0-9.]+)", said)
        assert found, said
        return float(found[1])
