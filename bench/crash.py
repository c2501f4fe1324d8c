"""kill -9 of the daemon at random moments around recoveries: is a restart made twice, is a message lost, is one told more than twice?"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.rig.sinks import HttpSink
from tests.rig.stand import Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import DAEMON, PREFIX, WatchedBox

KILLS = 200
MODELS = 3
WELL = "was restarted and is well again"
SOON = "[Service]\nRestartSec=50ms\nStartLimitIntervalSec=0\n"


@dataclass(frozen=True)
class Toll:
    """What was seen from outside: at the models, in systemd's count, and at the receiver of messages."""

    kills: int
    crashes: int
    double_restarts: int
    lost: int
    duplicates: int
    most_copies: int
    unfinished: int
    integrity: str


def kill_around_recoveries(directory: Path, prefix: Path, say: Callable[[str], None], kills: int = KILLS) -> Toll:
    """Each round the models crash, within half a second, and the daemon is killed within two; the next one begins when all is told."""
    seed = time.time_ns() % 1_000_000
    chance = random.Random(seed)
    say(f"seed {seed}")
    sink = HttpSink()
    with WatchedBox(directory / "crash-box", read_only_binds=[(prefix, PREFIX)]) as box:
        stand = Stand(box)
        stand.install()
        box.write(f"/etc/systemd/system/{DAEMON}.d/test.conf", SOON)
        box.systemctl("daemon-reload")
        models = [stand.model() for _ in range(MODELS)]
        stand.start(*models)
        stand.watch(sink, *(model.config("restarts: 100000", stable="300ms", unstable="off") for model in models))
        stand.wait_state("healthy", *models)
        rounds = 0
        while lives(box) < kills:
            rounds += 1
            moments: list[tuple[float, Callable[[], object]]] = [(chance.uniform(0, 0.5), model.kill) for model in models]
            moments.append((chance.uniform(0, 2.0), lambda: box.systemctl("kill", "--signal=KILL", DAEMON, check=False)))
            began = time.monotonic()
            for at, act in sorted(moments, key=lambda moment: moment[0]):
                time.sleep(max(0.0, began + at - time.monotonic()))
                act()
            wait_until(
                lambda rounds=rounds: all(recoveries(sink, model) >= rounds for model in models),  # type: ignore[misc]
                60,
                lambda rounds=rounds: (
                    f"seed {seed}, round {rounds}: {[recoveries(sink, model) for model in models]}\n{stand.log()[-5000:]}"
                ),  # type: ignore[misc]
            )
            if rounds % 20 == 0:
                say(f"{lives(box)} of {kills} kills")
        time.sleep(3.0)
        return judge(box, sink, models, rounds)


def judge(box: WatchedBox, sink: HttpSink, models: list[Model], rounds: int) -> Toll:
    texts = Counter(message.text for message in sink.messages)
    script = (
        "import sqlite3, sys; record = sqlite3.connect(sys.argv[1])\n"
        "print(record.execute('SELECT count(*) FROM restart WHERE result IS NULL').fetchone()[0], "
        "record.execute('PRAGMA integrity_check').fetchone()[0])"
    )
    unfinished, integrity = box.run("/usr/bin/python3", "-I", "-c", script, "/var/lib/model-watchdog/watchdog.db").stdout.split()
    return Toll(
        kills=lives(box),
        crashes=rounds * len(models),
        double_restarts=sum(len(model.started_at()) - 1 - rounds for model in models),
        lost=sum(rounds - recoveries(sink, model) for model in models),
        duplicates=sum(count - 1 for count in texts.values()),
        most_copies=max(texts.values()),
        unfinished=int(unfinished),
        integrity=integrity,
    )


def lives(box: WatchedBox) -> int:
    """How often systemd has had to start the daemon again: the kills that found one alive."""
    return int(box.show(DAEMON, "NRestarts")["NRestarts"])


def recoveries(sink: HttpSink, model: Model) -> int:
    """How many of its recoveries were told; the same text twice is one of them, told twice."""
    return len({message.text for message in sink.messages if f"{model.name} {WELL}" in message.title})
