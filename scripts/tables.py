"""Runs the tests that record a row of a table, and prints it.

    scripts/tables.py faults|scenarios [PYTEST ARGUMENT]...

faults: number, injection, restarts, messages. scenarios (docs/scenarios.md): server, what was detected, after how long, what was done.
Ends as pytest ends.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = {
    "faults": ("number", "injection", "restarts", "messages"),
    "scenarios": ("scenario", "server", "detected", "after", "done", "restarts"),
}
SELECTIONS = {"faults": ["--faults"], "scenarios": ["tests/real/test_scenarios.py", "tests/real/test_scenarios_stuck.py"]}
ROWS = "WATCHDOG_TABLE_ROWS"
"""The variable that names the file to which tests append their rows, a JSON object a line."""


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in COLUMNS:
        print(__doc__, file=sys.stderr)
        return 64
    name, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "rows.jsonl")
        file.touch()
        command = [sys.executable, "-m", "pytest", "-q", *SELECTIONS[name], *arguments]
        ended = subprocess.run(command, cwd=ROOT, env={**os.environ, ROWS: str(file)}).returncode
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    print(table(sorted(rows, key=by_number), COLUMNS[name]))
    return ended


def by_number(row: dict[str, str]) -> tuple[int, int, str]:
    """1 … 33, 33a, 34 …, then F43 and the like."""
    number = next(iter(row.values()))
    found = re.search(r"\d+", number)
    return (not number[:1].isdigit(), int(found[0]) if found else 0, number)


def table(rows: list[dict[str, str]], columns: tuple[str, ...]) -> str:
    """Lines of text, columns as wide as they must be."""
    lines = [dict(zip(columns, columns, strict=True)), *rows]
    widths = {column: max(len(str(line[column])) for line in lines) for column in columns}
    return "\n".join("  ".join(str(line[column]).ljust(widths[column]) for column in columns).rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
