"""The log of a model service: a JSON record a line, personal data masked, a file a day, seven of them kept. Copy it beside your service.

pip install python-json-logger nvidia-ml-py
"""

import functools
import hashlib
import logging
import os
import platform
import re
import sys
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any

import pynvml
from pythonjsonlogger.json import JsonFormatter

PERSONAL = re.compile(
    r"(?i)\bbearer\s+[\w.~+/=-]{8,}|\bsk-[\w-]{10,}"  # tokens
    r"|[\w.+-]{1,64}@[\w-]+\.[\w.-]+"  # mail addresses
    r"|(?<!\d)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)"  # mobile phones
    r"|(?<!\d)\d{12,18}[\dx](?!\d)|(?<!\d)\d{4}(?:[- ]\d{4}){2,3}(?!\d)"  # ID and card numbers
)
log = logging.getLogger("service")


class Formatter(JsonFormatter):
    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Masks the whole record: the stack of an exception may quote what a person wrote."""
        texts = {key: value for key, value in log_data.items() if isinstance(value, str) and key != "input_sha256"}
        masked = {**log_data, **{key: PERSONAL.sub("***", text) for key, text in texts.items()}}
        return {key: value for key, value in masked.items() if value != "" and key != "color_message"}  # uvicorn's, for a terminal


def open_log(path: Path) -> None:
    """What libraries log goes there too, and an exception that nobody caught."""
    handler = TimedRotatingFileHandler(path, when="midnight", backupCount=7, encoding="utf-8")
    names = {"levelname": "level", "exc_info": "exception"}
    handler.setFormatter(Formatter("{levelname}{message}", style="{", rename_fields=names, timestamp=True, json_ensure_ascii=False))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    sys.excepthook = lambda *error: log.critical({"module": "system", "task": "unhandled_exception", "status": "failed"}, exc_info=error)


def log_start(model: str) -> None:
    """What one wants to know of a start a month later."""
    facts = {"model": model, "python": platform.python_version(), "host": platform.node(), "pid": os.getpid()}
    gpus = [name for name, _ in find_gpus()]
    log.info({"module": "loading", "task": "model_load", "status": "success", **facts, "gpus": gpus, **measure_gpu()})


def describe(content: bytes) -> dict[str, Any]:
    """Size and hash of an input: enough to find it again, and nothing of what it says."""
    return {"input_bytes": len(content), "input_sha256": hashlib.sha256(content).hexdigest()[:16]}


@functools.cache
def find_gpus() -> list[tuple[str, Any]]:
    """Names and handles, looked for once; none where there is no driver."""
    try:
        pynvml.nvmlInit()
        cards = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return [(pynvml.nvmlDeviceGetName(card), card) for card in cards]
    except pynvml.NVMLError:
        return []


def measure_gpu() -> dict[str, Any]:
    """This process's memory on the GPUs; nothing where there is none, or it cannot be known."""
    try:
        own = [used for _, card in find_gpus() for used in pynvml.nvmlDeviceGetComputeRunningProcesses(card) if used.pid == os.getpid()]
        return {"gpu_memory_mb": sum(used.usedGpuMemory or 0 for used in own) >> 20} if find_gpus() else {}
    except pynvml.NVMLError:
        return {}
