"""Streams that take the places of a limit on requests in flight, and are let go again."""

import asyncio
import time

from .model import Expect, Held
from .servers import PLACES
from .traffic import ESTIMATE, MEASURED, PARTIAL, RESERVED, Seen, reset, wire

CLIENT = "places-0"
EXPECT = Expect({"allow": {200, 499}, "deny concurrency_exceeded": {429}}, (4, ESTIMATE), (0, 1),
                MEASURED | PARTIAL, RESERVED)


class Place:
    def __init__(self, asked, held, writer):
        self.asked, self.held, self.writer = asked, held, writer


class Places:
    """`grace` tells for how long a place may stay taken when its stream has ended, in seconds."""

    def __init__(self, run, mix, grace):
        self.run, self.mix, self.grace = run, mix, grace
        self.held, self.open = [], []
        self.refused = 0

    async def take(self):
        """One more stream: whether it has a place. None: it got no answer."""
        asked = self.mix.new("place", CLIENT, EXPECT)
        asked.left = True
        headers = self.mix.headers(asked, CLIENT, X_Mock_Tokens=1, X_Mock_Hold=1)
        asked.sent = time.monotonic()
        held = Held(asked.sent, float("inf"), False)
        self.held.append(held)
        writer, seen = None, Seen()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.run.servers.port)
            writer.write(wire("/v1/chat/completions", self.mix.body(True), headers))
            seen.data = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass
        seen.note(asked)
        place = Place(asked, held, writer)
        if asked.status == 200:
            held.answered = time.monotonic()
            # Killed between its answer and now.
            if self.run.book.is_killed(asked):
                self.let_go(place)
                return None
            self.open.append(place)
            return True
        if asked.status == 429:
            held.answered, held.refused = time.monotonic(), True
            self.refused += 1
            asked.left = False
            asked.whole = True
            asked.ended = held.answered
            writer.close()
            return False
        self.let_go(place)
        return None

    def let_go(self, place):
        now = time.monotonic()
        place.held.closed = min(place.held.closed, now)
        place.held.free = min(place.held.free, now + self.grace())
        place.asked.ended = min(place.asked.ended, now)
        if place.writer is not None:
            reset(place.writer)
        if place in self.open:
            self.open.remove(place)

    def killed(self, pids, moment):
        """These workers have died: what they held is gone."""
        for place in [one for one in self.open if one.asked.worker in pids]:
            place.held.closed = moment
            place.held.free = time.monotonic() + self.grace()
            self.let_go(place)

    async def churn(self, stopped):
        """Takes places and gives them back, until it is stopped."""
        generator = self.mix.generator
        while not stopped():
            for _ in range(generator.randint(1, PLACES + 1)):
                await self.take()
            await asyncio.sleep(generator.random() * 0.2)
            for place in list(self.open):
                if place in self.open and generator.random() < 0.6:
                    self.let_go(place)
            await asyncio.sleep(generator.random() * 0.1)
        self.let_all_go()

    def let_all_go(self):
        for place in list(self.open):
            self.let_go(place)

    async def all_free(self, since, patience):
        """Whether all places are free, no later than that after a moment, and no more than all: what is wrong."""
        while len(self.open) < PLACES and time.monotonic() < since + max(patience, 5.0):
            if not await self.take():
                await asyncio.sleep(0.01)
        took = time.monotonic() - since
        problems = []
        if len(self.open) < PLACES:
            problems.append(f"a place is kept: {len(self.open)} of {PLACES} are free after {took:.1f} s")
        elif took > patience:
            problems.append(f"a place is kept for {took:.2f} s, of {patience:.2f} s")
        elif await self.take():
            problems.append(f"wrong admission: more than {PLACES} in flight")
        self.let_all_go()
        return problems
