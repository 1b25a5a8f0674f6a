"""Sends what a case says, and reads what comes, in the pace that it says."""

import asyncio
import contextlib
import dataclasses
import socket
import struct

from . import http1, http2
from .draw import Draw

# How long a connection may take, in seconds, and how much of an answer is taken.
PATIENCE, MOST = 4.0, 1 << 20


@dataclasses.dataclass
class Case:
    """Pieces to be sent, with pauses between them in seconds; then so many bytes are read, at such a pace; then it
    ends in order, with a reset, or by closing one half."""

    number: int
    kind: str
    # It comes to the port at which HTTP/2 is spoken.
    is_h2: bool
    pieces: list
    reads: int
    slow: bool
    end: str


def pieces_of(draw, text):
    """How it is cut: mostly not, sometimes at some places, seldom at each byte."""
    kind = draw.random()
    if kind < 0.6:
        return [(text, 0.0)]
    if kind < 0.9 or len(text) > 3000:
        cuts = sorted(draw.randrange(len(text) + 1) for _ in range(draw.randint(1, 6)))
        return [(text[begin:end], draw.choice([0.0, 0.0, 0.002, 0.03])) for begin, end in zip([0, *cuts], [*cuts, len(text)])]
    step = draw.choice([1, 1, 3, 10])
    return [(text[at:at + step], 0.0) for at in range(0, len(text), step)]


def case(seed, number, planted=b""):
    """The same for the same seed and number. `planted`: header fields, as they are sent, which some of the requests get."""
    draw = Draw(f"{seed} {number}")
    kind = "http2" if draw.random() < 0.4 else "http1"
    text = (http2 if kind == "http2" else http1).connection(draw)
    if planted and kind == "http1" and draw.random() < 0.5:
        text = text.replace(b"\r\n", b"\r\n" + planted, 1)
    if draw.random() < 0.15 and text:
        text = text[:draw.randrange(len(text))]
    reads = draw.choice([0, 1, 100, 3000, MOST, MOST, MOST, MOST])
    is_h2 = kind == "http2" if draw.random() < 0.95 else kind == "http1"
    return Case(number, kind, is_h2, pieces_of(draw, text), reads, draw.random() < 0.1, draw.choice(["close", "close", "reset", "half"]))


async def play(ports, one):
    """How many bytes came. `ports`: that of HTTP/1, and that of HTTP/2."""
    came, writer = 0, None
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", ports[one.is_h2], limit=1 << 12 if one.slow else 1 << 16)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece, pause in one.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if one.end == "half":
                writer.write_eof()
            while came < one.reads:
                # Who says nothing more within a moment has nothing more to say, mostly.
                async with asyncio.timeout(0.4):
                    some = await reader.read(64 if one.slow else 1 << 16)
                if not some:
                    break
                came += len(some)
                if one.slow:
                    await asyncio.sleep(0.001)
    except (OSError, TimeoutError):
        pass
    finally:
        if writer is not None:
            if one.end == "reset":
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()
    return came


async def round_of(ports, cases, at_once):
    """Plays them, so many at a time: the bytes that came, by kind."""
    waiting, came = iter(cases), {"http1": 0, "http2": 0}

    async def worker():
        for one in waiting:
            came[one.kind] += await play(ports, one)

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return came
