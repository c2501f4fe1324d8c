"""What every request has to pass, before anything looks at it: method, length, host, secret. And what every answer says to the browser."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from model_watchdog.web.access import Hosts, Secrets

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LONGEST_PATH, LONGEST_QUERY = 512, 4096
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{what} 'self'" for what in ("script-src", "style-src", "connect-src")),
        "img-src 'self' data:",
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
    )
)
"""Nothing from elsewhere, no script or style in the page itself, in no frame, and nothing can be sent anywhere."""
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """An ASGI application around another one. Without `secrets` everybody who reaches it may look."""

    def __init__(self, app: App, hosts: Hosts, secrets: Secrets | None) -> None:
        self._app = app
        self._hosts = hosts
        self._secrets = secrets

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        refused = await self._refuse(scope)
        if refused is not None:
            return await _answer(send, *refused)
        return await self._app(scope, receive, _with_headers(send))

    async def _refuse(self, scope: Message) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
        """Status, text and headers of an answer that says no."""
        if scope["method"] not in ("GET", "HEAD"):
            return 405, f"{scope['method'][:20]} is not possible: nothing can be changed here", [(b"allow", b"GET, HEAD")]
        if len(scope["raw_path"]) > LONGEST_PATH or len(scope["query_string"]) > LONGEST_QUERY:
            return 414, f"the address is too long: at most {LONGEST_PATH} bytes of path and {LONGEST_QUERY} of query", []
        headers = [(name, value) for name, value in scope["headers"] if name in (b"host", b"authorization")]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._hosts.has(hosts[0]):
            return 421, "this server has another name; start it with --host NAME if it is to answer to this one", []
        if self._secrets is None:
            return None
        given = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
        judged = await self._secrets.judge(given[0], (scope["client"] or ("",))[0]) if given else False
        if judged is None:
            return 429, "too many wrong secrets; try again in a second", [(b"retry-after", b"1")]
        return None if judged else (401, "a secret is needed", [(b"www-authenticate", b'Basic realm="model-watchdog", charset="UTF-8"')])


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message.get("headers", [])}
            message["headers"] = [*message.get("headers", []), *(header for header in HEADERS if header[0] not in own)]
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]]) -> None:
    body = f"{text}\n".encode()
    about = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*about, *headers, *HEADERS]})
    await send({"type": "http.response.body", "body": body})
