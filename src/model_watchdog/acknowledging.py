"""What the daemon does with `ack` and `silence` from the control socket."""

from typing import TYPE_CHECKING, Any

from model_watchdog.core.decision import Event, Reason
from model_watchdog.core.routes import EVERYTHING, is_covered
from model_watchdog.crashpoint import crash_point
from model_watchdog.language import phrase
from model_watchdog.replies import Answer, keep, refuse
from model_watchdog.wording import clean, duration

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

LONGEST_SILENCE = 30 * 86_400.0


async def acknowledge(daemon: "Daemon", request: dict[str, Any]) -> Answer:
    """Somebody has taken an incident on: nobody is reminded of it, and it is not escalated."""
    number, said = request.get("id"), clean(str(request.get("reason") or ""))
    threads = daemon.means.teller.router.state.threads
    if not isinstance(number, int) or number not in threads.known:
        known = sorted({str(threads.root(thread.id)) for thread in threads.known.values() if not thread.is_over})
        return refuse("no_such", phrase("no incident {id} is open", id=clean(str(number), 20)), known=known)
    if all(thread.is_over for thread in threads.family(number)):
        return refuse("over", phrase("incident {id} is over already", id=number))
    root = threads.root(number)
    daemon.means.teller.acknowledge(root, request["uid"], said)
    what = Reason("acknowledged", {"incident": root, "uid": request["uid"], "text": said})
    return await _settle(daemon, Event("acknowledged", None, what), phrase("incident {id} is acknowledged", id=root), "acknowledged")


async def silence(daemon: "Daemon", request: dict[str, Any]) -> Answer:
    """Nobody is told of some services for a while. They are watched and restarted as ever."""
    named, seconds, said = request.get("service"), request.get("seconds"), request.get("reason")
    patterns = (EVERYTHING,) if request.get("all") is True else (named,) if isinstance(named, str) else ()
    if not patterns or not isinstance(seconds, (int, float)) or not isinstance(said, str) or not clean(said):
        return refuse("bad_request", phrase("bad request: silence needs a service, seconds and a reason"))
    if not any(is_covered(patterns, name) for name in (*daemon.watches, None)):
        return refuse("no_such", phrase("there is no service {name}", name=clean(patterns[0], 80)), known=sorted(daemon.watches))
    if not 0 < seconds <= LONGEST_SILENCE:
        most = duration(LONGEST_SILENCE)
        return refuse("bad_request", phrase("bad request: a silence lasts at most {duration}, and more than 0 s", duration=most))
    made = daemon.means.teller.silence(patterns, float(seconds), request["uid"], clean(said))
    name = phrase("everything") if EVERYTHING in patterns else patterns[0]
    params = {"seconds": float(seconds), "uid": request["uid"], "text": clean(said), "services": ", ".join(patterns), "id": made.id}
    text = phrase("silence {id}: nobody is told of {service} for {duration}", id=made.id, service=name, duration=duration(float(seconds)))
    return await _settle(daemon, Event("silenced", None, Reason("silence_set", params)), text, "silenced")


async def end_silence(daemon: "Daemon", request: dict[str, Any]) -> Answer:
    """A silence ends before its time: what goes on is told now."""
    number = str(request.get("id"))
    if not daemon.means.teller.end_silence(number):
        known = sorted(daemon.means.teller.router.state.silences)
        return refuse("no_such", phrase("there is no silence {id}", id=clean(number, 20)), known=known)
    event = Event("silence_ended", None, Reason("silence_ended", {"id": number, "uid": request["uid"]}))
    return await _settle(daemon, event, phrase("silence {id} is ended", id=number), "silenced")


async def _settle(daemon: "Daemon", event: Event, text: str, point: str) -> Answer:
    """An answer that says "done" is given once it is in the record."""
    daemon.host.carry_out([event])
    lost = await keep(daemon)
    crash_point(point)
    return {"ok": True, "text": text + lost}
