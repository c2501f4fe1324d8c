"""A model service of a plain script: the standard library's HTTP server, and an image model, which is the part to replace.

    python script_service.py --port 8001 --log /var/log/script-service.log
    curl --data-binary @picture.pgm http://127.0.0.1:8001/classify

It takes grey pictures (PGM, P5) as they are, or in base64 as {"image": "…"}, and says whether they show a circle, a cross or a bar.
"""

import argparse
import base64
import json
import math
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import prometheus_client as metrics
from interlock import CircuitOpenError

import service_kit as kit
import service_log

SIDE = 5
SHAPES = {"圆": ".###. #...# #...# #...# .###.", "叉": "#...# .#.#. ..#.. .#.#. #...#", "横": "..... ..... ##### ..... ....."}
HEAD = re.compile(rb"P5\s+(\d{1,5})\s+(\d{1,5})\s+255\s")
PATHS = ("/classify", "/healthz", "/metrics")  # counted by their names; any other would be a series of its own


class Model:
    """The shape to which a picture is most alike."""

    def __init__(self) -> None:
        self.shapes = {name: center([float(dot == "#") for dot in text.replace(" ", "")]) for name, text in SHAPES.items()}

    def classify(self, width: int, height: int, pixels: bytes) -> Iterator[kit.Token]:
        seen = center([pixels[(row * height // SIDE) * width + column * width // SIDE] for row in range(SIDE) for column in range(SIDE)])
        likeness = {name: math.exp(3 * sum(map(float.__mul__, seen, shape))) for name, shape in self.shapes.items()}
        best = max(likeness, key=likeness.__getitem__)
        yield best, round(likeness[best] / sum(likeness.values()), 4)


def center(values: list[float]) -> list[float]:
    """Of mean 0 and length 1; a picture of one colour is all 0."""
    mean = sum(values) / len(values)
    length = math.hypot(*(value - mean for value in values)) or 1.0
    return [(value - mean) / length for value in values]


def read_picture(content: bytes) -> tuple[int, int, bytes]:
    """Width, height and points. ValueError, KeyError or TypeError where there is no picture."""
    content = base64.b64decode(json.loads(content)["image"]) if content.startswith(b"{") else content
    if not (head := HEAD.match(content)) or not 0 < (size := int(head[1]) * int(head[2])) <= len(content) - head.end():
        raise ValueError
    return int(head[1]), int(head[2]), content[head.end() :][:size]


class Handler(BaseHTTPRequestHandler):
    model = Model()
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds for a client to say what it wants
    wbufsize = -1  # head and body of an answer in one packet, or each costs 40 ms

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(*kit.tell_health())
        elif self.path == "/metrics":
            self.answer(metrics.generate_latest(), kind=metrics.CONTENT_TYPE_LATEST)
        else:
            self.answer({"error": f"there is {', '.join(PATHS)}"}, 404)

    def do_POST(self) -> None:
        try:
            if self.path != "/classify" or not 0 < (size := int(self.headers["Content-Length"])) <= 4 << 20:
                raise ValueError
            picture = read_picture(self.rfile.read(size))
        except (ValueError, KeyError, TypeError, RecursionError):
            self.close_connection = True
            return self.answer({"error": "POST a grey picture (PGM, P5, 4 MiB at most) to /classify"}, 400)
        try:
            [(label, score)] = kit.breaker.call(list, kit.run("classification", picture[2], self.model.classify(*picture)))
        except CircuitOpenError as error:
            return self.answer({"error": "the model fails, and is left alone for a while"}, 503, kit.turn_away(error))
        except kit.ModelFailed:
            return self.answer({"error": "the model failed"}, 500)
        return self.answer({"label": label, "score": score})

    def answer(self, body: Any, status: int = 200, headers: dict[str, str] | None = None, kind: str = "application/json") -> None:
        kit.REQUESTS.labels(self.command, self.path if self.path in PATHS else "other", str(status)).inc()
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        for header in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request is in the log once, with what the model made of it."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that has left
            service_log.log.error({"module": "system", "task": "request", "status": "failed"}, exc_info=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    service_log.open_log(options.log)
    service_log.log_start("three shapes")
    Server(("127.0.0.1", options.port), Handler).serve_forever()
