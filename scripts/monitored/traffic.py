"""Requests of every kind: those that an engine answers, and those that somebody should hear of."""

import concurrent.futures
import contextlib
import http.client
import json

from monitored.servers import token

# More than the zone of the test, of 1 MB, has slots for failures (675).
ADDRESSES = 1000

# How many are under way at once.
THREADS = 64


class Traffic:
    def __init__(self, servers):
        self.servers = servers
        self.wrong = 0

    def ask(self, path, key, body=None, stream=True, address=None, **headers):
        """The status of the answer, once it has been read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.servers.ports["port"], timeout=120)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if address is not None:
            headers["X-Real-IP"] = address
        body = {"model": "mock", "messages": [{"role": "user", "content": "one two"}], "stream": stream} | (body or {})
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            with contextlib.suppress(http.client.IncompleteRead):
                answer.read()
            return answer.status
        finally:
            connection.close()

    def chat(self, client, prefix="", **more):
        return self.ask(f"{prefix}/v1/chat/completions", f"key-{client}", **more)

    def guess(self, prefix="", **more):
        """A key that nobody has."""
        self.wrong += 1
        return self.ask(f"{prefix}/v1/chat/completions", f"no-such-key-{self.wrong}", **more)

    @contextlib.contextmanager
    def held(self, client):
        """A stream that the engine doesn't end, under way meanwhile."""
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            threads.submit(self.chat, client, X_Mock_Hold="1")
            yield

    def at_once(self, *requests):
        """Runs them, and gives the statuses in their order."""
        with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
            return [done.result() for done in [threads.submit(request) for request in requests]]

    def flood(self):
        """Wrong keys from so many networks that there is no room to count each address."""
        return self.at_once(*[
            lambda n=n: self.guess("/watched", address=f"{1 + n // 256}.{n % 256}.0.1") for n in range(ADDRESSES)
        ])

    def usual(self):
        """What a good day has."""
        signed = token(self.servers.secret, sub="signed")
        return self.at_once(*[
            lambda: self.chat("acme", X_Mock_Cached_Tokens="1", X_Mock_Reasoning_Tokens="2"),
            lambda: self.chat("zenith", X_Mock_Tokens="3"),
            lambda: self.chat("acme", stream=False),
            lambda: self.chat("acme", X_Mock_Usage="none"),
            lambda: self.ask("/signed/v1/chat/completions", signed),
            lambda: self.ask("/asked/v1/chat/completions", "opaque-token"),
        ] * 3)

    def bad(self):
        """What somebody should hear of."""
        guesses = [self.guess] * 60 + [lambda: self.guess("/watched")] * 10
        old = [lambda: self.chat("old"), lambda: self.chat("lost"), lambda: self.chat("later")] * 10
        refused = [lambda: self.chat("eager")] * 60
        narrow = [lambda: self.chat("narrow", X_Mock_Latency_Ms="700")] * 8
        late = [lambda: self.chat("acme", X_Mock_Latency_Ms="2600")] * 40
        errors = [lambda: self.chat("acme", X_Mock_Status="500")] * 10 + [lambda: self.chat("acme", "/gone")] * 10
        providers = [lambda: self.ask("/fetched/v1/chat/completions", token("x" * 32, sub="nobody"))] * 8
        networks = [lambda n=n: self.chat("zenith", address=f"203.0.{n}.1") for n in range(4)]
        unwritten = [lambda: self.chat("acme", "/unwritten")] * 30
        without = [lambda: self.ask("/v1/chat/completions", None)] * 4
        cut = [lambda: self.chat("acme", X_Mock_Cut_After="2")] * 2
        return self.at_once(
            *guesses, *old, *refused, *narrow, *late, *errors, *providers, *networks, *unwritten, *without, *cut,
        )
