"""Runs the tests of docs/scenarios.md, and prints the table: scenario, server, what was detected, after how long, restarts.

Arguments go to pytest. Ends as pytest ends.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("scenario", "server", "detected", "after", "restarts")


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "rows.jsonl")
        file.touch()
        command = [sys.executable, "-m", "pytest", "-q", "tests/real/test_scenarios.py", *sys.argv[1:]]
        ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "MODEL_WATCHDOG_SCENARIO_ROWS": str(file)}).returncode
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    lines = [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]
    widths = {column: max(len(str(line[column])) for line in lines) for column in COLUMNS}
    print("\n".join("  ".join(str(line[column]).ljust(widths[column]) for column in COLUMNS).rstrip() for line in lines))
    return ended


if __name__ == "__main__":
    sys.exit(main())
