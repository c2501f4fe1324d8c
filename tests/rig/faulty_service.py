"""One of the services in examples/, as it is, on a model that can be broken.

    faulty_service.py SCRIPT MODE_FILE OPTIONS…

The mode file holds `ok`, `fail` (each step of the model raises, and quotes what a person wrote) or `hang` (no step ever ends).
"""

import runpy
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

script, mode_file = Path(sys.argv[1]), Path(sys.argv[2])
sys.argv = [str(script), *sys.argv[3:]]
sys.path.insert(0, str(script.parent))
import service_kit  # noqa: E402

take = service_kit.take


def take_or_break(tokens: Iterator[service_kit.Token]) -> service_kit.Token | None:
    mode = mode_file.read_text().strip()
    if mode == "fail":
        raise RuntimeError("CUDA error: device-side assert triggered, at the text of 13812345678, zhang@example.com")
    if mode == "hang":
        threading.Event().wait()
    return take(tokens)


service_kit.take = take_or_break
runpy.run_path(str(script), run_name="__main__")
