"""How long one large body holds a worker, whatever is in it."""

import os
import socket
import statistics
import struct
import sys
import time

from .configurations import METERED_HTTP, TOLLGATE_LOCATION
from .gateways import Gateway, Recorded, cpu_nanos
from .servers import free_port

HELP = """
  --bodies        how long a body of 8 MB holds its worker, for bodies of many kinds: text, escapes, token
                  ids, brackets, keys and so on. Meanwhile another connection asks the same worker for
                  nothing, again and again: what the worker computes from such a question to its answer is
                  how long it was held. Beside it the processor time for the whole body, and both for a
                  bare proxy_pass. Median of --rounds
  --check         with --bodies: fail where Tollgate holds a worker for more than 6 ms longer than a bare
                  proxy_pass does
"""

SIZE = 8 * 2**20 - 1024
LIMIT_MS = 6

HTTP = """
    client_max_body_size 16m;
    server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
"""

# <linux/socket.h>: the time at which the kernel got it comes along.
SO_TIMESTAMPNS = 35


def filled(before, unit, after, size=SIZE):
    """A body of about this size."""
    return before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def message_of(unit):
    return filled(b'{"model":"mock","max_tokens":16,"messages":[{"role":"user","content":"', unit, b'"}]}')


def bodies():
    """By name: the path, and the body."""
    chat, completions = "/v1/chat/completions", "/v1/completions"
    prompt = b'{"model":"mock","max_tokens":16,"prompt":'
    keys = b"".join(b',"k%07d":%d' % (number, number % 10) for number in range(SIZE // 13))
    ids = b",".join(b"%d" % (number * 7919 % 128256) for number in range(SIZE // 6))[:SIZE - 64].rpartition(b",")[0]
    return {
        "text": (chat, message_of(b"Who opens the gate? Those who bring a token may pass. ")),
        "one word": (chat, message_of(b"a")),
        "words of one letter": (chat, message_of(b"a ")),
        "image (base64)": (chat, filled(
            b'{"model":"mock","max_tokens":16,"messages":[{"role":"user","content":[{"type":"image_url",'
            b'"image_url":{"url":"data:image/png;base64,', b"iVBORw0KGgoAAAANSUhEUgAAAAUA", b'"}}]}]}')),
        "Chinese": (chat, message_of("谁来开门带着令牌的人可以通过".encode())),
        "Cyrillic": (chat, message_of("Кто откроет ворота ".encode())),
        "emoji": (chat, message_of("🚪🔑".encode())),
        "escaped quotes": (chat, message_of(b'\\"')),
        "escaped lines": (chat, message_of(b"gate\\n")),
        "\\u escapes": (chat, message_of(b"\\u00e9")),
        "escaped surrogates": (chat, message_of(b"\\ud83d\\ude00")),
        "token ids": (completions, prompt + b"[" + ids + b"]}"),
        "ids of one digit": (completions, filled(prompt + b"[", b"7,", b"7]}")),
        "many prompts": (completions, filled(prompt + b"[", b'"a",', b'"a"]}')),
        "lists of ids": (completions, filled(prompt + b"[", b"[7],", b"[7]]}")),
        "many messages": (chat, filled(
            b'{"model":"mock","max_tokens":16,"messages":[', b'{"role":"user","content":"a"},',
            b'{"role":"user","content":"a"}]}')),
        "many parts": (chat, filled(
            b'{"model":"mock","max_tokens":16,"messages":[{"role":"user","content":[',
            b'{"type":"text","text":"a"},', b'{"type":"text","text":"a"}]}]}')),
        "keys": (chat, b'{"model":"mock","max_tokens":16,"messages":[]' + keys + b"}"),
        "one key again and again": (chat, filled(
            b'{"model":"mock","max_tokens":16,"messages":[]', b',"a":0', b"}")),
        "empty objects": (chat, filled(b'{"model":"mock","max_tokens":16,"x":[', b"{},", b"{}]}")),
        "opening brackets": (completions, filled(prompt, b"[", b"")),
        "nested": (completions, prompt + b"[" * (SIZE // 2) + b"]" * (SIZE // 2) + b"}"),
        "nested objects": (completions, filled(b"", b'{"a":', b"")),
        "one long number": (completions, filled(prompt, b"7", b"}")),
        "long fraction": (completions, filled(prompt + b"0.", b"7", b"}")),
        "exponents": (completions, filled(prompt + b"[", b"1e-7,", b"1]}")),
        "white space": (chat, filled(b'{"model":"mock","max_tokens":16,"messages":[', b" ", b"]}")),
        "white space between ids": (completions, filled(prompt + b"[", b"7 , ", b"7]}")),
        "literals": (completions, filled(prompt + b"[", b"null,", b"null]}")),
        "a long key": (chat, filled(b'{"model":"mock","max_tokens":16,"messages":[],"', b"a", b'":0}')),
        "broken at its end": (chat, message_of(b"Who opens the gate? ")[:-1]),
        "bad UTF-8 at its end": (chat, message_of(b"Who opens the gate? ")[:-4] + b'\xff"}]}'),
        "no JSON": (chat, b"x" * SIZE),
    }


class Probe:
    """A connection that asks the worker for nothing."""

    MESSAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def __init__(self, port, worker):
        self.worker = worker
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def ask(self):
        """Seconds until the answer, and those that the worker computed meanwhile."""
        before, asked = cpu_nanos(self.worker), time.time()
        self.socket.sendall(self.MESSAGE)
        data, ancillary, _, _ = self.socket.recvmsg(4096, 64)
        computed = (cpu_nanos(self.worker) - before) / 1e9
        if not data.startswith(b"HTTP/1.1 204 ") or not data.endswith(b"\r\n\r\n"):
            sys.exit(f"bench: unexpected answer: {data!r}")
        arrived = time.time()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                arrived = seconds + nanoseconds / 1e9
        return arrived - asked, computed


def send(port, request):
    """The status of the answer: sent by a process of its own, so that neither waits for the other."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = b"000"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(request)
                status = connection.recv(65536)[9:12]
        except OSError:
            pass  # a refusal may come before the whole body is sent
        os.write(writer, status)
        os._exit(0)
    os.close(writer)
    return child, reader


class Holding:
    """What bodies cost one gateway."""

    def __init__(self, gateway, probe_port, key):
        self.gateway, self.key = gateway, key
        self.probe = Probe(probe_port, gateway.worker)
        for _ in range(100):
            self.probe.ask()

    def measure(self, path, body):
        """The status; the longest time that the worker computed at a stretch; the longest that a question
        waited; and what the worker computed in all. In milliseconds."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nAuthorization: Bearer {self.key}\r\nConnection: close\r\n\r\n"
        )
        before, probes = cpu_nanos(self.gateway.worker), 0
        child, reader = send(self.gateway.port, head.encode() + body)
        os.set_blocking(reader, False)
        held = waited = 0
        status = None
        while not status:
            seconds, computed = self.probe.ask()
            held, waited, probes = max(held, computed), max(waited, seconds), probes + 1
            try:
                status = os.read(reader, 3)
            except BlockingIOError:
                time.sleep(0.0005)
        os.close(reader)
        os.waitpid(child, 0)
        whole = (cpu_nanos(self.gateway.worker) - before) / 1e9
        # The questions are no part of it.
        whole -= probes * statistics.median(self.probe.ask()[1] for _ in range(20))
        return status.decode(), held * 1000, waited * 1000, whole * 1000


def report(bench, rounds, check, only=None):
    metered = TOLLGATE_LOCATION + "client_body_buffer_size 16m;"
    ports = free_port(), free_port()
    print(f"a body of {SIZE / 2**20:.1f} MiB, milliseconds of the worker, {bench.version()}: median of {rounds} rounds")
    print(f"  {'':<26}{'status':>7}{'held':>8}{'bare':>8}{'waited':>8}{'bare':>8}{'CPU':>8}{'bare':>8}")
    answer = '{"id":"1","object":"chat.completion","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}'
    slow = []
    with (
        Recorded(bench, answer) as engine,
        Gateway(bench, HTTP.format(port=ports[0]), "client_body_buffer_size 16m;", engine.port) as bare,
        Gateway(bench, METERED_HTTP + HTTP.format(port=ports[1]), metered, engine.port) as tollgate,
    ):
        both = Holding(tollgate, ports[1], bench.key), Holding(bare, ports[0], bench.key)
        for name, (path, body) in bodies().items():
            if only and only.lower() not in name.lower():
                continue
            found = [[one.measure(path, body) for one in both] for _ in range(rounds)]
            status = "/".join(sorted({of_tollgate[0] for of_tollgate, _ in found}))
            held, waited, whole = (
                [statistics.median(turn[side][part] for turn in found) for side in (0, 1)] for part in (1, 2, 3)
            )
            print(f"  {name:<26}{status:>7}" + "".join(f"{ms:>8.1f}" for ms in (*held, *waited, *whole)), flush=True)
            if held[0] - held[1] > LIMIT_MS:
                slow.append(name)
    if slow:
        said = f"bench: held for more than {LIMIT_MS} ms longer than by a bare proxy_pass: {', '.join(slow)}"
        if check:
            sys.exit(said)
        print(said)
