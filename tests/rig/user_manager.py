"""A user of a box with a systemd of its own, as one has who lingers: user@UID.service, without logind."""

import signal

from tests.rig.stand import MODELS, MOST, Model, Stand
from tests.rig.waiting import wait_until
from tests.rig.watched_box import WatchedBox

UNITS = "/etc/systemd/user"
RUNTIME_DIR = """[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/install -d -m 700 -o %i /run/user/%i
ExecStop=/bin/rm -rf /run/user/%i
"""
"""What logind would do."""


class User:
    """A user of the box; `begin` starts its manager, `end` stops it, as the end of the last session does."""

    def __init__(self, box: WatchedBox, name: str) -> None:
        self.box = box
        self.name = name
        box.add_user(name)
        self.uid = int(box.run("id", "-u", name).stdout)
        self.manager = f"user@{self.uid}.service"
        box.write("/etc/systemd/system/user-runtime-dir@.service", RUNTIME_DIR)
        box.write("/etc/systemd/system/user@.service.d/box.conf", "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n")
        box.systemctl("daemon-reload")

    def begin(self) -> None:
        self.box.systemctl("start", self.manager)
        wait_until(lambda: self.systemctl("is-system-running", check=False) in ("running", "degraded"), 10, f"{self.manager} does not run")

    def end(self) -> None:
        self.box.systemctl("stop", self.manager)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """What `systemctl --user …` of this user says."""
        environment = ("env", f"XDG_RUNTIME_DIR=/run/user/{self.uid}")
        return self.box.run(*environment, "systemctl", "--user", *words, user=self.name, check=check).stdout.strip()


class UserModel(Model):
    """A model whose unit is in the manager of a user. Its own count of starts is what tells how often it was restarted."""

    def __init__(self, box: WatchedBox, number: int, owner: User) -> None:
        super().__init__(box, number)
        self.owner = owner

    def write(self, service: str = "", unit: str = "", program: str | None = None, *, heals: bool = False) -> None:
        super().write(service, unit, program, heals=heals)
        self.box.run("mv", f"/usr/lib/systemd/system/{self.unit}", f"{UNITS}/{self.unit}")
        self.owner.systemctl("daemon-reload")

    def set(self, mode: str) -> None:
        super().set(mode)
        self.box.run("chown", self.owner.name, self._mode)

    def systemctl(self, *words: str, check: bool = True) -> None:
        self.asked += words[0] in ("start", "restart")
        self.owner.systemctl(*words, self.unit, check=check)

    def kill(self, sent: signal.Signals = signal.SIGKILL) -> None:
        pid = int(self.owner.systemctl("show", "--property", "MainPID", "--value", self.unit))
        assert pid > 0, f"{self.unit} has no main process"
        self.box.run("kill", f"-{sent.name.removeprefix('SIG')}", str(pid))

    @property
    def restarts(self) -> int:
        return len(self.started_at()) - self.asked

    @property
    def active(self) -> str:
        return self.owner.systemctl("is-active", self.unit, check=False)

    def config(self, breaker: str = "", stable: str = "1s", **keys: str) -> str:
        return super().config(breaker, stable, **{"user": self.owner.name, **keys})


class UserStand(Stand):
    """A stand for units of a user's manager."""

    def __init__(self, box: WatchedBox, owner: User) -> None:
        super().__init__(box)
        self.owner = owner

    def install(self) -> None:
        self.box.run("sh", "-c", f"mkdir -p {MODELS} {UNITS}; chmod 1777 {MODELS}")
        self.allow()
        self.listen_to_the_bus()

    def allow(self) -> None:
        """Has `watchdog install` told of m1 … m60, as they are in the user's manager."""
        units = "".join(f"  m{number}: {{unit: m{number}.service, user: {self.owner.name}}}\n" for number in range(1, MOST + 1))
        self.box.install_watchdog(f"services:\n{units}", start=False)

    def model(self, service: str = "", unit: str = "", program: str | None = None, *, mode: str = "ok", heals: bool = False) -> UserModel:
        self._models += 1
        made = UserModel(self.box, self._models, self.owner)
        made.set(mode)
        made.write(service, unit, program, heals=heals)
        return made

    def start(self, *models: Model) -> None:
        for model in models:
            model.start()

    def end(self) -> None:
        super().end()
        self.owner.systemctl("kill", "--signal=KILL", "m[0-9]*.service", check=False)
        self.owner.systemctl("stop", "m[0-9]*.service", check=False)
