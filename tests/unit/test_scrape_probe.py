"""The probe `scrape`, asked of a real server."""

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.scrape import BODY_CAP, Scrape


class Server(BaseHTTPRequestHandler):
    answer: ClassVar[tuple[int, bytes]] = (200, b"")
    tokens: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.tokens.append(self.headers["Authorization"])
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[Url]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Thread(target=server.serve_forever, daemon=True).start()
    yield Url(f"http://127.0.0.1:{server.server_address[1]}/metrics")
    server.shutdown()
    server.server_close()


def scrape(url: Url, status: int, body: bytes, *keep: str, **options: Any) -> Observation:
    Server.answer = (status, body)
    probe = Scrape(url, keep, **options)

    async def run() -> Observation:
        running = probe.open(Surroundings(None, None, 5.0, None))  # type: ignore[arg-type]
        try:
            return await running.observe()
        finally:
            await running.close()

    return asyncio.run(run())


def test_what_is_kept_is_measured_and_the_rest_is_counted(url: Url) -> None:
    seen = scrape(url, 200, b'a{x="1"} 1\nb 2\nc 3\n', "a", "missing", "b*", bearer=Secret("token-of-ours"))
    assert seen.measurements == [("a", {"x": "1"}, 1.0), ("b", {}, 2.0)]
    assert seen.detail == "2 of 3 series; not on the page: missing"
    assert Server.tokens[-1] == "Bearer token-of-ours"


@pytest.mark.parametrize(
    ("status", "body", "failure", "said"),
    [
        (404, b"", Failure.STATUS, "status 404; is the path right? vLLM"),
        (503, b"", Failure.STATUS, "status 503"),
        (200, b"<html>no</html>", Failure.BODY, "this is no page of metrics: it is '<html>no</html>'; is the path right?"),
        (200, b"", Failure.BODY, "this is no page of metrics: it is empty"),
    ],
)
def test_what_is_no_page_is_told_with_what_to_change(url: Url, status: int, body: bytes, failure: Failure, said: str) -> None:
    with pytest.raises(ProbeError) as caught:
        scrape(url, status, body, "a")
    assert caught.value.failure == failure and caught.value.detail.startswith(said)


def test_five_megabytes_are_read_and_more_than_the_cap_is_not(url: Url) -> None:
    big = b"".join(b'big{n="%d"} 1\n' % number for number in range(300_000)) + b"a 1\n"
    assert len(big) > 5_000_000 and scrape(url, 200, big, "a").measurements == [("a", {}, 1.0)]
    with pytest.raises(ProbeError, match="body too large"):
        scrape(url, 200, b"#" * (BODY_CAP + 1), "a")


def test_it_knows_what_it_gives() -> None:
    probe = Scrape(Url("http://h:1/"), ("vllm:a", "vllm:b*"))
    assert probe.metrics == ("vllm:a",) and probe.gives("vllm:bc") and not probe.gives("vllm:ab")
