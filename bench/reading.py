"""What it costs to read what services say: their pages of metrics, and their logs."""

import asyncio
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_watchdog.core.progress import Progress, ProgressPlan
from model_watchdog.core.sample import conclude
from model_watchdog.exposition import Reader
from model_watchdog.probes import Surroundings
from model_watchdog.probes.log import Log

Note = Callable[[str, str, str], None]
HEARTBEAT = ProgressPlan(("vllm:iteration_tokens_total_count",), ("vllm:num_requests_running", "vllm:num_requests_waiting"))


def vllm_page(step: int) -> bytes:
    """A page of two engines, 2,000 series, most of them buckets of histograms."""
    lines = []
    for engine in (0, 1):
        label = f'engine="{engine}",model_name="Qwen/Qwen2-7B-Instruct"'
        lines += [f"{name}{{{label}}} {value}.0" for name, value in zip((*HEARTBEAT.heartbeat, *HEARTBEAT.work), (step, 3, 1), strict=True)]
        for number in range(19):
            name = f"vllm:histogram_{number}_seconds"
            lines += [f'{name}_bucket{{{label},le="{bucket / 10}"}} {step}.0' for bucket in range(50)]
            lines += [f"{name}_sum{{{label}}} {step}.5", f"{name}_count{{{label}}} {step}.0"]
    return ("\n".join(lines) + "\n").encode()


def measure_pages(note: Note) -> None:
    """A scrape and its judgement, with what the profile keeps, and with everything kept."""
    pages = [vllm_page(step) for step in range(20)]
    for what, keep in (("its heartbeat and work", HEARTBEAT.names), ("all of it", ("*",))):
        reader, progress = Reader(keep), Progress()
        rounds = 10_000 if what.startswith("its") else 500
        for number in range(20):
            _scrape(reader, progress, pages[number % 20], float(number))
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        for number in range(rounds):
            _scrape(reader, progress, pages[number % 20], float(number))
        spent, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        note(
            f"a page of vLLM, 2,000 series, {what} kept",
            f"{spent / rounds * 1000:.1f} ms a scrape; {grown} KiB after {rounds}",
            "≤ 15 ms; 0",
        )


def _scrape(reader: Reader, progress: Progress, page: bytes, at: float) -> None:
    outcome = conclude("model", "metrics", at, at, reader.read(page).samples)
    progress.take(HEARTBEAT, outcome.samples, at)


def measure_log(directory: Path, note: Note) -> None:
    """A JSON log in the form of the seeds, with the built-in patterns and two fields, read from its end on."""
    path = directory / "bert.log"
    path.touch()
    record: dict[str, Any] = {"timestamp": "2025-04-05T10:23:45Z", "level": "INFO", "module": "inference", "task": "mask_prediction"}
    record |= {
        "input_text": "中国的首都是[MASK]。",
        "predicted_token": "北京",
        "inference_time_ms": 127,
        "gpu_memory_mb": 1024,
        "status": "success",
    }
    line = json.dumps(record, ensure_ascii=False) + "\n"
    running = Log(path, fields=("inference_time_ms", "gpu_memory_mb")).open(Surroundings("bert", None, 5.0, None))  # type: ignore[arg-type]
    asyncio.run(running.observe())
    lines = 2_000_000
    with path.open("a") as file:
        for _ in range(20):
            file.write(line * (lines // 20))
    before, began, seen = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), 0.0
    while seen < lines:
        measured = asyncio.run(running.observe()).measurements
        seen = next(value for name, labels, value in measured if name == "log_records_total" and labels == {"level": "INFO"})
    spent, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    size = len(line.encode()) * lines / 1e6
    note(
        "a JSON log followed, two fields taken",
        f"{size / spent:.0f} MB/s, {lines / spent:.0f} lines/s; {grown} KiB",
        "≥ 100 MB/s; ≥ 300,000; flat",
    )
