"""The child's side of `worker.Worker`: one JSON request a line on standard input, one JSON answer a line on standard output.

Imports as little as it can: what runs in here is paid for in memory once a child.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers until the input ends or nobody reads the output any more. An exception of `answer` becomes an answer with `bug`."""
    told = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            said = answer(request)
        except Exception as error:  # the child lives on, and the daemon says whose fault it is
            said = {"bug": f"{type(error).__name__}: {error}"}
        said["id"] = request["id"]
        try:
            _write(told, json.dumps(said, separators=(",", ":")).encode() + b"\n")
        except BrokenPipeError:
            return


def _write(descriptor: int, text: bytes) -> None:
    """All of it: a pipe takes 64 KiB at a time."""
    while text:
        text = text[os.write(descriptor, text) :]
