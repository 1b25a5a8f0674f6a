"""One table: Tollgate beside a bare proxy_pass, nginx's own directives, and a script for the Lua module."""

import contextlib
import json
import os
import statistics
import sys

from . import page
from . import peers as others
from .gateways import BARE, CHECKS, METERED, Gateway, Load, Recorded, configurations
from .instructions import STREAM_CHUNKS, Instructions
from .traffic import SteppedEngine, chat, message, size_of_answer

HELP = """
Without an option: one table, on Debian's nginx, and docs/performance.md with a plot. Side by side are a
bare proxy_pass; nginx's own map, two limit_req, limit_conn and a JSON access_log; a script of 65 lines
for Debian's Lua module, which looks an API key up by its SHA-256, has a token bucket for the client and
one for the address, sets ratelimit headers, and has an audit line (scripts/benchmarks/gateway.lua);
Tollgate with the same checks; and Tollgate with tokens, concurrency and a budget as well. Each has one
worker. The requests are GETs, chats of 1 KB and of 64 KB, and streams of 200 chunks. The table has
instructions under callgrind; the processor time of the worker; and requests per second. All as ratios,
median of so many rounds, in each of which all have their turn.
  --rounds N      how many rounds (7)
  --peers         with gateways from PyPI and npm beside them (LiteLLM, FastAPI with PyJWT and Redis,
                  Portkey), each in a folder of its own under target/peers
"""

CONNECTIONS = 16
# So that nginx reads the chunks of one stream one by one.
PACE_MS = 4


class Workload:
    """Requests of one kind, and what they are measured with."""

    def __init__(self, name, body=None, stream=None, instructions=(200, 1000)):
        self.name, self.body, self.stream = name, body, stream
        self.warm, self.count = instructions
        self.path = "/health" if body is None else "/v1/chat/completions"


def workloads():
    return [
        Workload("GET"),
        Workload("chat of 1 KB", chat(1024)),
        Workload("chat of 64 KB", chat(65536), instructions=(50, 200)),
        Workload(f"{STREAM_CHUNKS} chunks, usage asked for", SteppedEngine.body(True), True, (3, 10)),
        Workload(f"{STREAM_CHUNKS} chunks, usage hidden", SteppedEngine.body(False), False, (3, 10)),
    ]


def instructions(bench, workload, http, location):
    rows = Instructions(bench, quiet=True)
    asked = message(bench.key, workload.body)
    how = {"warm": workload.warm, "count": workload.count}
    if workload.stream is None:
        return rows.measure(http, location, asked, **how)[0]
    with SteppedEngine(bench.engine_port, STREAM_CHUNKS) as engine:
        return rows.measure(http, location, asked, stream=engine, **how)[0]


class Rounds:
    """Processor time and requests per second of all gateways, by turns."""

    def __init__(self, workload, load, asked, gateways):
        self.workload, self.load, self.gateways = workload, load, gateways
        self.cpu = {name: [] for name in gateways}
        self.rates = {name: [] for name in gateways}
        self.whole = size_of_answer(gateways[BARE].port, asked)

    def turn(self, name, seconds):
        """Nanoseconds of processor for a request, or a stream; and requests per second."""
        gateway = self.gateways[name]
        before = gateway.cpu_nanos()
        count, size, lasted = self.load.run(gateway.port, seconds, CONNECTIONS)
        taken = gateway.cpu_nanos() - before
        # The streams that the end of the turn cut count by what came of them.
        return taken / (count if self.workload.stream is None else size / self.whole), count / lasted

    def run(self, rounds):
        """The first round isn't counted."""
        seconds = 1 if self.workload.stream is None else 3
        names = list(self.gateways)
        for number in range(rounds + 1):
            # Not always the same one after the same other one.
            for name in names[number % len(names):] + names[:number % len(names)]:
                cpu, rate = self.turn(name, seconds)
                if number:
                    self.cpu[name].append(cpu)
                    self.rates[name].append(rate)

    def ratios(self, what, name):
        """Beside the bare one in the same round: the median, and the quartiles."""
        found = [one / bare for one, bare in zip(what[name], what[BARE])]
        if len(found) < 2:
            return found[0], found[0], found[0]
        low, _, high = statistics.quantiles(found, n=4, method="inclusive")
        return statistics.median(found), low, high


def compare(bench, workload, rounds):
    """The rows of one kind of request."""
    found = configurations(bench, workload.body is not None)
    counted = {name: instructions(bench, workload, *texts) for name, texts in found.items()}
    load = Load(bench.folder, bench.key, workload.path, workload.body)
    if workload.stream is None:
        with Recorded(bench, bench.answer_to(workload.path, workload.body)) as engine:
            measured = beside(bench, workload, load, found, engine.port, rounds)
    else:
        with bench.streaming_engine(STREAM_CHUNKS, PACE_MS) as port:
            measured = beside(bench, workload, load, found, port, rounds)
    rows = []
    for name in found:
        cpu, low, high = measured.ratios(measured.cpu, name)
        rows.append({
            "workload": workload.name,
            "name": name,
            "instructions": counted[name],
            "added": counted[name] - counted[BARE],
            "instructions_ratio": counted[name] / counted[BARE],
            "cpu_us": statistics.median(measured.cpu[name]) / 1000,
            "cpu_ratio": cpu, "cpu_low": low, "cpu_high": high,
            # A stream lasts as long as the engine takes for it.
            "rate_ratio": measured.ratios(measured.rates, name)[0] if workload.stream is None else None,
        })
    return rows


def beside(bench, workload, load, found, engine_port, rounds):
    """Runs the gateways side by side."""
    with contextlib.ExitStack() as stack:
        gateways = {
            name: stack.enter_context(Gateway(bench, *texts, engine_port)) for name, texts in found.items()
        }
        measured = Rounds(workload, load, message(bench.key, workload.body), gateways)
        measured.run(rounds)
    for name in (CHECKS, METERED):
        if name in gateways:
            check_audit(gateways[name], name == METERED)
    return measured


def check_audit(gateway, metered):
    """What was measured is what was meant."""
    with open(gateway.folder / "audit.log", "rb") as file:
        file.seek(max(file.seek(0, 2) - 4096, 0))
        last = json.loads(file.read().splitlines()[-1])
    # A stream may have been cut by the end of a turn.
    if last["decision"] != "allow" or metered and last.get("usage") not in ("measured", "partial"):
        sys.exit(f"bench: a request was not metered, or refused: {last}")


def report(bench, rounds, peers):
    print(f"beside a bare proxy_pass, {bench.version()}: medians of {rounds} rounds")
    print(f"  {'':<54}{'instructions':>14}{'added':>10}{'ratio':>8}{'CPU us':>9}{'ratio':>8}{'rate':>7}")
    load = os.getloadavg()[0]
    rows = []
    for workload in workloads():
        for row in compare(bench, workload, rounds):
            rows.append(row)
            rate = "" if row["rate_ratio"] is None else f"{row['rate_ratio']:.2f}"
            print(
                f"  {row['workload'] + ': ' + row['name']:<54}{row['instructions']:>14,.0f}{row['added']:>+10,.0f}"
                f"{row['instructions_ratio']:>8.2f}{row['cpu_us']:>9.1f}{row['cpu_ratio']:>8.2f}{rate:>7}", flush=True
            )
    circumstances = {"rounds": rounds, "connections": CONNECTIONS, "pace": PACE_MS, "load": load}
    page.write(bench, rows, [], **circumstances)
    if peers:
        page.write(bench, rows, others.report(bench, rounds), **circumstances)
