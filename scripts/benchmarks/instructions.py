"""User-space instructions, under callgrind: what hardly varies with the machine's load."""

import json
import re
import shutil
import subprocess
import sys
import time

from .configurations import (
    GATE_LOCATION, METERED_HTTP, METRICS_HTTP, NGINX_HTTP, NGINX_LOCATION, PERMISSIONS_HTTP, PERMISSIONS_LOCATION,
    STATUS_HTTP, TOLLGATE_HTTP, TOLLGATE_LOCATION, UNBUFFERED,
)
from .servers import stop, wait_for, worker_of
from .traffic import Connection, SteppedEngine, chat, message

HELP = """
  --instructions  user-space instructions per request, under callgrind: one worker, keepalive on both
                  sides. For a bare proxy_pass; for nginx's own map, two limit_req, limit_conn and a
                  JSON access_log; for Tollgate with an API key, a limit per client and one per
                  address, ratelimit headers and an audit line; the same counted for metrics, and
                  for single clients and a status page as well; with a JWT that was seen before; and
                  with models, scopes, features and networks of the tier, CORS and security
                  headers. Then for what is metered, with tokens, concurrency and a budget as well,
                  beside the same through a bare proxy_pass: chat completions with a body of 1 KB
                  and of 64 KB, and a stream of 200 chunks, its usage asked for by the client, and
                  by Tollgate alone, which hides it. Every chunk is sent when the client has got the
                  one before it: one that is kept back ends the measurement
  --only TEXT     with --instructions: only rows with this in their name, and those without Tollgate
  --profiles FOLDER  with --instructions and --guard: keep what callgrind wrote, for callgrind_annotate
"""

NOTE = """
The numbers of instructions hardly vary with the machine's load; they do with the compiler and the
processor's features (valgrind knows no SHA extensions, so that a SHA-256 costs more here than it
does in production).
"""

STREAM_CHUNKS = 200


class Callgrind:
    """nginx under callgrind, which counts only when it is told to: so neither its start nor its end
    counts, and neither does what only the first requests cost."""

    def __init__(self, bench, command=None):
        self.output = bench.folder / "callgrind.out"
        for old in bench.folder.glob("callgrind.out*"):
            old.unlink()
        self.process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--trace-children=yes",
             f"--callgrind-out-file={self.output}.%p",
             *(command or bench.command())],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        wait_for(bench.port, self.process, bench.errors)
        self.dumps = 0
        self.worker = worker_of(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)

    def control(self, *arguments):
        subprocess.run(["callgrind_control", *arguments, str(self.worker)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def dump(self):
        """The file with what has been counted since the last time, and its total."""
        self.dumps += 1
        self.control("--dump")
        file = self.output.with_name(f"{self.output.name}.{self.worker}.{self.dumps}")
        # On a busy machine it is still being written. Its last line has the total.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            total = file.exists() and re.search(r"^totals: (\d+)$", file.read_text(), re.M)
            if total:
                return file, int(total[1])
            time.sleep(0.02)
        return sys.exit(f"bench: callgrind has not written {file.name}")

    def per_request(self, ask, warm, count):
        """What each of so many requests costs, after others; and the profile. `ask(count)` sends them."""
        ask(warm)
        self.control("--instr=on")
        ask(1)
        self.dump()
        ask(count)
        profile, total = self.dump()
        self.control("--instr=off")
        return total / count, profile


# What glibc's lists of free memory cost differs from one start of nginx to the next, and with every line of its
# configuration: up to 2% of a request. What allocates nothing is compared without them.
MALLOC = re.compile(
    r"malloc|calloc|realloc|free|posix_memalign|_int_.*|_mid_memalign.*|unlink_chunk.*|systrim.*|sysmalloc.*|"
    r"malloc_consolidate.*|alloc_perturb|free_perturb"
)


def outside_malloc(profile):
    """The instructions of a profile, but for those of malloc and its like."""
    names, total, counts, is_call = {}, 0, False, False
    for line in profile.read_text().splitlines():
        if found := re.match(r"c?fn=\((\d+)\)(?: (.*))?", line):
            if found[2]:
                names[found[1]] = found[2]
            if line.startswith("fn="):
                counts = not MALLOC.fullmatch(names[found[1]])
        elif line.startswith("calls="):
            # The next line has the cost of what was called, which is counted where it is.
            is_call = True
        elif found := re.match(r"[-+*]?\d* (\d+)$", line):
            total += int(found[1]) if counts and not is_call else 0
            is_call = False
    return total


class Instructions:
    """Rows of what a request costs."""

    def __init__(self, bench, profiles=None, only=None, quiet=False):
        self.bench, self.profiles, self.only, self.quiet = bench, profiles, only, quiet
        # Of the last row, without malloc.
        self.steady = None

    def say(self, text):
        if not self.quiet:
            print(text, flush=True)

    def measure(self, http, location, asked, stream=None, warm=200, count=1000):
        """Instructions per request, and the profile. `stream` is the engine of a stepped stream."""
        bench = self.bench
        bench.configure(http, location, engine_port=stream.port if stream else None)
        with Callgrind(bench) as callgrind, Connection(bench.port) as client:
            if stream:
                found, profile = callgrind.per_request(lambda n: stream.streams(client, asked, n), warm, count)
            else:
                found, profile = callgrind.per_request(lambda n: client.ask(asked, n), warm, count)
            self.steady = outside_malloc(profile) / count
            return found, profile

    def row(self, name, http, location, asked, bare=None, **how):
        """Measures and prints one; what it adds is said in comparison with `bare`. None where it isn't
        asked for."""
        if self.only and bare is not None and self.only.lower() not in name.lower():
            return None
        found, profile = self.measure(http, location, asked, **how)
        added = found - (found if bare is None else bare)
        self.say(f"  {name:<50} {found:>9.0f}   +{added:.0f}")
        if self.profiles:
            self.profiles.mkdir(parents=True, exist_ok=True)
            kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
            shutil.copy(profile, self.profiles / f"{kept}.callgrind")
        return found

    def report(self):
        self.say(f"user-space instructions per request, {self.bench.version()}")
        self.admission()
        self.chat("1 KB", 1024, count=1000)
        self.chat("64 KB", 65536, warm=50, count=200)
        self.stream("usage asked for", True)
        self.stream("usage hidden", False)

    def admission(self):
        bench = self.bench
        tollgate = TOLLGATE_HTTP.format(client="500000000r/m", address="5000000r/s")
        key, jwt = message(bench.key), message(bench.jwt)
        bare = self.row("bare proxy_pass", "", "", key)
        nginx = self.row(
            "nginx: map, 2 limit_req, limit_conn, access_log",
            NGINX_HTTP.format(key=bench.key), NGINX_LOCATION, key, bare,
        )
        by_key = self.row(
            "Tollgate: API key, 2 limits, headers, audit line",
            tollgate, GATE_LOCATION, key, bare,
        )
        uncounted = self.steady
        counted = self.row(
            "Tollgate: the API key, counted for metrics",
            tollgate + METRICS_HTTP.format(folder=bench.folder), GATE_LOCATION, key, bare,
        )
        counting = self.steady
        shown = self.row(
            "Tollgate: the API key, for a status page, too",
            tollgate + STATUS_HTTP.format(folder=bench.folder), GATE_LOCATION, key, bare,
        )
        if by_key and counted and shown:
            self.say(
                f"  to count a request for metrics costs {counting - uncounted:.0f}, for a status page as well "
                f"{self.steady - uncounted:.0f}; malloc, of which it has no need, apart"
            )
        by_jwt = self.row(
            "Tollgate: the same with a JWT seen before", tollgate, GATE_LOCATION, jwt, bare
        )
        permissions = PERMISSIONS_HTTP.format(client="500000000r/m", address="5000000r/s")
        self.row(
            "Tollgate: the API key with permissions and pages", permissions, PERMISSIONS_LOCATION, key, bare
        )
        if nginx and by_key:
            added = (by_key - bare) / (nginx - bare)
            self.say(f"  Tollgate adds {added:.2f} x what nginx's own directives add")
        if by_key and by_jwt:
            self.say(f"  a JWT seen before costs {by_jwt / by_key:.3f} x an API key, of the whole request")

    def metered(self, name, asked, bare, **how):
        """The row of a request that is metered."""
        location = TOLLGATE_LOCATION + UNBUFFERED
        found = self.row(f"{name}, metered", METERED_HTTP, location, asked, bare, **how)
        if found:
            check_metered(self.bench)
        return found

    def wants(self, name):
        """Whether one of the two rows of that name has to be measured."""
        return not self.only or self.only.lower() in f"{name}, metered".lower()

    def chat(self, size, length, **how):
        """Chat completions with a body of so many bytes: what a bare one costs, and a metered one."""
        name = f"{size} prompt"
        if not self.wants(name):
            return None, None
        asked = message(self.bench.key, chat(length))
        bare = self.row(f"{name}, bare proxy_pass", "", UNBUFFERED, asked, **how)
        metered = self.metered(name, asked, bare, **how)
        self.say(f"  metered it costs {metered / bare:.2f} x a bare proxy_pass")
        return bare, metered

    def stream(self, kind, usage, warm=3, count=15):
        """Streamed chat completions: the same."""
        name = f"{STREAM_CHUNKS} chunks, {kind}"
        if not self.wants(name):
            return None, None
        with SteppedEngine(self.bench.engine_port, STREAM_CHUNKS) as engine:
            asked = message(self.bench.key, engine.body(usage))
            how = {"stream": engine, "warm": warm, "count": count}
            bare = self.row(f"{name}, bare proxy_pass", "", UNBUFFERED, asked, **how)
            metered = self.metered(name, asked, bare, **how)
        self.say(
            f"  metered it costs {metered / bare:.2f} x a bare proxy_pass, "
            f"{(metered - bare) / STREAM_CHUNKS:.0f} a chunk"
        )
        return bare, metered


def check_metered(bench):
    """What was measured is what was meant: the engine's usage was read."""
    lines = (bench.folder / "audit.log").read_text().splitlines()
    if json.loads(lines[-1]).get("usage") != "measured":
        sys.exit(f"bench: the engine's usage was not read: {lines[-1]}")
