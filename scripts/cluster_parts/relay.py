"""The way of the nodes to the store: a relay that can be slow, and lead to another store. What it is told comes by its
input, a line each: `delay THERE BACK`, in seconds, `to ADDRESS` (which ends the connections there are). It is a process
of its own, so that nothing else that this script does makes it slow."""

import asyncio
import sys

PORT = 6379


class Relay:
    def __init__(self, address):
        self.address, self.delays = address, [0.0, 0.0]
        self.writers = set()

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            there, back = await asyncio.wait_for(asyncio.open_connection(self.address, PORT), 5)
        except (OSError, asyncio.TimeoutError):
            self.end(writer)
            return
        self.writers.add(back)
        await asyncio.gather(self.carry(reader, back, 0), self.carry(there, writer, 1))
        self.end(writer)
        self.end(back)

    def end(self, writer):
        self.writers.discard(writer)
        writer.transport.abort()

    async def carry(self, reader, writer, way):
        """Bytes keep their order, whatever the delay becomes."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue()

        async def deliver():
            while (item := await queue.get()) is not None:
                due, data = item
                await asyncio.sleep(max(0.0, due - loop.time()))
                writer.write(data)

        task = asyncio.create_task(deliver())
        try:
            while data := await reader.read(1 << 16):
                queue.put_nowait((loop.time() + self.delays[way], data))
        except OSError:
            pass
        queue.put_nowait(None)
        await task
        self.end(writer)

    def told(self, line):
        word, *values = line.split()
        if word == "delay":
            self.delays = [float(value) for value in values]
        elif word == "to":
            self.address, = values
            for writer in list(self.writers):
                self.end(writer)


async def main(listen, address):
    relay = Relay(address)
    await asyncio.start_server(relay.serve, listen, PORT)
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := await reader.readline():
        relay.told(line.decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
