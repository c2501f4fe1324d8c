"""Hands alerts over to an Alertmanager, which groups, silences and routes them for a whole fleet.

An alert that goes on is handed over once, with an end far away, and again when it is over; what has happened and is over by then (a restart
that helped) ends by itself.
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from model_watchdog.asking import Asking, explain_status, find_faults
from model_watchdog.core.routes import Kind
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import CredentialsRefused, NotifyError, ProbeError
from model_watchdog.notifiers import Message
from model_watchdog.wire import httpx

OPEN_FOR = timedelta(days=30)
"""The end of an alert that will be said to be over."""
ONCE_FOR = timedelta(minutes=10)
"""How long something is shown that has happened, and is over already."""
NAMES = {"cannot": "cannot_act", "right": "cannot_restart"}
"""Names of alerts by the first word of a matter, where they are not alike."""


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
        alerts = make_alerts(message, socket.gethostname(), datetime.now(UTC))
        if not alerts:
            return  # what it ends was never handed over
        content = json.dumps(alerts).encode()
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


def make_alerts(message: Message, host: str, now: datetime) -> list[dict[str, object]]:
    """The alerts that a message stands for, in the form of Alertmanager's API (v2). What is over has the labels of what began."""
    end = now if message.kind is Kind.CLOSES else now + (OPEN_FOR if message.kind is Kind.OPENS else ONCE_FOR)
    times = {"startsAt": now.isoformat(), "endsAt": end.isoformat()}  # without a start it takes the end for one
    told = {"summary": message.title, "description": message.body, "severity": message.severity.value}
    return [
        {"labels": {**_label(service, matter), "instance": host, "job": "model-watchdog"}, "annotations": told, **times}
        for service, matter in message.topics or (((None, message.key),) if message.kind is Kind.ONCE else ())
    ]


def _label(service: str | None, matter: str) -> dict[str, str]:
    """The labels of a matter: `slow probe_duration_seconds{…}` is a rule and a series, `cannot not_permitted` what was not done and why."""
    name, _, rest = matter.partition(" ")
    labels = {"alertname": NAMES.get(name, name)}
    if name == "condition":
        name, _, rest = rest.partition(" ")
        labels["alertname"] = name
    if name == "right":
        service, rest = rest, ""
    if rest:
        labels["cause" if name == "cannot" else "series"] = rest
    return labels if service is None else {**labels, "service": service}
