"""The probe `scrape`, asked of a real server."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from model_watchdog.config.kinds import list_kinds
from model_watchdog.config.rule_section import list_metrics, make_builtin_rules
from model_watchdog.config.vocabulary import EVERY_PROBE
from model_watchdog.core.progress import STALLED_SECONDS
from model_watchdog.core.sample import Failure, conclude
from model_watchdog.core.units import Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.language import retell
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.scrape import BODY_CAP, OURS, Scrape
from tests.rig.page import Page


@pytest.fixture
def page() -> Iterator[Page]:
    with Page("/metrics").serve() as page:
        yield page


def scrape(page: Page, status: int, body: bytes, *keep: str, **options: Any) -> Observation:
    page.status, page.body = status, body
    probe = Scrape(Url(page.url), keep, **options)

    async def run() -> Observation:
        running = probe.open(Surroundings(None, None, 5.0, None))  # type: ignore[arg-type]
        try:
            return await running.observe()
        finally:
            await running.close()

    return asyncio.run(run())


def test_what_is_kept_is_measured_and_the_rest_is_counted(page: Page) -> None:
    seen = scrape(page, 200, b'a{x="1"} 1\nb 2\nc 3\n', "a", "missing", "b*", bearer=Secret("token-of-ours"))
    assert seen.measurements == [("a", {"x": "1"}, 1.0), ("b", {}, 2.0)]
    assert seen.detail == "2 of 3 series; not on the page: missing"
    assert page.tokens[-1] == "Bearer token-of-ours"


@pytest.mark.parametrize(
    ("status", "body", "failure", "said"),
    [
        (404, b"", Failure.STATUS, "status 404; is the path right? vLLM"),
        (503, b"", Failure.STATUS, "status 503"),
        (200, b"<html>no</html>", Failure.BODY, "this is no page of metrics: it is '<html>no</html>'; is the path right?"),
        (200, b"", Failure.BODY, "this is no page of metrics: it is empty"),
    ],
)
def test_what_is_no_page_is_told_with_what_to_change(page: Page, status: int, body: bytes, failure: Failure, said: str) -> None:
    with pytest.raises(ProbeError) as caught:
        scrape(page, status, body, "a")
    assert caught.value.failure == failure and caught.value.detail.startswith(said)


def test_five_megabytes_are_read_and_more_than_the_cap_is_not(page: Page) -> None:
    big = b"".join(b'big{n="%d"} 1\n' % number for number in range(300_000)) + b"a 1\n"
    assert len(big) > 5_000_000 and scrape(page, 200, big, "a").measurements == [("a", {}, 1.0)]
    with pytest.raises(ProbeError, match="body too large"):
        scrape(page, 200, b"#" * (BODY_CAP + 1), "a")


def test_it_knows_what_it_gives() -> None:
    probe = Scrape(Url("http://h:1/"), ("vllm:a", "vllm:b*"))
    assert probe.metrics == ("vllm:a",) and probe.gives("vllm:bc") and not probe.gives("vllm:ab")


def test_no_page_speaks_for_the_watchdog(page: Page) -> None:
    """A rule that restarts looks at these, and could not tell them from our own: not even their labels differ."""
    seen = scrape(page, 200, b'unit_active 0\nprobe_success{probe="health"} 0\ncanary_answer_correct 0\nmine 1\n', "*")
    assert seen.measurements == [("mine", {}, 1.0)]
    assert seen.detail.endswith("; the watchdog's own, and left out: canary_answer_correct, probe_success, unit_active")
    given = {sample.series.metric for sample in conclude("a", "metrics", 0.0, 1.0, seen.measurements).samples}
    looked_at = {rule.selector.metric for rule in make_builtin_rules("a.service", {"h": "http", "c": "canary"}).values()}
    assert given & looked_at == {"probe_success"}  # of the scrape itself


def test_everything_that_is_measured_of_a_service_is_known_as_ours() -> None:
    """What the host and its GPUs give is told apart by its labels; other exporters may use the names."""
    of_services = {metric for kind in list_kinds("probes") if kind not in ("host", "nvml") for metric in list_metrics(kind)}
    assert of_services | {*EVERY_PROBE, STALLED_SECONDS} == OURS


def test_a_name_of_ours_cannot_be_wanted() -> None:
    assert "unit_active" in Scrape(Url("http://h:1/"), ("unit_active", "a")).faults()[0]
    assert not Scrape(Url("http://h:1/"), ("unit_*",)).gives("unit_active")


def test_all_that_a_page_lacks_and_has_too_much_is_told_in_both_languages(page: Page, request: pytest.FixtureRequest) -> None:
    text = b"unit_active 1\n" + b"".join(b'm{n="%d"} 1\n' % number for number in range(2005))
    detail = scrape(page, 200, text, "m", "unit_*", "gone").detail
    assert detail == (
        "2000 of 2006 series; 5 more than the 2000 that are kept: name fewer in keep; "
        "not on the page: gone; the watchdog's own, and left out: unit_active"
    )
    request.getfixturevalue("chinese")
    assert retell(detail) == (
        "取 2006 个序列中的 2000 个；另有 5 个超出上限 2000：keep 应少列一些；页面上没有：gone；由本程序自己测量，已略去：unit_active"
    )
