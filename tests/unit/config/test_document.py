"""What YAML itself allows and this configuration does not. Rows 60, 61 and 64 of the fault catalogue."""

import time

import pytest

from model_watchdog.config.document import DEPTH
from tests.unit.config.texts import MINIMAL, Faults, Load

NOT_ALLOWED = "is not allowed; defaults: is what it is wanted for"

NOT_YAML = {
    "a tab": ("services:\n\tbert: {unit: b}\n", "2:1: a tab; YAML is indented with spaces"),
    "a NUL": ("services: {}\nlanguage: e\0n\n", "2:12: a NUL character; the file must be plain text"),
    "an escape": ("language: \x1b[2J\n", "1:11: a control character (U+001B); the file must be plain text"),
    "two documents": ("services: {}\n---\nlanguage: en\n", "2:1: a second document begins here; one file holds one document"),
    "a tag": ("language: !!str en\n", '1:11: language: the tag "tag:yaml.org,2002:str" is not allowed; write the plain value'),
    "a tag of Python": (
        "language: !!python/object/apply:os.system [ls]\n",
        '1:11: language: the tag "tag:yaml.org,2002:python/object/apply:os.system" is not allowed; write the plain value',
    ),
    "an unknown tag": ("a: !b c\n", '1:4: a: the tag "!b" is not allowed; write the plain value'),
    "an open quote": ('language: "en\n', "1:11: the file ends inside a text in quotes that begins here"),
    "an open list": ("services: [a\n", '1:11: the list that begins here with [ is not closed, or a "," is missing in it'),
    "an open mapping": ("services: {a: b\n", '1:11: the mapping that begins here with { is not closed, or a "," is missing in it'),
    "a colon in a text": (
        "services: a: b\n",
        '1:12: a ": " where no key can be; put a text that holds ": " in quotes, or look at the indentation',
    ),
    "an at sign": ("language: @en\n", "1:11: a value cannot begin with @; put it in quotes"),
    "indentation": ("services:\n  a: {}\n b: {}\n", "3:2: this does not fit the lines above; look at the indentation"),
    "no colon": (
        "services\nlanguage: en\n",
        '2:9: a ": " where no key can be; put a text that holds ": " in quotes, or look at the indentation',
    ),
    "a list as a key": ("? [a]\n: b\n", "1:3: a key must be a word"),
    "a list": ("- a\n- b\n", "1:1: expected keys with values, such as services:"),
    "a word": ("services\n", "1:1: expected keys with values, such as services:"),
    "nothing": ("# only a comment\n", "1:1: is empty; config.example.yaml shows what can be in it"),
    "null": ("---\n~\n", "1:1: is empty; config.example.yaml shows what can be in it"),
}


@pytest.mark.parametrize(("text", "fault"), NOT_YAML.values(), ids=NOT_YAML)
def test_fault_60_what_is_not_yaml_is_one_line_with_its_place(faults_of: Faults, text: str, fault: str) -> None:
    assert faults_of(text) == [f"config.yaml:{fault}"]


def test_fault_61_duplicate_keys_are_told_besides_what_else_is_wrong(faults_of: Faults) -> None:
    text = MINIMAL + "    startup: 300\n    startup: 5m\nservices: {}\n"
    assert faults_of(text) == [
        'config.yaml:6:14: services.chatglm.startup: "300" has no unit; did you mean 300s?',
        "config.yaml:7:5: services.chatglm.startup: is there twice; the first one is on line 6",
        "config.yaml:8:1: services: is there twice; the first one is on line 1",
    ]


def test_fault_61_a_duplicate_key_inside_braces(faults_of: Faults) -> None:
    assert faults_of("services: {a: {unit: b}, a: {unit: c}}") == [
        "config.yaml:1:26: services.a: is there twice; the first one is on line 1"
    ]


def test_fault_64_anchors_aliases_and_merge_keys(faults_of: Faults) -> None:
    text = "defaults: &d {startup: 5m}\nservices:\n  a: *d\n  b:\n    <<: *d\n    unit: b\n"
    assert faults_of(text) == [
        f"config.yaml:1:11: defaults: the anchor &d {NOT_ALLOWED}",
        f"config.yaml:3:6: services.a: the alias *d {NOT_ALLOWED}",
        f"config.yaml:5:5: services.b: the merge key << {NOT_ALLOWED}",
        f"config.yaml:5:9: services.b.<<: the alias *d {NOT_ALLOWED}",
    ]


def test_fault_64_an_alias_bomb_costs_nothing(faults_of: Faults) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    started = time.process_time()
    assert len(faults_of("\n".join(lines))) == 100
    assert time.process_time() - started < 0.05


def test_fault_64_a_self_reference(faults_of: Faults) -> None:
    assert faults_of("a: &a [*a]") == [
        f"config.yaml:1:4: a: the anchor &a {NOT_ALLOWED}",
        f"config.yaml:1:8: a[0]: the alias *a {NOT_ALLOWED}",
    ]


BOMBS = {"lists": "a: " + "[" * 200_000, "mappings": "a: " + "{" * 200_000, "dashes": "a:\n" + "- " * 100_000, "keys": "? " * 100_000}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_fault_64_a_depth_bomb(faults_of: Faults, text: str) -> None:
    started = time.process_time()
    faults = faults_of(text)
    assert time.process_time() - started < 0.05
    assert len(faults) == 1
    assert faults[0].endswith(f"nested deeper than {DEPTH} levels")


def test_json_is_yaml(load_text: Load) -> None:
    config = load_text('{"services": {"a": {"unit": "b", "startup": "5m"}}}')
    assert config.services["a"].core.startup == 300


def test_escapes_in_quoted_keys_do_not_reach_the_terminal(faults_of: Faults) -> None:
    (fault,) = faults_of('"\\e[2J": 1\n')
    assert fault.startswith("config.yaml:1:1: \\x1b[2J: no such key")
