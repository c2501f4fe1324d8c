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
from model_watchdog.config.masking import MASK
from model_watchdog.config.model import Config
from model_watchdog.containers import Containers, runs_client
from model_watchdog.core.unit import UnitFacts, for_journalctl, for_systemctl
from model_watchdog.core.units import Secret
from model_watchdog.errors import ProbeError
from model_watchdog.language import phrase, retell
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


async def examine(config: Config, state_dir: Path, *, send: bool, rejected: str = "") -> AsyncIterator[Link]:
    """Every link, in the order in which things depend on each other. `send`: also a test message to each notifier.

    `rejected` says why the configuration that the file holds is not the one in force.
    """
    systemd = Systemd()
    if rejected:
        text = phrase("the configuration was rejected, the one before stays in force: {reason}", reason=rejected)
        yield Link("bad", text, "watchdog check")
    yield await _examine_version("systemd", ["systemctl", "--version"], (OLDEST_SYSTEMD,), "systemd")
    yield await _examine_version("polkit", ["pkaction", "--version"], OLDEST_POLKIT, "polkitd")
    units = [service.core.unit for service in config.services.values() if service.core.unit]
    shown: dict[str, UnitFacts] = {}
    for user, own in group_by_user(units).items():
        try:
            shown |= await systemd.show(own)
        except ProbeError as error:
            mend = f"sudo loginctl enable-linger {user}   ·   sudo watchdog install" if user else "systemctl status dbus"
            yield Link("bad", phrase("systemd cannot be asked: {detail}", detail=retell(error.detail)), mend)
    for link in await asyncio.gather(*(_examine_unit(systemd, facts) for facts in shown.values())):
        yield link
    for facts in shown.values():
        async for link in _examine_container(facts, config.containers.get(facts.unit, "")):
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
        return Link("bad", phrase("{name} is not installed", name=name), f"sudo apt-get install {package}")
    try:
        said = (await run_child([program, *command[1:]], 5.0, env=ENVIRONMENT)).stdout.decode(errors="replace")
    except (OSError, TimeoutError) as error:
        cause = str(error) or retell("no answer within 5 s")
        return Link("bad", phrase("{name} does not answer: {cause}", name=name, cause=cause), " ".join(command))
    numbers = tuple(map(int, re.findall(r"\d+", said.splitlines()[0] if said else "")[:2]))
    version = ".".join(map(str, numbers[: len(oldest)])) or phrase("of an unknown version")
    if numbers < oldest:
        wanted = ".".join(map(str, oldest))
        text = phrase("{name} {version} is too old; {wanted} is the oldest that will do", name=name, version=version, wanted=wanted)
        return Link("bad", text, phrase("upgrade the system"))
    return Link("good", f"{name} {version}")


async def _examine_unit(systemd: Systemd, facts: UnitFacts) -> Link:
    unit, it = facts.unit, for_systemctl(facts.unit)
    if facts.load == "masked":
        return Link("note", phrase("{unit} is masked: it is not restarted", unit=unit), f"sudo systemctl unmask {it}")
    if facts.is_missing:
        remedy = phrase("systemctl status {unit}, and mend the name in the configuration", unit=it)
        return Link("bad", phrase("systemd has no unit {unit} ({load})", unit=unit, load=facts.load), remedy)
    if not facts.is_up:
        text = phrase("{unit} is {active}: whether it may be restarted is seen when it is up", unit=unit, active=facts.active)
        return Link("note", text, f"sudo systemctl start {it}")
    may = await systemd.may_restart(unit)
    if may is None:
        text = phrase("whether {unit} may be restarted cannot be told now", unit=unit)
        return Link("note", text, phrase("watchdog doctor, once more"))
    if may:
        return Link("good", phrase("may restart {unit}", unit=unit))
    return Link("bad", phrase("may not restart {unit} (Access denied)", unit=unit), "sudo watchdog install")


async def _examine_container(facts: UnitFacts, name: str) -> AsyncIterator[Link]:
    """Of a unit that is up: the container that it is said to run, or seems to run."""
    unit = facts.unit
    if facts.is_up and name:
        try:
            group = await Containers().find(facts, name)
        except LookupError as error:
            yield Link("bad", f"{unit}: {retell(str(error))}", "docker ps   ·   podman ps")
        else:
            yield Link("good", phrase("{unit} runs the container {name} ({group})", unit=unit, name=name, group=group))
    elif facts.is_up and runs_client(facts):
        text = phrase("{unit} starts a container, whose work is not in its own group: without container: NAME it looks idle", unit=unit)
        yield Link("note", text, phrase("add container: NAME to the configuration"))


async def _examine_journal(systemd: Systemd, user: str) -> Link:
    try:
        if await systemd.can_read_journal(user):
            return Link("good", phrase("journal of {user} readable" if user else "journal readable", user=user))
    except ProbeError as error:
        return Link("bad", phrase("the journal cannot be read: {detail}", detail=retell(error.detail)), "journalctl -n 1")
    text = phrase("the journal shows nothing of systemd: an operator's stop cannot be told from a failure")
    return Link("bad", text, "sudo usermod -aG systemd-journal model-watchdog && sudo systemctl restart model-watchdog")


def _examine_driver() -> Link:
    """The driver, without loading its library: that can hang."""
    try:
        version = re.search(r"\d+\.\d+(\.\d+)?", DRIVER.read_text(errors="replace"))
    except OSError:
        return Link("note", phrase("no NVIDIA driver is loaded: GPU rules are asleep"))
    if not DEVICE.exists():
        return Link("bad", phrase("the NVIDIA driver is loaded, but there is no /dev/nvidiactl"), "sudo nvidia-modprobe -c 0")
    return Link("good", phrase("NVIDIA driver {version}", version=version[0] if version else phrase("loaded")))


async def _examine_endpoints(config: Config, units: UnitReader, shown: Mapping[str, UnitFacts]) -> list[Link]:
    """Every probe of a service that is up, run once."""

    async def ask(service: str, unit: str | None, name: str) -> Link:
        facts = shown.get(unit) if unit else None
        probe = next(probe for probe in config.services[service].probes if probe.name == name)
        if facts is not None and not facts.is_up:
            template = "{service}: {probe} is not asked: {unit} is {active}"
            return Link("note", phrase(template, service=service, probe=name, unit=unit, active=facts.active))
        if probe.kind == "command" and os.geteuid() == 0:
            text = phrase("{service}: {probe} is not run as root; the daemon runs it as its own user", service=service, probe=name)
            return Link("note", text, "sudo systemctl start model-watchdog")
        running = probe.probe.open(Surroundings(service, unit, probe.timeout, units))
        began = time.monotonic()
        try:
            _, failure, detail = await observe(running, probe.timeout, f"{service}/{name}")
        finally:
            await running.close()
        if failure is None:
            took = f"{time.monotonic() - began:.2f}"
            return Link("good", phrase("{service}: {probe} is good ({seconds} s)", service=service, probe=name, seconds=took))
        text = phrase("{service}: {probe}: {detail}", service=service, probe=name, detail=retell(detail))
        return Link("bad", text, f"journalctl {for_journalctl(unit)} -n 20" if unit else "watchdog check --show")

    asked = [
        ask(name, service.core.unit, probe.name)
        for name, service in config.services.items()
        for probe in service.probes
        if probe.kind != "unit"
    ]
    return list(await asyncio.gather(*asked))


async def _examine_notifiers(config: Config, *, send: bool) -> list[Link]:
    if not config.notifiers:
        return [Link("bad", phrase("there are no notifiers: nobody would be told"), phrase("add notifiers: to the configuration"))]
    if not send:
        text = "notifier {name}: no test message was sent"
        return [Link("note", phrase(text, name=name), f"watchdog notify-test {name}") for name in config.notifiers]

    async def tell(name: str) -> Link:
        url = getattr(config.notifiers[name].notifier, "url", None)
        if isinstance(url, Secret) and url.reveal() == MASK:
            text = phrase("notifier {name}: its address is not known here; the daemon may know it", name=name)
            return Link("note", text, "sudo systemctl start model-watchdog")
        began = time.monotonic()
        error = (await send_test({name: config.notifiers[name]}))[name]
        if error is None:
            took = f"{time.monotonic() - began:.1f}"
            return Link("good", phrase("notifier {name} answered in {seconds} s (test message sent)", name=name, seconds=took))
        return Link("bad", phrase("notifier {name}: {error}", name=name, error=retell(error)), f"watchdog notify-test {name}")

    return list(await asyncio.gather(*map(tell, config.notifiers)))


def _examine_disk(state_dir: Path) -> Link:
    try:
        space = os.statvfs(state_dir)
    except OSError as error:
        return Link("bad", f"{state_dir}: {error.strerror}", "sudo systemctl restart model-watchdog")
    free = space.f_bavail * space.f_frsize
    if not os.access(state_dir, os.W_OK) and os.geteuid() != 0:
        return Link("bad", phrase("{path} is not writable: nothing can be recorded", path=state_dir), f"ls -ld {state_dir}")
    if free < LEAST_FREE:
        return Link("bad", phrase("{path}: {count} MiB are left for the record", path=state_dir, count=free // 2**20), f"df -h {state_dir}")
    return Link("good", phrase("{count} GiB are left for the record", count=f"{free / 2**30:.1f}"))


async def _examine_clock() -> Link:
    program = shutil.which("timedatectl", path=ENVIRONMENT["PATH"])
    if program is None:
        return Link("note", phrase("timedatectl is not installed: whether the clock is kept right cannot be told"))
    try:
        asked = await run_child([program, "show", "--property=NTPSynchronized", "--value"], 5.0, env=ENVIRONMENT)
    except (OSError, TimeoutError):
        return Link("note", phrase("timedatectl does not answer: whether the clock is kept right cannot be told"))
    said = asked.stdout.decode(errors="replace").strip()
    if said == "yes":
        return Link("good", phrase("the clock is synchronised"))
    if said == "no":
        return Link("note", phrase("the clock is not synchronised: times in messages may be wrong"), "sudo timedatectl set-ntp true")
    return Link("note", phrase("timedatectl does not answer: whether the clock is kept right cannot be told"))
