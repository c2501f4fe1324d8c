"""The target of the checks: answers every GET with 200 and counts. `GET /_count` gives the count so far. Prints its port."""

import asyncio

BODY = b'{"status":"ok"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
count = 0


class Target(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        global count
        if data.startswith(b"GET /_count "):
            body = str(count).encode()
        else:
            count += data.count(b"\r\n\r\n")
            body = BODY
        self.transport.write(ANSWER % (len(body), body))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Target, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
