"""What a sealed audit log costs, beside the same log without a seal."""

import contextlib
import itertools
import os
import re
import statistics
import subprocess
import sys

from .configurations import GATE_LOCATION, METERED_HTTP, TOLLGATE_HTTP, TOLLGATE_LOCATION, UNBUFFERED
from .gateways import Gateway, Load, Recorded
from .instructions import Instructions
from .servers import ROOT
from .traffic import chat, message

HELP = """
  --seal          what `seal=` costs of a request, beside the same log (buffer=64k flush=1s) without it: of a GET
                  through the gate and of a metered chat of 1 KB. User-space instructions, those of SHA-256 apart,
                  for which valgrind doesn't know the processor's own ones; how long these take, by
                  crates/tollgate-core/benches/seal.rs; and the worker's processor time and requests per second, by
                  turns, in --rounds rounds (15). What was sealed is verified. Two minutes, and some ten to
                  build the benchmark for the first time
"""

CONNECTIONS = 16
PLAIN, SEALED = "not sealed", "sealed"
# What computes the digests of lines, and of seals.
SHA = re.compile(r"sha2::.*compress.*|.*sha256_block_data_order.*")


class Workload:
    """Requests of one kind."""

    def __init__(self, name, http, location, body=None, count=1000):
        self.name, self.http, self.location, self.body, self.count = name, http, location, body, count
        self.path = "/health" if body is None else "/v1/chat/completions"


def workloads():
    gate = TOLLGATE_HTTP.format(client="500000000r/m", address="5000000r/s")
    return [
        Workload("GET", gate, GATE_LOCATION),
        Workload("chat of 1 KB, metered", METERED_HTTP, TOLLGATE_LOCATION + UNBUFFERED, chat(1024), 500),
    ]


class Locations:
    """The location of a workload, whose log is sealed by a key of its own, or isn't."""

    # Beside a key is what was sealed with it last: none may have the name of an older one.
    keys = itertools.count()

    def __init__(self, bench, location):
        self.bench, self.location = bench, location

    def text(self, log):
        return self.location.replace("tollgate_audit_log audit.log;", f"tollgate_audit_log audit.log {log};")

    def plain(self):
        return self.text("buffer=64k flush=1s")

    def sealed(self):
        """With the name of the key that verifies it."""
        number = next(self.keys)
        seal, verify = (self.bench.folder / f"{number}.{kind}" for kind in ("seal", "verify"))
        subprocess.run([self.bench.cli, "audit", "seal", "keygen", "--seal", seal, "--verify", verify],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self.text(f"buffer=64k flush=1s seal={seal}"), verify


def of_sha(profile):
    """The instructions of a profile that are SHA-256's."""
    names, total, counts, is_call = {}, 0, False, False
    for line in profile.read_text().splitlines():
        if found := re.match(r"c?fn=\((\d+)\)(?: (.*))?", line):
            if found[2]:
                names[found[1]] = found[2]
            if line.startswith("fn="):
                counts = SHA.fullmatch(names[found[1]]) is not None
        elif line.startswith("calls="):
            is_call = True
        elif found := re.match(r"[-+*]?\d* (\d+)$", line):
            total += int(found[1]) if counts and not is_call else 0
            is_call = False
    return total


def instructions(bench, workload, locations):
    """What a request costs without a seal, what the seal adds, and what of that is SHA-256."""
    rows = Instructions(bench, quiet=True)
    asked = message(bench.key, workload.body)
    found = []
    for location in (locations.plain(), locations.sealed()[0]):
        (bench.folder / "audit.log").unlink(missing_ok=True)
        whole, profile = rows.measure(workload.http, location, asked, count=workload.count)
        found.append((whole, of_sha(profile) / workload.count))
    (plain, plain_sha), (sealed, sealed_sha) = found
    return plain, sealed - plain, sealed_sha - plain_sha


@contextlib.contextmanager
def apart(workers, engine):
    """The workers have a processor of their own, and what asks and answers has the others: moving about costs, too."""
    everywhere = os.sched_getaffinity(0)
    first, *others = sorted(everywhere)
    for pid in workers:
        os.sched_setaffinity(pid, [first])
    for pid in (engine.worker(), 0):
        os.sched_setaffinity(pid, others or everywhere)
    try:
        yield
    finally:
        os.sched_setaffinity(0, everywhere)


class Turns:
    """Processor time and rates, of both by turns."""

    def __init__(self, bench, workload, locations, rounds):
        self.cpu = {PLAIN: [], SEALED: []}
        self.rates = {PLAIN: [], SEALED: []}
        load = Load(bench.folder, bench.key, workload.path, workload.body)
        sealed, verify = locations.sealed()
        with Recorded(bench, bench.answer_to(workload.path, workload.body)) as engine:
            with contextlib.ExitStack() as stack:
                gateways = {
                    name: stack.enter_context(Gateway(bench, workload.http, location, engine.port))
                    for name, location in ((PLAIN, locations.plain()), (SEALED, sealed))
                }
                stack.enter_context(apart([gateway.worker for gateway in gateways.values()], engine))
                for number in range(rounds + 1):
                    # Not always the same one first; and the first round isn't counted.
                    for name in list(gateways)[::1 if number % 2 else -1]:
                        self.turn(name, gateways[name], load, number > 0)
        log = gateways[SEALED].folder / "audit.log"
        self.line = line_length(log)
        check_sealed(bench, log, verify)

    def turn(self, name, gateway, load, counts):
        before = gateway.cpu_nanos()
        count, _, lasted = load.run(gateway.port, 1, CONNECTIONS)
        if counts:
            self.cpu[name].append((gateway.cpu_nanos() - before) / count)
            self.rates[name].append(count / lasted)

    def added(self, what):
        """Percent of that without a seal, in the same round: the median, and the quartiles."""
        found = [100 * (sealed / plain - 1) for sealed, plain in zip(what[SEALED], what[PLAIN])]
        low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
        return f"{middle:+.1f}% ({low:+.1f} to {high:+.1f})"


def line_length(log):
    """The bytes of a typical line about a request."""
    with log.open("rb") as file:
        lines = [line for line in (file.readline() for _ in range(1000)) if line.startswith(b'{"time"')]
    return round(statistics.median(map(len, lines)))


def check_sealed(bench, log, verify):
    """What was measured is what was meant."""
    said = subprocess.run([bench.cli, "audit", "verify", "--json", "--key", verify, log],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if said.returncode:
        sys.exit(f"bench: the log is not sealed, or not as it was written: {said.stdout[-2000:]}")


def line_nanos(lengths):
    """What it takes to number lines of such lengths, and to seal them, in nanoseconds a line."""
    # With what the module was built of, so that little has to be compiled.
    command = ["cargo", "bench", "--quiet", "--target-dir", ROOT / "target/vendored",
               "--package", "tollgate-core", "--bench", "seal", "--", *map(str, lengths)]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {int(length): float(nanos) for length, nanos in re.findall(r"^(\d+) bytes: ([\d.]+) ns", said, re.M)}


def report(bench, rounds):
    print(f"what seal= adds to a request, {bench.version()}, {rounds} rounds: median, and quartiles")
    found = {}
    for workload in workloads():
        locations = Locations(bench, workload.location)
        plain, added, sha = instructions(bench, workload, locations)
        turns = Turns(bench, workload, locations, rounds)
        found[workload.name] = turns
        print(f"  {workload.name}: a line of {turns.line} bytes")
        without = "for SHA-256 without the processor's own"
        print(f"    instructions    {added - sha:+.0f}, and {sha:.0f} {without}, of {plain:.0f}")
        print(f"    processor time  {turns.added(turns.cpu)} of {statistics.median(turns.cpu[PLAIN]) / 1000:.1f} us")
        print(f"    rate            {turns.added(turns.rates)}", flush=True)
    nanos = line_nanos([turns.line for turns in found.values()])
    for name, turns in found.items():
        taken, whole = nanos[turns.line], statistics.median(turns.cpu[PLAIN])
        print(f"  to seal a line of {turns.line} bytes takes {taken:.0f} ns: {100 * taken / whole:.1f}% of a {name}")
