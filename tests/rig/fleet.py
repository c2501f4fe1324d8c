"""A fleet: one small server that plays the /metrics of hundreds of hosts, each with its services, GPUs and trouble."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from model_watchdog.web import metrics

SERVICES = ("chatglm", "bert", "qwen")
GPUS = 2
UNREACHABLE = 1
"""The host that answers 500."""
Labels = dict[str, str]
Sample = tuple[str, Mapping[str, str], float]
Change = Callable[[float], float]
"""From the value of a host that is well to that of one in trouble."""


def always(value: float) -> Change:
    return lambda _: value


def growing(each_second: float) -> Change:
    started = time.monotonic()
    return lambda _: each_second * (time.monotonic() - started)


TROUBLE: dict[int, dict[str, Change]] = {
    0: {"watchdog_up": always(0)},
    2: {"watchdog_tick_lag_seconds": always(42), "watchdog_notifications_queued": always(7)},
    3: {"watchdog_breaker_open": always(1)},
    4: {"watchdog_restarts_total": growing(1)},
    5: {"canary_answer_correct": always(0)},
    6: {"probe_tls_expiry_seconds": always(86400)},
    7: {"gpu_up": always(0)},
    8: {"gpu_temperature_celsius": always(88)},
    9: {"gpu_ecc_uncorrected_errors_total": growing(1)},
    10: {"gpu_recovery_action": always(1)},
    11: {"host_disk_percent": always(97)},
    12: {"host_memory_percent": always(98)},
}
"""By host: the metrics that are not as they should be."""
STATE_OF: dict[int, str] = {13: "degraded", 14: "unknown", 15: "loading", 16: "busy", 17: "stalled", 18: "sleeping", 3: "dead"}
"""By host: the state of all its services."""


def list_samples(host: int, seconds: float) -> Iterator[Sample]:
    """What a host would serve that is well, after so many seconds."""
    yield "watchdog_up", {}, 1
    yield "watchdog_tick_lag_seconds", {}, 0.002
    yield "watchdog_notifications_queued", {}, 0
    for name, value in {"cpu_percent": 20 + host % 50, "load1": 1.5, "memory_percent": 40, "swap_percent": 0}.items():
        yield f"host_{name}", {}, value
    yield "host_memory_available_bytes", {}, 6e10
    yield "host_disk_percent", {"mount": "/"}, 30 + host % 40
    for name in ("disk_read", "disk_written"):
        yield f"host_{name}_bytes_total", {"device": "nvme0n1"}, 1e6 * seconds
    for name in ("network_received", "network_sent"):
        yield f"host_{name}_bytes_total", {"device": "eth0"}, 1e7 * seconds
    for number in range(GPUS):
        yield from list_gpu({"gpu": str(number), "uuid": f"GPU-{host:04}-{number}"}, host)
    for service in SERVICES:
        yield from list_service(service, STATE_OF.get(host, "unhealthy" if host >= 150 else "healthy"), seconds)


def list_gpu(gpu: Labels, host: int) -> Iterator[Sample]:
    yield "gpu_up", gpu, 1
    yield "gpu_utilization_percent", gpu, host % 100
    yield "gpu_memory_percent", gpu, 50 + host % 50
    yield "gpu_temperature_celsius", gpu, 60
    yield "gpu_temperature_limit_celsius", {**gpu, "kind": "slowdown"}, 90
    yield "gpu_power_watts", gpu, 300
    yield "gpu_throttled", {**gpu, "reason": "hw_slowdown"}, 0
    yield "gpu_ecc_uncorrected_errors_total", gpu, 0
    yield "gpu_recovery_action", gpu, 0


def list_service(name: str, state: str, seconds: float) -> Iterator[Sample]:
    service = {"service": name}
    yield from metrics.tell_states([{"name": name, "state": state}])
    yield "watchdog_breaker_open", service, 0
    for result in ("recovered", "failed"):
        yield "watchdog_restarts_total", {**service, "result": result}, 2
    for probe in ("health", "unit"):
        yield "probe_success", {**service, "probe": probe}, 1
        yield "probe_duration_seconds", {**service, "probe": probe}, 0.004
    yield "probe_tls_expiry_seconds", {**service, "probe": "health"}, 90 * 86400
    yield "canary_first_token_seconds", {**service, "probe": "canary"}, 0.2
    yield "canary_tokens_per_second", {**service, "probe": "canary"}, 30
    yield "canary_answer_correct", {**service, "probe": "canary"}, 1
    yield "log_records_total", {**service, "probe": "log", "level": "INFO"}, 5 * seconds
    yield "service_cpu_percent", {**service, "probe": "process"}, 120
    yield "service_memory_bytes", {**service, "probe": "process"}, 2e10
    yield "service_gpu_memory_bytes", {**service, "probe": "process", "gpu": "0"}, 4e10


def write_page(host: int, seconds: float) -> str:
    """As `watchdog web` writes it; the trouble of the host is in it."""
    trouble = TROUBLE.get(host, {})

    def change(name: str, value: float) -> float:
        return float(trouble[name](value)) if name in trouble else float(value)

    samples = [(name, labels, change(name, value)) for name, labels, value in list_samples(host, seconds)]
    return metrics.write(samples, with_services_own=False)


class Fleet:
    """Serves host N at /N/metrics, to whoever brings the token. `asked` counts the pages of each host."""

    def __init__(self, token: str) -> None:
        self.asked: dict[int, int] = {}
        began, asked = time.monotonic(), self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host = int(self.path.split("/")[1])
                allowed = self.headers.get("Authorization") == f"Bearer {token}"
                asked[host] = asked.get(host, 0) + allowed
                status = 401 if not allowed else 500 if host == UNREACHABLE else 200
                body = write_page(host, time.monotonic() - began).encode() if status == 200 else b""
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: it is asked a hundred times a second."""

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
