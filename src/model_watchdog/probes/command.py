"""Asks a program of the operator's: its exit code is the verdict, and numbers that it prints become samples."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

from model_watchdog.children import OUTPUT_CAP, Finished, pick_environment, read_lines, run_child
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Measurement, Observation, Surroundings

MOST = 200
"""Series that one run may give."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\[\\"n])*)"\s*(?:,|$)')
_LINE = re.compile(
    rf'\s*({_NAME.pattern})\s*(?:\{{((?:[^"}}]|"(?:[^"\\]|\\.)*")*)\}})?\s+([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*'
)
_OURS = ("service", "probe")
_UNESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True)
class Command:
    """The kind `command`: a program with its arguments, never a shell.

    It ends with 0 where all is well, with 1 where something is bad, and with anything else where it cannot tell. `metrics` are the
    names whose lines `name value` or `name{label="v"} value` on its standard output become samples; other lines are text.
    """

    command: tuple[str, ...]
    metrics: tuple[str, ...] = ()

    default_every: ClassVar[Seconds] = Seconds(30.0)

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        found = []
        if not self.command or not self.command[0]:
            found.append("command needs a program: command: [/usr/local/bin/check-queue, --brief]")
        if any("\0" in word for word in self.command):
            found.append("command holds a NUL, which no program can be given")
        for name in self.metrics:
            if not _NAME.fullmatch(name):
                found.append(f'"{name}" cannot be the name of a metric; it takes letters, digits, _ and :, and does not begin with a digit')
        return found

    def open(self, surroundings: Surroundings) -> "_Running":
        return _Running(self, surroundings.timeout)


class _Running:
    def __init__(self, command: Command, timeout: float) -> None:
        self._argv = command.command
        self._metrics = frozenset(command.metrics)
        self._timeout = timeout

    async def observe(self) -> Observation:
        """Runs it once, in a session of its own of which nothing is left afterwards.

        Raises ProbeError: `status` where it says that something is bad, `watcher` where it cannot tell, cannot be run, or is not done
        in time. That says nothing of the service: a program that hangs on it has to notice that by itself.
        """
        program = self._argv[0]
        try:
            ended = await run_child(self._argv, self._timeout, env=pick_environment(), own_session=True, leave_nothing=True)
        except TimeoutError:
            raise ProbeError(Failure.WATCHER, f"{program} was not done within {self._timeout:g} s and was killed") from None
        except OSError as error:
            raise ProbeError(Failure.WATCHER, f"{program} cannot be run: {error.strerror or error}") from None
        text = _find_text(ended, self._metrics)
        if ended.returncode not in (0, 1):
            how = f"exit code {ended.returncode}" if ended.returncode > 0 else f"signal {-ended.returncode}"
            raise ProbeError(Failure.WATCHER, f"{program} cannot tell: {how}" + (f", {text}" if text else ""))
        measurements = self._measure(ended)
        if ended.returncode == 1:
            raise ProbeError(Failure.STATUS, text or f"{program} ended with exit code 1", measurements)
        return Observation(measurements, text)

    async def close(self) -> None:
        pass

    def _measure(self, ended: Finished) -> list[Measurement]:
        """The declared numbers that it printed; of one series, the last."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        whole = len(ended.stdout) < OUTPUT_CAP
        for line in ended.stdout.decode(errors="replace").splitlines()[: None if whole else -1]:  # half a number is another number
            number = parse_number(line)
            if number is not None and number[0] in self._metrics and len(found) < MOST:
                found[number[0], number[1]] = number[2]
        return [(name, dict(labels), value) for (name, labels), value in found.items()]


def parse_number(line: str) -> tuple[str, tuple[tuple[str, str], ...], float] | None:
    """Name, labels and value of a line `name value` or `name{label="v"} value` in Prometheus' text format; None where it is none.

    Labels that the watchdog itself adds to every series cannot be given, and a value must be finite.
    """
    whole = _LINE.fullmatch(line)
    if whole is None or not math.isfinite(value := float(whole[3])):
        return None
    labels, inside, place = {}, (whole[2] or "").strip(), 0
    while place < len(inside):
        one = _LABEL.match(inside, place)
        if one is None or one[1] in _OURS or one[1].startswith("__") or one[1] in labels:
            return None
        labels[one[1]] = re.sub(r"\\.", lambda escaped: _UNESCAPED[escaped[0]], one[2])
        place = one.end()
    return whole[1], tuple(sorted(labels.items())), value


def _find_text(ended: Finished, metrics: frozenset[str]) -> str:
    """The first line for people: what it printed besides numbers, or else its complaint."""
    for line in (*read_lines(ended.stdout), *read_lines(ended.stderr)):
        number = parse_number(line)
        if number is None or number[0] not in metrics:
            return line
    return ""
