"""Hands alerts over to an Alertmanager, which groups, silences and routes them for a whole fleet.

A message's key says what it is about, and so which alert begins or ends. An alert that has an end of its own is handed over once, with an
end far away, and again when it is over; one that has none (a restart that helped) ends by itself.
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from model_watchdog.asking import Asking, explain_status, find_faults
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import CredentialsRefused, NotifyError, ProbeError
from model_watchdog.notifiers import Message
from model_watchdog.wire import httpx

OPEN_FOR = timedelta(days=30)
"""The end of an alert that will be said to be over."""
ONCE_FOR = timedelta(minutes=10)
"""How long something is shown that has happened, and is over already."""
OPENS, CLOSES = "-fired", ("-resolved", "-over")
ENDS_OF = {"back": "gave-up", "rights_back": "rights_missing"}
"""What ends an alert of another name."""
STANDING = ("gave-up", "cannot-", "rights_missing", "record_unwritable", "systemd_unreachable")
"""Alerts that begin without saying so at their end."""


@dataclass(frozen=True)
class Alertmanager:
    """The address of an Alertmanager, such as http://127.0.0.1:9093."""

    url: Url
    headers: Mapping[str, Secret] = field(default_factory=dict)
    bearer: Secret | None = None
    ca_file: Path | None = None
    timeout: Seconds = Seconds(10.0)

    takes_each: ClassVar[bool] = True
    """It groups by itself: nothing is folded for it."""

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        return find_faults(self)

    async def send(self, message: Message) -> None:
        """Hands one alert over. Raises `NotifyError`; `CredentialsRefused` where it does not let us in."""
        target = replace(self, url=Url(f"{self.url.rstrip('/')}/api/v2/alerts"))
        content = json.dumps([make_alert(message, socket.gethostname(), datetime.now(UTC))]).encode()
        asking = Asking(target, self.timeout, "POST", content, "application/json")

        async def take(response: httpx.Response) -> None:
            status = response.status_code
            if status in (401, 403):
                raise CredentialsRefused(explain_status(status))
            if not 200 <= status < 300:
                raise NotifyError(explain_status(status))

        try:
            await asking.ask(take)
        except ProbeError as error:
            raise NotifyError(error.detail) from None
        finally:
            await asking.close()


def make_alert(message: Message, host: str, now: datetime) -> dict[str, object]:
    """The alert that a message stands for, in the form of Alertmanager's API (v2)."""
    service, _, rest = message.key.partition("/")
    about = rest.partition("/")[2] or message.key
    name, ends = _read(about)
    end = now if ends else now + (OPEN_FOR if _stands(about) else ONCE_FOR)
    labels = {"alertname": name, "instance": host, "job": "model-watchdog"}
    if rest and service not in ("host", "incident", "digest"):
        labels["service"] = service
    return {
        "labels": labels,
        "annotations": {"summary": message.title, "description": message.body, "severity": message.severity.value},
        "endsAt": end.isoformat(),
    }


def _read(about: str) -> tuple[str, bool]:
    """The alert's name, and whether it ends."""
    for suffix in CLOSES:
        if about.endswith(suffix):
            return about.removesuffix(suffix), True
    if about in ENDS_OF:
        return ENDS_OF[about], True
    return about.removesuffix(OPENS), False


def _stands(about: str) -> bool:
    return about.endswith(OPENS) or about.startswith(STANDING)
