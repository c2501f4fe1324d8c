"""A box: a real systemd, journal, D-Bus and polkit of a test's own, on a copy-on-write view of this machine (see `sdbox`)."""

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.rig.waiting import wait_until

RIG = Path(__file__).resolve().parent
SDBOX = str(RIG / "sdbox")
RIG_IN_BOX = "/opt/rig"
"""Where a box shows tests/rig: read-only, readable by every user."""

# systemd's message ids (sd-messages.h)
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED = "39f53479d3a045ac8e11786248231fbf"
START_FAILED = "be02cf6855d2428ba40df7e9d022f03d"
STOPPED = "9d1aaa27d60140bd96365438aad20286"
OWN_RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"

Bind = tuple[str | Path, str]
"""A path of this machine and where the box shows it."""


def why_not() -> str | None:
    """Why no box can be had on this machine; None where one can."""
    checked = subprocess.run([SDBOX, "check"], capture_output=True, text=True, timeout=30)
    return None if checked.returncode == 0 else checked.stderr.strip() or f"sdbox check ended with {checked.returncode}"


class Box:
    """One box. `directory` must not exist yet; `cgroup` is auto, v1 or v2 (memory limits need auto, or v2 on a v2 host).

    Without `private_network` the box shares this machine's loopback, so that endpoints and sinks of the test are reachable from it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        cgroup: str = "auto",
        private_network: bool = False,
        binds: Sequence[Bind] = (),
        read_only_binds: Sequence[Bind] = (),
    ) -> None:
        self.directory = directory
        self._options = ["-c", cgroup, *(["-n"] if private_network else [])]
        for letter, pairs in (("-b", binds), ("-B", [(RIG, RIG_IN_BOX), *read_only_binds])):
            for source, target in pairs:
                self._options += [letter, f"{source}:{target}"]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Boots; back when systemd answers."""
        made = subprocess.run([SDBOX, "start", *self._options, str(self.directory)], capture_output=True, text=True, timeout=60)
        assert made.returncode == 0, f"the box did not boot:\n{made.stdout}{made.stderr}"

    def stop(self, *, graceful: bool = False) -> None:
        """Ends everything in it; `graceful` lets systemd stop the units first, as a shutdown does."""
        command = [SDBOX, "stop", *(["-g"] if graceful else []), str(self.directory)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, f"the box was not reaped:\n{ended.stdout}{ended.stderr}"
        assert not ended.stderr, ended.stderr

    @property
    def is_up(self) -> bool:
        """Its first process lives, seen from outside: who enters a box that goes down may never come back."""
        stat = Path("/proc", (self.directory / "pid").read_text().strip(), "stat")
        try:
            return stat.read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    @property
    def cgroup(self) -> str:
        """v1 or v2: what `auto` came to."""
        return (self.directory / "mode").read_text().strip()

    # ------------------------------------------------------------ commands
    def _command(self, user: str, command: Sequence[str | Path]) -> list[str]:
        return [SDBOX, "exec", "-u", user, str(self.directory), *map(str, command)]

    def run(
        self, *command: str | Path, user: str = "root", check: bool = True, timeout: float = 30, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside, as `user`, with a clean environment. `check` fails the test when it ends with another code than 0."""
        done = subprocess.run(self._command(user, command), capture_output=True, text=True, timeout=timeout, input=stdin)
        if check:
            assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def popen(self, *command: str | Path, user: str = "root", **options: Any) -> subprocess.Popen[str]:
        """Starts a command inside; the caller ends it (or the end of the box does)."""
        return subprocess.Popen(self._command(user, command), text=True, **options)

    def systemctl(self, *arguments: str, user: str = "root", check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """`systemctl --no-ask-password …`"""
        return self.run("systemctl", "--no-ask-password", *arguments, user=user, check=check, timeout=timeout)

    # ------------------------------------------------------------ files and users
    def write(self, path: str, text: str, mode: str = "644", owner: str = "root:root") -> None:
        """Writes a file inside (its folders too), whole or not at all."""
        script = 'mkdir -p "${1%/*}" && cat > "$1.new" && chown "$3" "$1.new" && chmod "$2" "$1.new" && mv "$1.new" "$1"'
        self.run("sh", "-c", script, "sh", path, mode, owner, stdin=text)

    def read(self, path: str) -> str:
        """A file's text; "" where there is none."""
        return self.run("cat", path, check=False).stdout

    def add_user(self, name: str, *groups: str) -> None:
        """A system user with a group of its own, in `groups` as well; nothing where it is there already."""
        if self.run("id", name, check=False).returncode != 0:
            self.run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", name)
        if groups:
            self.run("usermod", "--append", "--groups", ",".join(groups), name)

    # ------------------------------------------------------------ units
    def unit(self, name: str, text: str) -> None:
        """Writes /run/systemd/system/NAME and reloads the box's systemd."""
        self.write(f"/run/systemd/system/{name}", text)
        self.systemctl("daemon-reload")

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit as systemd has them now."""
        shown = self.run("systemctl", "show", "--property", ",".join(properties), unit).stdout
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def wait(self, unit: str, prop: str, wanted: str, timeout: float = 10) -> None:
        """Until a property of a unit has a value."""
        wait_until(lambda: self.show(unit, prop)[prop] == wanted, timeout, lambda: f"{unit}: {self.show(unit, prop)}, wanted {wanted}")

    def main_pid(self, unit: str) -> int:
        """The main process as the box numbers it; 0 where there is none."""
        return int(self.show(unit, "MainPID")["MainPID"])

    def kill(self, unit: str, sent: signal.Signals = signal.SIGKILL) -> int:
        """Signals the main process directly, behind systemd's back, and gives its pid."""
        pid = self.main_pid(unit)
        assert pid > 0, f"{unit} has no main process"
        self.run("kill", f"-{sent.name.removeprefix('SIG')}", str(pid))
        return pid

    # ------------------------------------------------------------ the journal: what really happened
    def journal(self, unit: str | None = None, since: str | None = None, **fields: str) -> list[dict[str, Any]]:
        """Entries, oldest first: of a unit's processes and of systemd about it. `since` as journalctl takes it ("@1700000000.5").

        `fields` narrow it further, by exact match. Everything logged before the call is in it.
        """
        self.run("journalctl", "--sync")
        command = ["journalctl", "--output=json", "--all", "--no-pager"]
        command += [*(["--unit", unit] if unit else []), *(["--since", since] if since else [])]
        entries = [json.loads(line) for line in self.run(*command).stdout.splitlines()]
        return [entry for entry in entries if all(entry.get(key) == value for key, value in fields.items())]

    def _about(self, unit: str) -> list[dict[str, Any]]:
        return self.journal(unit, UNIT=unit, _PID="1")

    def starts(self, unit: str) -> int:
        """How many times the unit was started, by anybody (systemd's own `Restart=` too), according to the journal."""
        lives = {entry.get("INVOCATION_ID") for entry in self._about(unit) if entry.get("MESSAGE_ID") in (STARTING, STARTED)}
        return len(lives - {None, ""})  # without one: a condition was not met, and nothing was started

    def asked_starts(self, unit: str) -> int:
        """How many jobs that start or restart it somebody asked for, refused ones (start limit) too; not systemd's own `Restart=`.

        systemd logs the restart of a running unit as `restart`, that of a dead one as `start`; both count once, by their job.
        """
        entries = self._about(unit)
        of_a_start = (STARTING, STARTED, START_FAILED, STOPPED)
        jobs = {e["JOB_ID"] for e in entries if e.get("MESSAGE_ID") in of_a_start and e.get("JOB_TYPE") in ("start", "restart")}
        return len(jobs) - sum(entry.get("MESSAGE_ID") == OWN_RESTART_SCHEDULED for entry in entries)

    def restarts_by_job(self, unit: str) -> int:
        """How often the unit was asked to start again after its first start (by the test): what the daemon did to it."""
        return max(0, self.asked_starts(unit) - 1)
