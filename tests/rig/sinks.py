"""Real receivers of messages: an HTTP one (apprise's json://) and a mail server. What they hold is what was really sent."""

import email
import email.policy
import http.server
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.rig.chaos import closed_port
from tests.rig.waiting import wait_until


@dataclass(frozen=True)
class Received:
    """One message. `kind` is apprise's word (info, warning, failure …), "" for a mail; `at` is CLOCK_MONOTONIC."""

    title: str
    body: str
    kind: str
    at: float
    path: str
    answered: int

    @property
    def text(self) -> str:
        """Title and body, to search in."""
        return f"{self.title}\n{self.body}"


class Sink:
    """What every sink has. `attempts` is whatever arrived; `messages` is what was also accepted."""

    def __init__(self) -> None:
        self.attempts: list[Received] = []
        self.url = ""

    @property
    def messages(self) -> list[Received]:
        """Accepted messages, oldest first."""
        return [received for received in self.attempts if received.answered < 300]

    def wait_for(self, count: int, timeout: float = 10) -> list[Received]:
        """Until `count` messages are accepted; gives them all."""
        wait_until(lambda: len(self.messages) >= count, timeout, lambda: f"{count} messages wanted; there are {self.attempts}")
        return self.messages

    def wait_text(self, text: str, timeout: float = 10) -> Received:
        """Until an accepted message contains `text`; gives it."""

        def found() -> Received | None:
            return next((received for received in self.messages if text in received.text), None)

        received = wait_until(found, timeout, lambda: f"a message with {text!r} wanted; there are {self.attempts}")
        assert received is not None
        return received


class HttpSink(Sink):
    """`url` is for apprise. `status` and `delay` (seconds before the answer) may be changed at any time; `answer` may decide for each."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.delay = 0.0
        self.answer: Callable[[int], int] = lambda attempt: self.status
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.url = f"json://127.0.0.1:{self.port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stops listening: its port refuses."""
        self._server.shutdown()
        self._server.server_close()


def _handler(sink: HttpSink) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            status = sink.answer(len(sink.attempts) + 1)
            time.sleep(sink.delay)
            sink.attempts.append(_from_json(content, self.path, status))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the tests read the messages."""

    return Handler


def _from_json(content: bytes, path: str, status: int) -> Received:
    try:
        value: dict[str, Any] = json.loads(content)
    except ValueError:
        value = {"message": content.decode(errors="replace")}
    return Received(value.get("title", ""), value.get("message", ""), value.get("type", ""), time.monotonic(), path, status)


class SmtpSink(Sink):
    """A mail server. `mails` are the mails as they came; `url` is for apprise."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[EmailMessage] = []
        self.port = closed_port()  # the controller must know it before it listens
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()
        self.url = f"mailto://127.0.0.1:{self.port}?from=watchdog@box.example&to=ops@box.example&mode=insecure"

    def close(self) -> None:
        """Stops listening, if it has not before."""
        if self._controller.server:
            self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Called by aiosmtpd for each mail."""
        content = envelope.content or b""
        mail = email.message_from_bytes(content if isinstance(content, bytes) else content.encode(), policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        part = mail.get_body(("plain", "html"))
        self.mails.append(mail)
        self.attempts.append(Received(str(mail["Subject"]), part.get_content() if part else "", "", time.monotonic(), "", 250))
        return "250 OK"
