"""Whatever is in the file: a configuration, or faults with their places, and soon."""

import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_watchdog.config.loading import InvalidConfig, load
from model_watchdog.config.show import show

EXAMPLE = (Path(__file__).resolve().parents[3] / "config.example.yaml").read_text()
WORDS = "- : { } [ ] ' \" # | > % @ ` , \\ null ~ no off 1e3 .inf 012 1:30 2020-01-01 -1 0 30 0s 99999d ${ ${X} ${NO} $${ file:/ file:/x"
PIECES = [
    *WORDS.split(),
    *("\t", "\0", "\n", " ", "  ", ": ", "- ", "? ", "&a ", "*a", "!!str ", "<<: ", "---\n", "...\n", "credential:x"),
    *("\u00e9", "\U0001f600", "\\x00", "a" * 300, "9" * 400),
]


def mutate(chance: random.Random) -> bytes:
    """The example with a few cuts, doublings, swaps and strange pieces."""
    text = EXAMPLE
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.choice((0, 1, 1, 3, 10, 80)))
        piece = chance.choice((chance.choice(PIECES), text[start:end] * 2, "", text[chance.randrange(len(text)) :][:30]))
        text = text[:start] + piece + text[end:]
    data = text.encode()
    return data if chance.random() > 0.05 else data.replace(b"e", bytes([chance.randrange(256)]), 3)


def try_to_load(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    started = time.process_time()
    try:
        config = load(path, environment={"X": "value-of-x"}, credentials_dir=path.parent, strict_secrets=False)
        path.write_text(show(config))
        load(path, environment={"X": "value-of-x"}, credentials_dir=path.parent, strict_secrets=False)
    except InvalidConfig as invalid:
        for line in invalid.faults:
            assert re.match(re.escape(str(path)) + r"(:\d+:\d+)?: \S", line), line
            assert line.isprintable()
            assert "value-of-x" not in line
    assert time.process_time() - started < 2


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_example_gives_faults_and_nothing_else(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        try_to_load(tmp_path / "config.yaml", mutate(chance))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_give_faults_and_nothing_else(tmp_path: Path, data: bytes) -> None:
    try_to_load(tmp_path / "config.yaml", data)


CAP = 256 * 1024 - 200
BIG = {
    "services": "services:\n" + "".join(f"  a{number}:\n" for number in range(CAP // 10)),
    "unknown keys": "".join(f"a{number}: 1\n" for number in range(CAP // 10)),
    "duplicate keys": "a: 1\n" * (CAP // 5),
    "anchors": "".join(f"a{number}: &x 1\n" for number in range(CAP // 15)),
    "digits": f"services: {{a: {{unit: a, probes: {{x: {{kind: http, url: 'http://h', contains: {'1' * CAP}x}}}}}}}}",
    "variables": f"services: {{a: {{unit: '{'${A}' * (CAP // 4)}'}}}}",
    "no variables": f"services: {{a: {{unit: '{'${' * (CAP // 2)}'}}}}",
    "a selector": f"services: {{a: {{unit: a, rules: {{r: {{above: 1, metric: 'a{{{'b=' * (CAP // 2)}}}'}}}}}}}}",
    "spaces": f"services: {{a: {{unit: a, rules: {{r: {{above: 1, metric: '{' ' * CAP}'}}}}}}}}",
    "an address": f"services: {{a: {{unit: a, probes: {{x: {{kind: http, url: 'http://h/?{'&token' * (CAP // 6)}@'}}}}}}}}",
    "a long key": f"? {'a' * 100000}\n: {{{','.join(f'b{number}: 1' for number in range(9000))}}}",
    "rules": "services:\n  a:\n    unit: b\n    rules:\n"
    + "".join(f"      r{number}: {{metric: probe_sucess, above: 1}}\n" for number in range(CAP // 50)),
    "probes and rules": "services:\n  a:\n    unit: b\n    probes:\n"
    + "".join(f"      r{number}: {{kind: http, url: 'http://a'}}\n" for number in range(CAP // 100))
    + "    rules:\n"
    + "".join(f"      r{number}: {{metric: 'probe_success{{probe=\"x\"}}', above: 1}}\n" for number in range(CAP // 120)),
}


@pytest.mark.parametrize("text", BIG.values(), ids=BIG)
def test_a_file_as_large_as_allowed_is_read_in_time(tmp_path: Path, text: str) -> None:
    try_to_load(tmp_path / "config.yaml", text.encode())
