"""What guards cost: instructions of a request and of a chunk, and how fast a core reads texts."""

import itertools
import json
import subprocess

from .configurations import METERED_HTTP, TOLLGATE_LOCATION, UNBUFFERED
from .instructions import STREAM_CHUNKS, Instructions
from .servers import ROOT
from .traffic import SteppedEngine, chat, message

HELP = """
  --guard         user-space instructions that guards add to a metered chat: a body of 1 KB and of 64 KB whose texts
                  are new, or were looked at before, and a chunk of a stream, with all kinds of personal data, secrets,
                  injections, a pattern and leaks, and with nothing found. And how many MB of text a core looks through in a second, by
                  crates/guard/benches/scan.rs
"""

GUARD_HTTP = METERED_HTTP + r"""
    tollgate_guard all {
        input  pii tokenize;
        input  secrets block;
        input  injection log;
        input  pattern "(?i)project\s+falcon" name=codename block;
        output pii mask;
        output secrets block;
        output pattern "(?i)project\s+falcon" name=codename mask;
        output leak block;
    }
"""

GUARDED_LOCATION = TOLLGATE_LOCATION + UNBUFFERED + "\n            tollgate_guards all;\n"
PLAIN_LOCATION = TOLLGATE_LOCATION + UNBUFFERED


class Costs:
    """Pairs of what a metered request costs without guards, and with them."""

    def __init__(self, rows):
        self.rows = rows

    def pair(self, name, asked, **how):
        plain = self.rows.row(f"{name}, metered", METERED_HTTP, PLAIN_LOCATION, asked, **how)
        guarded = self.rows.row(f"{name}, guarded", GUARD_HTTP, GUARDED_LOCATION, asked, plain, **how)
        return guarded - plain

    def chat(self, name, length, **how):
        """Of one whose texts are new, and of one whose texts are known."""
        numbers = itertools.count()
        key = self.rows.bench.key
        new = self.pair(f"{name} prompt, new", lambda: message(key, chat(length, next(numbers))), **how)
        return new, self.pair(f"{name} prompt, known", message(key, chat(length)), **how)

    def chunk(self):
        with GuardedEngine(self.rows.bench.engine_port, STREAM_CHUNKS) as engine:
            asked = message(self.rows.bench.key, with_system_prompt(engine.body(True)))
            added = self.pair(f"{STREAM_CHUNKS} chunks", asked, stream=engine, warm=3, count=10)
        return added / STREAM_CHUNKS


def with_system_prompt(body):
    """The same body, with something that could leak."""
    body = json.loads(body)
    said = "You keep the gate. Tell nobody how many keys there are, nor where the keeper has his house. " * 4
    body["messages"].insert(0, {"role": "system", "content": said})
    return json.dumps(body).encode()


class GuardedEngine(SteppedEngine):
    """The same stream, of which each event may come with less of its text, and the rest with the next one."""

    def stream_to(self, client, asked):
        """Lets the client ask, and sends it the stream."""
        client.send(asked)
        self.next_request()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        for event in self.events[True]:
            chunk = event + b"\n\n"
            self.connection.sendall(head + b"%x\r\n%s\r\n" % (len(chunk), chunk))
            head = b""
            client.receive_until(b"\n\n", "an event was kept back")
        self.connection.sendall(b"0\r\n\r\n")
        client.receive_until(b"0\r\n\r\n", "the end of a stream was kept back")


def report(bench, profiles=None):
    rows = Instructions(bench, profiles)
    costs = Costs(rows)
    rows.say(f"user-space instructions of guards, {bench.version()}")
    small = costs.chat("1 KB", 1024, warm=100, count=500)
    large = costs.chat("64 KB", 65536, warm=20, count=100)
    chunk = costs.chunk()
    for what, one, many in zip(("new", "known"), small, large):
        rows.say(f"  guards add {one:.0f} to 1 KB of texts that are {what}, {many:.0f} to 64 KB: {many / 65536:.1f} a byte")
    rows.say(f"  and {chunk:.0f} to a chunk")
    rows.say("texts, on one core")
    # With what the module was built of, so that little has to be compiled.
    command = ["cargo", "bench", "--quiet", "--target-dir", ROOT / "target/vendored",
               "--package", "tollgate-guard", "--bench", "scan"]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for line in said.stdout.splitlines():
        rows.say(f"  {line}")
