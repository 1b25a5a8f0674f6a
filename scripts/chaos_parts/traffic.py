"""Requests of which the model knows what must become, and clients that send them, or do worse."""

import asyncio
import base64
import contextlib
import dataclasses
import hmac
import json
import random
import re
import socket
import struct
import time

from .model import Asked, Expect
from .servers import key_of
from .ways import Way

# The bound of the output of a chat, and what its message is: 4 tokens for the engine, and an estimate of 14.
BOUND, WORDS, ESTIMATE = 50, "one two three four", 14
RESERVED = ESTIMATE + BOUND
ALLOW, DENIED = {"allow": {200}}, frozenset(("none",))
MEASURED, PARTIAL = frozenset(("measured",)), frozenset(("partial",))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(client, secret, tier="open"):
    """An HS256 token. The clock of the machine may be set back by a day, and forward by a month."""
    claims = {"sub": client, "tier": tier, "exp": int(time.time()) + 90 * 86_400}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "one"}, claims))
    return f"{signed}.{base64url(hmac.new(secret, signed.encode(), 'sha256').digest())}"


SECRET = b"chaos" * 8
KEY_SET = json.dumps({"keys": [{"kty": "oct", "kid": "one", "alg": "HS256", "k": base64url(SECRET)}]}).encode()


def wire(path, body, headers, method="POST"):
    text = json.dumps(body) if body is not None else ""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


class Leave:
    """How a client leaves: after so many bytes of the request, or of the answer; with a reset, or in order."""

    def __init__(self, side, count, reset):
        self.side, self.count, self.reset = side, count, reset


class Mix:
    """Makes requests. One for each task that sends them, so that the seed decides what each of them does."""

    def __init__(self, book, name, seed, weights=None, renew=0.2):
        # `renew`: how often a client gets another token. Workers remember some thousand of them.
        self.book, self.name, self.renew, self.tokens = book, name, renew, {}
        self.generator = random.Random(f"{seed} {name}")
        self.quota_asked = 0
        self.weights = weights or self.USUAL
        self.own = 0

    USUAL = {"chat": 4, "stream": 4, "embeddings": 1, "stranger": 1, "denied": 1, "failed": 1, "cut": 1,
             "aborted": 2, "quota": 4, "money": 2, "jwt": 2, "forged": 1}

    def next(self):
        kinds = list(self.weights)
        kind = self.generator.choices(kinds, [self.weights[one] for one in kinds])[0]
        return getattr(self, kind)()

    def new(self, kind, client, expect):
        self.own += 1
        return self.book.add(Asked(f"{self.name}-{kind}-{self.own}", kind, client, expect))

    def headers(self, asked, client, **more):
        return {"X-Request-ID": asked.id, "X-API-Key": key_of(client),
                **{name.replace("_", "-"): value for name, value in more.items()}}

    def body(self, stream=False, model="mock"):
        return {"model": model, "messages": [{"role": "user", "content": WORDS}], "max_tokens": BOUND,
                "stream": stream}

    def open(self):
        return f"open-{self.generator.randrange(4)}"

    def length(self):
        return self.generator.randint(1, BOUND)

    def completion(self, kind, client, stream, tokens, path="/v1/chat/completions", headers=None, verdicts=ALLOW):
        expect = Expect(verdicts, (4, 4), (tokens, tokens), MEASURED, RESERVED)
        asked = self.new(kind, client, expect)
        headers = headers or self.headers(asked, client)
        headers = {**headers, "X-Request-ID": asked.id, "X-Mock-Tokens": tokens}
        return asked, wire(path, self.body(stream), headers), None

    def chat(self):
        return self.completion("chat", self.open(), False, self.length())

    def stream(self):
        return self.completion("stream", self.open(), True, self.length())

    def money(self):
        return self.completion("money", "money-0", self.generator.random() < 0.5, self.length())

    def jwt(self):
        client = self.open()
        if client not in self.tokens or self.generator.random() < self.renew:
            self.tokens[client] = token(client, SECRET)
        return self.completion("jwt", client, False, self.length(), "/jwt/v1/chat/completions",
                               {"Authorization": f"Bearer {self.tokens[client]}"})

    def forged(self):
        asked = self.new("forged", "", Expect({"deny invalid_token": {401}}))
        headers = {"X-Request-ID": asked.id, "Authorization": f"Bearer {token('open-0', b'x' * 40)}"}
        return asked, wire("/jwt/v1/chat/completions", self.body(), headers), None

    def embeddings(self):
        client = self.open()
        asked = self.new("embeddings", client, Expect(ALLOW, (4, 4), (0, 0), MEASURED, 17))
        body = {"model": "mock", "input": ["one two", "three four"]}
        return asked, wire("/v1/embeddings", body, self.headers(asked, client)), None

    def stranger(self):
        asked = self.new("stranger", "", Expect({"deny invalid_credential": {401}}))
        return asked, wire("/v1/chat/completions", self.body(), self.headers(asked, "nobody")), None

    def denied(self):
        client = self.open()
        asked = self.new("denied", client, Expect({"deny model_denied": {403}}))
        return asked, wire("/v1/chat/completions", self.body(model="other"), self.headers(asked, client)), None

    def failed(self):
        """The engine answers with an error: nothing is charged."""
        client, status = self.open(), self.generator.choice((400, 500, 503))
        asked = self.new("failed", client, Expect({"allow": {status}}, reserves=RESERVED))
        headers = self.headers(asked, client, X_Mock_Status=status)
        return asked, wire("/v1/chat/completions", self.body(), headers), None

    def cut(self):
        """The engine breaks off after some tokens of a stream."""
        client, tokens = self.open(), self.generator.randint(2, BOUND)
        after = self.generator.randint(1, tokens - 1)
        expect = Expect(ALLOW, (4, ESTIMATE), (after, after), PARTIAL, RESERVED, breaks=True)
        asked = self.new("cut", client, expect)
        headers = self.headers(asked, client, X_Mock_Tokens=tokens, X_Mock_Cut_After=after)
        return asked, wire("/v1/chat/completions", self.body(True), headers), None

    def aborted(self):
        """The client leaves somewhere in a stream. It pays for what it was sent, and for no more than was made."""
        client, tokens = self.open(), self.length()
        expect = Expect({"allow": {200, 499}}, (4, ESTIMATE), (0, tokens), PARTIAL | MEASURED, RESERVED)
        asked = self.new("aborted", client, expect)
        headers = self.headers(asked, client, X_Mock_Tokens=tokens, X_Mock_Token_Delay_Ms=1)
        leave = Leave("answer", self.generator.randint(0, 4000), self.generator.random() < 0.5)
        return asked, wire("/v1/chat/completions", self.body(True), headers), leave

    # So many requests to each client whose requests are counted, one client after the other.
    TURNS = 30

    def quota(self):
        number = self.quota_asked // self.TURNS
        self.quota_asked += 1
        if number and self.generator.random() < 0.2:
            number = self.generator.randrange(number)
        client = f"few-{number % QUOTA_CLIENTS}"
        verdicts = {"allow": {200}, "deny requests_exceeded": {429}}
        return self.completion("quota", client, False, 1, verdicts=verdicts)


QUOTA_CLIENTS = 400


def clients():
    """The clients of this traffic, each with its tier."""
    return [*((f"open-{number}", "open") for number in range(4)), ("money-0", "money"), ("places-0", "places"),
            *((f"few-{number}", "few") for number in range(QUOTA_CLIENTS))]


def reset(writer):
    """The connection ends with a reset, and not in order."""
    end = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        # Unless the other side has closed it.
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Seen:
    """An answer as it comes."""

    def __init__(self):
        self.data = b""

    def note(self, asked):
        head, end, body = self.data.partition(b"\r\n\r\n")
        # Of what an engine sends that is no HTTP, nginx makes an answer of HTTP/0.9: without a header.
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        if not end or not status:
            return
        asked.status = int(status[1])
        worker = re.search(rb"(?i)\r\nx-worker: (\d+)", head)
        asked.worker = int(worker[1]) if worker else 0
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length:
            asked.whole = len(body) >= int(length[1])
        else:
            asked.whole = body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"

    def deltas(self):
        """How many pieces of text have come in whole."""
        return len(re.findall(rb'"delta":\{[^{}]*"content":"[^"]+"[^{}]*\}.*\n', self.data))


async def ask(port, asked, text, leave=None, patience=30.0, pace=None, way=None):
    """One request on a connection of its own. `pace`: it reads so many bytes at a time, with pauses. `way`: instead of
    the port."""
    asked.sent = time.monotonic()
    seen, writer = Seen(), None
    try:
        way = way or Way("HTTP/1", port)
        reader, writer = await way.connect(1 << 12 if pace else 1 << 16)
        if leave is not None and leave.side == "request":
            asked.left = True
            writer.write(text[:leave.count])
            await writer.drain()
            await asyncio.sleep(0)
            return seen
        writer.write(text)
        if leave is not None:
            asked.left = True
        deadline = asked.sent + patience
        while leave is None or len(seen.data) < leave.count:
            most = min(pace or 1 << 16, leave.count - len(seen.data) if leave else 1 << 16)
            some = await asyncio.wait_for(reader.read(most), deadline - time.monotonic())
            if not some:
                break
            seen.data += some
            if pace:
                await asyncio.sleep(0.001)
        return seen
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
        return seen
    finally:
        seen.note(asked)
        if writer is not None:
            reset(writer) if leave is not None and leave.reset else writer.close()
        asked.ended = time.monotonic()


async def flow(way, mix, stopped, pause=0.0):
    """Sends what the mix says, one after the other, until it is stopped."""
    while not stopped():
        asked, text, leave = mix.next()
        seen = await ask(way.port, asked, text, leave, way=way)
        if asked.kind == "aborted":
            charge_what_came(asked, seen)
        if pause:
            await asyncio.sleep(pause)


def charge_what_came(asked, seen):
    """Who left a stream pays at least for the text that has reached it. Who left before anything came may have
    done so before the engine was asked."""
    low = seen.deltas()
    high = max(asked.expect.output[1], low)
    usage = asked.expect.usage if seen.data else asked.expect.usage | frozenset(("none",))
    asked.expect = dataclasses.replace(asked.expect, output=(low, high), usage=usage)
