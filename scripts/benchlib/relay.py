"""A longer line to a server on this machine: relay.py LISTEN_PORT SERVER_PORT MILLISECONDS LOG.

What either side says arrives so much later; nothing else is slower. A new connection takes a way there and back before
its first byte leaves, as it would on such a line. Each connection that ends adds a line to LOG: requests of HTTP, bytes
to the server, bytes from it.
"""

import asyncio
import contextlib
import socket
import sys

CHUNK = 256 << 10


async def main():
    listen, server, delay, log = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000, sys.argv[4]

    async def serve(reader, writer):
        """Bytes wait in the client's buffers while the connection is being made."""
        await asyncio.sleep(2 * delay)
        there, back = await asyncio.open_connection("127.0.0.1", server)
        for end in (writer, back):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up, down = Way(reader, back, delay), Way(there, writer, delay)
        await asyncio.gather(up.run(), down.run())
        with open(log, "a") as file:
            file.write(f"{up.requests} {up.bytes} {down.bytes}\n")

    async with await asyncio.start_server(serve, "127.0.0.1", listen) as listener:
        await listener.serve_forever()


class Way:
    """One direction of a connection."""

    def __init__(self, reader, writer, delay):
        self.reader = reader
        self.writer = writer
        self.delay = delay
        self.under_way = asyncio.Queue()
        self.requests = self.bytes = 0

    async def run(self):
        arriving = asyncio.create_task(self.arrive())
        end = b"."
        while end:
            try:
                end = await self.reader.read(CHUNK)
            except OSError:
                end = b""
            self.bytes += len(end)
            self.requests += end.count(b" HTTP/1.1\r\n")
            self.under_way.put_nowait((asyncio.get_running_loop().time() + self.delay, end))
        await arriving

    async def arrive(self):
        loop = asyncio.get_running_loop()
        while True:
            when, piece = await self.under_way.get()
            await asyncio.sleep(max(0, when - loop.time()))
            with contextlib.suppress(OSError):
                if not piece:
                    if self.writer.can_write_eof():
                        self.writer.write_eof()
                    return
                self.writer.write(piece)
                await self.writer.drain()


asyncio.run(main())
