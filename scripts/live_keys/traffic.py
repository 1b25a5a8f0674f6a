"""Requests to every worker, all the time."""

import asyncio
import contextlib


class Traffic:
    """Asks until it is stopped; what came of it is in `seen`, as (credential, Answer)."""

    def __init__(self, servers, requests, may_close=lambda worker: False):
        # `requests`: the text of a request by the name of its credential.
        self.servers, self.requests, self.may_close = servers, requests, may_close
        self.seen = []
        self.failures = []
        self.stopped = False
        self.tasks = []

    def start(self, place, choose, pause):
        """One more connection to the worker at this place; `choose` names the next credential."""
        self.tasks.append(asyncio.create_task(self.ask(place, choose, pause)))

    async def ask(self, place, choose, pause):
        connection = None
        while not self.stopped:
            try:
                if connection is None:
                    connection = await self.servers.connect(place)
                credential = choose()
                answer = await connection.ask(self.requests[credential])
                self.seen.append((credential, answer))
            except (OSError, asyncio.IncompleteReadError) as error:
                if not self.may_close(connection.worker):
                    self.failures.append(f"worker {connection.worker}: {error!r}")
                connection.close()
                connection = None
            await asyncio.sleep(pause)
        if connection is not None:
            connection.close()

    async def stop(self):
        self.stopped = True
        await asyncio.gather(*self.tasks)

    @contextlib.asynccontextmanager
    async def running(self, ready=0.3):
        """Stops it when the block ends. It begins when every connection is there."""
        while len(self.seen) < len(self.tasks):
            if any(task.done() for task in self.tasks):
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(ready)
        try:
            yield self
            # What was decided in the end counts, too.
            await asyncio.sleep(0.1)
        finally:
            await self.stop()
