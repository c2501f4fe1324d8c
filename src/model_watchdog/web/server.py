"""The server of HTTP: uvicorn, and what keeps those who open connections and ask nothing from being in anybody's way."""

import asyncio
import socket
from typing import Any, ClassVar

import uvicorn
from anyio.to_thread import current_default_thread_limiter
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 512
MOST_THREADS = 3
"""So many questions are put to the record at a time, however many are asked: each has memory of its own."""
MOST_WAITING = 256
"""So many connections may wait for a request at the same time; then the one that has waited longest is closed."""
HEAD_SECONDS = 10.0
"""Within which a request must have come whole."""


class Protocol(H11Protocol):
    """A connection. It waits while it answers nothing: for its first request, for the rest of one, or for the next."""

    _waiting: ClassVar[dict["Protocol", asyncio.TimerHandle]] = {}
    """The one that has waited longest comes first."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _look(self) -> None:
        if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
            self._wait_no_more()
        elif self not in self._waiting:
            self._waiting[self] = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
            if len(self._waiting) > MOST_WAITING:
                longest = next(iter(self._waiting))
                longest._wait_no_more()
                longest.transport.abort()

    def _wait_no_more(self) -> None:
        if (timer := self._waiting.pop(self, None)) is not None:
            timer.cancel()


def serve(app: Any, listening: socket.socket, cert: str | None, key: str | None) -> None:
    """Until it is told to end."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        backlog=128,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )

    async def run() -> None:
        current_default_thread_limiter().total_tokens = MOST_THREADS
        await uvicorn.Server(config).serve([listening])

    asyncio.run(run())
