"""Connections of HTTP/1: pipelines of requests, of all framings, also of those by which requests are smuggled."""

from . import bodies

METHODS = ["POST"] * 6 + ["GET"]
ODD_METHODS = ["OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "post", "X" * 40]
ODD_VERSIONS = ["HTTP/1.0", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.1 ", "HTCPCP/1.0"]


def chunked(draw, data):
    """The body in chunks, as the RFC has them, or as somebody would have them who means harm."""
    text, at = b"", 0
    while at < len(data):
        size = draw.choice([1, 5, 100, 4096, len(data)])
        piece = data[at:at + size]
        at += size
        number = b"%x" % len(piece)
        odd = draw.random() / max(draw.oddness, 0.001)
        if odd < 0.03:
            number = draw.choice([b"0x" + number, b"+" + number, b"00000000" + number, number + b" ", b"-1", b"f" * 16,
                                  b"7fffffffffffffff", b"", b"g", b"%X" % (len(piece) + 1)])
        elif odd < 0.08:
            number += draw.choice([b";x=y", b';a="b"', b";", b";" + b"e" * 300])
        end = draw.choice([b"\n", b"\r", b"", b"\r\n\r\n"]) if draw.odd(0.02) else b"\r\n"
        text += number + b"\r\n" + piece + end
        if len(text) > 600_000:
            break
    end = b"0\r\n\r\n"
    if draw.odd(0.2):
        end = draw.choice([b"0\r\nX-Trailer: 1\r\n\r\n", b"0\r\n", b"", b"0\n\n", b"0\r\n\r\n\r\n",
                           b"0\r\nContent-Length: 5\r\nX-API-Key: key-wide-0\r\n\r\n"])
    return text + end


def framing(draw, data):
    """Header fields that say how long the body is, and the body as it is sent."""
    kind = draw.random()
    if not draw.odd(0.8):
        kind *= 0.8
    length = ("Content-Length", str(len(data)))
    if kind < 0.60:
        return [length], data
    if kind < 0.82:
        return [("Transfer-Encoding", "chunked")], chunked(draw, data)
    if kind < 0.84:
        return [], data
    if kind < 0.88:
        both = [length, ("Transfer-Encoding", "chunked")]
        draw.shuffle(both)
        return both, draw.choice([data, chunked(draw, data)])
    if kind < 0.92:
        coding = draw.choice(["chunked, identity", "identity", "gzip, chunked", "xchunked", " chunked", "Chunked", "chunked\t",
                              "chunked\r\n gzip", "\x0bchunked"])
        return [("Transfer-Encoding", coding)], chunked(draw, data)
    if kind < 0.95:
        other = draw.choice([f"{len(data) + 7}", f"{max(0, len(data) - 7)}", f"+{len(data)}", f"{len(data)} ", "-1", "9" * 30,
                             f"{len(data)}, {len(data)}", f"0{len(data)}", "0x10", ""])
        return [("Content-Length", other)], data
    if kind < 0.97:
        return [length, ("Content-Length", str(len(data) + 1))], data
    return [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], chunked(draw, data)


def request(draw, is_last):
    """One request: the bytes."""
    place, path = bodies.path(draw)
    method = draw.pick(METHODS, ODD_METHODS)
    data = bodies.body(draw, path) if method not in ("GET", "HEAD", "OPTIONS") or draw.odd(0.1) else b""
    if draw.odd(0.1):
        # What a server that reads the framing otherwise would take for the next request.
        data = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-API-Key: key-wide-0\r\nX-Request-ID: smuggled\r\n"
                f"Content-Length: {draw.randint(0, 50)}\r\n\r\n").encode() + data
    headers = [("Host", draw.pick(["localhost"], ["", "a b", "[::1]", "x" * 300], 0.1))]
    if data or method == "POST":
        more, data = framing(draw, data)
        headers += more + [("Content-Type", draw.pick(["application/json"],
                                                 ["text/plain", "multipart/form-data; boundary=x"], 0.1))]
    headers += bodies.credentials(draw) + bodies.fields(draw)
    if draw.random() < 0.03:
        headers.append(("Expect", "100-continue"))
    if draw.odd(0.06):
        headers += [("Connection", draw.choice(["Upgrade", "upgrade, HTTP2-Settings", "close, X-API-Key", "keep-alive"])),
                    ("Upgrade", draw.choice(["websocket", "h2c", "x"])), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    elif is_last and draw.random() < 0.7:
        headers.append(("Connection", "close"))
    if draw.odd(0.05):
        headers = headers * 2
    if draw.random() < 0.3:
        draw.shuffle(headers)
    target = place + path
    if draw.odd(0.1):
        target = draw.choice([f"http://other{target}", target + "?" + "q" * 9000, target.replace("/", "\\"), target + "%zz",
                              target + ";x", target.upper()])
    version = draw.pick(["HTTP/1.1"], ODD_VERSIONS, 0.2)
    line = f"{method} {target} {version}"
    if draw.odd(0.02):
        # As HTTP/0.9 had it.
        return f"GET {target}\r\n".encode()
    end = "\n" if draw.odd(0.03) else "\r\n"
    colon = draw.choice([" :", ":", ":\t", ":\r\n "]) if draw.odd(0.02) else ": "
    head = line + end + "".join(f"{name}{colon}{value}{end}" for name, value in headers) + end
    text = head.encode("latin-1", "replace")
    if draw.odd(0.1):
        text = bodies.mutated(draw, text)
    return text + data


def connection(draw):
    """What is sent on one connection."""
    count = draw.choice([1, 1, 1, 2, 3, 6])
    return b"".join(request(draw, number == count - 1) for number in range(count))
