"""Runs the tests that record a row of the table of faults, and prints the table: number, injection, restarts, messages.

Arguments go to pytest. Ends as pytest ends.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("number", "injection", "restarts", "messages")


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "rows.jsonl")
        file.touch()
        command = [sys.executable, "-m", "pytest", "--faults", "-q", *sys.argv[1:]]
        ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "WATCHDOG_FAULT_ROWS": str(file)}).returncode
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    print(table(sorted(rows, key=by_number)))
    return ended


def by_number(row: dict[str, str]) -> tuple[int, int, str]:
    """1 … 33, 33a, 34 …, then F43 and the like."""
    found = re.search(r"\d+", row["number"])
    return (not row["number"][:1].isdigit(), int(found[0]) if found else 0, row["number"])


def table(rows: list[dict[str, str]]) -> str:
    """Lines of text, columns as wide as they must be."""
    lines = [dict(zip(COLUMNS, COLUMNS, strict=True)), *rows]
    widths = {column: max(len(line[column]) for line in lines) for column in COLUMNS}
    return "\n".join("  ".join(line[column].ljust(widths[column]) for column in COLUMNS).rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
