"""Model services as units of a box, watched by the daemon as it is installed: one stand for all tests of a module."""

import json
import re
import signal
from textwrap import indent
from typing import Any

from tests.rig.box import RIG_IN_BOX
from tests.rig.chaos import closed_port
from tests.rig.sinks import Received, Sink
from tests.rig.waiting import holds_for, wait_until
from tests.rig.watched_box import DAEMON, WatchedBox

MODELS = "/srv/models"
UNITS = "/usr/lib/systemd/system"
"""Where packages put theirs: what lies in /etc cannot be masked for the time being."""
CALLS = "/run/bus-calls"
MOST = 60
"""So many models are in the rule from the beginning, so that no test has to wait for polkit to read it again."""
QUIET = 3.0
"""Seconds in which a service that is bad would have been restarted three times over (3 times in a row, every 300 ms)."""
SLEEP = "/bin/sleep infinity"
"""The program of a model without an endpoint: light, where only the unit matters."""
UNIT_ONLY = "{unit: {kind: unit, every: 1s, retry_every: 300ms}}"
"""The probes of such a model."""
STATE = "/var/lib/model-watchdog"
DIGEST = re.compile(r"\d+ messages at once$")
"""How the title of a folded message ends."""
ASK = (
    "import json, sqlite3, sys; record = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n"
    "print(json.dumps(record.execute(sys.argv[2]).fetchall()))"
)
FRESH = {"state": "closed", "failures": 0, "restarts": 0, "retry_at": None}
"""A breaker with nothing held against the service, as `status --json` shows it."""


class Model:
    """One model service: a unit of the box whose endpoint the test breaks. `asked` is how often the test itself started it."""

    def __init__(self, box: WatchedBox, number: int) -> None:
        self.box = box
        self.name = f"m{number}"
        self.unit = f"{self.name}.service"
        self.port = closed_port()
        self.asked = 0
        self._mode = f"{MODELS}/{self.name}.mode"
        self._starts = f"{MODELS}/{self.name}.starts"
        self._listens = True

    @property
    def program(self) -> str:
        """Its command line."""
        return f"/usr/bin/python3 -I {RIG_IN_BOX}/model_service.py {self.port} --starts {self._starts} --mode {self._mode}"

    def write(self, service: str = "", unit: str = "", program: str | None = None, *, heals: bool = False) -> None:
        """Its unit file, with more lines for [Service] and [Unit]. One that `heals` is well after each start."""
        if heals:
            service += f"\nExecStartPre=/bin/sh -c 'echo ok > {self._mode}'"
        self._listens = program is None or self.program in program
        text = f"[Unit]\nStartLimitIntervalSec=0\n{unit}\n[Service]\nExecStart={program or self.program}\n{service}\n"
        self.box.write(f"{UNITS}/{self.unit}", text)

    def set(self, mode: str) -> None:
        """How it behaves from now on (see `model_service.py`)."""
        self.box.write(self._mode, mode)

    # ------------------------------------------------------------ what an operator does to it
    def systemctl(self, *words: str, check: bool = True) -> None:
        """`systemctl … UNIT`; a start or a restart of it is known to be the test's."""
        self.asked += words[0] in ("start", "restart")
        self.box.systemctl(*words, self.unit, check=check)

    def start(self) -> None:
        """Starts it; back when it listens, if it has an endpoint."""
        self.systemctl("start")
        self.wait_answer()

    def wait_answer(self) -> None:
        """Until it listens, if it has an endpoint."""
        if not self._listens:
            return
        knock = ("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.port}")
        wait_until(lambda: self.box.run(*knock, check=False).returncode == 0, 10, f"{self.unit} does not listen")

    def kill(self, sent: signal.Signals = signal.SIGKILL) -> None:
        """Ends its main process behind everybody's back."""
        self.box.kill(self.unit, sent)

    # ------------------------------------------------------------ what became of it, by systemd's journal, the bus and its own count
    @property
    def restarts(self) -> int:
        """Jobs that start or restart it which somebody else than the test asked for; systemd's own `Restart=` is not among them."""
        return self.box.asked_starts(self.unit) - self.asked

    @property
    def active(self) -> str:
        """systemd's ActiveState."""
        return self.box.show(self.unit, "ActiveState")["ActiveState"]

    def started_at(self) -> list[float]:
        """Its own count of its starts, whoever made them: seconds of CLOCK_MONOTONIC."""
        return [float(line.split()[0]) for line in self.box.read(self._starts).splitlines()]

    def calls(self, method: str = "RestartUnit") -> list[float]:
        """When the daemon asked systemd for it over D-Bus, granted or not: Unix seconds."""
        lines = [json.loads(line) for line in self.box.read(CALLS).splitlines()]
        wanted = [line for line in lines if line["member"] == method and line["payload"]["data"][0] == self.unit]
        return [line["timestamp-realtime"] / 1e6 for line in wanted]

    # ------------------------------------------------------------ what the daemon is told of it, and tells
    def config(self, breaker: str = "", stable: str = "1s", **keys: str) -> str:
        """Its part of `services:`, with short times. `breaker` is what stands in its braces; `keys` (probes …) replace the usual."""
        health = f"{{kind: http, url: 'http://127.0.0.1:{self.port}/health', every: 300ms, timeout: 300ms}}"
        lines = {
            "unit": self.unit,
            "startup": "3s",
            "probes": f"{UNIT_ONLY[:-1]}, health: {health}}}" if self._listens else UNIT_ONLY,
            "recovery": f"{{stable: {stable}, backoff: {{first: 200ms, max: 10s}}, breaker: {{{breaker}}}}}",
            **keys,
        }
        return f"{self.name}:\n" + indent("\n".join(f"{key}: {value}" for key, value in lines.items()), "  ")

    def shown(self) -> dict[str, Any]:
        """Its part of `watchdog status --json`."""
        return self.box.service(self.name)

    def events(self) -> list[dict[str, Any]]:
        """Its part of `watchdog events --json`."""
        return self.box.events(self.name)


class Stand:
    """The box, the daemon in it, and what it told."""

    def __init__(self, box: WatchedBox) -> None:
        self.box = box
        self.sink = Sink()
        self._models = 0
        self._since = ""

    def install(self) -> None:
        """The daemon under its own unit, as its own user, with the right to restart m1 … m60; not started yet."""
        self.box.run("mkdir", "-p", MODELS)
        units = "".join(f"  m{number}: {{unit: m{number}.service}}\n" for number in range(1, MOST + 1))
        self.box.install_watchdog(f"services:\n{units}", start=False)
        self.listen_to_the_bus()

    def listen_to_the_bus(self) -> None:
        """Writes down every call to systemd that goes over D-Bus (root's systemctl does not use it)."""
        match = "--match=interface='org.freedesktop.systemd1.Manager',type='method_call'"
        output = ("-p", f"StandardOutput=append:{CALLS}", "-p", "StandardError=truncate:/run/bus-monitor.log")
        to_the_end = ("-p", "DefaultDependencies=no")  # also while the box shuts down
        self.box.run("systemctl", "reset-failed", "bus-monitor", check=False)
        self.box.run("systemd-run", "--quiet", "--unit=bus-monitor", *output, *to_the_end, "busctl", "monitor", "--json=short", match)
        wait_until(lambda: "Monitoring" in self.box.read("/run/bus-monitor.log"), 10, "the bus cannot be listened to")

    def model(self, service: str = "", unit: str = "", program: str | None = None, *, mode: str = "ok", heals: bool = False) -> Model:
        """A new model with its unit (see `Model.write`), not started yet."""
        self._models += 1
        assert self._models <= MOST, "more models than the rule names"
        made = Model(self.box, self._models)
        made.set(mode)
        made.write(service, unit, program, heals=heals)
        return made

    def start(self, *models: Model) -> None:
        """Starts them together; back when those that have an endpoint listen."""
        for model in models:
            model.asked += 1
        self.box.systemctl("start", *[model.unit for model in models])
        for model in models:
            model.wait_answer()

    def watch(self, sink: Sink, *services: str, more: str = "", keep: bool = False) -> None:
        """Starts the daemon on these parts of `services:`, with an empty record or the one to `keep`; `sink` gets every message."""
        self.sink = sink
        self.box.systemctl("stop", DAEMON)
        self.configure(*services, more=more)
        if not keep:
            self.box.run("sh", "-c", f"rm -rf {STATE}/*")
        self._since = self.box.run("date", "+@%s.%N").stdout.strip()
        self.box.start_watchdog()

    def configure(self, *services: str, more: str = "") -> None:
        """Writes the configuration for a start or a reload: these parts of `services:`, a notifier to the sink, and `more`."""
        text = "services:\n" + indent("\n".join(services), "  ") if services else "services: {}"
        if not re.search("^host:", more, re.MULTILINE):
            more += "\nhost: {common_cause: off}\n"  # many of a test's models fail in the same moment, each for reasons of its own
        notifiers = f"notifiers:\n  ops: {{kind: apprise, url: '{self.sink.url}', min_severity: info}}\n"  # `more` may begin with others
        self.box.write_config(f"{text}\n{'' if re.search('^notifiers:', more, re.MULTILINE) else notifiers}{more}")

    def end(self) -> None:
        """Stops the daemon and every model, after a look at the daemon's log: none of our own faults is in it."""
        log = self.log() if self._since else ""
        self.box.systemctl("stop", DAEMON)
        models = "m[0-9]*.service"
        self.box.systemctl("kill", "--kill-who=all", "--signal=KILL", models, check=False)
        self.box.systemctl("stop", "--no-block", models, check=False)
        self._since = ""
        assert not re.search(r"Traceback|event=bug", log), log

    # ------------------------------------------------------------ asking and waiting
    @property
    def messages(self) -> list[Received]:
        """What people were told, oldest first. What came folded into one message, the record has unfolded, and marked as sent."""
        arrived = self.sink.messages
        digests = [message for message in arrived if DIGEST.search(message.title)]
        if not digests:
            return arrived
        sent = self.ask_record("SELECT title, body, severity FROM outbox WHERE state = 'sent' ORDER BY id")
        at = {message.title: message.at for message in arrived}
        return [Received(title, body, severity, at.get(title, digests[-1].at), "", 200) for title, body, severity in sent]

    def ask_record(self, query: str) -> list[list[Any]]:
        """The rows that the record answers, read from outside."""
        return json.loads(self.box.run("/usr/bin/python3", "-I", "-c", ASK, f"{STATE}/watchdog.db", query).stdout)

    def told(self, model: Model | None = None) -> list[str]:
        """What people were told (of a model), oldest first: the titles without the host's name."""
        titles = [re.sub(r"^(\[\w+\]) \S+: ", r"\1 ", message.title) for message in self.messages]
        return [title for title in titles if model is None or re.search(rf"\b{model.name}\b", title)]

    def message(self, text: str, timeout: float = 45) -> Received:
        """The first message whose title has `text` in it. In a flood it may be held back for half a minute."""

        def found() -> Received | None:
            return next((message for message in self.messages if text in message.title), None)

        message = wait_until(found, timeout, lambda: f"nobody was told {text!r}: {self.told()}\n{self.log()}")
        assert message is not None
        return message

    def wait_state(self, state: str, *models: Model, timeout: float = 20) -> None:
        """Until `watchdog status` shows them all so."""

        def others() -> list[str]:
            shown = {service["name"]: service["state"] for service in self.box.status()["services"]}
            return [f"{model.name} {shown.get(model.name)}" for model in models if shown.get(model.name) != state]

        wait_until(lambda: not others(), timeout, lambda: f"not {state}: {others()}\n{self.log()}", every=0.1)

    def wait_rights(self, *models: Model) -> None:
        """Until the daemon has proved its right to restart them: it starts what runs already, about a second after its own start."""
        wait_until(lambda: all(model.calls("StartUnit") for model in models), 10, self.log)

    def wait_restarts(self, model: Model, count: int, timeout: float = 15) -> None:
        """Until it was restarted so many times, by systemd's journal."""
        wait_until(lambda: model.restarts >= count, timeout, lambda: f"{model.restarts} restarts of {model.unit}\n{self.log()}", every=0.1)

    def stays(self, *models: tuple[Model, int], messages: int, seconds: float = QUIET) -> None:
        """Nobody is restarted more often than so, and nothing more is told, for long enough that it would have been."""

        def as_it_was() -> bool:
            return all(model.restarts <= restarts for model, restarts in models) and len(self.sink.messages) == messages

        def told() -> str:
            return f"restarts {[(model.name, model.restarts) for model, _ in models]}, messages {self.told()}\n{self.log()}"

        holds_for(as_it_was, seconds, told, every=0.5)
        assert all(model.restarts == restarts for model, restarts in models), told()

    def log(self) -> str:
        """What the daemon logged since `watch`."""
        return "\n".join(str(entry.get("MESSAGE")) for entry in self.box.journal(DAEMON, since=self._since or None))
