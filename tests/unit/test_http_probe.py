"""The probe `http` against a real server with every vice. Numbers are rows of the table of faults."""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from model_watchdog import resolver as resolving
from model_watchdog.asking import NEW_CONNECTION
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.probes.http import BODY_CAP, Http, Status
from tests.rig.certificates import Certificates
from tests.rig.chaos import Chaos, closed_port
from tests.rig.waiting import wait_until

StartChaos = Callable[..., Chaos]


@pytest.fixture(scope="module")
def vices() -> Iterator[Chaos]:
    """One endpoint for all tests that only ask for a vice by its path."""
    server = Chaos()
    yield server
    server.stop()


def ask(http: Http, timeout: float = 3.0, times: int = 1, pause: float = 0.0) -> Observation:
    """Runs a probe; gives the last observation or raises the last ProbeError."""

    async def run() -> Observation:
        running = http.open(Surroundings("s", "s.service", timeout, None))  # type: ignore[arg-type]
        try:
            for _ in range(times - 1):
                await running.observe()
                await asyncio.sleep(pause)
            return await running.observe()
        finally:
            await running.close()

    return asyncio.run(run())


def fail(http: Http, timeout: float = 3.0) -> tuple[ProbeError, float]:
    """What the probe complains of, and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(ProbeError) as caught:
        ask(http, timeout)
    return caught.value, time.monotonic() - began


def values(measured: Any) -> dict[str, float]:
    return {metric: value for metric, _, value in measured}


# ---------------------------------------------------------------- good answers
def test_a_good_answer_gives_its_status_code(vices: Chaos) -> None:
    observed = ask(Http(Url(vices.url())))
    assert observed.detail == "status 200"
    assert values(observed.measurements) == {"probe_http_status_code": 200.0}


def test_what_is_sent(chaos: Chaos) -> None:
    http = Http(Url(chaos.url("/echo?x=1#part")), method="POST", headers={"X-Key": Secret("k1")}, bearer=Secret("abc"))
    ask(http)
    (request,) = chaos.requests("/echo")
    assert request["method"] == "POST"
    sent = request["headers"]
    assert sent["host"] == f"127.0.0.1:{chaos.port}"
    assert (sent["authorization"], sent["x-key"]) == ("Bearer abc", "k1")
    assert sent["accept-encoding"] == "identity"
    assert sent["user-agent"].startswith("model-watchdog/")


def test_the_user_of_the_url_is_sent_as_basic_authorization(chaos: Chaos) -> None:
    ask(Http(Url(chaos.url("/echo").replace("://", "://me:p%40ss@"))))
    assert chaos.requests("/echo")[0]["headers"]["authorization"] == "Basic bWU6cEBzcw=="


def test_a_name_is_looked_up_and_sent_as_host(chaos: Chaos) -> None:
    """localhost may be ::1 first, which refuses: the next address is tried."""
    ask(Http(Url(chaos.url("/echo", host="localhost"))))
    assert chaos.requests("/echo")[0]["headers"]["host"] == f"localhost:{chaos.port}"


@pytest.mark.parametrize(("status", "code"), [("2xx", 204), (503, 503), ([200, "3xx"], 302)])
def test_the_statuses_that_are_good_are_the_configured_ones(vices: Chaos, status: Any, code: int) -> None:
    assert ask(Http(Url(vices.url(f"/{code}")), status=Status.parse(status))).detail == f"status {code}"


@pytest.mark.parametrize("wanted", [{"status": "ok"}, {"data.1.ready": True}, {"n": 1, "list": [1, 2]}, {"none": None}])
def test_json_that_is_as_wanted(vices: Chaos, wanted: dict[str, Any]) -> None:
    body = '{"status":"ok","data":[{},{"ready":true}],"n":1.0,"list":[1,2],"none":null}'
    assert ask(Http(Url(vices.url(f"/body:{body}")), json=wanted)).detail == "status 200"
    with pytest.raises(ProbeError):
        ask(Http(Url(vices.url("/body:{}")), json=wanted))


def test_a_head_request_needs_no_body(vices: Chaos) -> None:
    assert ask(Http(Url(vices.url("/204")), method="HEAD")).detail == "status 204"


def test_a_slow_answer_is_good_until_max_duration(vices: Chaos) -> None:
    ask(Http(Url(vices.url("/slow:0.2")), max_duration=Seconds(2.0)))
    error, _ = fail(Http(Url(vices.url("/slow:0.2")), max_duration=Seconds(0.1)))
    assert error.failure == Failure.SLOW
    assert "max_duration is 0.1 s" in error.detail
    assert values(error.measurements) == {"probe_http_status_code": 200.0}


# ---------------------------------------------------------------- connections
def test_a_connection_is_kept_and_every_tenth_check_makes_a_new_one(chaos: Chaos) -> None:
    ask(Http(Url(chaos.url())), times=2 * NEW_CONNECTION)
    assert chaos.connections()["opened"] == 2
    assert chaos.count() == 2 * NEW_CONNECTION


def test_an_idle_connection_is_not_used_again_after_a_while(chaos: Chaos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_watchdog.asking.KEPT", 0.05)
    ask(Http(Url(chaos.url())), times=3, pause=0.15)
    assert chaos.connections()["opened"] == 3


def test_a_server_that_closes_each_connection_is_no_failure(chaos: Chaos) -> None:
    chaos.set("drop")  # for any other path; /loop closes after an honest answer
    assert ask(Http(Url(chaos.url("/loop")), status=Status.parse(302)), times=15).detail == "status 302"
    assert chaos.connections()["opened"] == 15


@pytest.mark.parametrize(("path", "method"), [("/pipelined", "GET"), ("/health", "HEAD")])
def test_what_comes_behind_an_answer_is_not_taken_for_the_next_one(vices: Chaos, path: str, method: str) -> None:
    """A second answer that nobody asked for, and a body where there must be none. They have come by the time of the next request:
    no probe asks more often than ten times a second.
    """
    assert ask(Http(Url(vices.url(path)), method=method), times=2, pause=0.1).detail == "status 200"


def test_no_descriptor_is_kept_by_answers_that_never_end(chaos: Chaos) -> None:
    """Row 4."""

    async def run() -> tuple[int, int]:
        running = Http(Url(chaos.url("/drip"))).open(Surroundings("s", None, 0.3, None))  # type: ignore[arg-type]
        counts = []
        for _ in range(2):
            for _ in range(3):
                with pytest.raises(ProbeError):
                    await running.observe()
            counts.append(len(os.listdir("/proc/self/fd")))
        await running.close()
        return counts[0], counts[1]

    first, second = asyncio.run(run())
    assert first == second
    wait_until(lambda: chaos.connections()["open"] == 0, told=lambda: chaos.connections())


def test_a_check_that_is_cancelled_leaves_the_next_one_well(chaos: Chaos) -> None:
    chaos.set("hang", "/health")

    async def run() -> str:
        running = Http(Url(chaos.url())).open(Surroundings("s", None, 5.0, None))  # type: ignore[arg-type]
        descriptors = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            task = asyncio.ensure_future(running.observe())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert len(os.listdir("/proc/self/fd")) == descriptors
        chaos.set("ok", "/health")
        detail = (await running.observe()).detail
        await running.close()
        return detail

    assert asyncio.run(run()) == "status 200"


# ---------------------------------------------------------------- bad answers
def test_1_refused_is_told_at_once() -> None:
    error, took = fail(Http(Url(f"http://127.0.0.1:{closed_port()}/")))
    assert (error.failure, error.detail) == (Failure.REFUSED, "connection refused")
    assert took < 0.5


@pytest.mark.parametrize("path", ["/hang", "/slowhead", "/drip"])
def test_2_3_4_what_does_not_end_is_cut_at_the_deadline(vices: Chaos, path: str) -> None:
    error, took = fail(Http(Url(vices.url(path))), timeout=0.8)
    assert (error.failure, error.detail) == (Failure.TIMEOUT, "no answer within 0.8 s")
    assert 0.75 < took < 1.5


def test_2_a_hanging_target_does_not_delay_another(vices: Chaos) -> None:
    async def run() -> float:
        hanging = Http(Url(vices.url("/hang"))).open(Surroundings("a", None, 1.0, None))  # type: ignore[arg-type]
        good = Http(Url(vices.url("/ok"))).open(Surroundings("b", None, 1.0, None))  # type: ignore[arg-type]
        waiting = asyncio.ensure_future(hanging.observe())
        longest = 0.0
        for _ in range(10):
            began = time.monotonic()
            await good.observe()
            longest = max(longest, time.monotonic() - began)
        with pytest.raises(ProbeError):
            await waiting
        await hanging.close()
        await good.close()
        return longest

    assert asyncio.run(run()) < 0.5


@pytest.mark.parametrize("path", ["/huge", "/gzipbomb"])
def test_5_6_a_large_body_is_cut_and_never_decompressed(vices: Chaos, path: str) -> None:
    with pytest.raises(ProbeError):  # all that is needed is imported and grown now
        ask(Http(Url(vices.url("/500"))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error, _ = fail(Http(Url(vices.url(path))))
    assert (error.failure, error.detail) == (Failure.BODY, f"body too large: more than {BODY_CAP // 1024} KiB")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048


def test_6_a_compressed_body_is_not_taken_for_the_wanted_one(vices: Chaos) -> None:
    error, _ = fail(Http(Url(vices.url("/gzipbomb")), contains="ok"))
    assert error.failure == Failure.BODY


def test_7_a_redirect_is_not_followed(chaos: Chaos) -> None:
    error, _ = fail(Http(Url(chaos.url("/loop"))))
    assert (error.failure, error.detail) == (Failure.STATUS, "redirect 302")
    assert values(error.measurements) == {"probe_http_status_code": 302.0}
    assert chaos.count("/loop") == 1


@pytest.mark.parametrize("path", ["/reset", "/half", "/drop"])
def test_8_a_lost_connection_is_not_asked_again(chaos: Chaos, path: str) -> None:
    error, _ = fail(Http(Url(chaos.url(path))))
    assert error.failure == Failure.CONNECTION_LOST
    assert chaos.count(path) == 1


@pytest.mark.parametrize("path", ["/garbage", "/chunkbad", "/bigheaders"])
def test_9_what_is_not_http_is_a_protocol_failure(vices: Chaos, path: str) -> None:
    error, _ = fail(Http(Url(vices.url(path))))
    assert error.failure == Failure.PROTOCOL
    assert len(error.detail) < 250
    assert error.detail.isprintable()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("self_signed", "the certificate is self-signed"),
        ("wrong_name", "the certificate is for another"),
        ("expired", "the certificate has expired"),
    ],
)
def test_10_bad_certificates_are_told_in_words(start_chaos: StartChaos, certificates: Certificates, kind: str, reason: str) -> None:
    bad = getattr(certificates, kind)
    server = start_chaos(bad.certfile, bad.keyfile)
    error, _ = fail(Http(Url(server.url()), ca_file=certificates.ca_file))
    assert error.failure == Failure.TLS
    assert error.detail.startswith(f"tls: {reason}")
    assert server.count() == 0


def test_10_a_good_certificate_needs_its_authority(start_chaos: StartChaos, certificates: Certificates) -> None:
    server = start_chaos(certificates.good.certfile, certificates.good.keyfile)
    observed = ask(Http(Url(server.url(host="localhost")), ca_file=certificates.ca_file), times=3)
    assert values(observed.measurements)["probe_tls_expiry_seconds"] > 0
    assert server.connections()["opened"] == 1
    error, _ = fail(Http(Url(server.url())))
    assert error.failure == Failure.TLS
    assert "not trusted" in error.detail


def test_10_a_tls_server_that_hangs_is_a_time_out(start_chaos: StartChaos, certificates: Certificates) -> None:
    """Nothing may call a hung model a TLS failure: that is never restarted."""
    server = start_chaos(certificates.good.certfile, certificates.good.keyfile)
    http = Http(Url(server.url()), ca_file=certificates.ca_file)
    server.pause()
    error, took = fail(http, timeout=0.8)
    server.resume()
    assert error.failure == Failure.TIMEOUT
    assert 0.75 < took < 1.5


def test_10_a_handshake_that_is_broken_off_is_told() -> None:
    with raw_server(b"") as port:
        error, _ = fail(Http(Url(f"https://127.0.0.1:{port}/")))
    assert (error.failure, error.detail) == (Failure.TLS, "tls: the server broke the handshake off")


def test_11_plain_http_on_an_https_url(vices: Chaos) -> None:
    """This server waits for more of what it takes for a request: silence, until the probe asks it in plain HTTP."""
    error, took = fail(Http(Url(vices.url().replace("http:", "https:"))), timeout=1.0)
    assert error.failure == Failure.TLS
    assert "does not speak TLS" in error.detail
    assert took < 1.2


def test_11_plain_http_that_answers_a_handshake_with_a_400() -> None:
    with raw_server(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as port:
        error, _ = fail(Http(Url(f"https://127.0.0.1:{port}/")))
    assert error.failure == Failure.TLS
    assert "does not speak TLS" in error.detail


@contextmanager
def raw_server(answer: bytes) -> Iterator[int]:
    """Says one thing to everybody, whatever was asked."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/wrongjson", "status is missing"),
        ("/nan", "it is not JSON (NaN is no JSON)"),
        ("/latin1", "it is not UTF-8"),
        ("/body:", "it is not JSON"),
        ("/body:" + "[" * 60_000, "it is not JSON"),
        ('/body:{"status":"bad"}', 'status is "bad", not "ok"'),
        ('/body:{"status":' + "9" * 5000 + "}", "it is not JSON"),
    ],
)
def test_12_an_unexpected_body_is_quoted(vices: Chaos, path: str, wrong: str) -> None:
    error, _ = fail(Http(Url(vices.url(path)), json={"status": "ok"}))
    assert error.failure == Failure.BODY
    assert error.detail.startswith("unexpected body: ")
    assert wrong in error.detail
    assert len(error.detail) < 450


def test_12_a_missing_text(chaos: Chaos) -> None:
    chaos.set("body:loading%20%1b%5b31mred%00", "/health")
    error, _ = fail(Http(Url(chaos.url()), contains="ready"))
    assert error.detail == "unexpected body: it does not contain \"ready\"; it is 'loading \\x1b[31mred\\x00'"


def test_12_a_secret_that_the_server_gives_back_is_masked(vices: Chaos) -> None:
    http = Http(Url(vices.url("/echo")), headers={"A": Secret("planted-1")}, bearer=Secret("planted-2"), contains="nowhere")
    error, _ = fail(http)
    assert "planted" not in error.detail
    assert "***" in error.detail


TOKEN = "".join(chr(65 + at % 26) + str(at % 10) for at in range(22))[:43]


@pytest.mark.parametrize("path", ["/echo:160", "/echo:190", "/echo:153", "/echo:-20", "/echo:-1", "/echo"])
@pytest.mark.parametrize("wanted", [{"contains": "ready"}, {"json": {"headers.authorization": "x"}}])
@pytest.mark.parametrize("by", ["bearer", "header"])
def test_12_no_part_of_a_secret_is_quoted(vices: Chaos, path: str, wanted: dict[str, Any], by: str) -> None:
    """Not where the quotation ends in the middle of it, not where the server gives back a part, not by the value that was wrong."""
    sent: dict[str, Any] = {"bearer": Secret(TOKEN)} if by == "bearer" else {"headers": {"Authorization": Secret(f"Bearer {TOKEN}")}}
    error, _ = fail(Http(Url(vices.url(path)), **sent, **wanted))
    assert not any(TOKEN[at : at + 4] in error.detail for at in range(40)), error.detail
    assert "***" in error.detail


def test_12_nor_is_a_secret_of_the_address_or_one_that_json_spells_otherwise(chaos: Chaos) -> None:
    password = 'pass"w\u00f6rd'
    chaos.set("body:" + quote(json.dumps({"ready": password, "token": "planted token"})), "/health")
    url = chaos.url("/health?token=planted%20token").replace("://", f"://me:{quote(password)}@")
    for wanted in ({"contains": "nowhere"}, {"json": {"ready": True}}, {"json": {"token": ""}}):
        error, _ = fail(Http(Url(url), **wanted))
        assert "planted" not in error.detail and "pass" not in error.detail


def test_12_a_status_line_that_is_none_is_quoted_without_secrets() -> None:
    with raw_server(f"you said Bearer {TOKEN}\r\n\r\n".encode()) as port:
        error, _ = fail(Http(Url(f"http://127.0.0.1:{port}"), bearer=Secret(TOKEN)))
    assert error.failure == Failure.PROTOCOL and "you said Bearer ***" in error.detail


def test_13_a_name_that_does_not_exist() -> None:
    error, took = fail(Http(Url("http://nope.invalid/")))
    assert error.failure == Failure.DNS
    assert "nope.invalid" in error.detail
    assert took < 3.5


def test_13_a_resolver_that_does_not_answer_stops_nobody(vices: Chaos, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lookups that hang are bounded, hold up neither the loop nor other targets, and end with the time-out of the check."""
    released = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: released.wait(30) and [])

    async def run() -> list[str]:
        running = [Http(Url(f"http://dead{n}.example/")).open(Surroundings("s", None, 0.4, None)) for n in range(12)]  # type: ignore[arg-type]
        good = Http(Url(vices.url())).open(Surroundings("b", None, 0.4, None))  # type: ignore[arg-type]
        found = []
        for _ in range(2):
            answers = await asyncio.gather(good.observe(), *(probe.observe() for probe in running), return_exceptions=True)
            assert isinstance(answers[0], Observation)
            found += [answer.failure for answer in answers[1:] if isinstance(answer, ProbeError)]
        await asyncio.gather(good.close(), *(probe.close() for probe in running))
        return found

    before = threading.active_count()
    began = time.monotonic()
    found = asyncio.run(run())
    assert threading.active_count() - before <= resolving.MOST
    assert time.monotonic() - began < 3
    released.set()
    assert len(found) == 24
    assert set(found) == {Failure.DNS}


@pytest.mark.parametrize("path", ["/500", "/503", "/404"])
def test_14_bad_statuses(vices: Chaos, path: str) -> None:
    error, _ = fail(Http(Url(vices.url(path))))
    assert (error.failure, error.detail) == (Failure.STATUS, f"status {path[1:]}")
    assert values(error.measurements) == {"probe_http_status_code": float(path[1:])}


def test_14_204_is_good_unless_a_body_is_wanted(vices: Chaos) -> None:
    ask(Http(Url(vices.url("/204"))))
    error, _ = fail(Http(Url(vices.url("/204")), contains="ok"))
    assert error.failure == Failure.BODY
    assert error.detail.endswith("it is empty")


def test_51_without_descriptors_the_watcher_is_blind(vices: Chaos) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def run() -> ProbeError:
        running = Http(Url(vices.url())).open(Surroundings("s", None, 1.0, None))  # type: ignore[arg-type]
        await running.observe()
        await running.close()
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            with pytest.raises(ProbeError) as caught:
                await running.observe()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return caught.value

    error = asyncio.run(run())
    assert error.failure == Failure.WATCHER
    assert "Too many open files" in error.detail


def test_74_nothing_that_is_logged_holds_the_url(vices: Chaos, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ask(Http(Url(vices.url("/ok?token=planted-3").replace("://", "://u:planted-4@"))))
    fail(Http(Url(vices.url("/garbage?token=planted-3"))))
    assert "planted" not in caplog.text


# ---------------------------------------------------------------- options
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"url": "ftp://x/"}, "http:// or https://"),
        ({"url": "http://"}, "no host"),
        ({"url": "http://h:99999/"}, "not a URL"),
        ({"url": "http://h:0/"}, "port 0"),
        ({"method": "get"}, "capitals"),
        ({"method": "CONNECT"}, "capitals"),
        ({"headers": {"a b": Secret("x")}}, "name of a header"),
        ({"headers": {"Connection": Secret("close")}}, "the probe's own"),
        ({"headers": {"A": Secret("x\r\nB: y")}}, "control character"),
        ({"bearer": Secret("x\n")}, "control character"),
        ({"bearer": Secret("x"), "headers": {"authorization": Secret("y")}}, "only one of"),
        ({"url": "http://u:p@h/", "bearer": Secret("x")}, "only one of"),
        ({"max_duration": Seconds(0.0)}, "longer than 0"),
        ({"json": {}}, "at least one path"),
        ({"method": "HEAD", "contains": "x"}, "no body"),
        ({"ca_file": Path("/nowhere")}, "for https"),
        ({"url": "https://h/", "ca_file": Path("/nowhere.pem")}, "No such file"),
        ({"url": "https://h/", "ca_file": Path("/dev/null")}, "no certificate"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], fault: str) -> None:
    given = {"url": "http://127.0.0.1/", **options}
    (found,) = Http(**{**given, "url": Url(given["url"])}).faults()
    assert fault in found


def test_options_that_can_be() -> None:
    assert Http(Url("https://[::1]:8443/a?b"), headers={"Host": Secret("x")}, bearer=Secret("y")).faults() == []


@pytest.mark.parametrize("written", ["2yy", 99, 600, True, None, [], [200, "x"], {"a": 1}])
def test_statuses_that_cannot_be(written: Any) -> None:
    with pytest.raises(ValueError, match="status"):
        Status.parse(written)


@pytest.mark.parametrize("written", ["2xx", 200, [200, 204], ["2xx", 301]])
def test_a_status_is_shown_as_it_was_written(written: Any) -> None:
    assert json.dumps(Status.parse(written).shown()) == json.dumps(written)


def test_nothing_heavy_comes_with_a_check(vices: Chaos) -> None:
    heavy = ("click", "rich", "httpcore", "anyio")
    code = f"""if True:
        import asyncio, sys
        from model_watchdog.probes import Surroundings
        from model_watchdog.probes.http import Http
        print(asyncio.run(Http({vices.url()!r}).open(Surroundings(None, None, 3.0, None)).observe()).detail)
        print([name for name in {heavy} if name in sys.modules])"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "status 200\n[]\n"
