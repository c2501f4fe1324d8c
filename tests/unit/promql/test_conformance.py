"""Prometheus' own scripts, run through the evaluator; and that the runner can tell a miss from a pass."""

import subprocess
import sys
from pathlib import Path

import pytest

from model_watchdog.promql.conformance import run_script

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "data" / "promqltest").glob("*.test"))
ALLOWED = {
    "native histograms": "their samples are no numbers",
    "annotations about native histograms": "the same",
    "its native histograms; the classic series are loaded": "the same",
    "a subquery, [range:step]": "refused",
    "the modifier @": "refused",
}
"""Why a statement may be skipped, besides a function that is experimental."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_prometheus_own_scripts_pass_whole(script: Path) -> None:
    score = run_script(script.read_text())
    assert score.misses == []
    assert score.passed >= 25
    other = [(where, why) for where, why in score.skipped if why not in ALLOWED and "experimental in Prometheus" not in why]
    assert other == [], "skipped for a reason that is none"


def test_the_runner_is_a_command_that_counts() -> None:
    names = [str(script) for script in SCRIPTS]
    ran = subprocess.run([sys.executable, "-m", "model_watchdog.promql.conformance", *names], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("passed 491 of 491 in scope, 211 skipped")


def test_a_file_that_is_not_there_is_said_without_a_traceback(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.test")
    ran = subprocess.run([sys.executable, "-m", "model_watchdog.promql.conformance", missing], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "cannot be read" in ran.stderr and "Traceback" not in ran.stderr


LOAD = 'load 1m\n  a{x="1"} 0+1x10\n  a{x="2"} 5 NaN stale 3\n'


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ('eval instant at 5m a{x="1"}\n  a{x="1"} 6', "is 5.0, not 6.0"),
        ('eval instant at 5m a{x="1"}\n  a{x="3"} 5', "which is not expected"),
        ('eval instant at 5m a\n  a{x="1"} 5', "which is not expected"),
        ('eval instant at 5m a{x="1"}\n  a{x="1"} 5\n  a{x="2"} 5', "did not give"),
        ("eval instant at 5m sum(a)\n  expect fail\n", "did not fail"),
        ('eval instant at 5m a{x="1"} + on() a\n  {} 1', "failed: found duplicate series"),
        ("eval instant at 5m a + on() a\n  expect fail msg: something else", "not with"),
        ("eval instant at 5m sum(a)\n  expect warn\n  {} 8", "did not say warn"),
        ("eval instant at 5m sum(rate(a[5m]))\n  expect no_info\n  {} 0.01", ""),
        ('eval instant at 5m rate(a{x="1"}[5m])\n  expect no_info\n  {x="1"} 0.016666666', "should say nothing"),
        ('eval instant at 5m sort_desc(a)\n  expect ordered\n  a{x="2"} 3\n  a{x="1"} 5', "the order is"),
        ('eval range from 0 to 2m step 1m a{x="2"}\n  a{x="2"} 5 NaN 1', "at step 2"),
        ('eval range from 0 to 3m step 1m a{x="2"}\n  a{x="2"} 5 NaN _', "at step 3"),
        ("eval instant at 5m 1 + 1\n  3", "gave 2.0, not 3.0"),
        ('eval instant at 5m "x"\n  expect string "y"', "gave the string 'x'"),
        ('eval instant at 2m a{x="1"}[2m]\n  expect range vector from 1m to 2m step 1m\n  a{x="1"} 1 3', "has ["),
    ],
)
def test_what_is_not_as_expected_is_a_miss(question: str, said: str) -> None:
    score = run_script(f"{LOAD}\n{question}\n")
    assert len(score.misses) == 1, score
    assert said in score.misses[0]


@pytest.mark.parametrize(
    "question",
    [
        'eval range from 0 to 3m step 1m a{x="2"}\n  a{x="2"} 5 NaN _ 3',
        "eval range from 0 to 3m step 1m 2\n  {} 2x3",
        'eval instant at 2m a{x="1"}[2m]\n  expect range vector from 1m to 2m step 1m\n  a{x="1"} 1 2',
        'eval_ordered instant at 5m sort(a)\n  a{x="2"} 3\n  a{x="1"} 5',
        "eval_fail instant at 5m a + on() a\n  expected_fail_regexp found duplicate series .*",
        'eval_info instant at 5m rate(a{x="1"}[5m])\n  {x="1"} 0.016666666666',
        "eval_warn instant at 5m quantile(2, a)\n  {} Inf",
        "eval instant at 5m rate(a{x=\"1\"}[5m])\n  expect info regex: might not be a .*\n  {x='1'} 0.0166666666666",
    ],
)
def test_what_is_as_expected_passes(question: str) -> None:
    score = run_script(f"{LOAD}\n{question}\n")
    assert (score.passed, score.misses, score.skipped) == (1, [], [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("load 1m\n  a 1\n\neval instant at 1m a @ 5\n  a 1", "the modifier @"),
        ("load 1m\n  a {{schema:0 sum:1 count:1}}\n\neval instant at 1m a\n  a 1", "native histograms"),
        ("load 1m\n  a {{sum:1}}+{{sum:2}}x5\n\neval instant at 1m sum(rate(a[5m]))\n  {} 1", "native histograms"),
        ("frobnicate 1m\n  a 1", "a statement that this runner does not know"),
        ("load 1m\n  a 1y3\n\neval instant at 0 a\n  a 1", "what is loaded cannot be read: these are no values: 1y3"),
        ("load 1m\n  a{b} 1\n\neval instant at 0 a\n  a 1", "what is loaded cannot be read: these are no labels: b} 1"),
        ("load 1m\n  a@st 1\n  a 1\n\neval instant at 0 a\n  a 1", "start timestamps (@st)"),
        ('load 1m\n  a{b="c"}@st _ -1mx3\n  a 1\n\neval instant at 0 a\n  a 1', "start timestamps (@st)"),
        ("load\n\neval instant at 0 a\n  a 1", "a load that this runner does not know: load"),
        ("load x\n  a 1", "could not convert string to float: 'x'"),
        ("eval range from 0 to 1m step 0 a", "the step is not above 0"),
        ("load_with_nhcb 1m\n  a_bucket{le='1'} 1\n\neval instant at 1m a\n  {} 1", "native histograms"),
    ],
)
def test_what_is_out_of_scope_is_skipped_by_name(text: str, why: str) -> None:
    score = run_script(text)
    assert score.misses == []
    assert why in [reason for _, reason in score.skipped]
