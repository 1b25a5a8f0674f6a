"""Requests, and an engine that streams step by step."""

import json
import re
import select
import socket
import sys
import urllib.request

# A chunk that takes longer was kept back.
PATIENCE_SECONDS = 60


def message(credential, body=None):
    """A GET for the health of the engine, which nothing reads, or a POST with a JSON body for a chat completion."""
    head = "GET /health HTTP/1.1\r\n"
    if body is not None:
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
        )
    head += "Host: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    return f"{head}Authorization: Bearer {credential}\r\n\r\n".encode() + (body or b"")


def chat(size, number=None):
    """The body of a chat completion, of so many bytes: a conversation. With a number, no two of its texts are the same, nor
    those of bodies with other numbers."""
    said = (
        "Who opens the gate? Those who bring a token, or ten of them, may pass.\n"
        "Ask the \"keeper\" at the tower for the way; he counts what each of you has taken. "
    ) * 3

    def mark(turn):
        return "" if number is None else f"Question {turn} of talk {number:06}. "

    def body(turns, rest):
        messages = [{"role": ("user", "assistant")[n % 2], "content": mark(n) + said} for n in range(turns)]
        last = mark(turns) + "one more question " * size
        messages.append({"role": "user", "content": last[:rest]})
        return json.dumps({"model": "mock", "max_tokens": 16, "messages": messages}).encode()

    turns = 0
    while len(body(turns + 1, 0)) <= size:
        turns += 1
    return body(turns, size - len(body(turns, 0)))


def size_of_answer(port, request):
    """The bytes of a whole answer, its head included."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request.replace(b"Accept:", b"Connection: close\r\nAccept:", 1))
        while read := connection.recv(65536):
            received += read
    if not received.startswith(b"HTTP/1.1 200"):
        sys.exit(f"bench: unexpected answer: {received.decode()}")
    return len(received)


class Connection:
    """A client's connection, which is kept alive."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive_until(self, awaited, complaint="the connection ended"):
        """Drops what comes up to `awaited` and with it, and returns that."""
        while awaited not in self.received:
            try:
                read = self.socket.recv(65536)
            except TimeoutError:
                sys.exit(f"bench: {complaint}: {awaited.decode()}")
            self.received += read or sys.exit(f"bench: the connection ended: {self.received.decode()}")
        before, self.received = self.received.split(awaited, 1)
        return before

    def ask(self, request, count=1):
        """Sends requests, one after the other: the same one, or what `request` makes anew each time."""
        for _ in range(count):
            self.send(request() if callable(request) else request)
            head = self.receive_until(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                sys.exit(f"bench: unexpected answer: {head.splitlines()[0].decode()}")
            length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1])
            while len(self.received) < length:
                self.received += self.socket.recv(65536) or sys.exit("bench: the connection ended")
            self.received = self.received[length:]


class SteppedEngine:
    """An engine that streams a chat completion, the next chunk when the client has got the one
    before it: so nginx reads them one by one, however busy the machine is. It sends what the mock
    engine sends, with usage if it is asked for it."""

    def __init__(self, mock_port, chunks):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connection = None
        self.events = {usage: self.record(mock_port, chunks, usage) for usage in (False, True)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        if self.connection:
            self.connection.close()

    @staticmethod
    def body(usage):
        body = {"model": "mock", "max_tokens": 1000, "stream": True}
        if usage:
            body["stream_options"] = {"include_usage": True}
        body["messages"] = [{"role": "user", "content": "Who opens the gate?"}]
        return json.dumps(body).encode()

    def record(self, mock_port, chunks, usage):
        request = urllib.request.Request(
            f"http://127.0.0.1:{mock_port}/v1/chat/completions", self.body(usage),
            {"Content-Type": "application/json", "X-Mock-Tokens": str(chunks)},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.read().split(b"\n\n")[:-1]

    def next_request(self):
        """The body of the next request, on the connection that there is or on a new one."""
        received = b""
        while True:
            sockets = [self.listener] + ([self.connection] if self.connection else [])
            ready, _, _ = select.select(sockets, [], [], PATIENCE_SECONDS)
            if not ready:
                sys.exit("bench: a request did not reach the engine")
            if self.listener in ready:
                self.connection, _ = self.listener.accept()
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                received = b""
                continue
            read = self.connection.recv(65536)
            if not read:
                self.connection = None
                continue
            received += read
            head, found, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if found and length and len(body) >= int(length[1]):
                return body

    def stream_to(self, client, message):
        """Lets the client ask, and sends it the stream."""
        client.send(message)
        wants_usage = json.loads(self.next_request()).get("stream_options") is not None
        head = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for event in self.events[wants_usage]:
            chunk = event + b"\n\n"
            self.connection.sendall(head + b"%x\r\n%s\r\n" % (len(chunk), chunk))
            head = b""
            if b'"choices":[]' in event and b"stream_options" not in message:
                continue  # for the gateway alone
            # What else the engine writes because usage was asked for is for the gateway as well.
            seen = event if b"stream_options" in message else event.replace(b',"usage":null', b"")
            client.receive_until(seen, "a chunk was kept back")
        self.connection.sendall(b"0\r\n\r\n")
        client.receive_until(b"0\r\n\r\n", "the end of a stream was kept back")

    def streams(self, client, message, count):
        """Streams over one connection, one after the other."""
        for _ in range(count):
            self.stream_to(client, message)
