#!/usr/bin/python3 -I
"""A model service in small, to be run as a unit and broken in every way. Standard library only.

    model_service.py PORT [--starts FILE] [--mode FILE] [--default MODE] [--notify]

GET /health on 127.0.0.1:PORT answers as the mode file says, which is read at each request (and ten times a second). Each start appends
"TIME PID" (CLOCK_MONOTONIC) to the starts file: the service's own count, which nothing that watches it can embellish. Modes:

    ok              200 {"status":"ok"}
    hang            accepts, never answers, uses no processor time
    busy            its loop is blocked by real work: a whole core, no answer to anybody
    NUMBER          that status, with a body that says so
    loading:SECONDS 503 until so many seconds after its start, then ok
    slow:SECONDS    ok, after that time
    body:TEXT       200 with that text
    refuse          closes its listener and its connections, and lives
    exit:CODE       ends, at once (a start in this mode ends before it listens)
    crash           ends by SIGSEGV
    oom             takes memory until somebody stops it
    stuck:FILE      writes to that file: on a frozen file system it is then in the kernel, and nothing ends it
    ignore-term     ok, and SIGTERM does nothing any more
    not-ready       as ok, but with --notify never says READY=1
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--starts", type=Path)
    parser.add_argument("--mode", type=Path)
    parser.add_argument("--default", default="ok")
    parser.add_argument("--notify", action="store_true")
    options = parser.parse_args()
    if options.starts:
        with options.starts.open("a") as starts:
            starts.write(f"{time.monotonic():.3f} {os.getpid()}\n")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Service(options).run())


class Service:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.started = time.monotonic()
        self.server: asyncio.Server | None = None

    def mode(self) -> tuple[str, str]:
        """The mode of now and its argument."""
        text = ""
        if self.options.mode:
            with contextlib.suppress(OSError):
                text = self.options.mode.read_text().strip()
        name, _, argument = (text or self.options.default).partition(":")
        return name, argument

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.terminate)
        self.obey()
        await self.listen()
        if self.options.notify and self.mode()[0] != "not-ready":
            notify("READY=1")
        while True:
            await asyncio.sleep(0.1)
            self.obey()
            await self.listen()

    def terminate(self) -> None:
        if self.mode()[0] != "ignore-term":
            os._exit(0)

    def obey(self) -> None:
        """Does what a mode wants without a request."""
        name, argument = self.mode()
        if name == "exit":
            print(f"model service: ends with {argument}", flush=True)
            os._exit(int(argument or 1))
        if name == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "oom":
            taken = []
            while True:
                taken.append(bytearray(b"x" * (1 << 20)))
        if name == "stuck":
            descriptor = os.open(argument, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(descriptor, b"x")
            os.close(descriptor)
        while name == "busy":
            sum(range(200_000))
            name = self.mode()[0]

    async def listen(self) -> None:
        """Listens, unless the mode is to refuse."""
        refuses = self.mode()[0] == "refuse"
        if refuses and self.server:
            self.server.close()
            self.server = None
        if not refuses and not self.server:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.options.port, reuse_address=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                status, body = await self.answer()
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()

    async def answer(self) -> tuple[int, bytes]:
        name, argument = self.mode()
        good = b'{"status":"ok"}'
        if name == "hang":
            await asyncio.sleep(1e6)
        if name == "refuse":
            raise ConnectionAbortedError
        if name == "slow":
            await asyncio.sleep(float(argument))
        if name == "loading" and time.monotonic() - self.started < float(argument):
            return 503, b'{"status":"loading"}'
        if name == "body":
            return 200, argument.encode()
        if name.isdigit():
            return int(name), b'{"status":"bad"}'
        self.obey()
        return 200, good


def notify(state: str) -> None:
    """sd_notify"""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


if __name__ == "__main__":
    main()
