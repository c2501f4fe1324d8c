"""The house, held over the syntax trees: floors, pure core, one file a third-party package, sizes, nothing of a machine in the tree."""

import ast
import functools
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import mutants

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
PACKAGE = "model_watchdog"

FLOORS = {
    4: "__main__ cli daemon demo web",
    3: "tick sending book means recovery outbox control commands hostwatch rights status examination lanes runners rounds"
    " telling replies acknowledging stories silences minding maintenance digest heartbeat trends"
    " report reporting recalling reloading exporting learnt replaying recorded subjects ledger rehearsing own_metrics",
    2: "store record database writes wording snapshot config profiles gpuview vitals history transactions notes rolling levels",
    1: "probes recoveries evidence notifiers worker systemd managers journal properties cgroup pidfd sdnotify children clock schedule"
    " client observing crashpoint answers connecting resolver moments language wire serving nvml mounts lock asking exposition"
    " conversation beside calls following filesystems containers logtimes logreading expressions feeding chunks rollups sketch",
    0: "__init__ core rules promql errors patterns",
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names.split()}
KINDS = ("probes", "recoveries", "evidence", "notifiers", "rules")
"""Folders of which each file is one kind of a thing."""
PURE = ("core", "rules", "promql", "errors")
NOT_OF_THE_DAEMON = {f"{PACKAGE}.promql.conformance"}
"""A command for developers that reads files and prints; nothing of the daemon imports it."""
READS_PROMQL = {f"{PACKAGE}.promql.parsing": "promql_parser"}
"""What of the pure floor may import a third-party package, and which: one that reads a text, without a clock or a file."""
NOT_PURE = {
    *(
        "time",
        "random",
        "os",
        "subprocess",
        "logging",
        "datetime",
        "asyncio",
        "threading",
        "multiprocessing",
        "socket",
        "select",
        "selectors",
    ),
    *("signal", "pathlib", "io", "shutil", "tempfile", "sqlite3", "urllib", "http", "ssl", "secrets", "uuid", "sys", "platform", "getpass"),
}
SEVERAL_FILES: dict[str, set[str]] = {}
"""Third-party packages that more than one file may import, and which."""
NOT_IN_THE_DAEMON = ("apprise", "rich", "click", "ddsketch", "starlette", "uvicorn")
FILE_LINES, FUNCTION_LINES = 400, 60

FILES = sorted(SRC.rglob("*.py"))


def named(path: Path) -> str:
    """probes/http.py -> model_watchdog.probes.http"""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


MODULES = {named(path): path for path in FILES}


def imports(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """Every imported module, wherever it stands, but not what only the type checker sees; and whether it is imported at import time."""
    yield from _imports(node, at_once=True)


def _imports(node: ast.AST, at_once: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imports(other, at_once)
        elif isinstance(child, ast.Import):
            yield from ((alias.name, at_once) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: imports are absolute"
            assert child.module
            for alias in child.names:  # `from model_watchdog import errors` imports a module, too
                whole = f"{child.module}.{alias.name}"
                yield (whole if whole in MODULES else child.module, at_once)
        else:
            yield from _imports(child, at_once and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def below_package(module: str) -> str:
    """model_watchdog.probes.http -> probes"""
    return module.split(".")[1] if "." in module else "__init__"


def floor(module: str) -> int:
    """Of a module of ours."""
    return FLOOR_OF[below_package(module)]


def ours(path: Path) -> Iterator[str]:
    return (module for module, _ in imports(tree_of(path)) if module.split(".")[0] == PACKAGE)


def test_every_module_is_on_a_floor_and_imports_point_down() -> None:
    nowhere = {below_package(module) for module in MODULES} - FLOOR_OF.keys()
    assert not nowhere, f"on no floor: {nowhere}; add it to FLOORS, and to the picture in the README"
    wrong = []
    for module, path in MODULES.items():
        here = floor(module)
        wrong += [f"{module} (floor {here}) imports {other} (floor {floor(other)})" for other in ours(path) if floor(other) > here]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_in_a_circle() -> None:
    below = {module: {m for m, at_once in imports(tree_of(path)) if at_once and m in MODULES} for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"a circle: {' -> '.join((*trail[trail.index(module) :], module))}"
        if module not in done:
            for other in below[module]:
                visit(other, (*trail, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_one_kind_do_not_import_each_other(kind: str) -> None:
    prefix = f"{PACKAGE}.{kind}."
    siblings = {module: path for module, path in MODULES.items() if module.startswith(prefix)}
    wrong = [f"{module} imports {other}" for module, path in siblings.items() for other in ours(path) if other.startswith(prefix)]
    assert not wrong, "\n".join(wrong)


def test_the_core_is_pure() -> None:
    wrong = []
    for module, path in MODULES.items():
        if below_package(module) not in PURE or module in NOT_OF_THE_DAEMON:
            continue
        for name, _ in imports(tree_of(path)):
            top = name.split(".")[0]
            if READS_PROMQL.get(module) == top:
                continue
            if top in NOT_PURE or (top != PACKAGE and top not in sys.stdlib_module_names):
                wrong.append(f"{module} imports {name}")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print", "input", "__import__"):
                wrong.append(f"{module}:{node.lineno} calls {node.func.id}")
    assert not wrong, "\n".join(wrong)


def test_each_third_party_package_is_imported_by_one_file() -> None:
    importers: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        for name, _ in imports(tree_of(path)):
            top = name.split(".")[0]
            if top != PACKAGE and top not in sys.stdlib_module_names:
                importers[top].add(str(path.relative_to(SRC / PACKAGE)))
    wrong = {name: files for name, files in importers.items() if len(files) > 1 and not files <= SEVERAL_FILES.get(name, set())}
    assert not wrong
    assert importers["psutil"] <= {"probes/host.py"}


def test_the_daemon_never_loads_what_is_heavy() -> None:
    kinds = [module for module in MODULES if below_package(module) in ("probes", "recoveries", "notifiers")]
    code = f"import sys, {PACKAGE}.daemon, {', '.join(kinds)}; print([name for name in {NOT_IN_THE_DAEMON!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert loaded.stdout.strip() == "[]", loaded.stdout + loaded.stderr


def test_files_and_functions_are_of_a_size_that_a_reader_holds() -> None:
    wrong = []
    for path in FILES:
        lines = len(path.read_text().splitlines())
        if lines > FILE_LINES:
            wrong.append(f"{path.relative_to(ROOT)} has {lines} lines")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                if (length := node.end_lineno - node.lineno + 1) > FUNCTION_LINES:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)


def test_every_guard_is_marked_on_an_if() -> None:
    marked = {guard.number for path in FILES for guard in mutants.guards_in(path)}
    assert set(mutants.WANTED) <= marked


OF_A_MACHINE = re.compile(
    r"--(?:extra-)?index-" r"url|--find-" r"links|--trusted-" r"host|registry *= *.http|\"resolved\": *\"http"
    r"|pypi\." r"org|python" r"hosted\.org|(?<![\w.*-])/wo" r"rk/|/tmp/" r"v/|/root/\.py" r"env"
)  # fmt: skip


def tree_files() -> list[Path]:
    """What git tracks, or would: all files outside what is ignored."""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    ignored = {".venv", ".git", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not ignored & set(path.relative_to(ROOT).parts)]


def test_no_registry_and_no_path_of_a_machine_is_in_the_tree() -> None:
    wrong = []
    for path in tree_files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if found := OF_A_MACHINE.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {found[0]}")
    assert not wrong, "\n".join(wrong)


def test_every_requirement_is_pinned_with_its_hashes() -> None:
    for path in sorted(ROOT.glob("requirements*.txt")):
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
        assert lines, path
        for line in lines:
            assert re.fullmatch(r"[a-z0-9.-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?", line), f"{path.name}: {line}"
