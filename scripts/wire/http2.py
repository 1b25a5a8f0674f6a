"""Connections of HTTP/2: frames in and out of order. Written by hand, as a library would refuse to write most of it."""

import struct

from . import bodies

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, PRIORITISED, ACK = 0x1, 0x4, 0x8, 0x20, 0x1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    length = len(payload)
    return struct.pack(">BHBBI", length >> 16, length & 0xFFFF, kind, flags, stream & 0xFFFFFFFF) + payload


def integer(number, bits, first):
    """RFC 7541 5.1."""
    most = (1 << bits) - 1
    if number < most:
        return bytes([first | number])
    found, number = bytes([first | most]), number - most
    while number >= 128:
        found, number = found + bytes([number % 128 | 128]), number // 128
    return found + bytes([number])


def text_of(draw, value):
    data = value.encode("latin-1", "replace") if isinstance(value, str) else value
    if draw.odd(0.01):
        # Said to be in Huffman's code, which it isn't.
        return integer(len(data), 7, 0x80) + data
    return integer(len(data), 7, 0) + data


def field(draw, name, value):
    """One header field, in one of the ways in which it can be written."""
    kind = draw.random()
    if not draw.odd(0.3):
        kind = 0.03 + 0.94 * kind
    if kind < 0.02:
        return integer(draw.choice([0, 1, 2, 8, 61, 62, 63, 100, 5000]), 7, 0x80)
    if kind < 0.03:
        return integer(draw.choice([0, 100, 4096, 5000, 2**20]), 5, 0x20)
    first = 0x40 if kind < 0.35 else 0x10 if kind < 0.45 else 0
    if kind > 0.98:
        return integer(draw.choice([1, 4, 15, 62, 70, 999]), 6 if first == 0x40 else 4, first) + text_of(draw, value)
    return bytes([first]) + text_of(draw, name) + text_of(draw, value)


def block(draw, has_body):
    path = "".join(bodies.path(draw))
    method = "POST" if has_body else draw.choice(["GET", "OPTIONS", "HEAD", "DELETE"])
    pseudo = [(":method", method), (":scheme", draw.pick(["http"], ["https", ""], 0.1)), (":path", path),
              (":authority", draw.pick(["localhost"], ["", "a b"], 0.1))]
    if draw.odd(0.05):
        pseudo = draw.choice([pseudo[1:], pseudo * 2, pseudo[::-1], pseudo + [(":x", "y")], pseudo[:2]])
    found = [(name.lower(), value) for name, value in bodies.credentials(draw) + bodies.fields(draw)]
    if draw.odd(0.1):
        found.append(draw.choice([("Upper", "x"), ("connection", "close"), ("transfer-encoding", "chunked"), ("te", "trailers"),
                                  ("content-length", "5"), ("content-length", "-1"), ("host", "other"), ("a b", "c"),
                                  ("x", "a\r\nX-API-Key: key-wide-0"), ("x", "a\0b"), ("", "empty"), ("cookie", "a=1"),
                                  ("expect", "100-continue"), ("x", " space ")]))
    if draw.odd(0.03):
        found += pseudo[:1]
    return path, b"".join(field(draw, name, value) for name, value in pseudo + found)


def headers(draw, stream, data, is_end):
    """A block in one frame, or with CONTINUATION; padded, with a priority."""
    flags, before, after = END_STREAM if is_end else 0, b"", b""
    if draw.odd(0.1):
        flags |= PADDED
        pad = draw.choice([0, 1, 255])
        before, after = bytes([pad if draw.random() < 0.9 else 255]), bytes(pad)
    if draw.random() < 0.1:
        flags |= PRIORITISED
        before += struct.pack(">IB", draw.choice([0, stream, 1, 2**31 + 3]), draw.randrange(256))
    if draw.random() < 0.85:
        return frame(HEADERS, flags | END_HEADERS, stream, before + data + after)
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.choice([1, 2, 5, 40])))
    pieces = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)])]
    text = frame(HEADERS, flags, stream, before + pieces[0] + after)
    for number, piece in enumerate(pieces[1:]):
        is_last = number == len(pieces) - 2
        if draw.odd(0.02):
            text += other(draw, stream)
        text += frame(CONTINUATION, END_HEADERS if is_last and not draw.odd(0.02) else 0, stream, piece)
    return text


def other(draw, stream):
    """A frame that is none of a request."""
    kind = draw.randrange(12)
    some = draw.choice([stream, 0, 1, stream + 2, 2, 2**31 - 1])
    if kind == 0:
        return frame(RST, 0, some, struct.pack(">I", draw.choice([0, 8, 2, 2**32 - 1])))
    if kind == 1:
        return frame(WINDOW, 0, some, struct.pack(">I", draw.choice([0, 1, 100, 65_535, 2**31 - 1, 2**31])))
    if kind == 2:
        settings = [(draw.choice([1, 2, 3, 4, 5, 6, 8, 99]), draw.choice([0, 1, 100, 16_384, 65_535, 2**24, 2**31, 2**32 - 1]))
                    for _ in range(draw.choice([0, 1, 3, 50]))]
        return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *one) for one in settings))
    if kind == 3:
        return frame(PRIORITY, 0, some, struct.pack(">IB", draw.choice([0, some, 1]), draw.randrange(256)))
    if kind == 4:
        return frame(PING, draw.choice([0, ACK]), 0, draw.randbytes(8))
    if kind == 5:
        return frame(draw.randrange(256), draw.randrange(256), some, draw.randbytes(draw.choice([0, 1, 4, 5, 8, 200])))
    if kind == 6:
        return frame(SETTINGS, ACK, 0, b"")
    if kind == 7:
        return frame(DATA, draw.choice([0, END_STREAM]), some, draw.randbytes(draw.choice([0, 1, 16_384])))
    if kind == 8:
        return frame(GOAWAY, 0, 0, struct.pack(">II", some, 0))
    if kind == 9:
        return frame(PUSH, END_HEADERS, some, b"\0\0\0\2\x82")
    if kind == 10:
        # A flood, as small as one can be.
        one = draw.choice([frame(PING, 0, 0, bytes(8)), frame(SETTINGS, 0, 0, b""), frame(PRIORITY, 0, stream, bytes(5)),
                           frame(WINDOW, 0, 0, b"\0\0\0\1"), frame(DATA, 0, stream, b"")])
        return one * draw.choice([10, 200, 1500])
    return draw.choice([b"\0\0\0", frame(DATA, 0, 0, b"x"), b"\xff" * 9, frame(HEADERS, END_HEADERS, 0, b"\x82"),
                        frame(WINDOW, 0, 0, b"\0\0\1"), frame(RST, 0, stream, b""), frame(CONTINUATION, END_HEADERS, stream, b"")])


def data_frames(draw, stream, data):
    text = b""
    pieces = [data]
    if data and draw.random() < 0.5:
        size = draw.choice([1, 10, 1000, 16_384]) if len(data) < 4000 else 16_384
        pieces = [data[at:at + size] for at in range(0, len(data), size)]
    elif len(data) > 16_384:
        pieces = [data[at:at + 16_384] for at in range(0, len(data), 16_384)]
    for number, piece in enumerate(pieces):
        flags = END_STREAM if number == len(pieces) - 1 else 0
        if draw.random() < 0.05:
            pad = draw.choice([0, 5, 200])
            text += frame(DATA, flags | PADDED, stream, bytes([pad]) + piece + bytes(pad))
        else:
            text += frame(DATA, flags, stream, piece)
        if draw.odd(0.04):
            text += other(draw, stream)
    return text


def connection(draw):
    """What is sent on one connection."""
    text = PREFACE
    window = draw.choice([0, 10, 65_535, 2**20, 2**20, 2**20, 2**31 - 1])
    text += frame(SETTINGS, 0, 0, struct.pack(">HI", 4, window))
    if draw.random() < 0.7:
        text += frame(WINDOW, 0, 0, struct.pack(">I", 2**30))
    stream, waiting = 1, []
    for _ in range(draw.choice([1, 1, 2, 4, 12, 40])):
        has_body = draw.random() < 0.85
        path, fields = block(draw, has_body)
        text += headers(draw, stream, fields, not has_body)
        if has_body:
            rest = data_frames(draw, stream, bodies.body(draw, path))
            if draw.random() < 0.3:
                waiting.append(rest)
            else:
                text += rest
        if waiting and draw.random() < 0.5:
            text += waiting.pop(draw.randrange(len(waiting)))
        if draw.random() < 0.12:
            # It has changed its mind: as CVE-2023-44487 has it, when there are many.
            text += frame(RST, 0, stream, b"\0\0\0\x08")
        if draw.odd(0.3):
            text += other(draw, stream)
        stream += draw.pick([2], [4, 0, 1], 0.02)
    text += b"".join(waiting)
    for _ in range(draw.choice([0, 0, 1, 3])):
        text += frame(WINDOW, 0, draw.choice([0, 1, 3]), struct.pack(">I", draw.choice([1, 1000, 2**20])))
    if draw.odd(0.1):
        text = text[:len(PREFACE)] + bodies.mutated(draw, text[len(PREFACE):])
    if draw.odd(0.02):
        text = bodies.mutated(draw, text[:30]) + text[30:]
    return text
