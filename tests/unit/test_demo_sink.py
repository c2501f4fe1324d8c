"""The demo's receiver of messages: what others on the machine post to its port is not taken for the daemon's."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from model_watchdog.demo.sink import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def post(address: str, title: str) -> int:
    """The status that it is answered with."""
    request = urllib.request.Request(f"http://{address}", json.dumps({"title": title}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_only_who_knows_the_path_is_heard(sink: Sink) -> None:
    host, _, path = sink.address.partition("/")
    assert len(path) >= 32
    for guess in ("", "/", f"/{path}x", f"/{path[:-1]}", f"/{path}/", f"/{path}?x", "/%ff"):
        assert post(f"{host}{guess}", "a stranger's") == 404, guess
    assert post(sink.address, "the daemon's") == 200
    assert sink.messages == [{"title": "the daemon's"}]


def test_each_demo_has_a_path_of_its_own(sink: Sink) -> None:
    other = Sink()
    other.close()
    assert sink.address.partition("/")[2] != other.address.partition("/")[2]
