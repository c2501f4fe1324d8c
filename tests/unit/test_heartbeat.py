"""The dead man's switch: told at the start, at each beat, that a job is overdue; whatever it answers, nothing is held up."""

import asyncio
import time
from collections.abc import Callable

from model_watchdog.config.model import Heartbeat
from model_watchdog.core.units import Seconds, Url
from model_watchdog.heartbeat import Heart, _join
from tests.rig.chaos import Chaos, closed_port


def beat(heartbeat: Heartbeat, until: Callable[[Heart], bool], overdue: Callable[[], str] = lambda: "", seconds: float = 10.0) -> Heart:
    """Lets it beat until something is so."""

    async def work() -> Heart:
        heart = Heart(heartbeat, overdue)
        heart.open()
        end = time.monotonic() + seconds
        while not await asyncio.to_thread(until, heart):
            assert time.monotonic() < end, "waited too long"
            await asyncio.sleep(0.02)
        await heart.close()
        return heart

    return asyncio.run(work())


def test_it_is_told_at_the_start_and_with_each_beat(chaos: Chaos) -> None:
    heart = beat(Heartbeat(Url(chaos.url("/ping/x")), Seconds(0.2)), lambda heart: chaos.count("/ping/x") >= 3)
    paths = [request["path"] for request in chaos.requests()]
    assert paths[0] == "/ping/x/start" and set(paths[1:]) == {"/ping/x"}
    assert heart.error == ""


def test_while_a_job_is_overdue_it_is_told_that_the_watchdog_fails(chaos: Chaos) -> None:
    late = ["host/system"]

    def recovers(heart: Heart) -> bool:
        if chaos.count("/ping/fail") >= 2:
            late.clear()
        return chaos.count("/ping") >= 1 and not late

    beat(Heartbeat(Url(chaos.url("/ping")), Seconds(0.1)), recovers, lambda: "".join(late))


def test_a_switch_that_is_down_is_tried_again_and_never_raises(start_chaos: Callable[..., Chaos]) -> None:
    port = closed_port()
    heartbeat = Heartbeat(Url(f"http://127.0.0.1:{port}/ping"), Seconds(0.3))
    assert "refused" in beat(heartbeat, lambda heart: heart.error != "").error
    back = start_chaos(port=port)
    assert beat(heartbeat, lambda heart: back.count("/ping") >= 2 and heart.error == "").error == ""


def test_one_that_hangs_puts_no_sign_off_for_ever(chaos: Chaos) -> None:
    chaos.set("hang", "/ping/start")
    beat(Heartbeat(Url(chaos.url("/ping")), Seconds(0.2), Seconds(0.2)), lambda heart: chaos.count("/ping") >= 2)


def test_the_word_stands_behind_the_path() -> None:
    assert [_join("http://h/ping/x", word) for word in ("", "/start")] == ["http://h/ping/x", "http://h/ping/x/start"]
    assert _join("http://h/ping/", "/fail") == "http://h/ping/fail"
    assert _join("http://h/ping?create=1", "/fail") == "http://h/ping/fail?create=1"
