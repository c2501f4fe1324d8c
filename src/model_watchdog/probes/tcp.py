"""Opens a TCP connection and closes it: somebody listens. Whether he answers, only a question of his own protocol can tell."""

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import ClassVar

from model_watchdog.connecting import explain
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds
from model_watchdog.errors import ProbeError
from model_watchdog.probes import Observation, Surroundings
from model_watchdog.resolver import resolver

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})")


@dataclass(frozen=True)
class Tcp:
    """The kind `tcp`: `address` is HOST:PORT, or [ADDRESS]:PORT for IPv6."""

    address: str

    default_every: ClassVar[Seconds] = Seconds(30.0)

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        if _split(self.address) is None:
            return [f'"{self.address}" is not HOST:PORT; write it like 127.0.0.1:8001, localhost:6379 or "[::1]:8001"']
        return []

    def open(self, surroundings: Surroundings) -> "_Running":
        parts = _split(self.address)
        assert parts is not None, "checked by faults()"
        return _Running(*parts, surroundings.timeout)


class _Running:
    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout

    async def observe(self) -> Observation:
        """Connects once, to the first address that takes it. Raises ProbeError (refused, timeout, dns, watcher …)."""
        looking_up = True
        try:
            async with asyncio.timeout(self._timeout):
                addresses = await resolver.resolve(self._host)
                looking_up = False
                await self._connect(addresses)
        except TimeoutError:
            if looking_up:  # the target was not even asked
                raise ProbeError(Failure.DNS, f"the name {self._host} was not looked up within {self._timeout:g} s") from None
            raise ProbeError(Failure.TIMEOUT, f"no connection within {self._timeout:g} s") from None
        return Observation(detail="connected")

    async def close(self) -> None:
        pass

    async def _connect(self, addresses: tuple[str, ...]) -> None:
        """Each address but the last gets its share of the deadline; of the failures, the last one's is told."""
        for address in addresses[:-1]:
            try:
                async with asyncio.timeout(self._timeout / len(addresses)):
                    await self._knock(address)
                return
            except OSError:  # a time-out is one, too
                continue
        try:
            await self._knock(addresses[-1])
        except OSError as error:
            raise _classify(error) from None

    async def _knock(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as knocking:
            await asyncio.get_running_loop().sock_connect(knocking, (address, self._port))
            if knocking.getsockname() == knocking.getpeername():
                # the kernel gave us, as our own port, the very port that nobody listens on, and connected us with ourselves
                raise ConnectionRefusedError


def _split(address: str) -> tuple[str, int] | None:
    """Host and port; None where it is not HOST:PORT."""
    parts = _ADDRESS.fullmatch(address)
    if parts is None or not 1 <= int(parts[3]) <= 65535:
        return None
    return parts[1] or parts[2], int(parts[3])


def _classify(error: OSError) -> ProbeError:
    return explain(error) or ProbeError(Failure.CONNECTION_LOST, f"no connection: {error.strerror or type(error).__name__}")
