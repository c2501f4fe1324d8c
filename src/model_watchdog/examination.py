"""The whole chain, link by link, as `watchdog doctor` prints it: each broken link with the command that mends it.

The daemon examines itself when it is asked to, with its own user, rights and sandbox; where it is not running, the same is done from
the command, as the user who asks.
"""

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from model_watchdog.children import run_child
from model_watchdog.config.model import Config
from model_watchdog.core.unit import UnitFacts, for_journalctl, for_systemctl
from model_watchdog.errors import ProbeError
from model_watchdog.observing import observe
from model_watchdog.outbox import send_test
from model_watchdog.probes import Surroundings
from model_watchdog.systemd import ENVIRONMENT, Systemd, UnitReader, group_by_user

OLDEST_SYSTEMD, OLDEST_POLKIT = 249, (0, 106)
"""What RHEL 9 has, the oldest that is supported; and the first polkit that reads .rules files."""
LEAST_FREE = 50 * 2**20
"""Bytes that the record's disk should have left."""
DRIVER = Path("/proc/driver/nvidia/version")
DEVICE = Path("/dev/nvidiactl")

Mark = Literal["good", "bad", "note"]


@dataclass(frozen=True)
class Link:
    """One link of the chain. `remedy` is the command that mends it, or ""."""

    mark: Mark
    text: str
    remedy: str = ""

    def plain(self) -> dict[str, Any]:
        return asdict(self)


async def examine(config: Config, state_dir: Path, *, send: bool) -> AsyncIterator[Link]:
    """Every link, in the order in which things depend on each other. `send`: also a test message to each notifier."""
    systemd = Systemd()
    yield await _examine_version("systemd", ["systemctl", "--version"], (OLDEST_SYSTEMD,), "systemd")
    yield await _examine_version("polkit", ["pkaction", "--version"], OLDEST_POLKIT, "polkitd")
    units = [service.core.unit for service in config.services.values() if service.core.unit]
    shown: dict[str, UnitFacts] = {}
    for user, own in group_by_user(units).items():
        try:
            shown |= await systemd.show(own)
        except ProbeError as error:
            mend = f"sudo loginctl enable-linger {user}, and sudo watchdog install" if user else "systemctl status dbus"
            yield Link("bad", f"systemd cannot be asked: {error.detail}", mend)
    for link in await asyncio.gather(*(_examine_unit(systemd, facts) for facts in shown.values())):
        yield link
    for user in group_by_user(shown or units):
        yield await _examine_journal(systemd, user)
    yield _examine_driver()
    for link in await _examine_endpoints(config, UnitReader(systemd), shown):
        yield link
    for link in await _examine_notifiers(config, send=send):
        yield link
    yield _examine_disk(state_dir)
    yield await _examine_clock()


async def _examine_version(name: str, command: Sequence[str], oldest: tuple[int, ...], package: str) -> Link:
    program = shutil.which(command[0], path=ENVIRONMENT["PATH"])
    if program is None:
        return Link("bad", f"{name} is not installed", f"sudo apt-get install {package}")
    try:
        said = (await run_child([program, *command[1:]], 5.0, env=ENVIRONMENT)).stdout.decode(errors="replace")
    except (OSError, TimeoutError) as error:
        return Link("bad", f"{name} does not answer: {error or 'no answer within 5 s'}", f"{' '.join(command)}")
    numbers = tuple(map(int, re.findall(r"\d+", said.splitlines()[0] if said else "")[:2]))
    version = ".".join(map(str, numbers[: len(oldest)])) or "of an unknown version"
    if numbers < oldest:
        wanted = ".".join(map(str, oldest))
        return Link("bad", f"{name} {version} is too old; {wanted} is the oldest that will do", "upgrade the system")
    return Link("good", f"{name} {version}")


async def _examine_unit(systemd: Systemd, facts: UnitFacts) -> Link:
    unit, it = facts.unit, for_systemctl(facts.unit)
    if facts.load == "masked":
        return Link("note", f"{unit} is masked: it is not restarted", f"sudo systemctl unmask {it}")
    if facts.is_missing:
        return Link("bad", f"systemd has no unit {unit} ({facts.load})", f"systemctl status {it}, and mend the name in the configuration")
    if not facts.is_up:
        return Link("note", f"{unit} is {facts.active}: whether it may be restarted is seen when it is up", f"sudo systemctl start {it}")
    may = await systemd.may_restart(unit)
    if may is None:
        return Link("note", f"whether {unit} may be restarted cannot be told now", "watchdog doctor, once more")
    if may:
        return Link("good", f"may restart {unit}")
    return Link("bad", f"may not restart {unit} (Access denied)", "sudo watchdog install")


async def _examine_journal(systemd: Systemd, user: str) -> Link:
    try:
        if await systemd.can_read_journal(user):
            return Link("good", f"journal of {user} readable" if user else "journal readable")
    except ProbeError as error:
        return Link("bad", f"the journal cannot be read: {error.detail}", "journalctl -n 1")
    text = "the journal shows nothing of systemd: an operator's stop cannot be told from a failure"
    return Link("bad", text, "sudo usermod -aG systemd-journal model-watchdog && sudo systemctl restart model-watchdog")


def _examine_driver() -> Link:
    """The driver, without loading its library: that can hang."""
    try:
        version = re.search(r"\d+\.\d+(\.\d+)?", DRIVER.read_text(errors="replace"))
    except OSError:
        return Link("note", "no NVIDIA driver is loaded: GPU rules are asleep")
    if not DEVICE.exists():
        return Link("bad", "the NVIDIA driver is loaded, but there is no /dev/nvidiactl", "sudo nvidia-modprobe -c 0")
    return Link("good", f"NVIDIA driver {version[0] if version else 'loaded'}")


async def _examine_endpoints(config: Config, units: UnitReader, shown: Mapping[str, UnitFacts]) -> list[Link]:
    """Every probe of a service that is up, run once."""

    async def ask(service: str, unit: str | None, name: str) -> Link:
        facts = shown.get(unit) if unit else None
        probe = next(probe for probe in config.services[service].probes if probe.name == name)
        if facts is not None and not facts.is_up:
            return Link("note", f"{service}: {name} is not asked: {unit} is {facts.active}")
        if probe.kind == "command" and os.geteuid() == 0:
            return Link(
                "note", f"{service}: {name} is not run as root; the daemon runs it as its own user", "sudo systemctl start model-watchdog"
            )
        running = probe.probe.open(Surroundings(service, unit, probe.timeout, units))
        began = time.monotonic()
        try:
            _, failure, detail = await observe(running, probe.timeout, f"{service}/{name}")
        finally:
            await running.close()
        if failure is None:
            return Link("good", f"{service}: {name} is good ({time.monotonic() - began:.2f} s)")
        return Link("bad", f"{service}: {name}: {detail}", f"journalctl {for_journalctl(unit)} -n 20" if unit else "watchdog check --show")

    asked = [
        ask(name, service.core.unit, probe.name)
        for name, service in config.services.items()
        for probe in service.probes
        if probe.kind != "unit"
    ]
    return list(await asyncio.gather(*asked))


async def _examine_notifiers(config: Config, *, send: bool) -> list[Link]:
    if not config.notifiers:
        return [Link("bad", "there are no notifiers: nobody would be told", "add notifiers: to the configuration")]
    if not send:
        return [Link("note", f"notifier {name}: no test message was sent", f"watchdog notify-test {name}") for name in config.notifiers]

    async def tell(name: str) -> Link:
        began = time.monotonic()
        error = (await send_test({name: config.notifiers[name]}))[name]
        if error is None:
            return Link("good", f"notifier {name} answered in {time.monotonic() - began:.1f} s (test message sent)")
        return Link("bad", f"notifier {name}: {error}", f"watchdog notify-test {name}")

    return list(await asyncio.gather(*map(tell, config.notifiers)))


def _examine_disk(state_dir: Path) -> Link:
    try:
        space = os.statvfs(state_dir)
    except OSError as error:
        return Link("bad", f"{state_dir}: {error.strerror}", "sudo systemctl restart model-watchdog")
    free = space.f_bavail * space.f_frsize
    if not os.access(state_dir, os.W_OK) and os.geteuid() != 0:
        return Link("bad", f"{state_dir} is not writable: nothing can be recorded", f"ls -ld {state_dir}")
    if free < LEAST_FREE:
        return Link("bad", f"{state_dir}: {free // 2**20} MiB are left for the record", f"df -h {state_dir}")
    return Link("good", f"{free / 2**30:.1f} GiB are left for the record")


async def _examine_clock() -> Link:
    program = shutil.which("timedatectl", path=ENVIRONMENT["PATH"])
    if program is None:
        return Link("note", "timedatectl is not installed: whether the clock is kept right cannot be told")
    try:
        asked = await run_child([program, "show", "--property=NTPSynchronized", "--value"], 5.0, env=ENVIRONMENT)
    except (OSError, TimeoutError):
        return Link("note", "timedatectl does not answer: whether the clock is kept right cannot be told")
    said = asked.stdout.decode(errors="replace").strip()
    if said == "yes":
        return Link("good", "the clock is synchronised")
    if said == "no":
        return Link("note", "the clock is not synchronised: times in messages may be wrong", "sudo timedatectl set-ntp true")
    return Link("note", "timedatectl does not answer: whether the clock is kept right cannot be told")
