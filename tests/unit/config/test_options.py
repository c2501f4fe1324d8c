"""From type hints to values, with stand-ins for kinds; and finding the real kinds by their words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from model_watchdog.config.document import parse
from model_watchdog.config.faults import Faults, InvalidConfig, find_nearest, suggest
from model_watchdog.config.kinds import find_kind, list_kinds
from model_watchdog.config.options import Options, list_options
from model_watchdog.config.sources import Sources
from model_watchdog.core.units import Bytes, Number, Seconds, Secret, Url

NOTHING = Bytes(0)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Even:
    number: int

    @classmethod
    def parse(cls, value: Any) -> "Even":
        if not isinstance(value, int) or value % 2:
            raise ValueError(f"{value!r} is not even")
        return cls(value)


@dataclass(frozen=True)
class Inner:
    size: Bytes = NOTHING


@dataclass(frozen=True)
class Everything:
    known: ClassVar[int] = 1
    must: str
    wait: Seconds = Seconds(1.0)
    size: Bytes = NOTHING
    level: Number = Number(0.0)
    secret: Secret | None = None
    url: Url | None = None
    count: int = 0
    ratio: float = 0.0
    flag: bool = False
    mode: Literal["fast", "slow"] = "fast"
    colour: Colour = Colour.RED
    items: list[str] = field(default_factory=list)
    pairs: tuple[int, ...] = ()
    table: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    path: Path | None = None
    even: Even = Even(2)
    inner: Inner = Inner()
    for_: Seconds | None = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count must not be negative")

    def faults(self) -> list[str]:
        return [f"{self.must} is odd", "and more"] if self.must == "odd" else []


def build(text: str, **environment: str) -> Everything | list[str]:
    faults = Faults(Path("f"))
    root = parse(text, faults)
    options = Options(faults, Sources(environment, None))
    options.check_keys(root.entries, "", [option.name for option in list_options(Everything)])
    made = options.build(Everything, root.entries, "x", root.place)
    try:
        faults.raise_if_any()
    except InvalidConfig as invalid:
        return list(invalid.faults)
    assert isinstance(made, Everything)
    return made


def test_every_type_of_option() -> None:
    text = """\
must: text
wait: 5m
size: 512MiB
level: 90%
secret: "1"
url: http://h/
count: -0
ratio: 3
flag: true
mode: slow
colour: blue
items: [a, "1"]
pairs: [1, 2]
table: {a: {b: [1, 0.5, true, null, x]}}
secrets: {a: b}
path: /etc
even: 4
inner: {size: 1kB}
for: 1s
"""
    assert build(text) == Everything(
        *("text", Seconds(300.0), Bytes(512 * 2**20), Number(90.0), Secret("1"), Url("http://h/"), 0, 3.0, True, "slow", Colour.BLUE),
        *(["a", "1"], (1, 2), {"a": {"b": [1, 0.5, True, None, "x"]}}, {"a": Secret("b")}, Path("/etc"), Even(4), Inner(Bytes(1000))),
        Seconds(1.0),
    )


def test_defaults_and_null() -> None:
    assert build("must: a\nsecret:\nfor: ~\n") == Everything("a")


FAULTS = {
    "count: 1\n": ["f:1:1: x.must: is missing; it takes a text"],
    "must:\n": ["f:1:6: x.must: is empty; it takes a text"],
    "must: a\ncount: -1\n": ["f:1:1: x: count must not be negative"],
    "must: odd\n": ["f:1:1: x: and more", "f:1:1: x: odd is odd"],
    "must: odd\ncount: x\n": ['f:2:8: x.count: "x" is not a whole number; write it like 3'],  # and nothing of what follows from it
    "must: a\nflag: yes\n": ['f:2:7: x.flag: "yes" is not true or false; write one of them'],
    "must: a\nmode: fats\n": ['f:2:7: x.mode: "fats" is not known here; did you mean "fast"?'],
    "must: a\ncolour: [red]\n": ["f:2:9: x.colour: expected one of red, blue, not a list"],
    "must: a\nitems: [a, 1, [b]]\n": [
        'f:2:12: x.items[1]: "1" is a number to YAML; if a text is meant, put it in quotes: "1"',
        "f:2:15: x.items[2]: expected a text, not a list",
    ],
    "must: a\neven: 3\n": ["f:2:7: x.even: 3 is not even"],
    "must: a\ninner: {sise: 1kB, size: 1}\n": [
        'f:2:9: x.inner.sise: no such key; did you mean "size"?',
        'f:2:26: x.inner.size: "1" has no unit; did you mean 1MiB?',
    ],
    "must: a\nsecrets: {a: 5}\n": ["f:2:14: x.secrets.a: the value is a number to YAML; if a text is meant, put it in quotes"],
    "must: a\nfor_: 1s\n": ['f:2:1: for_: no such key; did you mean "for"?'],
    "must: a\nknown: 1\n": ["f:2:1: known: no such key; there is "],
}


@pytest.mark.parametrize(("text", "faults"), FAULTS.items(), ids=FAULTS)
def test_faults(text: str, faults: list[str]) -> None:
    found = build(text)
    assert isinstance(found, list)
    assert [line[: len(wanted)] for line, wanted in zip(found, faults, strict=True)] == faults


def test_a_kind_that_quotes_a_value_from_outside_does_not_give_it_away() -> None:
    assert build("must: a\neven: '${X}'\n", X="hidden") == ["f:2:7: x.even: '***' is not even"]


def test_kinds_are_found_by_their_files() -> None:
    assert {"http", "unit", "host"} <= set(list_kinds("probes"))
    assert set(list_kinds("recoveries")) == {"systemctl", "command"}
    assert "apprise" in list_kinds("notifiers")
    assert set(list_kinds("rules")) == {"threshold", "sigma", "absent", "expr"}
    for folder in ("probes", "recoveries", "notifiers", "rules"):
        for kind in list_kinds(folder):
            assert list_options(find_kind(folder, kind)) is not None


def test_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match='there is no kind "systemclt"; did you mean "systemctl"'):
        find_kind("recoveries", "systemclt")
    with pytest.raises(ValueError, match="the kind kernel arrives later"):
        find_kind("probes", "kernel")
    with pytest.raises(ValueError, match="there is no kind"):
        find_kind("probes", "__init__")


def test_the_nearest_word() -> None:
    assert find_nearest("Start-Up", ["startup", "stable"]) == "startup"
    assert find_nearest("gpu_temp", ["gpu_up", "gpu_temperature_limit_celsius", "gpu_temperature_celsius"]) == "gpu_temperature_celsius"
    assert find_nearest("xyz", ["startup", "stable"]) is None
    assert suggest("xyz", [f"w{number:02}" for number in range(30)]).endswith("w13, w14 ...")
    assert suggest("xyz", []) == ""
