"""Takes the guards out of the code one by one, and expects the tests to notice.

A guard is an `if` with the comment `# guard: N` on its line; a mutant is a copy of the tree in which that condition never holds.
Prints guard, place and the test that failed; ends with 1 when a mutant survives, a guard has no mark, or the tests fail by themselves.

    scripts/mutants.py [--guard N]... [--jobs N] [PYTEST ARGUMENT]...

Without arguments for pytest: tests/scenarios first, and where a mutant survives those, the fault tests in a real systemd.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WANTED = ("1", "2", "3", "4", "5", "6", "7", "8", "11", "14", "16")
"""The guards that must be there, each at least once."""
MARK = re.compile(r"#\s*guard:\s*(\w+)")
SELECTIONS = (["tests/scenarios"], [f"tests/real/test_faults_{what}.py" for what in ("crash", "shutdown", "unit")])
DEADLINE = 900.0
"""Seconds that one run of the tests may take; a mutant that takes longer is noticed."""


@dataclass(frozen=True)
class Guard:
    """One condition: where it stands, in bytes of the file."""

    number: str
    path: Path
    line: int
    begin: int
    end: int

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


class Unusable(Exception):
    """The marks cannot be used as they stand."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guard", action="append", help="only this one")
    parser.add_argument("--jobs", type=int, default=1, help="mutants side by side (default 1: tests that measure time stay honest)")
    options, selection = parser.parse_known_args()
    selections = [selection] if selection else SELECTIONS
    try:
        guards = [guard for path in sorted(ROOT.glob("src/**/*.py")) for guard in guards_in(path)]
    except Unusable as reason:
        print(f"mutants: {reason}", file=sys.stderr)
        return 1
    missing = [number for number in WANTED if number not in {guard.number for guard in guards}]
    chosen = [guard for guard in guards if not options.guard or guard.number in options.guard]
    failures: dict[Guard, str] = {}
    for selection in selections:
        left = [guard for guard in chosen if guard not in failures]
        if not left:
            break
        if failure := noticed_by(None, selection):
            print(f"mutants: the tests fail without any mutant: {failure}", file=sys.stderr)
            return 1
        with ThreadPoolExecutor(options.jobs) as pool:
            for guard, seen in zip(left, pool.map(partial(noticed_by, selection=selection), left), strict=True):
                if seen:
                    failures[guard] = seen
    for guard in chosen:
        print(f"guard {guard.number:<3} {guard.place:<55} {failures.get(guard, 'SURVIVED')}")
    for number in missing:
        print(f"guard {number:<3} has no mark in src")
    survived = len(chosen) - len(failures)
    print(f"{len(chosen)} mutants, {survived} survived; {len(missing)} guards without a mark")
    return 1 if survived or missing else 0


def guards_in(path: Path) -> Iterator[Guard]:
    """The marked conditions of a file. Raises Unusable for a mark that is not on the line of an `if`."""
    source = path.read_bytes()
    marked = {number: match[1] for number, line in enumerate(source.decode().splitlines(), 1) if (match := MARK.search(line))}
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.If, ast.IfExp)) or node.lineno not in marked:
            continue
        test = node.test
        assert test.end_lineno is not None
        assert test.end_col_offset is not None
        span = starts[test.lineno - 1] + test.col_offset, starts[test.end_lineno - 1] + test.end_col_offset
        yield Guard(marked.pop(node.lineno), path.relative_to(ROOT), node.lineno, *span)
    if marked:
        raise Unusable(f"{path}: the mark on line {min(marked)} is not on the line of an if")


def noticed_by(guard: Guard | None, selection: list[str]) -> str | None:
    """Runs the tests on a copy without `guard`; what failed first, or None when nothing did."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as directory:
        tree = Path(directory, "tree")
        shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", ".hypothesis"))
        if guard:
            take_out(guard, tree)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *selection]
        environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            ended = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            return f"not done in {DEADLINE:g} s"
    if ended.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    return failed[1] if failed else (ended.stdout + ended.stderr).strip()[-2000:]


def take_out(guard: Guard, tree: Path) -> None:
    """Makes the guard's condition false in the copy."""
    path = tree / guard.path
    source = path.read_bytes()
    path.write_bytes(source[: guard.begin] + b"False and (" + source[guard.begin : guard.end] + b")" + source[guard.end :])
    compile(path.read_bytes(), str(path), "exec")


if __name__ == "__main__":
    sys.exit(main())
