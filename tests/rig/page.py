"""A server with one page, whatever is asked for."""

import contextlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Page:
    """`status` and `body` are what is answered from now on; `tokens` the `Authorization` of each request. `url` ends in `path`."""

    def __init__(self, path: str) -> None:
        self.path, self.url = path, ""
        self.status, self.body = 200, b""
        self.tokens: list[str | None] = []

    @contextlib.contextmanager
    def serve(self) -> Iterator["Page"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}{self.path}"
        yield self
        server.shutdown()
        server.server_close()


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page.tokens.append(self.headers["Authorization"])
            self.send_response(page.status)
            self.send_header("Content-Length", str(len(page.body)))
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
