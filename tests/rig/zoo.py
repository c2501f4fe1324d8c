#!/usr/bin/python3 -I
"""A model server that plays any of those that the profiles know, with their paths and metrics, and every vice. Standard library only.

    zoo.py SERVER PORT --mode FILE [--starts FILE] [--asked FILE] [--log FILE]

SERVER is vllm, sglang, tgi, llamacpp, ollama, triton (its metrics are at PORT + 1), openai or plain. The mode file holds words, read twenty
times a second; each start appends "TIME PID" to the starts file, and each request for an answer one line with its prompt to the asked file.

    work        two requests run for others all the while, and the counters move
    freeze      the engine stands still: counters stay, real requests are never answered, health stays green
    engine1     only engine 1 of two stands still
    slow        health is never answered in time; metrics are
    mute        neither health nor metrics is answered in time
    burn        uses a third of a core or so
    block       its loop is blocked by work, health and metrics with it, for seconds on end
    503         health says 503
    prefill     health says 503, prompts are read (their counter moves), nothing is generated
    sleep       it sleeps (vLLM, llama.cpp), or has no model loaded (Ollama)
    nonsense    real requests are answered "!!!!"
    errors      real requests fail with 500, and those of others too: their counter grows
    cpu         the model lies in the host's memory (Ollama)
    thrash      models come and go, and the first token takes its time
    zombie      a child of it has ended, and nobody has asked how
    late:N      opens its port N seconds after its start, and reads weights meanwhile
    late-idle   never opens its port, and does nothing
    stuck:FILE  writes to that file: on a frozen file system it is then in the kernel, and nothing ends it
    ignore-term SIGTERM does nothing
    exit:N      ends with this code
    leak        keeps 20 MB more a second
    lose        its worker process has been killed: real requests fail with 500, and health stays green

With --log it writes a JSON record in Chinese twenty times a second: INFO, and ERROR where requests fail.
"""

import argparse
import asyncio
import json
import os
import signal
import time
from pathlib import Path

STEPS_A_SECOND = 50
HANG = 3600.0
MODEL = "zoo-7b"


class Zoo:
    def __init__(self, options: argparse.Namespace) -> None:
        self.server, self.port = options.server, options.port
        self.mode_file, self.asked_file, self.log_file = options.mode, options.asked, options.log
        self.worker = 0
        self.started = time.monotonic()
        self.words: dict[str, str] = {}
        self.steps = [0.0, 0.0]
        self.prompts = 0.0
        self.failures = 0.0
        self.finished = 0.0  # tokens of requests that are finished
        self.open_requests = 0
        self.weights: list[bytes] = []
        self.leaked: list[bytes] = []

    def has(self, word: str) -> bool:
        return word in self.words

    def read_mode(self) -> None:
        try:
            text = self.mode_file.read_text()
        except OSError:
            return
        self.words = {name: argument for name, _, argument in (word.partition(":") for word in text.split())}

    @property
    def busy(self) -> int:
        return (2 if self.has("work") else 0) + self.open_requests

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.terminate)
        self.read_mode()
        zombie = False
        servers: list[asyncio.Server] = []
        before = time.monotonic()
        while True:
            self.read_mode()
            if self.has("exit"):
                os._exit(int(self.words["exit"]))
            if self.has("zombie") and not zombie:
                zombie = True
                if os.fork() == 0:
                    os._exit(0)
            late = float(self.words.get("late", 0))
            if not servers and not self.has("late-idle") and time.monotonic() - self.started >= late:
                servers = [await asyncio.start_server(self.serve, "127.0.0.1", port) for port in self.ports()]
            self.advance(time.monotonic() - before)
            before = time.monotonic()
            self.keep_worker()
            self.write_log()
            if self.has("leak"):
                self.leaked.append(b"x" * 1_000_000)
            if self.has("burn"):
                spin(0.08)
            if not servers and late:
                self.weights.append(os.urandom(1 << 20))
            if self.has("stuck"):
                with open(self.words["stuck"], "wb") as file:
                    file.write(b"x" * 4096)
                    os.fsync(file.fileno())
            if self.has("block"):
                spin(3.0)
            await asyncio.sleep(0.05)

    def keep_worker(self) -> None:
        """A process that does the work, as vLLM's; killed once and for all where it is to be lost."""
        if not self.worker:
            self.worker = os.fork()
            if self.worker == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.pause()
                os._exit(0)
        elif self.worker > 0 and self.has("lose"):
            os.kill(self.worker, signal.SIGKILL)
            os.waitpid(self.worker, 0)
            self.worker = -1

    @property
    def fails(self) -> bool:
        return self.has("errors") or self.worker < 0

    def write_log(self) -> None:
        if self.log_file is None:
            return
        record = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%S"), "level": "INFO", "message": "推理完成", "inference_time_ms": 42}
        if self.fails:
            record |= {"level": "ERROR", "message": "推理失败：CUDA out of memory，显存不足", "user": "张三 13800138000"}
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def ports(self) -> list[int]:
        return [self.port, self.port + 1] if self.server == "triton" else [self.port]

    def terminate(self) -> None:
        if not self.has("ignore-term"):
            os._exit(0)

    def advance(self, seconds: float) -> None:
        """The engines work on what there is."""
        if self.fails:
            self.failures += 20 * seconds
        if self.has("prefill"):
            self.prompts += 1000 * seconds
            return
        if self.has("freeze") or not self.busy:
            return
        for engine in (0, 1):
            if not (engine == 1 and self.has("engine1")):
                self.steps[engine] += STEPS_A_SECOND * seconds

    # ------------------------------------------------------------ requests
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split()
                length = 0
                while (header := (await reader.readline()).decode().strip().lower()) != "":
                    if header.startswith("content-length:"):
                        length = int(header.partition(":")[2])
                body = await reader.readexactly(length)
                await self.answer(method, path.partition("?")[0], body, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def answer(self, method: str, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        if method == "POST":
            await self.generate(path, body, writer)
            return
        is_metrics = path == "/metrics"
        waits_for_engine = self.server == "llamacpp" and is_metrics  # its page comes out of the queue of requests
        if self.has("mute") or (self.has("slow") and not is_metrics) or (self.has("freeze") and waits_for_engine):
            await asyncio.sleep(HANG)
        status, kind, text = self.page(path)
        if path in ("/health", "/v2/health/ready", "/health_generate") and (self.has("503") or self.has("prefill")):
            status, kind, text = 503, "text/plain", ""
        reply(writer, status, kind, text.encode())
        await writer.drain()

    def page(self, path: str) -> tuple[int, str, str]:
        as_json, plain = "application/json", "text/plain; version=0.0.4; charset=utf-8"
        pages: dict[str, tuple[str, str]] = {"/health": ("text/plain", ""), "/metrics": (plain, self.metrics())}
        if self.server in ("vllm", "sglang", "tgi", "llamacpp", "openai"):
            pages["/v1/models"] = (as_json, json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}))
        if self.server == "vllm":
            pages["/is_sleeping"] = (as_json, json.dumps({"is_sleeping": self.has("sleep")}))
        if self.server == "sglang":
            pages["/health_generate"] = ("text/plain", "")
        if self.server == "llamacpp":
            pages["/health"] = (as_json, '{"status":"ok"}')
            pages["/props"] = (as_json, json.dumps({"is_sleeping": self.has("sleep")}))
        if self.server == "ollama":
            pages = {"/": ("text/plain", "Ollama is running"), "/api/version": (as_json, '{"version":"0.9.0"}')}
            size = 4 << 30
            gone = self.has("sleep") or (self.has("thrash") and int(time.monotonic()) % 2)
            loaded = [] if gone else [{"name": MODEL, "size": size, "size_vram": 0 if self.has("cpu") else size}]
            pages["/api/ps"] = (as_json, json.dumps({"models": loaded}))
        if self.server == "triton":
            pages = {"/v2/health/ready": ("text/plain", ""), "/metrics": (plain, self.metrics())}
        if self.server in ("openai", "plain", "ollama"):
            pages.pop("/metrics", None)
        kind, text = pages.get(path, ("", ""))
        return (200, kind, text) if kind else (404, "text/plain", "Not Found")

    async def generate(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        """Eight tokens, or what the mode makes of them."""
        if self.asked_file:
            with self.asked_file.open("ab") as file:
                file.write(b"%s %.3f %s\n" % (path.encode(), time.monotonic(), body.replace(b"\n", b" ")))
        if self.fails:
            self.failures += 1
            reply(writer, 500, "application/json", b'{"error": {"message": "CUDA error: an illegal memory access was encountered"}}')
            await writer.drain()
            return
        if self.has("freeze"):
            await asyncio.sleep(HANG)
        self.open_requests += 1
        try:
            await asyncio.sleep(1.0 if self.has("thrash") else 0.02)
            await self.stream(path, ["!!", "!!", "!!"] if self.has("nonsense") else ["OK", " ", "then"], writer)
        finally:
            self.open_requests -= 1
            self.steps = [count + 8 for count in self.steps]
            self.finished += 8

    async def stream(self, path: str, words: list[str], writer: asyncio.StreamWriter) -> None:
        ollama = path.startswith("/api/")
        kind = "application/x-ndjson" if ollama else "text/event-stream"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for word in words:
            document = {"response": word} if ollama else {"choices": [{"delta": {"content": word}, "text": word}]}
            line = json.dumps(document).encode()
            chunk(writer, line + b"\n" if ollama else b"data: " + line + b"\n\n")
            await writer.drain()
            await asyncio.sleep(0.01)
        chunk(writer, b'{"response": "", "done": true, "eval_count": 8, "eval_duration": 160000000}\n' if ollama else b"data: [DONE]\n\n")
        chunk(writer, b"")
        await writer.drain()

    # ------------------------------------------------------------ metrics
    def metrics(self) -> str:
        """The page of the server that is played, with its own names and labels."""
        running, steps = self.busy, sum(self.steps)
        if self.server == "vllm":
            lines = ["# HELP vllm:num_requests_running Number of requests.", "# TYPE vllm:num_requests_running gauge"]
            for engine in (0, 1):
                label = f'{{engine="{engine}",model_name="{MODEL}"}}'
                lines += [f"vllm:num_requests_running{label} {running}.0", f"vllm:num_requests_waiting{label} 0.0"]
                lines.append(f"vllm:iteration_tokens_total_count{label} {self.steps[engine]:.0f}")
                lines.append(f"vllm:generation_tokens_total{label} {self.steps[engine]:.0f}")
                lines.append(f"vllm:kv_cache_usage_perc{label} 0.1")
            return "\n".join([*lines, *(f'python_gc_objects_total{{generation="{n}"}} {n}' for n in range(3))]) + "\n"
        names = {
            "sglang": {
                f'sglang:num_running_reqs{{model_name="{MODEL}"}}': running,
                f'sglang:num_used_tokens{{model_name="{MODEL}"}}': (steps + self.prompts) % 1000,
                f'sglang:realtime_tokens_total{{model_name="{MODEL}",mode="decode"}}': steps,
                f'sglang:realtime_tokens_total{{model_name="{MODEL}",mode="prefill_compute"}}': self.prompts,
                f'sglang:generation_tokens_total{{model_name="{MODEL}"}}': self.finished,
                f'sglang:prompt_tokens_total{{model_name="{MODEL}"}}': self.finished,
            },
            "tgi": {
                "tgi_queue_size": 0 if self.fails else running,
                "tgi_batch_current_size": 0 if self.fails else running,
                "tgi_request_success": self.finished,
                'tgi_batch_inference_count{method="prefill"}': steps + self.failures,  # of those that fail, too
                'tgi_batch_inference_success{method="decode"}': steps,
                'tgi_request_failure{err="generation"}': self.failures,
                'tgi_request_failure{err="validation"}': time.monotonic(),  # somebody asks for what cannot be, all the time
            },
            "llamacpp": {
                "llamacpp:n_decode_total": steps,
                "llamacpp:tokens_predicted_total": steps,
                "llamacpp:requests_processing": running,
                "llamacpp:requests_deferred": 0,
            },
            "triton": {
                f'nv_inference_request_success{{model="{MODEL}",version="1"}}': steps,
                f'nv_inference_request_failure{{model="{MODEL}",version="1",reason="BACKEND"}}': self.failures,
                f'nv_inference_request_failure{{model="{MODEL}",version="1",reason="CANCELED"}}': time.monotonic(),
                'nv_inference_request_success{model="other",version="1"}': time.monotonic(),  # another model does well
                'nv_inference_pending_request_count{model="other",version="1"}': 1,
                f'nv_inference_pending_request_count{{model="{MODEL}",version="1"}}': running if self.has("work") else 0,
            },
        }.get(self.server, {})
        return "".join(f"{name} {value:.0f}\n" for name, value in names.items())


def reply(writer: asyncio.StreamWriter, status: int, kind: str, body: bytes) -> None:
    writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


def spin(seconds: float) -> None:
    """Uses the processor, and lets nobody else in meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("port", type=int)
    parser.add_argument("--mode", type=Path, required=True)
    parser.add_argument("--starts", type=Path)
    parser.add_argument("--asked", type=Path)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    if options.starts:
        with options.starts.open("a") as starts:
            starts.write(f"{time.monotonic():.3f} {os.getpid()}\n")
    asyncio.run(Zoo(options).run())


if __name__ == "__main__":
    main()
