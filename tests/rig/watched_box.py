"""A box with the project in it, installed as an operator would: its own user, its own unit, its own rule."""

import json
from collections.abc import Mapping
from typing import Any

from tests.rig.box import Box
from tests.rig.waiting import wait_until

PREFIX = "/opt/model-watchdog"
WATCHDOG = f"{PREFIX}/bin/watchdog"
CONFIG = "/etc/model-watchdog/config.yaml"
USER = "model-watchdog"
DAEMON = "model-watchdog.service"


class WatchedBox(Box):
    """A box in which `watchdog` can be installed and asked."""

    def install_watchdog(
        self, config: str, services: Mapping[str, str] | None = None, unit_overrides: str = "", *, start: bool = True
    ) -> None:
        """Units of `services` (name to text; written, not started), the configuration, `watchdog install`, and the daemon, ready.

        `unit_overrides` is the text of a drop-in for the daemon's unit.
        """
        for name, text in (services or {}).items():
            self.write(f"/run/systemd/system/{name}", text)
        self.add_user(USER, "systemd-journal")
        self.write_config(config)
        self.run(WATCHDOG, "install")
        if unit_overrides:
            self.write(f"/etc/systemd/system/{DAEMON}.d/test.conf", unit_overrides)
        self.systemctl("daemon-reload")
        if start:
            self.start_watchdog()

    def write_config(self, config: str) -> None:
        """The configuration file as the installer leaves it: readable by the daemon, written by root."""
        self.write(CONFIG, config, mode="640", owner=f"root:{USER}")

    def start_watchdog(self, timeout: float = 30) -> None:
        """Starts the daemon; back when it is ready."""
        started = self.systemctl("start", DAEMON, check=False, timeout=timeout)
        assert started.returncode == 0, f"the daemon did not start:\n{started.stderr}{self.log(DAEMON)}"

    def log(self, unit: str) -> str:
        """The journal of a unit as text."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--unit", unit, "--output", "short-precise", "--no-pager").stdout

    # ------------------------------------------------------------ asking
    def watchdog(self, *arguments: str, user: str = "root", check: bool = True, timeout: float = 30):
        """`watchdog …` as installed; check=False where another exit code than 0 is fine."""
        return self.run(WATCHDOG, *arguments, user=user, check=check, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """`watchdog status --json`, whatever its exit code."""
        answered = self.watchdog("status", "--json", check=False)
        assert answered.stdout.startswith("{"), f"status ended with {answered.returncode}: {answered.stdout}{answered.stderr}"
        return json.loads(answered.stdout)

    def service(self, name: str) -> dict[str, Any]:
        """One service's part of the status; {} while it is not there."""
        return next((service for service in self.status()["services"] if service["name"] == name), {})

    def wait_state(self, service: str, state: str, timeout: float = 20) -> dict[str, Any]:
        """Until the status shows a service in a state; gives its part of the status."""

        def reached() -> dict[str, Any] | None:
            found = self.service(service)
            return found if found.get("state") == state else None

        def told() -> str:
            return f"{service} is not {state}: {json.dumps(self.service(service))}\n{self.log(DAEMON)}"

        found = wait_until(reached, timeout, told, every=0.1)
        assert found is not None
        return found

    def events(self, service: str | None = None) -> list[dict[str, Any]]:
        """`watchdog events --json`, oldest first."""
        chosen = ["--service", service] if service else []
        return [json.loads(line) for line in self.watchdog("events", *chosen, "--json").stdout.splitlines()]
