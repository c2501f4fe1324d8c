"""The demo's model service: stdlib only, run as a script. It reads its mode from a file, so that it can be broken at will.

    service.py serve DIR PORT      serves /health; appends its pid to DIR/starts
    service.py restart DIR PORT    ends the one that runs and starts a new one, as a restart command does
Modes (DIR/mode): ok; hang PID (that process accepts and never answers); broken (ends with 1 when it is started).
"""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def read_mode(directory: Path) -> str:
    return (directory / "mode").read_text().strip()


def serve(directory: Path, port: int) -> None:
    with (directory / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if read_mode(directory) == "broken":
        sys.exit("CUDA error: no kernel image is available for execution on the device")

    class Health(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            while read_mode(directory) == f"hang {os.getpid()}" and self.path != "/lie":
                time.sleep(0.2)
            body = b'{"status": "ok"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

    server = Server(("127.0.0.1", port), Health)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        time.sleep(3600)


def restart(directory: Path, port: int) -> None:
    end(directory)
    command = [sys.executable, "-I", __file__, "serve", str(directory), str(port)]
    with (directory / "service.log").open("a") as output:
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


def end(directory: Path) -> None:
    """Ends the newest process, where it is still ours."""
    pid = newest_pid(directory)
    if pid is None or b"service.py" not in _command_line(pid):
        return
    os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        if not _command_line(pid):
            return
        time.sleep(0.02)


def newest_pid(directory: Path) -> int | None:
    try:
        return int((directory / "starts").read_text().split()[-1])
    except (OSError, IndexError):
        return None


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    {"serve": serve, "restart": restart}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
