"""The probe `canary`, asked of servers that answer in pieces, late, wrongly, or not at all."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from model_watchdog.calls import Upload
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.canary import Canary, Expect

Answer = tuple[int, str, list[bytes | float]]
"""Status, type, and pieces of the body, with pauses in seconds between them."""
SSE, NDJSON, JSON = "text/event-stream", "application/x-ndjson", "application/json"
MODELS: Answer = (200, JSON, [b'{"data": [{"id": "qwen"}, {"id": "other"}]}'])


def event(text: str | None, **more: Any) -> bytes:
    delta = {"role": "assistant"} if text is None else {"content": text}
    return b"data: " + json.dumps({"choices": [{"delta": delta}], **more}, ensure_ascii=False).encode() + b"\n\n"


class Server:
    """Gives each path its answers, the last one again and again, and keeps what it was asked."""

    def __init__(self, **answers: list[Answer] | Answer) -> None:
        """Paths have `__` for each slash; `root` is the address itself."""
        named = {path.replace("__", "/").removeprefix("root"): given for path, given in answers.items()}
        self.answers = {path: list(given) if isinstance(given, list) else [given] for path, given in named.items()}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.heard, self.left = asyncio.Event(), asyncio.Event()
        """That it was asked, and that somebody left before the whole answer was there."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path = line.split()[1].decode().strip("/")
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.asked.append((path, headers, body))
                self.heard.set()
                given = self.answers.get(path, [(404, JSON, [b'{"error": {"message": "no such path"}}'])])
                status, kind, pieces = given.pop(0) if len(given) > 1 else given[0]
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
                for piece in pieces:
                    if isinstance(piece, float):
                        await writer.drain()
                        await asyncio.sleep(piece)
                    else:
                        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()


def ask(server: Server, make: Callable[[Url], Canary], times: int = 1, timeout: float = 2.0) -> list[Observation]:
    async def run() -> list[Observation]:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        running = make(Url(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")).open(Surroundings(None, None, timeout, None))  # type: ignore[arg-type]
        try:
            return [await running.observe() for _ in range(times)]
        finally:
            await running.close()
            listening.close()
            await asyncio.sleep(0.02)

    return asyncio.run(run())


def value(seen: Observation, metric: str) -> float | None:
    return next((number for name, _, number in seen.measurements if name == metric), None)


def test_a_streamed_chat_is_timed_and_its_request_is_tiny() -> None:
    pieces: list[bytes | float] = [event(None), 0.1, event("O"), 0.05, event("K"), event(""), b"data: [DONE]\n\n"]
    server = Server(v1__models=MODELS, v1__chat__completions=(200, SSE, pieces))
    began = time.monotonic()
    (seen,) = ask(server, Canary)
    lasted = time.monotonic() - began
    assert value(seen, "canary_answer_correct") == 1 and seen.detail == "answered 'OK'"
    first, rate = value(seen, "canary_first_token_seconds"), value(seen, "canary_tokens_per_second")
    assert first is not None and rate is not None and first >= 0.1
    assert 0.15 <= first + 1 / rate <= lasted, "the second piece comes 0.05 s after the first, and one token is one interval"
    body = json.loads(server.asked[1][2])
    assert body["model"] == "qwen" and body["max_tokens"] == 8 and body["temperature"] == 0 and body["stream"] is True


def test_the_models_are_asked_for_once_and_again_when_the_model_is_gone() -> None:
    good: Answer = (200, SSE, [event("OK")])
    gone: Answer = (404, JSON, [b'{"object": "error", "message": "The model `qwen` does not exist."}'])
    server = Server(v1__models=MODELS, v1__chat__completions=[good, good, gone, good])
    assert len(ask(server, Canary, times=2)) == 2
    assert [path for path, _, _ in server.asked].count("v1/models") == 1
    with pytest.raises(ProbeError) as caught:
        ask(server, Canary)
    assert caught.value.failure == Failure.CONFIG and "The model `qwen` does not exist." in caught.value.detail
    assert caught.value.detail.endswith("; there is 'qwen', 'other'")


@pytest.mark.parametrize("status", [404, 400])
def test_a_model_that_is_gone_is_looked_for_again_and_a_stated_one_stays(status: int) -> None:
    good: Answer = (200, SSE, [event("OK")])
    gone: Answer = (status, JSON, [b'{"error": {"message": "model does not exist"}}'])
    for model, asked in ((None, "new"), ("old", "old")):
        server = Server(v1__models=[MODELS] * 2 + [(200, JSON, [b'{"data": [{"id": "new"}]}'])], v1__chat__completions=[gone, good])

        async def run(server: Server = server, model: str | None = model) -> ProbeError:
            listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
            url = Url(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            running = Canary(url, model=model).open(Surroundings(None, None, 2.0, None))  # type: ignore[arg-type]
            with pytest.raises(ProbeError) as caught:
                await running.observe()
            await running.observe()
            await running.close()
            listening.close()
            return caught.value

        assert "'qwen', 'other'" in asyncio.run(run()).detail
        assert json.loads(server.asked[-1][2])["model"] == asked


def test_a_list_of_models_that_does_not_come_holds_nobody_up() -> None:
    gone: Answer = (404, JSON, [b"{}"])
    server = Server(v1__models=(200, JSON, [5.0]), v1__chat__completions=gone)
    began = time.monotonic()
    with pytest.raises(ProbeError) as caught:
        ask(server, lambda url: Canary(url, model="m"), timeout=0.4)
    assert caught.value.failure == Failure.CONFIG and time.monotonic() - began < 1.0


def test_text_that_is_cut_in_the_middle_of_a_character_is_whole() -> None:
    line = event("好的，没有问题")
    server = Server(v1__models=MODELS, v1__chat__completions=(200, SSE, [line[:40], line[40:43], line[43:]]))
    assert ask(server, Canary)[0].detail == "answered '好的，没有问题'"


@pytest.mark.parametrize("text", ["!!!!!!!!", "", "NaN"])
def test_nonsense_is_a_wrong_answer_and_no_failed_probe(text: str) -> None:
    server = Server(v1__models=MODELS, v1__chat__completions=(200, SSE, [event(text)]))
    assert value(ask(server, Canary)[0], "canary_answer_correct") == 0


def test_a_server_that_does_not_stream_is_understood() -> None:
    whole = json.dumps({"choices": [{"message": {"content": "Paris"}}]}, indent=2).encode()
    server = Server(v1__completions=(200, JSON, [whole]))
    (seen,) = ask(server, lambda url: Canary(url, endpoint="completions", model="m", expect=Expect(text="paris")))
    assert value(seen, "canary_answer_correct") == 1


def test_embeddings_lie_near_their_reference(tmp_path: Path) -> None:
    reference = tmp_path / "reference.json"
    reference.write_text("[1, 0]")
    near, far, odd = ({"data": [{"embedding": vector}]} for vector in ([2.0, 0.01], [0, 1], [None, 1]))
    server = Server(v1__embeddings=[(200, JSON, [json.dumps(one).encode()]) for one in (near, far, odd)])
    seen = ask(server, lambda url: Canary(url, endpoint="embeddings", model="m", expect=Expect(embedding=reference)), times=3)
    assert [value(one, "canary_answer_correct") for one in seen] == [1, 0, 0]
    assert value(seen[1], "canary_distance") == 1.0


def expires_in(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, timezone(timedelta(hours=8))).isoformat().replace("+08:00", "123+08:00")


@pytest.mark.parametrize(
    ("expires", "keep_alive"), [(240, range(235, 241)), ("2318-01-01T00:00:00Z", [-1]), ("", [None]), (1, None), (-5, None)]
)
def test_a_canary_keeps_no_model_loaded_with_ollama(expires: int | str, keep_alive: Any) -> None:
    at = expires_in(expires) if isinstance(expires, int) else expires
    loaded: Answer = (200, JSON, [json.dumps({"models": [{"name": "qwen:latest", "expires_at": at}]}).encode()])
    server = Server(api__ps=loaded, api__generate=(200, NDJSON, [b'{"response": "OK", "done": true}\n']))
    (seen,) = ask(server, lambda url: Canary(url, api="ollama", model="qwen"))
    if keep_alive is None:
        assert seen.measurements == () and len(server.asked) == 1
    else:
        assert json.loads(server.asked[-1][2]).get("keep_alive") in keep_alive


def test_ollama_is_asked_for_a_loaded_model_only() -> None:
    stream: list[bytes | float] = [
        b'{"response": "O"}\n',
        b'{"response": "K"}\n{"response": "", "done": true, "eval_count": 3, "eval_duration": 100000000}\n',
    ]
    loaded: Answer = (200, JSON, [b'{"models": [{"name": "qwen:7b"}]}'])
    server = Server(api__ps=[(200, JSON, [b'{"models": []}']), loaded], api__generate=(200, NDJSON, stream))
    idle, seen = ask(server, lambda url: Canary(url, api="ollama"), times=2)
    assert idle.measurements == () and "nothing to ask" in idle.detail
    assert value(seen, "canary_tokens_per_second") == 30.0 and value(seen, "canary_answer_correct") == 1
    assert json.loads(server.asked[-1][2])["model"] == "qwen:7b"


def test_any_call_with_a_body_or_a_file(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\x00data")
    filled: Answer = (200, JSON, [b'[{"token_str": "cat", "score": 0.9}]'])
    server = Server(root=filled)
    (seen,) = ask(server, lambda url: Canary(url, api="http", body={"text": "a [MASK]"}, answer="0.token_str", expect=Expect(text="cat")))
    assert value(seen, "canary_answer_correct") == 1 and json.loads(server.asked[-1][2]) == {"text": "a [MASK]"}
    server = Server(root=(200, JSON, [b'{"label": "dog"}']))
    wanted = Expect(json={"label": "cat"})
    (seen,) = ask(server, lambda url: Canary(url, api="http", file=Upload(picture, "image"), expect=wanted))
    assert value(seen, "canary_answer_correct") == 0 and seen.detail == 'the answer\'s label is \'"dog"\', not "cat"'
    _, headers, body = server.asked[-1]
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="image"; filename="cat.png"' in body and b"\x89PNG\x00data" in body


@pytest.mark.parametrize(
    ("answer", "failure", "said"),
    [
        ((500, JSON, [b'{"error": {"message": "CUDA error: out of memory"}}']), Failure.STATUS, "CUDA error: out of memory"),
        ((200, SSE, [event("O"), b'data: {"error": {"message": "engine died"}}\n\n']), Failure.STATUS, "engine died"),
        ((503, JSON, [b"{}"]), Failure.STATUS, "status 503"),
        ((401, JSON, [b"{}"]), Failure.CONFIG, "status 401; it wants a key: state bearer:"),
        ((422, JSON, [b'{"detail": "no"}']), Failure.CONFIG, "status 422"),
        ((302, JSON, [b""]), Failure.CONFIG, "redirect 302"),
        ((200, SSE, [b"<html>"]), Failure.CONFIG, "none of this API"),
        ((200, JSON, [b'{"result": 1}']), Failure.CONFIG, "none of this API: it has no choices"),
        ((200, SSE, [b"data: " + b"x" * 300_000]), Failure.CONFIG, "more than 256 KiB"),
        ((200, SSE, [event("O"), 5.0, event("K")]), Failure.TIMEOUT, "no answer within 0.5 s"),
        ((200, SSE, [5.0]), Failure.TIMEOUT, "no answer within 0.5 s"),
    ],
)
def test_whose_failure_it_is(answer: Answer, failure: Failure, said: str) -> None:
    server = Server(v1__chat__completions=answer)
    with pytest.raises(ProbeError) as caught:
        ask(server, lambda url: Canary(url, model="m", bearer=Secret("a-token-of-ours")), timeout=0.5)
    assert caught.value.failure == failure and said in caught.value.detail and "a-token-of-ours" not in caught.value.detail


@pytest.mark.parametrize(
    ("paths", "options"),
    [
        ({"v1__models": (429, JSON, [b"{}"])}, {}),
        ({"v1__chat__completions": (429, JSON, [b"{}"])}, {"model": "m"}),
        ({"v1__chat__completions": (503, JSON + "\r\nRetry-After: 3", [b"{}"])}, {"model": "m"}),
        ({"root": (503, JSON + "\r\nRetry-After: 3", [b"{}"])}, {"api": "http", "body": {"a": 1}}),
    ],
)
def test_a_server_that_is_busy_was_not_asked(paths: dict[str, Any], options: dict[str, Any]) -> None:
    (seen,) = ask(Server(**paths), lambda url: Canary(url, **options))
    assert seen.measurements == () and "the server is busy" in seen.detail


def test_a_canary_that_is_cancelled_leaves_at_once() -> None:
    """Or the server would go on generating for nobody, and the next one would wait behind it."""
    server = Server(v1__chat__completions=(200, SSE, [piece for _ in range(100) for piece in (event("O"), 0.02)]))

    async def run() -> float:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        url = Url(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        running = Canary(url, model="m").open(Surroundings(None, None, 5.0, None))  # type: ignore[arg-type]
        asking = asyncio.create_task(running.observe())
        await server.heard.wait()
        asking.cancel()
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(server.left.wait(), 5.0)
        await running.close()
        listening.close()
        return time.monotonic() - began

    assert asyncio.run(run()) < 1.0


SECRET = "sk-a-token-of-ours-1234"


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ((200, SSE, [event(f"it is {SECRET}")]), {}),
        ((200, SSE, [event("x" * 50 + SECRET)]), {"expect": Expect(text="never")}),  # cut in the middle of it
        ((200, JSON, [b"<html>" + SECRET.encode()]), {}),
        ((500, JSON, [json.dumps({"error": SECRET}).encode()]), {}),
        ((200, JSON, [json.dumps({"label": SECRET}).encode()]), {"api": "http", "answer": "label"}),
        ((200, JSON, [json.dumps({"label": SECRET}).encode()]), {"api": "http", "expect": Expect(json={"label": "cat"})}),
        ((200, JSON, [json.dumps({"label": SECRET}).encode()]), {"api": "http", "answer": "other"}),
        ((200, "text/plain", [SECRET.encode()]), {"api": "http"}),
    ],
)
def test_a_server_that_gives_our_secret_back_does_not_have_it_shown(answer: Answer, options: dict[str, Any]) -> None:
    server = Server(v1__chat__completions=answer, root=answer)
    try:
        detail = ask(server, lambda url: Canary(url, model="m", bearer=Secret(SECRET), **options))[0].detail
    except ProbeError as error:
        detail = error.detail
    assert SECRET[:6] not in detail and "***" in detail


@pytest.mark.parametrize("body", ["[]", '"x"', "7", "null", "[" * 100_000, '{"error": ["x"]}', '{"error": {"message": null}}'])
@pytest.mark.parametrize("status", [200, 500])
def test_any_json_is_survived(body: str, status: int) -> None:
    asked: list[dict[str, Any]] = [{}, {"endpoint": "embeddings"}, {"api": "http", "answer": "a.b"}]
    for options in asked:
        make = partial(Canary, model="m", **options)
        server = Server(v1__chat__completions=(status, JSON, [body.encode()]), v1__embeddings=(status, JSON, [body.encode()]))
        server.answers[""] = [(status, JSON, [body.encode()])]
        with pytest.raises(ProbeError):
            ask(server, make)


@pytest.mark.parametrize("choice", ["x", 7, None, {"delta": "x"}, {"delta": ["x"]}])
def test_choices_of_another_shape_are_no_answer_of_this_api(choice: Any) -> None:
    server = Server(v1__chat__completions=(200, JSON, [json.dumps({"choices": [choice]}).encode()]))
    with pytest.raises(ProbeError, match="none of this API"):
        ask(server, lambda url: Canary(url, model="m"))


def test_nothing_in_an_answer_of_ollama_is_no_word() -> None:
    server = Server(api__ps=(200, JSON, [b'{"models": [{"name": "m"}]}']), api__generate=(200, NDJSON, [b'{"response": null}\n']))
    (seen,) = ask(server, lambda url: Canary(url, api="ollama"))
    assert seen.detail == "the answer is empty" and value(seen, "canary_answer_correct") == 0


def test_a_number_without_end_in_an_embedding_is_a_wrong_answer() -> None:
    body = b'{"data": [{"embedding": [1' + b"0" * 400 + b", 1]}]}"
    (seen,) = ask(Server(v1__embeddings=(200, JSON, [body])), lambda url: Canary(url, endpoint="embeddings", model="m"))
    assert value(seen, "canary_answer_correct") == 0


@pytest.mark.parametrize("written", ["[]", "{}", "5", "[0, 0]", "[1, NaN]", "[null]", "x", "[" * 100_000])
def test_a_reference_with_which_nothing_can_be_compared_is_told(tmp_path: Path, written: str) -> None:
    reference = tmp_path / "reference.json"
    reference.write_text(written)
    server = Server(v1__embeddings=(200, JSON, [b'{"data": [{"embedding": [1, 0]}]}']))
    with pytest.raises(ProbeError, match="holds no list of numbers") as caught:
        ask(server, lambda url: Canary(url, endpoint="embeddings", model="m", expect=Expect(embedding=reference)))
    assert caught.value.failure == Failure.CONFIG


def test_the_name_of_a_file_stays_within_its_quotes(tmp_path: Path) -> None:
    odd = tmp_path / 'a"; name="b\r\n.png'
    odd.write_bytes(b"x")
    server = Server(root=(200, JSON, [b'{"label": "cat"}']))
    ask(server, lambda url: Canary(url, api="http", file=Upload(odd), answer="label"))
    assert b'filename="a%22; name=%22b%0D%0A.png"\r\n' in server.asked[-1][2]


def test_a_stream_that_just_ends_is_judged_by_what_came() -> None:
    server = Server(v1__chat__completions=(200, SSE, [event("OK")]))
    assert value(ask(server, lambda url: Canary(url, model="m"))[0], "canary_answer_correct") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_tokens": 9}, "max_tokens must lie between 1 and 8"),
        ({"answer": "x"}, "answer goes with api: http"),
        ({"expect": Expect(json={"a": 1})}, "goes with api: http"),
        ({"method": "GET"}, "method goes with api: http"),
        ({"api": "http", "method": "get"}, "method must be a word in capitals"),
        ({"api": "http", "method": "HEAD"}, "method must be a word in capitals"),
        ({"api": "ollama", "endpoint": "embeddings"}, "endpoint goes with api: openai"),
        ({"endpoint": "embeddings", "expect": Expect(text="OK")}, "an embedding is no text"),
        ({"expect": Expect(embedding=Path("/nowhere"))}, "goes with endpoint: embeddings, or api: http"),
        ({"expect": Expect(regex="(")}, 'expect.regex: "(" cannot be used'),
        ({"expect": Expect(embedding=Path("/nowhere"))}, "there is no file /nowhere"),
        ({"api": "http", "body": {"a": 1}, "file": Upload(Path("/nowhere"))}, "state body or file, not both"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    assert any(said in fault for fault in Canary(Url("http://h:1"), **options).faults())


@pytest.mark.parametrize("distance", [9, -0.1, "x", "nan", None])
def test_a_distance_lies_between_0_and_2(distance: Any) -> None:
    with pytest.raises(ValueError, match=r"expect\.distance"):
        Expect.parse({"embedding": "/f", "distance": distance})


@pytest.mark.parametrize("written", ["", [], {"regex": "a", "json": {"a": 1}}, {"text": "a"}, {"json": {}}, {"regex": "a", "distance": 1}])
def test_expectations_that_cannot_be(written: Any) -> None:
    with pytest.raises(ValueError, match="expect"):
        Expect.parse(written)


def test_a_pattern_that_could_go_on_for_ever_holds_nobody_up() -> None:
    server = Server(v1__chat__completions=(200, SSE, [event("a" * 200 + "!")]))
    began = time.monotonic()
    (seen,) = ask(server, lambda url: Canary(url, model="m", expect=Expect(regex=r"(a+)+$")))
    assert value(seen, "canary_answer_correct") == 0 and time.monotonic() - began < 2
