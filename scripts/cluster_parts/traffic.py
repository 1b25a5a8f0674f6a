"""Clients on all nodes, who ask for more than their limits have, and what they saw."""

import asyncio
import contextlib
import dataclasses
import json
import re
import time

from chaos_parts.servers import key_of
from chaos_parts.traffic import reset

from .bounds import Admitted, Limit
from .servers import PORT

# What a completion takes: four words in, so many tokens out; and what is reserved for it.
WORDS, OUTPUT = "one two three four", 6
USED = 4 + OUTPUT
PERIOD = 60

TIERS = """
    tollgate_tier bucket { requests 20r/s burst=30; }
    tollgate_tier tokens { tokens 12000/m burst=400; }
    tollgate_tier money  { budget 1000/month; }
    tollgate_tier places { concurrency 4; }
    tollgate_tier probe  { requests 9r/d; }
    tollgate_tier shared { requests 50r/s burst=50; }
    tollgate_tier wide   { requests 100000r/s; tokens 100000000/m; concurrency 1000; budget 18000000/month; }
"""
LIMITS = {
    "bucket": Limit(30, 20.0),
    "tokens": Limit(400, 12000 / PERIOD),
    "money": Limit(1000),
    "places": Limit(4, slots=True),
}
SHARED = Limit(50, 50.0)
AMOUNTS = {"bucket": 1, "tokens": USED, "money": USED, "places": 1}
# Of a node's clients, for each limit: between two requests, in seconds.
PAUSE = 0.05


def clients(schedules):
    """Those of so many schedules: each has its own, so that none has anything of another one's."""
    return [(f"{tier}-{number}", tier) for tier in (*LIMITS, "probe", "shared", "wide") for number in range(schedules)]


def wire(client, stream):
    body = json.dumps({"model": "mock", "messages": [{"role": "user", "content": WORDS}], "max_tokens": OUTPUT,
                       "stream": stream})
    more = "X-Mock-Hold: 1\r\n" if stream else ""
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"X-API-Key: {key_of(client)}\r\nX-Mock-Tokens: {OUTPUT}\r\n{more}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


@dataclasses.dataclass
class Seen:
    node: int
    client: str
    sent: float
    answered: float = 0.0
    status: int = 0
    worker: int = 0
    reason: str = ""


async def ask(node, client, stream=False, patience=30.0):
    """What became of a request; of a stream that was let in also what holds it open."""
    seen, writer = Seen(node.number, client, time.monotonic()), None
    with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        reader, writer = await asyncio.wait_for(asyncio.open_connection(node.place.front, PORT), patience)
        writer.write(wire(client, stream))
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), patience)).decode("latin-1")
        seen.answered, seen.status = time.monotonic(), int(head.split(" ", 2)[1])
        worker = re.search(r"(?i)\r\nx-worker: (\d+)", head)
        seen.worker = int(worker[1]) if worker else 0
        if stream and seen.status == 200:
            return seen, (reader, writer)
        body = (await asyncio.wait_for(reader.read(-1), patience)).decode("latin-1")
        reason = re.search(r'"code" *: *"([^"]+)"', body)
        seen.reason = reason[1] if reason else ""
    seen.answered = seen.answered or time.monotonic()
    if writer is not None:
        writer.close()
    return seen, None


class Traffic:
    """That of one schedule."""

    def __init__(self, cluster, number, generator):
        self.cluster, self.number, self.generator = cluster, number, generator
        self.seen, self.streams = [], []
        self.open = {}
        # When which worker of which node was killed.
        self.dead = {}
        self.stopping = False
        self.tasks = []
        # How late this script's own clock was.
        self.lag = 0.0

    def client(self, tier):
        return f"{tier}-{self.number}"

    def start(self):
        for node in self.cluster.nodes:
            for tier in LIMITS:
                work = self.take_places if LIMITS[tier].slots else self.complete
                self.tasks += [asyncio.create_task(work(node, tier)) for _ in range(3 if LIMITS[tier].slots else 1)]
        self.tasks.append(asyncio.create_task(self.watch()))

    async def stop(self):
        self.stopping = True
        await asyncio.gather(*self.tasks)

    async def watch(self):
        while not self.stopping:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            self.lag = max(self.lag, time.monotonic() - due)

    async def rest(self, least, most):
        await asyncio.sleep(self.generator.uniform(least, most))

    async def complete(self, node, tier):
        """Whoever wants more than the limit has."""
        while not self.stopping:
            seen, _ = await ask(node, self.client(tier))
            self.seen.append(seen)
            await self.rest(0.5 * PAUSE, 1.5 * PAUSE)

    async def take_places(self, node, tier):
        """One stream after the other, which the client ends."""
        while not self.stopping:
            seen, held = await ask(node, self.client(tier), True)
            self.seen.append(seen)
            if held is None:
                await self.rest(0.1, 0.2)
                continue
            mark = len(self.streams)
            self.streams.append(Admitted(seen.answered, float("inf")))
            self.open[mark] = seen
            # Its answer may have come in before its worker died, and be read after that.
            if (node.number, seen.worker) in self.dead:
                self.ended(mark, seen.answered)
            end = time.monotonic() + self.generator.uniform(0.1, 0.8)
            while time.monotonic() < end and not self.stopping and mark in self.open:
                await asyncio.sleep(0.02)
            self.ended(mark)
            reset(held[1])
            await self.rest(0.0, 0.05)

    def ended(self, mark, moment=None):
        if self.open.pop(mark, None) is not None:
            self.streams[mark] = Admitted(self.streams[mark].begin, moment or time.monotonic())

    def killed(self, node, workers, moment):
        """These workers are about to die, with what they hold."""
        self.dead.update({(node.number, worker): moment for worker in workers})
        for mark, seen in list(self.open.items()):
            if seen.node == node.number and seen.worker in workers:
                self.ended(mark, moment)

    def admitted(self, tier):
        if LIMITS[tier].slots:
            return self.streams
        client = self.client(tier)
        return [Admitted(seen.sent, seen.answered, AMOUNTS[tier])
                for seen in self.seen if seen.client == client and seen.status == 200]
