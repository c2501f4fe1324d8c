"""The call of a canary, as it goes over the wire: what is sent, and what the status and the body of its answer say."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_watchdog.answers import Secrets, quote_body
from model_watchdog.asking import explain_status, read_body
from model_watchdog.conversation import ANSWER_CAP, NotThisApi, read_line, read_lines
from model_watchdog.core.sample import Failure
from model_watchdog.errors import ProbeError
from model_watchdog.wire import httpx

FILE_CAP = 4 * 1024 * 1024
"""Bytes of a file that is sent, at most: a canary is no load."""


@dataclass(frozen=True)
class Upload:
    """A file that is sent as a form would send it, in the field of this name."""

    path: Path
    field: str = "file"


class NoSuchModel(ProbeError):
    """The server does not have the model that was asked, or not at this address."""


class Busy(ProbeError):
    """The server said: not now."""

    def __init__(self) -> None:
        super().__init__(Failure.STATUS, "the server is busy: the request was turned away")


def encode(body: Mapping[str, Any] | None, file: Upload | None) -> tuple[bytes, str]:
    """The body of a call, and its type. Raises ProbeError where the file cannot be read."""
    if file is None:
        return (b"", "") if body is None else (json.dumps(body, ensure_ascii=False).encode(), "application/json")
    try:
        with file.path.open("rb") as opened:
            content = opened.read(FILE_CAP + 1)
    except OSError as error:
        raise ProbeError(Failure.CONFIG, f"{file.path} cannot be read: {error.strerror}") from None
    if len(content) > FILE_CAP:
        raise ProbeError(Failure.CONFIG, f"{file.path} is larger than {FILE_CAP >> 20} MiB")
    mark = uuid.uuid5(uuid.NAMESPACE_URL, str(file.path)).hex  # the same each time: so is the request
    name, file_name = map(_escape, (file.field, file.path.name))
    head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n'
    parts = (head.encode(), b"Content-Type: application/octet-stream\r\n\r\n", content, f"\r\n--{mark}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={mark}"


def check_status(response: httpx.Response, more: str = "") -> None:
    """Raises where it is not good: for now, of what we ask, or of the server."""
    status = response.status_code
    if 200 <= status < 300:
        return
    if is_busy(response):
        raise Busy
    ours = 300 <= status < 500 and status != 408
    raise ProbeError(Failure.CONFIG if ours else Failure.STATUS, f"{explain_status(status)}{more}")


def parse(body: bytes, secrets: Secrets) -> Any:
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProbeError(Failure.CONFIG, f"the answer is no JSON: {quote_body(body, secrets)}; is it the right url?") from None


async def read_documents(response: httpx.Response, secrets: Secrets) -> AsyncIterator[dict[str, Any]]:
    """The documents of an answer: each line of a stream, or the one that a server gives that does not stream."""
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/json"):
        document = parse(await read_body(response, ANSWER_CAP, secrets), secrets)
        if not isinstance(document, dict):
            raise NotThisApi("it is JSON, but no object")
        yield document
        return
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for line in read_lines(response.stream.__aiter__()):
        found = read_line(line)
        if found is not None:
            yield found


def is_busy(response: httpx.Response) -> bool:
    return response.status_code == 429 or (response.status_code == 503 and "retry-after" in response.headers)


def _escape(name: str) -> str:
    """As browsers write a name in a form: it must not end its quotes, nor its line."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
