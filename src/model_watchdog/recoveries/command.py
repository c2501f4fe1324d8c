"""Restarts what systemd does not run, by a command of the operator's. It runs as the daemon's user, without privileges."""

from dataclasses import dataclass

from model_watchdog.children import pick_environment, read_lines, run_child
from model_watchdog.core.units import Seconds
from model_watchdog.errors import RecoveryError
from model_watchdog.recoveries import Act


@dataclass(frozen=True)
class Command:
    """The kind `command`: a program with its arguments, never a shell, and how long it may take."""

    command: tuple[str, ...]
    timeout: Seconds = Seconds(60.0)

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        found = []
        if not self.command or not self.command[0]:
            found.append("command needs a program: command: [/usr/bin/docker, restart, NAME]")
        if self.timeout <= 0:
            found.append("timeout must be longer than 0")
        return found

    async def restart(self, act: Act) -> str:
        """Runs it in a session of its own; what it started there is killed with it when it takes too long. Gives its last line."""
        try:
            ended = await run_child(self.command, self.timeout, env=pick_environment(), own_session=True)
        except TimeoutError:
            raise RecoveryError("start_timeout", f"{self.command[0]} was not done within {self.timeout:g} s and was killed") from None
        except (OSError, ValueError) as error:
            raise RecoveryError("cannot_act", f"{self.command[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from None
        said = read_lines(ended.stderr) or read_lines(ended.stdout)
        if ended.returncode != 0:
            how = f"exit code {ended.returncode}" if ended.returncode > 0 else f"signal {-ended.returncode}"
            raise RecoveryError("start_failed", f"{self.command[0]} ended with {how}" + (f": {said[0]}" if said else ""))
        return said[-1] if said else ""
