"""Faults of clients: those that hang up at every byte, read slowly, write slowly, or reset."""

import asyncio
import time

from . import servers, traffic
from .model import Expect
from .traffic import ESTIMATE, Leave, MEASURED, PARTIAL, RESERVED

NONE = frozenset(("none",))


def settings(folder):
    entries = [servers.entry(*one) for one in traffic.clients()] + [servers.entry("hasty", "open")]
    return {"entries": entries}


async def hang_up(run, mix, stream, leave):
    tokens = 6
    asked, text, _ = mix.completion("hasty", "hasty", stream, tokens)
    head = text.index(b"\r\n\r\n") + 4
    if leave.side == "request" and leave.count < len(text):
        # It never came whole, and costs nothing. Before the end of its header nobody may know its id.
        asked.nameless = leave.count < head
        asked.client = "hasty" if leave.count >= head else ""
        asked.expect = Expect({"none": {400, 499, 408}, "allow": {400, 499}}, (0, 0), (0, 0), NONE, 0)
    else:
        # The request came whole; how far the engine got is not known here.
        asked.expect = Expect({"allow": {200, 499}}, (4, ESTIMATE), (0, tokens if stream else 50),
                              MEASURED | PARTIAL | (NONE if leave.count == 0 else frozenset()), RESERVED)
    seen = await traffic.ask(run.servers.port, asked, text, leave)
    if leave.side == "answer" and stream:
        traffic.charge_what_came(asked, seen)


async def clients(run):
    await run.start(flows=3)
    mix = run.mix("hasty")
    length = len(traffic.wire("/v1/chat/completions", mix.body(), mix.headers(
        mix.new("probe", "hasty", Expect({})), "hasty", X_Mock_Tokens=6)))
    mix.book.asked.popitem()
    # Every byte of the request, of an answer, and of a stream, in an order of the seed, and from the start again.
    points = [("request", count, stream) for count in range(length + 1) for stream in (False, True)]
    points += [("answer", count, False) for count in range(0, 900)]
    points += [("answer", count, True) for count in range(0, 2000)]
    run.generator.shuffle(points)
    done = 0

    async def sweep():
        nonlocal done
        while run.time_left() > 0:
            side, count, stream = points[done % len(points)]
            done += 1
            await hang_up(run, mix, stream, Leave(side, count, run.generator.random() < 0.5))

    async def slow(number):
        """Reads some bytes at a time, or writes so; the answer comes whole."""
        slow_mix = run.mix(f"slow{number}")
        while run.time_left() > 0:
            asked, text, _ = slow_mix.completion("slow", "hasty", True, 50)
            if run.generator.random() < 0.5:
                await traffic.ask(run.servers.port, asked, text, pace=run.generator.randint(20, 400))
            else:
                await write_slowly(run, asked, text)

    await asyncio.gather(*(sweep() for _ in range(8)), slow(0), slow(1))
    run.counts["hang-ups"], run.counts["points of a sweep"] = done, len(points)
    run.charged.append("hasty")
    await run.finish()


async def write_slowly(run, asked, text):
    """The request comes in pieces of a few bytes."""
    asked.sent, seen, writer = time.monotonic(), traffic.Seen(), None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", run.servers.port)
        start = 0
        while start < len(text):
            size = run.generator.randint(1, 40)
            writer.write(text[start:start + size])
            start += size
            await writer.drain()
            await asyncio.sleep(0.001)
        seen.data = await asyncio.wait_for(reader.read(-1), 30)
    except (OSError, asyncio.TimeoutError):
        pass
    finally:
        seen.note(asked)
        asked.ended = time.monotonic()
        if writer is not None:
            writer.close()
