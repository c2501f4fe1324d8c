"""`watchdog detect`: numbers in, verdicts out, as the daemon would judge them."""

import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from model_watchdog.cli.main import main
from model_watchdog.rules.sigma import AdaptiveSigma, Sigma
from tests.rig.nab import detect_with

ROOT = Path(__file__).resolve().parents[2]
NAB = ROOT / "tests" / "data" / "nab" / "data"
CALL = "import sys; from model_watchdog.cli.main import main; sys.exit(main())"

Detect = Callable[..., SimpleNamespace]


@pytest.fixture
def detect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Detect:
    """`watchdog detect OPTIONS < text`."""

    def run(text: str | bytes, *options: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text if isinstance(text, bytes) else text.encode())))
        code = main(["detect", *options])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, rows=[line.split(",") for line in out.splitlines()], err=err)

    return run


def write(values: list[float]) -> str:
    return "timestamp,value\n" + "".join(f"{row * 60},{value}\n" for row, value in enumerate(values))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ((), AdaptiveSigma(3.5)),
        (("--newness", "off"), AdaptiveSigma(3.5, newness="off")),
        (("--window", "10", "--sigma", "3"), Sigma(3.0, 10)),
    ],
)
@pytest.mark.parametrize("name", ["realAdExchange/exchange-3_cpc_results.csv", "realKnownCause/rogue_agent_key_hold.csv"])
def test_it_tells_what_the_daemon_would_tell(detect: Detect, options: tuple[str, ...], rule: AdaptiveSigma | Sigma, name: str) -> None:
    lines = (NAB / name).read_text().splitlines()[1:]
    answer = detect((NAB / name).read_text(), *options)
    assert (answer.code, answer.err, answer.rows[0]) == (0, "", ["timestamp", "score", "alert"])
    assert [stamp for stamp, _, _ in answer.rows[1:]] == [line.split(",")[0] for line in lines]
    values = [float(line.split(",")[1]) for line in lines]
    told = detect_with(rule)([0.0] * len(values), values)
    assert told and [row for row, (_, _, alert) in enumerate(answer.rows[1:]) if alert == "1"] == told
    assert all(float(answer.rows[row + 1][1]) > 1 for row in told)


def test_alert_is_1_only_on_the_sample_that_is_told(detect: Detect) -> None:
    answer = detect(write([100.0] * 300 + [200.0] * 30), "--newness", "off")
    assert [stamp for stamp, _, alert in answer.rows if alert == "1"] == [str(300 * 60)]
    assert sum(float(score) > 1 for _, score, _ in answer.rows[1:]) > 20
    assert {score for _, score, _ in answer.rows[1:101]} == {"0"}


def test_what_is_missing_has_no_score_and_is_not_learnt(detect: Detect) -> None:
    holes = "timestamp,value\n" + "".join(f"{row},100\n{row}.5,{('', 'nan', 'inf')[row % 3]}\n" for row in range(120)) + "x,150\n"
    answer = detect(holes)
    assert answer.code == 0 and [row[1:] for row in answer.rows[2::2]] == [["nan", "0"]] * 120
    assert answer.rows[-1][2] == "1"


def test_bad_lines_are_named_and_the_others_judged(detect: Detect) -> None:
    lines = write([100.0] * 150 + [200.0]).splitlines()
    lines[3], lines[7] = "180,many", "420"
    answer = detect("\n".join(lines) + "\n")
    assert (answer.code, answer.err) == (
        1,
        "watchdog detect: line 4: is no number: 'many'\nwatchdog detect: line 8: has fewer columns than the header\n",
    )
    assert len(answer.rows) == 1 + 149 and answer.rows[-1][2] == "1"
    assert "and 140 more lines" in detect("timestamp,value\n" + "a,b\n" * 150).err


@pytest.mark.parametrize("text", ["", "\n", "time,value\n1,2\n", "1,2\n3,4\n"])
def test_without_its_header_nothing_is_read(detect: Detect, text: str) -> None:
    answer = detect(text)
    assert (answer.code, answer.rows) == (1, [])
    assert answer.err == "watchdog: line 1: the header must name the columns timestamp and value\n"


def test_a_line_without_an_end_is_not_kept(detect: Detect) -> None:
    answer = detect("timestamp,value\n1,2\n" + "3" * 2_000_000)
    assert answer.code == 1 and answer.err == "watchdog: line 3 is longer than 1000000 bytes; this is no CSV of numbers\n"


def test_columns_may_stand_in_any_order(detect: Detect) -> None:
    text = "\ufeffhost, VALUE ,timestamp\r\n" + 'a,1,"1 Jan, 00:00"\r\n\r\n'
    assert detect(text).rows == [["timestamp", "score", "alert"], ['"1 Jan', ' 00:00"', "0", "0"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--window", "10", "--smooth", "3"), "--smooth is of the adaptive form, which has no --window"),
        (("--sigma", "0"), "sigma must be greater than 0"),
        (("--sigma", "many"), '"many" is not a number'),
        (("--max-gap", "30"), '"30" has no unit; did you mean 30s?'),
        (("--newness", "maybe"), "invalid choice"),
        (("--times", "2", "--for", "3m"), "not allowed with"),
        (("--times", "0"), "--times must be at least 1"),
    ],
)
def test_wrong_options_are_64(detect: Detect, options: tuple[str, ...], said: str) -> None:
    answer = detect("timestamp,value\n", *options)
    assert (answer.code, answer.rows) == (64, []) and said in answer.err


def test_times_are_read_where_they_matter(detect: Detect) -> None:
    values = [100.0] * 200 + [150.0] * 30
    late = [stamp for stamp, _, alert in detect(write(values), "--for", "3m").rows if alert == "1"]
    assert late == [str(203 * 60)]
    answer = detect("timestamp,value\n2026-01-01 00:00:00,1\nsoon,2\n", "--max-gap", "10m")
    assert answer.code == 1 and "line 3: is no time: 'soon'" in answer.err


def test_each_row_is_answered_before_the_next_one_is_there() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", CALL, "detect"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write("timestamp,value\n1,2\n")
        child.stdin.flush()
        assert [child.stdout.readline(), child.stdout.readline()] == ["timestamp,score,alert\n", "1,0,0\n"]
        child.stdin.write("2,2\n")
        child.stdin.flush()
        assert child.stdout.readline() == "2,0,0\n"
        child.stdin.close()
        assert child.wait(10) == 0


def test_a_long_series_is_judged_quickly(detect: Detect) -> None:
    chance = random.Random(1)
    text = write([round(chance.gauss(100, 1), 3) for _ in range(50_000)])
    begun = time.process_time()
    assert detect(text).code == 0
    assert time.process_time() - begun < 50_000 * 25e-6
