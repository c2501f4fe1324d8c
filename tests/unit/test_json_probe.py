"""The probe `json`, asked of a real server, and the paths to its numbers."""

import asyncio
from collections.abc import Iterator

import pytest

from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Url
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.json import BODY_CAP, Json, take_number
from tests.rig.page import Page

PS = {"models": [{"size": 10, "size_vram": 4, "name": "a"}, {"size": 7, "size_vram": 7}], "is_sleeping": True, "deep": [{"n": [1.5, 2]}]}


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("is_sleeping", 1.0),
        ("models.#", 2.0),
        ("models.*.size", 17.0),
        ("models.0.size_vram", 4.0),
        ("deep.0.n.1", 2.0),
        ("deep.0.n.#", 2.0),
        ("models.*.name", 0),
        ("models.0.name", None),
        ("models.9.size", None),
        ("nothing.*.size", None),
        ("", None),
    ],
)
def test_the_number_at_a_path(path: str, number: float | None) -> None:
    assert take_number(PS, path) == number


def test_nothing_is_loaded_is_known_to_be_nothing() -> None:
    assert take_number({"models": []}, "models.#") == 0 and take_number({"models": []}, "models.*.size") == 0


@pytest.fixture
def page() -> Iterator[Page]:
    with Page("/api/ps").serve() as page:
        yield page


def ask(page: Page, status: int, body: bytes) -> Observation:
    page.status, page.body = status, body
    probe = Json(Url(page.url), {"loaded": "models.#", "sleeping": "is_sleeping"})

    async def run() -> Observation:
        running = probe.open(Surroundings(None, None, 2.0, None))  # type: ignore[arg-type]
        try:
            return await running.observe()
        finally:
            await running.close()

    return asyncio.run(run())


def test_numbers_are_taken_and_what_is_none_is_named(page: Page) -> None:
    assert ask(page, 200, b'{"models": [1], "is_sleeping": false}').measurements == [("loaded", {}, 1.0), ("sleeping", {}, 0.0)]
    partly = ask(page, 200, b'{"models": [], "is_sleeping": "no"}')
    assert partly.measurements == [("loaded", {}, 0.0)] and partly.detail == "no number at is_sleeping"


def test_a_server_without_this_page_says_nothing(page: Page) -> None:
    observed = ask(page, 404, b"not found")
    assert observed.measurements == () and "there is no such page here" in observed.detail


@pytest.mark.parametrize(
    ("status", "body", "failure", "said"),
    [
        (503, b"{}", Failure.STATUS, "status 503"),
        (200, b"<html>", Failure.BODY, "this is no JSON: '<html>'"),
        (200, b"\xff\xfe", Failure.BODY, "this is no JSON"),
        (200, b"[" * 100_000, Failure.BODY, "this is no JSON"),
        (200, b" " * (BODY_CAP + 1), Failure.BODY, "body too large"),
    ],
)
def test_what_is_no_document_is_a_failure(page: Page, status: int, body: bytes, failure: Failure, said: str) -> None:
    with pytest.raises(ProbeError) as caught:
        ask(page, status, body)
    assert caught.value.failure == failure and said in caught.value.detail


def test_without_metrics_there_is_nothing_to_ask() -> None:
    assert "metrics must name" in Json(Url("http://127.0.0.1:1/")).faults()[0]
