"""Somebody who is told: an HTTP receiver of messages on a loopback port."""

import http.server
import json
import secrets
import threading
from typing import Any


class Sink:
    """Takes what is posted to `address` (host:port/path). Everybody on the machine can reach the port: only who knows the path is heard."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        messages, path = self.messages, f"/{secrets.token_urlsafe(24)}"

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if not secrets.compare_digest(self.path.encode(), path.encode()):
                    self.send_error(404)
                    return
                messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.address = f"127.0.0.1:{self._server.server_port}{path}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
