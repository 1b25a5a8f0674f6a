"""Faults of the engine: one that dies, stalls, breaks off, or sends what is no answer."""

import asyncio
import json
import signal
import time

from . import servers, traffic
from .model import Expect

ESTIMATED, PARTIAL, NONE = frozenset(("estimated",)), frozenset(("partial",)), frozenset(("none",))
GUESS, BOUND = traffic.ESTIMATE, traffic.BOUND
# nginx waits so long for the next piece of an answer.
READ_TIMEOUT = 0.4

LOCATIONS = """
        location /odd/ {{
            proxy_read_timeout {timeout}ms;
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:{port}/;
        }}
"""

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "
CHUNK = b'data: {"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'

BEGIN = CHUNK.replace(b'"content":"word"', b'"role":"assistant","content":""')


def answer(text, kind=b"application/json", length=None):
    return HEAD + kind + b"\r\nContent-Length: %d\r\n\r\n" % (len(text) if length is None else length) + text


def chat(usage, content="word"):
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    ], "usage": usage}).encode()


def events(*more):
    return HEAD + b"text/event-stream\r\n\r\n" + CHUNK * 3 + b"".join(more)


def let_in(statuses, usage, output, breaks=False, least=0):
    """What must become of it: `output` is from and to."""
    return Expect({"allow": statuses}, (least, GUESS), output, usage, GUESS + BOUND, breaks)


RESERVED = let_in({200}, ESTIMATED, (BOUND, BOUND), least=4)
FAILED = let_in({502}, NONE, (0, 0))
# Three pieces of text have come; which is told by them, or by their length.
THREE = (3, BOUND)

# What the engine does: what it sends, how it ends, and what must become of the request. An answer that promises
# more than it brings, breaks. 9 is what nginx calls the status of an answer that has no header.
ODD = {
    "nothing": (b"", "close", FAILED),
    "nothing but a reset": (b"", "reset", FAILED),
    "silence": (b"", "stall", let_in({504}, NONE, (0, 0))),
    "half a header": (b"HTTP/1.1 200 OK\r\nContent-Ty", "close", FAILED),
    "no status": (b"HTTP/1.1 banana\r\n\r\n", "close", let_in({9, 200, 502}, ESTIMATED | NONE, (0, BOUND), True)),
    "no HTTP": (b"\x00\xff\x13garbage\r\n\r\n", "close",
                let_in({9, 200, 502}, ESTIMATED | NONE, (0, BOUND), True)),
    "a page": (answer(b"<html>Welcome</html>", b"text/html"), "close", RESERVED),
    "no JSON": (answer(b"{half of"), "close", let_in({200}, ESTIMATED | PARTIAL, (BOUND, BOUND), least=4)),
    "an empty object": (answer(b"{}"), "close", RESERVED),
    "nothing in 200": (answer(b""), "close", let_in({200}, NONE, (0, 0))),
    "less than promised": (answer(chat(None)[:60], length=4000), "close",
                           let_in({200}, PARTIAL | ESTIMATED, (1, BOUND), True)),
    "a stall in the answer": (answer(chat(None)[:60], length=4000), "stall",
                              let_in({200}, PARTIAL | ESTIMATED, (1, BOUND), True)),
    "no usage": (answer(chat(None)), "close", let_in({200}, ESTIMATED, (1, BOUND))),
    "usage as texts": (answer(chat({"prompt_tokens": "4", "completion_tokens": "5"})), "close",
                       let_in({200}, ESTIMATED, (1, BOUND))),
    "usage below nothing": (answer(chat({"prompt_tokens": -4, "completion_tokens": -5})), "close",
                            let_in({200}, ESTIMATED, (1, BOUND))),
    "usage beyond all numbers": (answer(chat({"prompt_tokens": 10**30, "completion_tokens": 10**30})), "close",
                                 Expect({"allow": {200}}, (0, 2**63), (0, 2**63),
                                        ESTIMATED | frozenset(("measured",)), GUESS + BOUND)),
    "a stream that ends without a word": (HEAD + b"text/event-stream\r\n\r\n", "close",
                                          let_in({200}, NONE | PARTIAL | ESTIMATED, (0, BOUND))),
    # Without chunks, its end looks like that of an answer; what it lacks is its end mark.
    "a stream that ends when it has begun": (HEAD + b"text/event-stream\r\n\r\n" + BEGIN, "close",
                                             let_in({200}, PARTIAL, (0, 0))),
    "a stream in chunks that ends when it has begun": (
        HEAD + b"text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BEGIN), BEGIN),
        "close", let_in({200}, PARTIAL, (0, 0), True)),
    "a stream that breaks": (events(), "close", let_in({200}, PARTIAL | ESTIMATED, THREE)),
    "a stream that is reset": (events(), "reset", let_in({200}, PARTIAL | ESTIMATED, (0, BOUND), True)),
    "a stream that stalls": (events(), "stall", let_in({200}, PARTIAL, THREE, True)),
    "garbage in a stream": (events(b"data: {no json\n\n", b"data: \xff\xfe\n\n", b"data: [DONE]\n\n"), "close",
                            let_in({200}, PARTIAL | ESTIMATED, THREE)),
    "a line without an end": (events(b"data: " + b"x" * 200_000), "close",
                              let_in({200}, PARTIAL | ESTIMATED, THREE)),
}


class OddEngine:
    """Does what the header X-Odd says."""

    def __init__(self, port):
        self.port = port

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            name = next(line for line in head.splitlines() if line.startswith("x-odd:")).partition(": ")[2]
            length = next(line for line in head.splitlines() if line.startswith("content-length:")).partition(": ")[2]
            await reader.readexactly(int(length))
            data, end, _ = ODD[list(ODD)[int(name)]]
            writer.write(data)
            await writer.drain()
            if end == "stall":
                await reader.read(1)
            if end == "reset":
                # What was sent is on its way before the reset is.
                await asyncio.sleep(0.01)
                traffic.reset(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def settings(folder):
    port = servers.free_port()
    # Numbers that an engine makes up are charged to clients that nobody else is.
    entries = [servers.entry(*one) for one in traffic.clients()] + [
        servers.entry(f"odd-{number}", "open") for number in range(len(ODD))]
    text = LOCATIONS.format(timeout=int(READ_TIMEOUT * 1000), port=port)
    return {"entries": entries, "locations": text, "more": {"odd": port}}


async def engine(run):
    odd = OddEngine(run.servers.more["odd"])
    await odd.start()
    await run.start()
    mix, names = run.mix("odd"), list(ODD)

    async def ask_odd():
        number = run.generator.randrange(len(names))
        client, expect = f"odd-{number}", ODD[names[number]][2]
        asked = mix.new(names[number].replace(" ", "-"), client, expect)
        asked.is_apart = True
        body = mix.body(stream="stream" in names[number] or "line" in names[number])
        text = traffic.wire("/odd/v1/chat/completions", body, mix.headers(asked, client, X_Odd=number))
        await traffic.ask(run.servers.port, asked, text)
        run.counts["odd answers"] += 1

    while await run.pause(0.0, 0.05):
        await asyncio.gather(*(ask_odd() for _ in range(4)))
        if run.generator.random() < 0.1:
            await die(run)
    run.charged += [f"odd-{number}" for number in range(len(names))]
    await run.finish()
    odd.server.close()


async def die(run):
    """The engine is killed in the middle of its answers, and comes back."""
    begin = time.monotonic()
    run.servers.engine.send_signal(signal.SIGKILL)
    run.servers.engine.wait()
    held = list(run.places.open)
    await asyncio.sleep(run.generator.random() * 0.3)
    run.servers.start_engine()
    run.book.outages.append((begin, time.monotonic()))
    # The streams of before are gone with it.
    for place in held:
        place.held.closed = min(place.held.closed, begin)
        run.places.let_go(place)
    run.counts["deaths of the engine"] += 1
