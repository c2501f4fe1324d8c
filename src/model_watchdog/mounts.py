"""The child that asks a mount that may hang (network, FUSE) how full it is. Runs by itself, behind `worker.Worker`."""

import os
from typing import Any

from model_watchdog.serving import serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """`{"percent": …}`, as df tells it, or `{"error": text}` for the path in the request."""
    try:
        told = os.statvfs(request["path"])
    except OSError as error:
        return {"error": error.strerror}
    used = told.f_blocks - told.f_bfree
    whole = used + told.f_bavail
    return {"percent": round(100 * used / whole, 1) if whole else None}


def main() -> None:
    """The child."""
    serve(answer)
