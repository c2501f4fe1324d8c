"""`watchdog status` on a terminal, for twenty services on a bad night: nothing is cut off, and no line is wider than the terminal."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from model_watchdog import status
from model_watchdog.cli.table import pack

NOW = int(time.time())
LONG = "qwen2.5-72b-instruct-awq-tp4-production-eu-west"
OPEN = {"state": "open", "failures": 3, "restarts": 3, "retry_at": status.rfc3339(NOW + 1300)}
DRAW = (
    "import json, sys, time; from argparse import Namespace\n"
    "time.time = lambda: float(sys.argv[2])\n"
    "from model_watchdog import status; from model_watchdog.cli import status as command\n"
    "status.collect = lambda *places: json.load(open(sys.argv[1]))\n"
    "command.run(Namespace(service=None, json=False, watch=False, state_dir='.', runtime_dir='.'))"
)


def service(name: str, state: str, ago: int, reason: str = "all probes are good", phase: str = "idle", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "since": status.rfc3339(NOW - ago),
        "cause": None,
        "reason": reason,
        "breaker": {"state": "closed", "failures": 0, "restarts": 0, "retry_at": None},
        "recovery": {"phase": phase, "last_restart_at": None, "last_result": None},
        "paused_until": None,
        **more,
    }


SERVICES = [
    service("chatglm", "unhealthy", 40, "health timed out (3 of 3), nothing moved", "holding"),
    service("qwen-14b", "healthy", 6 * 86400),
    service(LONG, "unhealthy", 130, "health: connection refused 15 times", "gave_up", breaker=OPEN),
    service("bge-embed", "busy", 190, "health: no answer within 5 s, but 1.0 cores and GPU 1 are working"),
    service("whisper", "dead", 4100, "ended by itself with exit 1 (pid 81402, up 1.2 s)", "gave_up", breaker=OPEN),
    service("llama-70b", "loading", 70, "loading for 1 min 10 s of at most 5 min"),
    service("llama-8b", "loading", 700, "still starting after 11 min 40 s, expected at most 5 min", cause="start_timeout"),
    service("bert", "healthy", 12 * 86400),
    service("bert-rerank", "stopped", 2 * 86400, "stopped on purpose: the journal has a stop job that was not ours"),
    service("tts", "stopped", 500, "not running, and the journal does not prove why", cause="stopped_not_proved"),
    service("ocr", "degraded", 300, "systemd has restarted it 3 times or more in 5 minutes; the watchdog adds none"),
    service("asr-streaming", "unknown", 200, "health cannot be asked: asr.models.internal.example.org cannot be looked up: Name not known"),
    service("triton-01", "healthy", 5 * 3600),
    service("triton-02", "unhealthy", 20, "health: status 503 (2 of 3)"),
    service("vllm-mixtral", "dead", 3, "main process was killed by SIGKILL", "stopping"),
    service("moderation", "healthy", 86400, paused_until=status.rfc3339(NOW + 1200)),
    service("translate", "dead", 4000, "the unit failed: exit-code", paused_until=status.rfc3339(NOW + 2 * 86400)),
    service("sd-xl", "unhealthy", 7200, "health: certificate has expired; a restart cannot mend a certificate"),
    service("\u63a7\u5236\u53f0", "healthy", 300),
    service("yi-34b", "healthy", 9, "loading, for at most 2 min", "verifying"),
]
SHOWN = (
    *("verifying", "healthy", "UNHEALTHY", "busy", "DEAD", "loading", "loading", "healthy", "stopped", "stopped", "degraded", "unknown"),
    *("healthy", "UNHEALTHY", "restarting", "paused", "paused, dead", "UNHEALTHY", "healthy", "verifying"),
)


def alert(name: str, severity: str, **labels: str) -> dict[str, Any]:
    since = status.rfc3339(NOW - 120)
    return {"name": name, "service": None, "severity": severity, "state": "firing", "since": since, "labels": labels, "reason": ""}


def metric(name: str, value: float, **labels: str) -> dict[str, Any]:
    return {"metric": name, "labels": labels, "value": value, "at": status.rfc3339(NOW)}


def gpu(number: int) -> list[dict[str, Any]]:
    values = {"up": 1, "utilization_percent": 97 - number, "memory_used_bytes": 71.2 * 2**30, "memory_total_bytes": 80 * 2**30}
    values |= {"temperature_celsius": 60 + number, "power_watts": 412.4}
    return [metric(f"gpu_{name}", value, gpu=str(number), uuid=f"GPU-{number}") for name, value in values.items()]


DISKS = {"/": 83, "/var/lib/docker/volumes": 91, "/srv/models": 40}
HOST = [metric("host_cpu_percent", 34), *(metric("host_disk_percent", value, mount=mount) for mount, value in DISKS.items())]
DENIED = {
    "cause": "not_permitted",
    "service": "ocr",
    "reason": "",
    "remedy": "sudo watchdog install   \u00b7   it is noticed within 5 minutes",
}
DOC: dict[str, Any] = {
    "daemon": {
        "running": True,
        "started_at": status.rfc3339(NOW - 12 * 86400),
        "mode": "active",
        "config_error": None,
        "problems": [DENIED],
    },
    "services": SERVICES,
    "host": {"metrics": [*HOST, *(one for number in range(11) if number != 6 for one in gpu(number)), metric("gpu_up", 0, gpu="6")]},
    "alerts": [
        alert("gpu-hot", "warning", gpu="7"),
        alert("gpu-lost", "critical", gpu="6"),
        alert("disk-full", "warning", mount="/var/lib/docker/volumes"),
    ],
    "incidents": [],
    "notifications": {"queued": 3, "undeliverable": 1},
}


def draw(place: Path, width: int, doc: dict[str, Any]) -> list[str]:
    """The lines as they stand on a terminal of that width."""
    (place / "doc").write_text(json.dumps([doc, {"progress": {}, "sent": {"ops": 2}}]))
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    child = subprocess.Popen([sys.executable, "-c", DRAW, place / "doc", str(NOW)], stdout=follower, stdin=follower, env=environment)
    os.close(follower)
    written = b""
    try:
        while more := os.read(leader, 65536):
            written += more
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert child.wait(30) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).replace("\r", "").splitlines()


def cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_twenty_services_fit(tmp_path: Path, width: int) -> None:
    lines = draw(tmp_path, width, DOC)
    assert max(map(cells, lines)) <= width
    table = lines[lines.index("") + 1 : lines.index("", 2)]
    begun = [place for place, line in enumerate(table) if any(line == name or line.startswith(f"{name} ") for name in names())]
    named = [next(name for name in names() if f"{table[place]} ".startswith(f"{name} ")) for place in begun]
    assert named == names(), "in the file's order, and whole"
    for place, after, state in zip(begun, [*begun[1:], len(table)], SHOWN, strict=True):
        assert re.search(rf"(^|  ){state}  ", table[place] if "  " in table[place] else table[place + 1]), table[place:after]
    said = " ".join(" ".join(lines).split())
    for one in SERVICES:
        if one["state"] != "healthy":
            assert " ".join(one["reason"].split()) in said
    assert "watchdog reset whisper" in said


def names() -> list[str]:
    return [one["name"] for one in SERVICES]


def test_eighty_columns_as_a_tired_operator_reads_them(tmp_path: Path) -> None:
    lines = draw(tmp_path, 80, DOC)
    assert re.fullmatch(r"model-watchdog  active · 20 services: 6 critical, 4 warning +\d\d:\d\d:\d\d", lines[0])
    table = "\n".join(lines)
    assert f"\n{LONG}\n               UNHEALTHY     2 min      health: connection refused 15 times\n" in table
    assert "\nmoderation     paused        1 day      paused until " in table, "what is well has no reason"
    below = lines[lines.index("", 2) + 1 :]
    assert [line.split("  ")[0] for line in below if line[0] != " "] == [
        *("HOST", *(f"GPU {number}" for number in range(11)), "ALERTS", "PROBLEM", "MESSAGES")
    ]
    assert "GPU 0     97 %   71.2 of 80.0 GiB   60 °C   412 W" in below
    assert "GPU 6     lost   ! gpu-lost (2 min)" in below
    assert "GPU 7     90 %   71.2 of 80.0 GiB   67 °C   412 W   ! gpu-hot (2 min)" in below
    assert (
        below[below.index("PROBLEM   may not restart ocr   →   sudo watchdog install") + 1]
        == "          ·   it is noticed within 5 minutes"
    )


def test_all_well_is_four_lines(tmp_path: Path) -> None:
    quiet = {**DOC, "services": [service("chatglm", "healthy", 60)], "host": {"metrics": HOST[:2]}, "alerts": []}
    quiet |= {"daemon": {**DOC["daemon"], "problems": []}, "notifications": {"queued": 0, "undeliverable": 0}}
    lines = [line for line in draw(tmp_path, 80, quiet) if line]
    assert [line.split()[0] for line in lines] == ["model-watchdog", "SERVICE", "chatglm", "HOST", "MESSAGES"]
    assert "1 service · up 12 days" in lines[0]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("one two", 10, ["one two"]),
        ("one two three", 7, ["one two", "three"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("a b · c d e · f", 9, ["a b", "· c d e", "· f"]),
        ("cpu 3 %   disk / 4 %   load 1", 20, ["cpu 3 %   disk / 4 %", "load 1"]),
        ("it is so   →   mend it now", 16, ["it is so", "→   mend it now"]),
        ("\u63a7\u5236\u53f0\u63a7", 4, ["\u63a7\u5236", "\u53f0\u63a7"]),
    ],
)
def test_lines_are_broken_where_they_are_read_best(text: str, width: int, lines: list[str]) -> None:
    assert pack(text, width) == lines
