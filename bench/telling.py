"""kill -9 of the daemon in the path of messages, at its crash points and at random moments: is one lost, is one told more than twice?

.venv/bin/python -m bench.telling [KILLS]
"""

import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.rig.chaos import Chaos
from tests.rig.plain_daemon import PlainDaemon
from tests.rig.sinks import HttpSink
from tests.rig.waiting import wait_until

KILLS = 500
POINTS = ("routed", "message_sent", "acknowledged", "silenced", "random")
"""Where it is killed, in turn; `random` is a moment within the first second after something has happened."""
SERVICES = 5
"""All of which fail together now and then, so that messages are folded."""
FIRES, OVER = "gone fires", "gone is over"


@dataclass(frozen=True)
class Toll:
    """What was seen at the receivers: `copies` is how often one message was told at most, `dangling` what fired and was not over."""

    kills: int
    rounds: int
    lost: int
    duplicates: int
    copies: int
    dangling: int


@dataclass(frozen=True)
class Scene:
    """A daemon, whom it tells, and what it watches."""

    daemon: PlainDaemon
    ops: HttpSink
    boss: HttpSink
    endpoints: list[Chaos]

    def configure(self) -> None:
        """One rule a service, told to one notifier, which escalates to the other after a moment."""
        services = ""
        for number, endpoint in enumerate(self.endpoints):
            probe = f"{{kind: http, url: '{endpoint.url()}', every: 2s, timeout: 2s, retry_every: 200ms}}"
            rules = "{unhealthy: off, gone: {metric: 'probe_success{probe=\"health\"}', below: 1}}"
            recovery = "{kind: command, command: [/bin/true]}"
            services += (
                f"  s{number}: {{startup: 100ms, unstable: off, recovery: {recovery}, probes: {{health: {probe}}}, rules: {rules}}}\n"
            )
        notifiers = f"  ops: {{kind: apprise, url: '{self.ops.url}', escalate: {{after: 2s, to: boss}}}}\n"
        notifiers += f"  boss: {{kind: apprise, url: '{self.boss.url}', min_severity: critical}}\n"
        self.daemon.configure(f"services:\n{services}notifiers:\n{notifiers}host: {{probes: {{}}, rules: {{}}}}\n")

    def close(self) -> None:
        self.daemon.stop()
        for endpoint in self.endpoints:
            endpoint.stop()
        self.ops.close()
        self.boss.close()

    def change(self, mode: str, which: list[Chaos], point: str, moment: float) -> None:
        """Endpoints begin to answer otherwise, and the daemon dies at the point, or after so many seconds; another one is started."""
        if point in ("routed", "message_sent"):
            self.daemon.strike(point)
        for endpoint in which:
            endpoint.set(mode)
        if point == "random":
            time.sleep(moment)
            self.daemon.kill()
        elif point == "acknowledged":
            self._acknowledge()
        elif point == "silenced":
            self.daemon.strike(point)
            self.daemon.run("silence", "--service", "s0", "--for", "1s", "--reason", "x", check=False)
        end = time.monotonic() + 15
        while self.daemon.is_alive() and time.monotonic() < end:
            time.sleep(0.02)
        self.daemon.keep_up()

    def wait_told(self, after: int, names: list[str], what: str, where: str) -> None:
        """Until each of these services was told of once more, in a row of the outbox after that one; a daemon that is dead is started."""
        query = f"SELECT title FROM outbox WHERE id > {after} AND notifier = 'ops' AND state = 'sent'"

        def is_told() -> bool:
            self.daemon.keep_up()
            titles = [title for (title,) in self.daemon.ask_record(query)]
            return all(any(f"{name}: {what}" in title for title in titles) for name in names)

        wait_until(
            is_told, 120, lambda: f"{where}: {[message.title for message in self.ops.messages[-6:]]}\n{self.daemon.log()}", every=0.1
        )

    def _acknowledge(self) -> None:
        """Whatever is open by now; where nothing is, it dies another death."""
        self.daemon.strike("acknowledged")
        end = time.monotonic() + 3
        while time.monotonic() < end and self.daemon.is_alive():
            ((number,),) = self.daemon.ask_record("SELECT max(id) FROM incident WHERE closed_at IS NULL")
            if number is not None:
                self.daemon.run("ack", str(number), check=False)
            time.sleep(0.05)
        self.daemon.kill()


def kill_among_messages(directory: Path, kills: int, say: Callable[[str], None]) -> Toll:
    """So many deaths of the daemon; each round is two of them, one when something breaks and one when it is well again."""
    seed = time.time_ns() % 1_000_000
    chance = random.Random(seed)
    say(f"seed {seed}")
    scene, rounds = Scene(PlainDaemon(directory), HttpSink(), HttpSink(), [Chaos() for _ in range(SERVICES)]), 0
    daemon = scene.daemon
    scene.configure()
    try:
        daemon.start()
        while daemon.starts - 1 < kills:
            which = scene.endpoints if rounds % 7 == 6 else [chance.choice(scene.endpoints)]
            names = [f"s{scene.endpoints.index(endpoint)}" for endpoint in which]
            for mode, what in (("500", FIRES), ("200", OVER)):
                ((after,),) = daemon.ask_record("SELECT coalesce(max(id), 0) FROM outbox")
                point = POINTS[rounds % len(POINTS)] if mode == "500" or rounds % 2 else "random"
                scene.change(mode, which, point, chance.uniform(0, 1))
                scene.wait_told(after, names, what, f"seed {seed}, round {rounds}, {point}")
            rounds += 1
            if rounds % 10 == 0:
                say(f"{daemon.starts - 1} of {kills} kills")
        wait_until(lambda: daemon.ask_record("SELECT count(*) FROM outbox WHERE state IN ('queued', 'held')") == [(0,)], 90, daemon.log)
        return judge(scene, rounds)
    finally:
        scene.close()


def judge(scene: Scene, rounds: int) -> Toll:
    """What the record has as sent must have been received. What was received twice was sent by a daemon that died before it was noted."""
    daemon, lost, copies = scene.daemon, 0, Counter[tuple[str, str]]()
    for name, sink in (("ops", scene.ops), ("boss", scene.boss)):
        texts = Counter(re.sub(r"within [^:]*:", "", message.text) for message in sink.messages)  # told again, it is a little later
        copies.update({(name, text): count for text, count in texts.items()})
        received = sum(int(found[1]) if (found := re.search(r"(\d+) messages at once", text)) else 1 for text in texts)
        ((sent,),) = daemon.ask_record(f"SELECT count(*) FROM outbox WHERE notifier = '{name}' AND state = 'sent'")
        lost += max(0, sent - received)
    ((unsent,),) = daemon.ask_record("SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'dropped')")
    ((open_ones,),) = daemon.ask_record("SELECT count(*) FROM incident WHERE closed_at IS NULL")
    return Toll(daemon.starts - 1, rounds, lost + unsent, sum(copies.values()) - len(copies), max(copies.values()), open_ones)


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    with tempfile.TemporaryDirectory() as directory:
        toll = kill_among_messages(Path(directory), kills, lambda text: print(text, flush=True))
    print(toll)
    return int(toll.lost > 0 or toll.copies > 2 or toll.dangling > 0)


if __name__ == "__main__":
    sys.exit(main())
