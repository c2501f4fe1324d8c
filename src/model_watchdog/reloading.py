"""The configuration is read anew while the daemon runs: what has changed is taken over, and everything else goes on as it was.

A file that cannot be used changes nothing. A service in the middle of its restart is taken out, or given its new configuration, when
that restart is over: it is finished as it was begun.
"""

import asyncio
import logging
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from model_watchdog import recovery
from model_watchdog import writes as record
from model_watchdog.beside import run_beside
from model_watchdog.config.faults import InvalidConfig
from model_watchdog.config.loading import load_here
from model_watchdog.config.model import Config, ServiceConfig
from model_watchdog.core.decision import Event, Param, Reason
from model_watchdog.core.host import tell_once
from model_watchdog.core.incident import end_watch
from model_watchdog.core.rule import Severity
from model_watchdog.language import phrase, speak
from model_watchdog.levels import write_levels
from model_watchdog.recalling import Past, recall_service
from model_watchdog.replies import Answer
from model_watchdog.tick import Watch
from model_watchdog.wording import say

if TYPE_CHECKING:
    from model_watchdog.daemon import Daemon

log = logging.getLogger(__name__)

PARTS = ("host", "notifiers", "maintenance", "digest", "report", "heartbeat", "record", "language")
"""Parts of the configuration besides the services."""


class Reloading:
    """One reload at a time. `error` says why the file is not in force, or is empty; whoever holds `turn` keeps reloads waiting."""

    def __init__(self, daemon: "Daemon") -> None:
        self.error = ""
        self.turn = asyncio.Lock()
        self._daemon = daemon
        self._next: asyncio.Task[Answer] | None = None
        self._rejected: tuple[str, ...] = ()
        self._paused: dict[str, float | None] = {}  # of a service whose name stands for another unit now: what was said holds
        self._numbers: dict[str, int] = {}  # of the last message that was told of a service which is watched no longer

    async def ask(self) -> Answer:
        """Reads the file and takes it over; gives the answer of the control socket, with `faults` where it is rejected.

        All who ask while another reload is under way share the one after it.
        """
        if self._next is None:
            self._next = self._daemon.spawn(self._take_turn())
        return await asyncio.shield(self._next)

    async def _take_turn(self) -> Answer:
        async with self.turn:
            self._next = None  # the file is read from here on: who asks now may have changed it since
            try:
                return await self._reload()
            except InvalidConfig as invalid:
                return self._reject(invalid)
            except Exception as error:  # a bug of ours: whoever asked is told, and what runs goes on
                log.exception("event=bug")
                text = phrase("a bug in the watchdog: {cause}; see its log", cause=type(error).__name__)
                return {"ok": False, "error": "failed", "text": text}

    async def _reload(self) -> Answer:
        daemon = self._daemon
        config = await run_beside(lambda: load_here(daemon.config.path, ask_notifiers=True))
        await daemon.store.commit()  # what is known of a service that was taken out a moment ago
        kept = await run_beside(lambda: Past.read(daemon.store))
        if daemon.stopping.is_set():
            return {"ok": False, "error": "failed", "text": phrase("the daemon is being stopped")}
        reason = self._apply(config, kept)
        self.error, self._rejected = "", ()
        daemon.host.carry_out([Event("reloaded", None, reason)])
        daemon.write_info(0.0)
        await daemon.store.commit()
        return {"ok": True, "text": f"{config.path}: {say(reason)}"}

    def _reject(self, invalid: InvalidConfig) -> Answer:
        """Nothing is changed. The same faults again are nothing new to people."""
        daemon, faults = self._daemon, invalid.faults
        params: dict[str, Param] = {"fault": faults[0], "more": len(faults) - 1}
        for fault in faults:
            log.error('event=config_fault reason="%s"', fault.replace('"', "'"))
        if faults != self._rejected:
            rejected, about = Reason("config_rejected", params), {"rule": "config-rejected"}
            daemon.host.carry_out(tell_once(daemon.host.state, "config_rejected", Severity.WARNING, rejected, about))
        self.error, self._rejected = say(Reason("config_fault", params)), faults
        daemon.write_info(0.0)
        return {"ok": False, "error": "rejected", "text": self.error, "faults": faults, "warnings": invalid.warnings}

    def _apply(self, config: Config, past: Past) -> Reason:
        """In one go, without a pause in between. Gives what has changed."""
        daemon, before = self._daemon, self._daemon.config
        daemon.config = config
        speak(config.language)
        was = dict(daemon.watches)
        added = [name for name in config.services if name not in was]
        changed = [name for name, watch in was.items() if name in config.services and config.services[name] != watch.config]
        removed = [name for name in was if name not in config.services]
        for watch in was.values():
            self._settle(watch)
        self._add_missing(past.without(was))
        if config.host != before.host:
            daemon.host.take(config.host)
        daemon.outbox.follow(config.notifiers)
        daemon.means.units.containers.expect(config.containers)
        if config.needs != before.needs:
            daemon.means.feed.follow(config.needs)
            daemon.spawn(daemon.warming.load(config))
        daemon.means.teller.follow(config.notifiers, config.host.common_cause)
        daemon.store.kept = config.record.kept
        daemon.store.put(write_levels(config))
        self._arrange(list(daemon.watches))
        later = [name for name, watch in daemon.watches.items() if watch.leaving]
        later += [name for name in config.services if name not in daemon.watches]
        parts = [part for part in PARTS if getattr(config, part) != getattr(before, part)]
        lists = {"added": added, "removed": removed, "changed": [*changed, *parts], "later": later}
        return Reason("reloaded", {word: ", ".join(names) for word, names in lists.items()})

    def _settle(self, watch: Watch) -> None:
        """Brings one service to what is configured now; while it is being restarted, when that is over."""
        wanted, watch.leaving = self._daemon.config.services.get(watch.service.name), None
        if wanted == watch.config:
            return
        if watch.state.attempt is not None:
            watch.leaving = partial(self._settle_at_last, watch)
        elif wanted is None:
            self._drop(watch, Reason("taken_out"))
        elif (wanted.core.unit, wanted.recovery_kind) == (watch.service.unit, watch.config.recovery_kind):
            watch.take(wanted)
        else:
            self._paused[watch.service.name] = watch.state.paused_until
            self._drop(watch, Reason("another_in_its_place"))

    def _settle_at_last(self, watch: Watch) -> None:
        """The restart is over."""
        if self._daemon.watches.get(watch.service.name) is watch and watch.leaving is not None:
            self._settle(watch)
            self._add_missing(Past())
            self._arrange(list(self._daemon.watches))

    def _add_missing(self, past: Past) -> None:
        """Begins to watch what is configured and not watched yet. A unit that is being restarted under another name is waited for."""
        watches = self._daemon.watches
        for name, service in self._daemon.config.services.items():
            busy = {watch.service.unit for watch in watches.values() if watch.leaving and watch.service.unit}
            if name not in watches and service.core.unit not in busy:
                self._add(service, past)

    def _add(self, service: ServiceConfig, past: Past) -> None:
        """As at the start of the daemon."""
        daemon = self._daemon
        state = recall_service(service, past, daemon.clock, daemon.store, inf)
        state.sequence = max(state.sequence, self._numbers.pop(service.name, 0))
        state.paused_until = self._paused.pop(service.name, None) or state.paused_until
        watch = daemon.watches[service.name] = Watch(service, state, daemon.means)
        watch.open()
        daemon.store.put(*watch.write_down([]))
        watch.spawn(_begin(watch))

    def _drop(self, watch: Watch, reason: Reason) -> None:
        """It is watched no longer. What is known of its restarts stays in the record, for it may come back."""
        daemon, name = self._daemon, watch.service.name
        watch.carry_out(end_watch(watch.service, watch.state, reason))
        self._numbers[name] = watch.state.sequence
        watch.stop()
        del daemon.watches[name]
        daemon.means.main_processes.unwatch(name)
        daemon.means.permitted.pop(name, None)
        daemon.store.put(*record.forget_services(daemon.watches))
        daemon.spawn(watch.close())

    def _arrange(self, names: list[str]) -> None:
        """What looks at all services together looks at those that there are now; the right to restart these is proved."""
        daemon = self._daemon
        daemon.means.common.follow(daemon.config.host.common_cause, daemon.watches.keys())
        daemon.rounds.arrange()
        daemon.spawn(daemon.rights.prove_soon(names))


async def _begin(watch: Watch) -> None:
    """An attempt that it left behind when it was taken out, in an earlier run, is verified and not repeated."""
    await recovery.resume(watch)
    watch.measure_all()
