"""Who can be told. One file a kind; no file imports another."""

from dataclasses import dataclass
from typing import Protocol

from model_watchdog.core.routes import Kind, Topic
from model_watchdog.core.rule import Severity


@dataclass(frozen=True, slots=True)
class Message:
    """What a person reads. `key` names it for ever: the same event has the same key, also after a crash.

    `kind` and `topics` say the same to a machine: what begins, is over, or has happened. `attachment` is the path of a file that goes with
    it, where the notifier can carry one; the body names it, too.
    """

    key: str
    severity: Severity
    title: str
    body: str
    kind: Kind = Kind.ONCE
    topics: tuple[Topic, ...] = ()
    attachment: str = ""


class Notifier(Protocol):
    """A notifier as configured: a frozen dataclass whose fields are its options in the YAML."""

    async def send(self, message: Message) -> None:
        """Hands the message over within its own deadline. Raises `NotifyError` (text without a secret) when that failed.

        `CredentialsRefused`, one of those, says that trying again will not help.
        """
