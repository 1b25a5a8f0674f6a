"""Requests as streams of one HTTP/2 connection. What is read of an answer is what the model judges by."""

import asyncio
import contextlib
import struct
import time

from . import traffic

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32
WINDOW = 1 << 30

# RFC 7541, appendix B, of the characters that names and numbers have: codes of the same length follow each other.
CODES = {
    (length, first + index): character
    for length, first, characters in ((5, 0, "012aceiost"), (6, 20, " %-./3456789=A_bdfghlmnpru"),
                                      (7, 92, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"))
    for index, character in enumerate(characters)
}
# Of the static table, what nginx uses for a status.
STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
STATUS_NAMES = range(8, 15)


def unpacked(data):
    """A text in Huffman's code; None where it has other characters than those above."""
    found, code, length = "", 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            if (length, code) in CODES:
                found, code, length = found + CODES[length, code], 0, 0
            elif length > 7:
                return None
    return found


class Fields:
    """The status, and the number of the worker, of a block of header fields."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.status, self.worker = 0, 0
        while self.at < len(data):
            self.field()

    def integer(self, bits):
        most = (1 << bits) - 1
        number = self.data[self.at] & most
        self.at += 1
        if number < most:
            return number
        shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            number += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def text(self):
        is_packed = self.data[self.at] & 128
        length = self.integer(7)
        some = self.data[self.at:self.at + length]
        self.at += length
        return unpacked(some) if is_packed else some.decode("latin-1")

    def field(self):
        first = self.data[self.at]
        if first & 128:
            self.status = STATUSES.get(self.integer(7), self.status)
            return
        if first & 224 == 32:
            self.integer(5)
            return
        index = self.integer(6 if first & 64 else 4)
        name = index if index else self.text()
        value = self.text()
        if name in STATUS_NAMES and value is not None:
            self.status = int(value)
        elif name == "x-worker" and value is not None:
            self.worker = int(value)


def literal(name, value):
    """A header field, without any table. Longer ones than 126 bytes have their length in two parts."""
    def text(value):
        data = value.encode()
        if len(data) < 127:
            return bytes([len(data)]) + data
        rest, length = len(data) - 127, b"\x7f"
        while rest >= 128:
            length, rest = length + bytes([rest & 127 | 128]), rest >> 7
        return length + bytes([rest]) + data

    return b"\0" + text(name) + text(value)


def block_of(wire):
    """What a request of HTTP/1 is as header fields, and its body."""
    head, _, body = wire.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    method, path, _ = line.split(" ")
    block = b"".join(literal(*one) for one in (
        (":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")))
    for line in lines:
        name, _, value = line.partition(": ")
        if name.lower() not in ("host", "connection"):
            block += literal(name.lower(), value)
    return block, body


def frame(kind, flags, stream, payload=b""):
    length = len(payload)
    return struct.pack(">BHBBI", length >> 16, length & 0xFFFF, kind, flags, stream) + payload


class Stream:
    def __init__(self, asked, leave):
        self.asked, self.leave, self.seen = asked, leave, traffic.Seen()
        self.block, self.is_over = b"", False


class Connection:
    """One connection, for some requests at once."""

    def __init__(self, book):
        self.book, self.streams, self.last, self.writer, self.since = book, {}, None, None, 0.0

    async def ask(self, way, requests, patience=30.0):
        """`requests`: what a mix makes. What was seen of each."""
        # A worker that has taken the connection may die before anything is sent.
        self.since = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                reader, self.writer = await way.connect()
                self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WINDOW))
                          + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW)))
                for number, (asked, wire, leave) in enumerate(requests):
                    self.begin(2 * number + 1, asked, wire, leave)
                await self.writer.drain()
                while any(not one.is_over for one in self.streams.values()):
                    await self.read(reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            self.end(requests)
        return [one.seen for one in self.streams.values()]

    def send(self, data):
        if not self.writer.is_closing():
            self.writer.write(data)

    def begin(self, number, asked, wire, leave):
        asked.sent, asked.left = self.since, leave is not None
        self.streams[number] = Stream(asked, leave)
        block, body = block_of(wire)
        self.send(frame(HEADERS, END_HEADERS, number, block) + frame(DATA, END_STREAM, number, body))
        if leave is not None and leave.count == 0:
            self.leave(number)

    def leave(self, number):
        self.send(frame(RST_STREAM, 0, number, struct.pack(">I", 8)))
        self.over(number)

    def over(self, number):
        one = self.streams[number]
        if not one.is_over:
            one.is_over, one.asked.ended = True, time.monotonic()

    async def read(self, reader):
        high, low, kind, flags, number = struct.unpack(">BHBBI", await reader.readexactly(9))
        payload = await reader.readexactly(high << 16 | low)
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind == GOAWAY:
            self.last = struct.unpack(">I", payload[:4])[0]
            for later in [one for one in self.streams if one > self.last]:
                self.over(later)
        one = self.streams.get(number)
        if one is None or one.is_over:
            return
        if flags & PADDED and kind in (DATA, HEADERS):
            payload = payload[1:len(payload) - payload[0]]
        if kind in (HEADERS, CONTINUATION):
            one.block += payload[5:] if kind == HEADERS and flags & PRIORITY else payload
            if flags & END_HEADERS and not one.asked.status:
                fields = Fields(one.block)
                one.asked.status, one.asked.worker = fields.status, fields.worker
        if kind == DATA:
            one.seen.data += payload
            if one.leave is not None and len(one.seen.data) >= one.leave.count:
                self.leave(number)
                return
        if kind == RST_STREAM:
            self.over(number)
        elif flags & END_STREAM and kind in (DATA, HEADERS):
            one.asked.whole = True
            self.over(number)

    def end(self, requests):
        now = time.monotonic()
        for number, one in self.streams.items():
            self.over(number)
            # A worker that goes takes no streams behind the last one that it names; whoever was quicker than that
            # message sees only the end.
            is_refused = number > self.last if self.last is not None else self.book.moved_since(one.asked.sent)
            if not one.asked.status and is_refused:
                one.asked.left = one.asked.nameless = True
        for asked, _, _ in requests[len(self.streams):]:
            asked.sent, asked.ended, asked.left, asked.nameless = self.since, now, True, True
        if self.writer is not None:
            with contextlib.suppress(OSError):
                self.writer.close()


async def flow(way, mix, book, stopped, pause=0.0):
    """Some requests at once on each connection, until it is stopped."""
    while not stopped():
        requests = [mix.next() for _ in range(mix.generator.choice((1, 2, 4, 8)))]
        seen = await Connection(book).ask(way, requests)
        for (asked, _, _), one in zip(requests, seen):
            if asked.kind == "aborted":
                traffic.charge_what_came(asked, one)
        if pause:
            await asyncio.sleep(pause)
