"""systemd, through its own programs `systemctl` and `journalctl`: argv and never a shell, each call under a deadline."""

import asyncio
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from model_watchdog import journal
from model_watchdog.children import Finished, run_child
from model_watchdog.clock import boot_id
from model_watchdog.core.sample import Failure
from model_watchdog.core.unit import Ended, Ending, UnitFacts
from model_watchdog.errors import ProbeError, RecoveryError
from model_watchdog.pidfd import MainProcessWatch
from model_watchdog.properties import PROPERTIES, read_blocks, to_facts

__all__ = ["MainProcessWatch", "Systemd", "UnitReader"]

DEADLINE = 5.0
"""Seconds for a question; systemd answers within milliseconds, or it is stuck."""
START_SLACK = 60
"""Seconds after systemd's start by which the journal must begin to hold all of this boot."""
LAG = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
"""How long to wait, again and again, for the journal to catch up with systemd."""
ENVIRONMENT = {
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}
_UNREACHABLE = (b"Failed to connect to", b"Connection refused", b"Connection timed out", b"Transport endpoint is not", b"Connection reset")


class Systemd:
    """Questions raise `ProbeError` (failure `watcher`) and verbs `RecoveryError` (`cannot_act`) where systemd cannot be reached."""

    def __init__(self) -> None:
        self._systemctl = shutil.which("systemctl")
        self._journalctl = shutil.which("journalctl")
        self._limited: dict[str, str] = {}  # unit: the invocation after which systemd refused to start it

    # ------------------------------------------------------------ questions
    async def show(self, units: Sequence[str], deadline: float = DEADLINE) -> dict[str, UnitFacts]:
        """What systemd says of these units, with one call, by the names they were asked for (which may be aliases).

        One thing is added: systemd keeps the Result of a crash also when it refuses every start after it. Where `hit_start_limit`
        proved that, the result is `start-limit-hit`, as long as nothing else has become of the unit.
        """
        at = time.monotonic()
        asked = await self._ask(["show", "--property", PROPERTIES, "--", *units], deadline)
        blocks = read_blocks(asked.stdout)
        if len(blocks) == len(units):
            return {unit: self._add_limit(to_facts(unit, block, at)) for unit, block in zip(units, blocks, strict=True)}
        if len(units) > 1:  # one name that cannot be one stops the whole answer
            return {unit: (await self.show([unit], deadline))[unit] for unit in units}
        text = _first_line(asked.stderr)
        if "valid" in text and "unit name" in text:
            return {units[0]: UnitFacts(units[0], at, load="not-found", active="inactive", sub="dead")}
        raise ProbeError(Failure.WATCHER, text or f"systemctl show ended with {asked.returncode}")

    async def is_host_stopping(self) -> bool:
        """The machine shuts down or reboots. False also where systemd does not answer: then nothing else works either."""
        try:
            return (await self._ask(["is-system-running"], DEADLINE)).stdout.strip() == b"stopping"
        except ProbeError:
            return False

    async def has_stop_job(self, unit: str) -> bool:
        """A stop of the unit is queued or under way."""
        unit = await self._find_name(unit)
        listed = await self._ask(["list-jobs", "--plain", "--no-legend"], DEADLINE)
        jobs = [line.split() for line in listed.stdout.decode(errors="replace").splitlines()]
        return any(len(job) >= 3 and job[1] == unit and job[2] == "stop" for job in jobs)

    async def hit_start_limit(self, unit: str, since: float) -> bool:
        """Whether systemd refused to start the unit because of its StartLimitBurst=, after `since` (steady seconds)."""
        name = await self._find_name(unit)
        for pause in LAG[:4]:
            await asyncio.sleep(pause)
            options = ["--output=json", f"--output-fields={','.join(journal.FIELDS)}", "--reverse", "--lines=20"]
            entries = journal.parse_entries((await self._read_journal([*options, "_PID=1", f"UNIT={name}"])).stdout)
            refusals = [entry for entry in entries if entry.at >= since and journal.TOO_QUICKLY in entry.text]
            if refusals:
                self._limited[unit] = refusals[0].invocation
                return True
        return False

    async def why_ended(self, facts: UnitFacts, last_invocation: str) -> Ended:
        """Why a unit is down, as far as the journal proves it; `last_invocation` is the last life that is on our record.

        Takes 20 ms, and up to 1.1 s where the journal lags or holds nothing. Never raises: what cannot be asked is NOT_PROVED.
        """
        try:
            return await self._why_ended(facts, last_invocation)
        except ProbeError as error:
            return Ended(Ending.NOT_PROVED, error.detail)

    async def last_log(self, unit: str, invocation: str) -> str:
        """The last line that the unit's processes wrote to the journal in that life of it ("": in this boot), or ""."""
        try:
            written_by = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"_SYSTEMD_UNIT={await self._find_name(unit)}"
            found = await self._read_journal(["--output=cat", "--lines=1", written_by])
        except ProbeError:
            return ""
        return _first_line(found.stdout)[:500]

    async def can_read_journal(self) -> bool:
        """There is something of systemd itself in this boot's journal that this user may see. Raises ProbeError."""
        return await self._has_entries([])

    # ------------------------------------------------------------ verbs
    async def restart(self, unit: str, deadline: float) -> Finished:
        """`systemctl restart`, which waits for the job. After `deadline` seconds: TimeoutError, and the job goes on."""
        return await self._do("restart", unit, deadline)

    async def reset_failed(self, unit: str) -> Finished:
        """`systemctl reset-failed`: forgets the failure and the count of starts."""
        return await self._do("reset-failed", unit, DEADLINE)

    async def may_restart(self, unit: str) -> bool | None:
        """Whether polkit lets us restart the unit: `start` asks it the same question.

        Nothing is started, whether the unit is up or down: systemd asks polkit, and then refuses the job mode, which is one for
        stopping. None where it cannot be told: there is no such unit, a job of it is queued, or systemd does not answer.
        """
        try:
            facts = (await self.show([unit]))[unit]
            if facts.load != "loaded" or facts.job:
                return None
            answered = await self._do("start", unit, DEADLINE, "--job-mode=triggering")
        except (ProbeError, RecoveryError, TimeoutError):
            return None
        if answered.returncode == 0 or b"only valid for stop" in answered.stderr:
            return True
        return False if is_denied(answered.stderr) else None

    # ------------------------------------------------------------ the calls
    async def _ask(self, arguments: Sequence[str], deadline: float) -> Finished:
        return await self._question(self._systemctl, "systemctl", ["--no-ask-password", "--no-pager", *arguments], deadline)

    async def _read_journal(self, arguments: Sequence[str]) -> Finished:
        boot = f"_BOOT_ID={boot_id().replace('-', '')}"
        return await self._question(self._journalctl, "journalctl", ["--quiet", "--no-pager", *arguments, boot], DEADLINE)

    async def _question(self, program: str | None, name: str, arguments: Sequence[str], deadline: float) -> Finished:
        """Runs one of the two; an answer on stdout counts whatever the exit code, none with a complaint does not."""
        if program is None:
            raise ProbeError(Failure.WATCHER, f"{name} was not found in PATH: install systemd, or put it into PATH")
        try:
            answered = await run_child([program, *arguments], deadline, env=ENVIRONMENT, cap=4 * 1024 * 1024)
        except TimeoutError:
            raise ProbeError(Failure.WATCHER, f"{name} did not answer within {deadline:g} s") from None
        except OSError as error:
            raise ProbeError(Failure.WATCHER, f"{name} cannot be run: {error.strerror}") from None
        if answered.returncode != 0 and is_unreachable(answered.stderr):
            raise ProbeError(Failure.WATCHER, _first_line(answered.stderr))
        return answered

    async def _do(self, verb: str, unit: str, deadline: float, *options: str) -> Finished:
        if self._systemctl is None:
            raise RecoveryError("cannot_act", "systemctl was not found in PATH: install systemd, or use recovery: {kind: command}")
        argv = [self._systemctl, "--no-ask-password", "--no-pager", verb, *options, "--", unit]
        try:
            return await run_child(argv, deadline, env=ENVIRONMENT)
        except TimeoutError:  # which is an OSError too
            raise
        except OSError as error:
            raise RecoveryError("cannot_act", f"systemctl cannot be run: {error.strerror}") from None

    def _add_limit(self, facts: UnitFacts) -> UnitFacts:
        if facts.unit not in self._limited:
            return facts
        if facts.active == "failed" and facts.invocation == self._limited[facts.unit]:
            return replace(facts, result="start-limit-hit")
        del self._limited[facts.unit]
        return facts

    async def _find_name(self, unit: str) -> str:
        """The unit's own name, which the journal and the jobs go by, where it may be asked for by an alias."""
        asked = await self._ask(["show", "--property", "Id", "--", unit], DEADLINE)
        return _first_line(asked.stdout).removeprefix("Id=") or unit

    # ------------------------------------------------------------ why a unit ended
    async def _why_ended(self, facts: UnitFacts, last_invocation: str) -> Ended:
        name = await self._find_name(facts.unit)
        for pause in (0.0, *LAG):
            await asyncio.sleep(pause)
            entries = journal.drop_later_lives(await self._entries_about(name), facts.at)
            ended = journal.find_ending(entries, facts.invocation, last_invocation)
            if not entries and not await self._has_entries([]):
                return Ended(Ending.NOT_PROVED, "the journal shows nothing of systemd; is the user in the group systemd-journal?")
            if ended is None:
                continue
            if ended.ending is Ending.NEVER_STARTED and not await self._reaches_back():
                return Ended(Ending.NOT_PROVED, "the journal does not reach back to the start of the system")
            return await self._name_dependency(name, entries, ended)
        return Ended(Ending.NOT_PROVED, "the journal does not say how the unit ended")

    async def _entries_about(self, unit: str) -> list[journal.Entry]:
        """systemd's own entries about a unit in this boot, newest first."""
        matches = [f"MESSAGE_ID={one}" for one in journal.MESSAGE_IDS]
        options = ["--output=json", f"--output-fields={','.join(journal.FIELDS)}", "--reverse", f"--lines={journal.MOST}"]
        return journal.parse_entries((await self._read_journal([*options, "_PID=1", f"UNIT={unit}", *matches])).stdout)

    async def _reaches_back(self) -> bool:
        """The journal still holds what systemd wrote when it started in this boot; nothing was thrown away since."""
        asked = await self._ask(["show", "--timestamp=unix", "--property", "UserspaceTimestamp"], DEADLINE)
        started = re.search(rb"=@(\d+)", asked.stdout)
        return started is not None and await self._has_entries([f"--until=@{int(started.group(1)) + START_SLACK}"])

    async def _has_entries(self, options: Sequence[str]) -> bool:
        """There is an entry of systemd itself in this boot."""
        return bool((await self._read_journal(["--output=cat", "--lines=1", *options, "_PID=1"])).stdout)

    async def _name_dependency(self, unit: str, entries: Sequence[journal.Entry], ended: Ended) -> Ended:
        """A dependency that failed gets its name; a stop that came from a BindsTo= unit which ended by itself is no operator's."""
        if ended.ending is Ending.DEPENDENCY_FAILED:
            names = await self._list_dependencies(unit, "Requires,Requisite,BindsTo")
            return Ended(ended.ending, await self._find_failed(names) or "a unit that it requires")
        if ended.ending is Ending.OPERATOR_STOP:
            names = await self._list_dependencies(unit, "BindsTo")
            if failed := await self._find_failed(names):
                return Ended(Ending.DEPENDENCY_FAILED, failed)
            for name in names:
                if journal.ended_by_itself(await self._entries_about(name), journal.find_stop(entries)):
                    return Ended(Ending.BY_ITSELF, f"{name} ended and took it down; {name} is back")
        return ended

    async def _list_dependencies(self, unit: str, kinds: str) -> list[str]:
        asked = await self._ask(["show", "--property", kinds, "--", unit], DEADLINE)
        return [name for line in asked.stdout.decode(errors="replace").splitlines() for name in line.partition("=")[2].split()]

    async def _find_failed(self, names: Sequence[str]) -> str:
        """The first of these units that is down and was not stopped by anybody; "" for none."""
        if not names:
            return ""
        down = [facts for facts in (await self.show(names)).values() if facts.is_down or facts.load == "not-found"]
        for facts in sorted(down, key=lambda facts: facts.active != "failed"):
            if facts.active == "failed" or facts.load != "loaded":
                return facts.unit
            ended = journal.find_ending(await self._entries_about(facts.unit), facts.invocation, "")
            if ended is None or ended.ending is not Ending.OPERATOR_STOP:
                return facts.unit
        return ""


class UnitReader:
    """Reads units for everybody who asks in the same moment with one `systemctl show`."""

    def __init__(self, systemd: Systemd, deadline: float = DEADLINE) -> None:
        self._systemd = systemd
        self._deadline = deadline
        self._waiting: dict[str, asyncio.Future[UnitFacts]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._newest: dict[str, UnitFacts] = {}

    def newest(self, unit: str) -> UnitFacts | None:
        """What systemd last said of the unit; None before the first answer."""
        return self._newest.get(unit)

    async def read(self, unit: str) -> UnitFacts:
        """What systemd says of the unit now, not earlier than this call. Raises ProbeError (`watcher`)."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(loop.call_soon, self._begin)  # the tasks that were started together have all asked by then
        if unit not in self._waiting:
            self._waiting[unit] = loop.create_future()
        return await asyncio.shield(self._waiting[unit])

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, {}
        task = asyncio.ensure_future(self._read(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, waiting: Mapping[str, "asyncio.Future[UnitFacts]"]) -> None:
        found: Mapping[str, UnitFacts] = {}
        failed = ProbeError(Failure.WATCHER, "the question to systemd was given up")
        try:
            found = await self._systemd.show(list(waiting), self._deadline)
            self._newest.update(found)
        except ProbeError as error:
            failed = error
        finally:
            for unit, answer in waiting.items():
                if answer.done():
                    continue
                if unit in found:
                    answer.set_result(found[unit])
                else:
                    answer.set_exception(ProbeError(failed.failure, failed.detail))
                    answer.exception()  # whoever asked may have gone


def is_denied(stderr: bytes) -> bool:
    """polkit says no, in systemctl's words; its exit code does not tell that (4 is also a destructive transaction)."""
    return b"Access denied" in stderr or b"Interactive authentication required" in stderr


def is_unreachable(stderr: bytes) -> bool:
    """systemd itself, or the bus to it, does not answer."""
    return any(text in stderr for text in _UNREACHABLE)


def _first_line(output: bytes) -> str:
    return next((line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()), "")
