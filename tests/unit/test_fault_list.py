"""The list of faults in docs/faults.md says of each what shows it; what this version promises has a test by its number."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LATER = "arrives later"
ALL = [*map(str, range(1, 34)), "33a", *map(str, range(34, 88)), "F43"]
PROMISED = [
    *map(str, range(1, 34)),
    "33a",
    *map(str, range(34, 88)),
    "F43",
]


def rows() -> dict[str, str]:
    """Number to the last column."""
    lines = [line.strip("| ").split(" | ") for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if line.startswith("| ")]
    entries = [cells for cells in lines if cells[0] != "no."]
    assert all(len(cells) == 4 and all(cells) for cells in entries), entries
    numbers = [cells[0] for cells in entries]
    assert len(set(numbers)) == len(numbers)
    return {cells[0]: cells[3] for cells in entries}


@cache
def names_of_tests() -> set[str]:
    """The names of all test functions of the project."""
    trees = [ast.parse(path.read_text(), str(path)) for path in (ROOT / "tests").rglob("test_*.py")]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {function.name for function in functions if function.name.startswith("test_")}


def number_of(test: str) -> str | None:
    """`test_fault_07_redirect` is of 7, `test_fault_33a_…` of 33a, `test_fault_f43_…` of F43."""
    found = re.match(r"test_fault_0*([1-9]\d*a?|f\d+)_", test)
    return found[1].replace("f", "F") if found else None


def test_every_fault_is_listed_in_its_order() -> None:
    assert list(rows()) == ALL


@pytest.mark.parametrize("number", PROMISED)
def test_what_is_promised_has_a_test(number: str) -> None:
    named = re.findall(r"`(\w+)`", rows()[number])
    assert any(number_of(test) == number for test in named), f"docs/faults.md names no test of fault {number}"
    missing = set(named) - names_of_tests()
    assert not missing, f"there is no {', '.join(missing)} (fault {number})"


def test_what_is_not_promised_arrives_later() -> None:
    assert {number: shown for number, shown in rows().items() if number not in PROMISED} == dict.fromkeys(
        (number for number in ALL if number not in PROMISED), LATER
    )


def test_the_number_is_read_from_a_tests_name() -> None:
    names = ("test_fault_07_redirect", "test_fault_33a_x", "test_fault_f43_x", "test_fault_70_71_x", "test_faulty_1_x", "test_fault_x")
    assert [number_of(name) for name in names] == ["7", "33a", "F43", "70", None, None]
