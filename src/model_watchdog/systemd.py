"""systemd, the system's and the users', through their own programs: argv and never a shell, each call under a deadline."""

import asyncio
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from model_watchdog import journal
from model_watchdog.children import Finished
from model_watchdog.clock import boot_id
from model_watchdog.containers import Containers
from model_watchdog.core.sample import Failure
from model_watchdog.core.unit import Ended, Ending, UnitFacts, split_unit
from model_watchdog.errors import ProbeError, RecoveryError
from model_watchdog.managers import ENVIRONMENT, Manager, SystemManager, UserManager, first_line, is_denied, is_unreachable, question
from model_watchdog.pidfd import MainProcessWatch
from model_watchdog.properties import read_blocks, to_facts

__all__ = ["ENVIRONMENT", "MainProcessWatch", "Systemd", "UnitReader", "group_by_user", "is_denied", "is_unreachable"]

DEADLINE = 5.0
"""Seconds for a question; systemd answers within milliseconds, or it is stuck."""
START_SLACK = 60
"""Seconds after systemd's start by which the journal must begin to hold all of this boot."""
LAG = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
"""How long to wait, again and again, for the journal to catch up with systemd."""


def group_by_user(units: Iterable[str]) -> dict[str, list[str]]:
    """The units of each manager, by its user ("": the system's)."""
    groups: dict[str, list[str]] = {}
    for unit in units:
        groups.setdefault(split_unit(unit)[0], []).append(unit)
    return groups


class Systemd:
    """Questions raise `ProbeError` (failure `watcher`) and verbs `RecoveryError` (`cannot_act`) where systemd cannot be reached.

    Units are named as `core.unit.split_unit` says; each goes to its own manager. With `keep` the connections to users' managers are
    kept until `close`.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._managers: dict[str, Manager] = {"": SystemManager()}
        self._journalctl = shutil.which("journalctl")
        self._limited: dict[str, str] = {}  # unit: the invocation after which systemd refused to start it

    def close(self) -> None:
        for manager in self._managers.values():
            manager.close()

    # ------------------------------------------------------------ questions
    async def show(self, units: Sequence[str], deadline: float = DEADLINE) -> dict[str, UnitFacts]:
        """What systemd says of these units of one manager, with one call, by the names they were asked for (which may be aliases).

        One thing is added: systemd keeps the Result of a crash also when it refuses every start after it. Where `hit_start_limit`
        proved that, the result is `start-limit-hit`, as long as nothing else has become of the unit.
        """
        at = time.monotonic()
        manager = self._manager(split_unit(units[0])[0])
        asked = await manager.ask("show", [split_unit(unit)[1] for unit in units], deadline)
        blocks = read_blocks(asked.stdout)
        if len(blocks) == len(units):
            found = zip(units, blocks, strict=True)
            return {unit: self._add_limit(manager.keep_own(to_facts(unit, block, at))) for unit, block in found}
        if len(units) > 1:  # one name that cannot be one stops the whole answer
            return {unit: (await self.show([unit], deadline))[unit] for unit in units}
        text = first_line(asked.stderr)
        if "valid" in text and "unit name" in text:
            return {units[0]: UnitFacts(units[0], at, load="not-found", active="inactive", sub="dead")}
        raise ProbeError(Failure.WATCHER, text or f"systemctl show ended with {asked.returncode}")

    async def is_host_stopping(self) -> bool:
        """The machine shuts down or reboots. False also where systemd does not answer: then nothing else works either."""
        try:
            return (await self._manager("").ask("state", [], DEADLINE)).stdout.strip() == b"stopping"
        except ProbeError:
            return False

    async def has_stop_job(self, unit: str) -> bool:
        """A stop of the unit is queued or under way."""
        name = await self._find_name(unit)
        listed = await self._manager(split_unit(unit)[0]).ask("jobs", [], DEADLINE)
        jobs = [line.split() for line in listed.stdout.decode(errors="replace").splitlines()]
        return any(len(job) >= 3 and job[1] == name and job[2] == "stop" for job in jobs)

    async def hit_start_limit(self, unit: str, since: float) -> bool:
        """Whether systemd refused to start the unit because of its StartLimitBurst=, after `since` (steady seconds)."""
        name = await self._find_name(unit)
        for pause in LAG[:4]:
            await asyncio.sleep(pause)
            options = ["--output=json", f"--output-fields={','.join(journal.FIELDS)}", "--reverse", "--lines=20"]
            entries = journal.parse_entries((await self._read_journal([*options, *self._about(unit, name)])).stdout)
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
            user = split_unit(unit)[0]
            field, of = ("_SYSTEMD_USER_UNIT", self._manager(user).matches()[:1]) if user else ("_SYSTEMD_UNIT", [])
            written_by = f"_SYSTEMD_INVOCATION_ID={invocation}" if invocation else f"{field}={await self._find_name(unit)}"
            found = await self._read_journal(["--output=cat", "--lines=1", written_by, *of])
        except ProbeError:
            return ""
        return first_line(found.stdout)[:500]

    async def can_read_journal(self, user: str = "") -> bool:
        """There is something of systemd itself (of a user's) in this boot's journal that this user may see. Raises ProbeError."""
        return await self._has_entries(user, [])

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
            answered = await self._do("prove", unit, DEADLINE)
        except (ProbeError, RecoveryError, TimeoutError):
            return None
        if answered.returncode == 0 or b"only valid for stop" in answered.stderr:
            return True
        return False if is_denied(answered.stderr) else None

    # ------------------------------------------------------------ the calls
    def _manager(self, user: str) -> Manager:
        if user not in self._managers:
            self._managers[user] = UserManager(user, keep=self._keep)
        return self._managers[user]

    def _about(self, unit: str, name: str) -> list[str]:
        """Matches for what a unit's manager wrote about it into the journal."""
        manager = self._manager(split_unit(unit)[0])
        return [*manager.matches(), f"{manager.field}={name}"]

    async def _read_journal(self, arguments: Sequence[str]) -> Finished:
        boot = f"_BOOT_ID={boot_id().replace('-', '')}"
        return await question(self._journalctl, "journalctl", ["--quiet", "--no-pager", *arguments, boot], DEADLINE)

    async def _do(self, word: str, unit: str, deadline: float) -> Finished:
        user, name = split_unit(unit)
        return await self._manager(user).do(word, name, deadline)

    def _add_limit(self, facts: UnitFacts) -> UnitFacts:
        if facts.unit not in self._limited:
            return facts
        if facts.active == "failed" and facts.invocation == self._limited[facts.unit]:
            return replace(facts, result="start-limit-hit")
        del self._limited[facts.unit]
        return facts

    async def _find_name(self, unit: str) -> str:
        """The unit's own name, which the journal and the jobs go by, where it may be asked for by an alias."""
        user, name = split_unit(unit)
        asked = await self._manager(user).ask("identify", [name], DEADLINE)
        return first_line(asked.stdout).removeprefix("Id=") or name

    # ------------------------------------------------------------ why a unit ended
    async def _why_ended(self, facts: UnitFacts, last_invocation: str) -> Ended:
        user, unit = split_unit(facts.unit)[0], facts.unit
        name, entries = await self._find_name(unit), list[journal.Entry]()
        why_not = "the journal does not say how the unit ended"
        for pause in (0.0, *LAG):
            await asyncio.sleep(pause)
            entries = journal.drop_later_lives(await self._entries_about(unit, name), facts.at)
            ended = journal.find_ending(entries, facts.invocation, last_invocation)
            if not entries and not await self._has_entries(user, []):
                return Ended(Ending.NOT_PROVED, "the journal shows nothing of systemd; is the user in the group systemd-journal?")
            if ended is None:
                continue
            if ended.ending is Ending.NEVER_STARTED and not await self._reaches_back(user):
                why_not = "the journal does not reach back to the start of the system"
                continue  # a file that is being put aside is not seen for a moment
            return await self._name_dependency(user, name, entries, ended)
        if user and journal.ended_unwritten(entries, facts):
            return Ended(Ending.BY_ITSELF)
        return Ended(Ending.NOT_PROVED, why_not)

    async def _entries_about(self, unit: str, name: str) -> list[journal.Entry]:
        """systemd's own entries about a unit in this boot, newest first."""
        matches = [f"MESSAGE_ID={one}" for one in journal.MESSAGE_IDS]
        options = ["--output=json", f"--output-fields={','.join(journal.FIELDS)}", "--reverse", f"--lines={journal.MOST}"]
        return journal.parse_entries((await self._read_journal([*options, *self._about(unit, name), *matches])).stdout)

    async def _reaches_back(self, user: str) -> bool:
        """The journal still holds what systemd wrote when it started in this boot; nothing was thrown away since."""
        asked = await self._manager(user).ask("began", [], DEADLINE)
        started = re.search(rb"=@(\d+)", asked.stdout)
        return started is not None and await self._has_entries(user, [f"--until=@{int(started.group(1)) + START_SLACK}"])

    async def _has_entries(self, user: str, options: Sequence[str]) -> bool:
        """There is an entry of systemd itself in this boot."""
        wanted = ["--output=cat", "--lines=1", *options, *self._manager(user).matches()]
        return bool((await self._read_journal(wanted)).stdout)

    async def _name_dependency(self, user: str, unit: str, entries: Sequence[journal.Entry], ended: Ended) -> Ended:
        """A dependency that failed gets its name; a stop that came from a BindsTo= unit which ended by itself is no operator's."""
        if ended.ending not in (Ending.DEPENDENCY_FAILED, Ending.OPERATOR_STOP):
            return ended
        kinds = await self._list_dependencies(user, unit)
        if ended.ending is Ending.DEPENDENCY_FAILED:
            names = [name for required in kinds.values() for name in required]
            return Ended(ended.ending, await self._find_failed(user, names) or "a unit that it requires")
        names = kinds.get("BindsTo", [])
        if failed := await self._find_failed(user, names):
            return Ended(Ending.DEPENDENCY_FAILED, failed)
        for name in names:
            if journal.ended_by_itself(await self._entries_about(f"{user}/{name}", name), journal.find_stop(entries)):
                return Ended(Ending.BY_ITSELF, f"{name} ended and took it down; {name} is back")
        return ended

    async def _list_dependencies(self, user: str, unit: str) -> dict[str, list[str]]:
        """The names that each of Requires=, Requisite= and BindsTo= has."""
        asked = await self._manager(user).ask("dependencies", [unit], DEADLINE)
        lines = [line.partition("=") for line in asked.stdout.decode(errors="replace").splitlines()]
        return {kind: names.split() for kind, _, names in lines}

    async def _find_failed(self, user: str, names: Sequence[str]) -> str:
        """The first of these units that is down and was not stopped by anybody; "" for none."""
        if not names:
            return ""
        shown = await self.show([f"{user}/{name}" if user else name for name in names])
        down = [facts for facts in shown.values() if facts.is_down or facts.load == "not-found"]
        for facts in sorted(down, key=lambda facts: facts.active != "failed"):
            name = split_unit(facts.unit)[1]
            if facts.active == "failed" or facts.load != "loaded":
                return name
            ended = journal.find_ending(await self._entries_about(facts.unit, name), facts.invocation, "")
            if ended is None or ended.ending is not Ending.OPERATOR_STOP:
                return name
        return ""


class UnitReader:
    """Reads units for everybody who asks in the same moment with one `systemctl show` of each manager."""

    def __init__(self, systemd: Systemd, deadline: float = DEADLINE, containers: Containers | None = None) -> None:
        self.containers = containers or Containers()
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
        for units in group_by_user(waiting).values():
            task = asyncio.ensure_future(self._read({unit: waiting[unit] for unit in units}))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read(self, waiting: Mapping[str, "asyncio.Future[UnitFacts]"]) -> None:
        found: Mapping[str, UnitFacts] = {}
        failed = ProbeError(Failure.WATCHER, "the question to systemd was given up")
        try:
            shown = await self._systemd.show(list(waiting), self._deadline)
            found = {unit: self.containers.add_to(facts) for unit, facts in shown.items()}
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
