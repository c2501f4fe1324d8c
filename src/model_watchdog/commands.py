"""What the daemon does with a request from the control socket."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from model_watchdog import acknowledging
from model_watchdog.core import commands
from model_watchdog.core.restarting import ask_restart
from model_watchdog.examination import examine
from model_watchdog.language import phrase
from model_watchdog.replies import Answer, keep, refuse
from model_watchdog.tick import Watch
from model_watchdog.wording import clean, duration, say

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

log = logging.getLogger(__name__)

LONGEST_PAUSE = 30 * 86_400.0


class Commands:
    """Requests in, answers out."""

    def __init__(self, daemon: "Daemon") -> None:
        self._daemon = daemon

    async def handle(self, request: dict[str, Any], uid: int) -> Answer:
        """Carries out one request of user `uid`; whatever is wrong with it is said in the answer."""
        request["uid"] = uid
        handlers: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "ping": self._ping,
            "pause": self._pause,
            "resume": self._resume,
            "restart": self._restart,
            "reset": self._reset,
            "reload": self._reload,
            "notify-test": self._notify_test,
            "doctor": self._doctor,
            "ack": partial(acknowledging.acknowledge, self._daemon),
            "silence": partial(acknowledging.silence, self._daemon),
            "silence-end": partial(acknowledging.end_silence, self._daemon),
        }
        handler = handlers.get(request["command"])
        if handler is None:
            return refuse("bad_request", phrase("bad request: no command {name}", name=clean(request["command"], 40)))
        if request["command"] != "ping":
            log.info("event=command command=%s service=%s uid=%d", request["command"], clean(str(request.get("service") or "-"), 80), uid)
        return await handler(request)

    async def _ping(self, request: dict[str, Any]) -> Answer:
        return {
            "ok": True,
            "pid": os.getpid(),
            "problems": self._daemon.host.problems(),
            "config_error": self._daemon.reloading.error or None,
        }

    async def _pause(self, request: dict[str, Any]) -> Answer:
        watches = self._find_all(request)
        if isinstance(watches, dict):
            return watches
        seconds, text = request.get("seconds"), request.get("reason")
        if not isinstance(seconds, (int, float)) or not isinstance(text, str) or not clean(text):
            return refuse("bad_request", phrase("bad request: pause needs seconds and a reason"))
        if not 0 < seconds <= LONGEST_PAUSE:
            most = duration(LONGEST_PAUSE)
            return refuse("bad_request", phrase("bad request: a pause lasts at most {duration}, and more than 0 s", duration=most))
        kept = ""
        for watch in watches:
            decisions = commands.pause(watch.service, watch.state, float(seconds), clean(text), request["uid"], self._now())
            kept = await self._apply(watch, decisions)
        names = ", ".join(watch.service.name for watch in watches)
        one, more = "{service} is paused: it is watched, but not restarted", "{service} are paused: they are watched, but not restarted"
        return {"ok": True, "text": phrase(one if len(watches) == 1 else more, service=names) + kept}

    async def _resume(self, request: dict[str, Any]) -> Answer:
        watches = self._find_all(request)
        if isinstance(watches, dict):
            return watches
        texts = []
        for watch in watches:
            was_paused = watch.state.paused_until is not None
            kept = await self._apply(watch, commands.resume(watch.state, request["uid"]))
            template = "{service} is no longer paused" if was_paused else "{service} is not paused"
            texts.append(phrase(template, service=watch.service.name) + kept)
        return {"ok": True, "text": "\n".join(texts)}

    async def _reset(self, request: dict[str, Any]) -> Answer:
        watch = self._find(request)
        if isinstance(watch, dict):
            return watch
        await self._daemon.rights.prove([watch.service.name])  # first: a restart that is right at hand must not hide that it is back
        kept = await self._apply(watch, commands.reset(watch.state, request["uid"]))
        return {"ok": True, "text": phrase("the circuit breaker of {service} is closed", service=watch.service.name) + kept}

    async def _restart(self, request: dict[str, Any]) -> Answer:
        watch = self._find(request)
        if isinstance(watch, dict):
            return watch
        said = request.get("reason")
        if not isinstance(said, str) or not clean(said):
            return refuse("bad_request", phrase("bad request: restart needs a reason"))
        if self._daemon.dry_run:
            return refuse("refused", phrase("the daemon is in a dry run: it acts on nothing"))
        text = f"{clean(said)} (uid {request['uid']})"
        decisions, refusal = ask_restart(watch.service, watch.state, text, watch.facts(), self._now())
        if refusal is not None:
            return refuse("refused", phrase("{service} is not restarted: {reason}", service=watch.service.name, reason=say(refusal)))
        assert watch.state.attempt is not None
        waiting = watch.concluded.setdefault(watch.state.attempt.id, asyncio.get_running_loop().create_future())
        watch.carry_out(decisions)
        concluded = await waiting
        await self._daemon.store.commit()
        recovered = concluded.result == "recovered"
        result = phrase(concluded.result)
        text = phrase("{service}: {result}: {reason}", service=watch.service.name, result=result, reason=say(concluded.reason))
        return {"ok": recovered, "text": text} if recovered else refuse("failed", text)

    async def _reload(self, request: dict[str, Any]) -> Answer:
        return await self._daemon.reloading.ask()

    async def _notify_test(self, request: dict[str, Any]) -> Answer:
        name = request.get("notifier")
        if name is not None and (not isinstance(name, str) or name not in self._daemon.config.notifiers):
            return refuse(
                "no_such", phrase("there is no notifier {name}", name=clean(str(name), 80)), known=sorted(self._daemon.config.notifiers)
            )
        results = await self._daemon.outbox.send_test(name)
        return {"ok": all(error is None for error in results.values()), "error": "failed", "results": results, "text": ""}

    async def _doctor(self, request: dict[str, Any]) -> Answer:
        daemon = self._daemon
        looked_at = examine(daemon.config, daemon.state_dir, send=bool(request.get("send")), rejected=daemon.reloading.error)
        links = [link.plain() async for link in looked_at]
        return {"ok": True, "pid": os.getpid(), "links": links, "text": ""}

    def _find(self, request: dict[str, Any]) -> "Watch | Answer":
        name = request.get("service")
        watch = self._daemon.watches.get(name) if isinstance(name, str) else None
        if watch is None:
            return refuse("no_such", phrase("there is no service {name}", name=clean(str(name), 80)), known=sorted(self._daemon.watches))
        return watch

    def _find_all(self, request: dict[str, Any]) -> "list[Watch] | Answer":
        """Every service where the request says `all`, else the one that it names."""
        if request.get("all") is True:
            return list(self._daemon.watches.values())
        watch = self._find(request)
        return watch if isinstance(watch, dict) else [watch]

    async def _apply(self, watch: Watch, decisions: list[Any]) -> str:
        """An answer that says "done" is given once it is in the record; gives what is to be added where it is not."""
        watch.carry_out(decisions)
        lost = await keep(self._daemon)
        watch.measure_all()
        return lost

    def _now(self) -> float:
        return self._daemon.clock.steady()
