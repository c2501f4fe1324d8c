"""Pages of metrics as servers give them, and as no server should."""

import random
import time
import tracemalloc

import pytest

from model_watchdog.exposition import MOST_SERIES, Reader

PAGE = b"""# HELP vllm:num_requests_running Number of requests
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen"} 3.0
vllm:num_requests_running{engine="1",model_name="Qwen"} 0.0
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{engine="0",model_name="Qwen"} 1.5e+06
# TYPE vllm:e2e histogram
vllm:e2e_bucket{le="0.5"} 1
vllm:e2e_bucket{le="+Inf"} 2
vllm:e2e_sum 1.25
vllm:e2e_count 2
"""


def read(page: bytes, *keep: str) -> list[tuple[str, dict[str, str], float]]:
    return list(Reader(keep).read(page).samples)


def test_names_come_as_they_are_on_the_page() -> None:
    page = b"# TYPE odd counter\nodd 7\n# TYPE plain_total gauge\nplain_total 8\n# TYPE c counter\nc_total 9\n"
    assert [(name, value) for name, _, value in read(page, "*")] == [("odd", 7), ("plain_total", 8), ("c_total", 9)]


def test_only_what_is_wanted_is_kept_and_what_is_missing_is_named() -> None:
    page = Reader(("vllm:num_requests_running", "vllm:e2e_*", "vllm:nothing", "other*")).read(PAGE)
    assert [name for name, _, _ in page.samples] == ["vllm:num_requests_running"] * 2 + ["vllm:e2e_bucket"] * 2 + [
        "vllm:e2e_sum",
        "vllm:e2e_count",
    ]
    assert page.lines == 7 and page.missing == ("vllm:nothing",) and page.is_metrics
    assert page.samples[0][1:] == ({"engine": "0", "model_name": "Qwen"}, 3.0)


def test_a_series_is_read_once_and_its_value_each_time() -> None:
    reader = Reader(("vllm:generation_tokens_total",))
    first = reader.read(PAGE).samples
    second = reader.read(PAGE.replace(b"1.5e+06", b"1.6e+06")).samples
    assert [value for _, _, value in (*first, *second)] == [1.5e6, 1.6e6] and first[0][1] is second[0][1]


def test_openmetrics_with_times_and_exemplars() -> None:
    page = b'# TYPE a counter\na_total{x="1"} 17.0 1520879607.789 # {trace_id="KOO5S4vxi0o"} 0.67\n# UNIT a seconds\na_created 1.0\n# EOF\n'
    assert read(page, "a_*") == [("a_total", {"x": "1"}, 17.0), ("a_created", {}, 1.0)]


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        (rb'm{a="x\"} y",b="2"} 1', {"a": 'x"} y', "b": "2"}),
        (rb'm{a="x\\"} 1', {"a": "x\\"}),
        (rb'm{a="{}"} 1', {"a": "{}"}),
        (rb'm{a="l1\nl2"} 1', {"a": "l1\nl2"}),
        ('m{a="模型"} 1'.encode(), {"a": "模型"}),
        (b"m{} 1", {}),
        (b'm{a="1",} 1', {"a": "1"}),
        (b"m\t1", {}),
        (b'm{service="x",probe="y"} 1', {"exported_service": "x", "exported_probe": "y"}),
    ],
)
def test_labels(line: bytes, labels: dict[str, str]) -> None:
    assert read(line + b"\n", "m") == [("m", labels, 1.0)]


def test_what_is_no_number_is_absent() -> None:
    page = b'm 1\nm{a="1"} NaN\nm{a="2"} +Inf\nm{a="3"} -Inf\nm{a="4"} word\nm{a="5"}\nm{a="6" 5\n'
    assert [value for _, _, value in read(page, "m")] == [1.0]


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<!doctype html>\n<html><body>vllm 1</body></html>",
        b'{"status": "ok"}',
        bytes(range(256)) * 100,
        b"Not Found\n",
        b"a" * 1_000_000,
    ],
)
def test_what_is_no_page_of_metrics(page: bytes) -> None:
    found = Reader(("*",)).read(page)
    assert not found.is_metrics and found.samples == []


def test_a_page_of_other_metrics_is_one() -> None:
    assert Reader(("vllm:*",)).read(b"go_threads 7\n").is_metrics


def test_a_line_without_end_and_invalid_text_cost_only_themselves() -> None:
    page = b'm{a="' + b"x" * 5_000_000 + b'"} 1\nm{a="\xff\xfe"} 2\nm 3\n'
    assert [value for _, _, value in read(page, "m")] == [3.0]


@pytest.mark.parametrize(
    "page",
    [
        b"".join(b'm{a="%s"} 1\n' % (b'\\"}' * 20_000) for _ in range(80)),
        b"".join(b"m{%s 1\n" % (b'a="}",' * 10_000) for _ in range(80)),
        b"".join(b'm{a="%s\n' % (b"\\" * 60_000) for _ in range(80)),
        b"\n" * 15_000_000,
        b"m\n" * 5_000_000,
    ],
)
def test_no_page_holds_the_loop_up(page: bytes) -> None:
    """It is read in one go: each letter is looked at once, and of lines no more than any page has."""
    began = time.process_time()
    read(page, "m")
    assert time.process_time() - began < 0.5


def test_more_series_than_are_kept() -> None:
    page = b"".join(b'm{a="%d"} 1\n' % number for number in range(MOST_SERIES + 5))
    found = Reader(("m",)).read(page)
    assert len(found.samples) == MOST_SERIES and found.dropped == 5


def big_page(value: int) -> bytes:
    """2,000 series, most of them of histograms, as vLLM with two engines gives them."""
    names = (
        b'vllm:h%d_bucket{engine="%d",le="%d",model_name="Qwen/Qwen2-7B-Instruct"} %d\n' % (m, e, b, value)
        for m in range(20)
        for e in (0, 1)
        for b in range(50)
    )
    return b"".join(names)


def test_a_page_of_two_thousand_series_costs_little_and_nothing_grows() -> None:
    reader = Reader(("vllm:h1_*", "vllm:h2_*"))
    reader.read(big_page(0))
    began = time.process_time()
    for value in range(20):
        assert len(reader.read(big_page(1)).samples) == 200, value
    assert (time.process_time() - began) / 20 < 0.015
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for value in range(200):
            reader.read(big_page(value))
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()


def test_names_that_are_new_each_time_do_not_fill_the_memory() -> None:
    reader, chance = Reader(("never",)), random.Random(1)
    for _ in range(30):
        reader.read(b"".join(b"n%d 1\n" % chance.getrandbits(60) for _ in range(2000)))
    assert len(reader._names) <= 10 * MOST_SERIES + 1


def test_what_a_page_may_not_give_is_left_out_and_named() -> None:
    reader = Reader(("unit_*", "a", "b*"), frozenset({"unit_active", "other", "b"}))
    page = reader.read(b"unit_active 0\nunit_of_theirs 1\nother 2\na 3\n")
    assert [name for name, _, _ in page.samples] == ["unit_of_theirs", "a"] and page.refused == ("unit_active",)
    assert reader.read(b"b 1\n").refused == ("b",) and reader.read(b"a 1\n").refused == ()


def test_of_a_series_that_is_said_twice_the_first_counts() -> None:
    assert read(b'm{a="1"} 1\nm{a="1"} 2\nm{a="2"} 3\n', "m") == [("m", {"a": "1"}, 1.0), ("m", {"a": "2"}, 3.0)]
