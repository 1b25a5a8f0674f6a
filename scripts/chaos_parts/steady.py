"""Load that goes on for hours: what is asked is judged as it goes by, and sampled."""

import asyncio
import collections
import json
import os
import decimal
import re
import signal
import time

from . import model, servers, traffic

# A line that is not there after so long, on a processor that does nothing else, is missing.
LATE = 5.0


class Judge:
    """Reads the audit log as it grows, and compares its lines with what was asked; both are forgotten then."""

    def __init__(self, servers_, book):
        self.servers, self.book = servers_, book
        self.findings = model.Findings()
        self.used = collections.Counter()
        self.rest, self.file = b"", None
        self.problems = 0

    def read(self):
        if self.file is None:
            self.file = open(self.servers.audit, "rb")
        data = self.rest + self.file.read()
        *lines, self.rest = data.split(b"\n")
        for line in lines:
            self.line(line)

    def line(self, text):
        try:
            record = json.loads(text, parse_float=decimal.Decimal)
        except ValueError:
            self.findings.wrong(f"a line of the audit log is damaged: {text[:120]!r}")
            return
        asked = self.book.asked.pop(record.get("request_id"), None)
        if asked is None:
            self.findings.wrong(f"a line of nobody's request: {record}")
            return
        # Its client may not have seen the end yet: what it saw is judged when it has.
        if asked.ended == float("inf"):
            asked.status = 0
        else:
            model.judge_answer(self.book, asked, self.findings)
        model.judge_line(self.book, asked, record, self.findings)
        if record.get("decision") == "allow":
            self.used[asked.client] += record.get("input_tokens", 0) + record.get("output_tokens", 0)

    def missing(self, pace):
        """Requests that ended long ago, and have no line."""
        moment = time.monotonic() - LATE * pace
        for asked in [one for one in self.book.asked.values() if one.ended < moment]:
            self.findings.wrong(f"1 line is missing: {asked.id} ({asked.kind}, {asked.status})")
            del self.book.asked[asked.id]

    async def rotate(self):
        """As logrotate does: the log goes on in a new file, and the old one is read to its end."""
        old = self.servers.audit.with_name("audit.log.1")
        os.rename(self.servers.audit, old)
        os.kill(self.servers.master(), signal.SIGUSR1)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not self.all_have_left(old):
            await asyncio.sleep(0.1)
        self.read()
        if self.rest:
            self.findings.wrong(f"the log that was rotated does not end with the end of a line: {self.rest[:80]!r}")
        self.file.close()
        self.file, self.rest = None, b""
        old.unlink()

    def all_have_left(self, path):
        """Whether no process of nginx has this file open any more."""
        for pid in self.servers.processes():
            for file in os.listdir(f"/proc/{pid}/fd"):
                try:
                    if os.readlink(f"/proc/{pid}/fd/{file}") == str(path):
                        return False
                except OSError:
                    continue
        return True


class Latencies:
    """How long requests took since they were looked at last, in milliseconds."""

    def __init__(self):
        self.seen = []

    def add(self, asked):
        self.seen.append(1000 * (asked.ended - asked.sent))

    def take(self):
        """The 50th, 90th and 99th percentile, and the longest."""
        seen, self.seen = sorted(self.seen), []
        if not seen:
            return 0.0, 0.0, 0.0, 0.0
        return *(seen[int(len(seen) * part)] for part in (0.5, 0.9, 0.99)), seen[-1]


async def load(port, mixes, stopped, latencies, rate=None):
    """Sends what the mixes say: so many a second in all, or as many as get through."""
    async def flow(mix):
        due = time.monotonic() + mix.generator.random() * (len(mixes) / rate if rate else 0)
        while not stopped():
            if rate:
                due += len(mixes) / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked, text, leave = mix.next()
            seen = await traffic.ask(port, asked, text, leave)
            if asked.kind == "aborted":
                traffic.charge_what_came(asked, seen)
            else:
                latencies.add(asked)

    await asyncio.gather(*(flow(mix) for mix in mixes))


def slots_used(servers_):
    _, text = servers_.inner("/metrics")
    return sum(int(float(count)) for count in re.findall(
        r'(?m)^tollgate_zone_slots\{(?=[^}]*state="used")[^}]*\} (\S+)$', text))


def sample(servers_, latencies, requests, began):
    """One row of the table."""
    sizes = [servers.memory(pid) or (0, 0) for pid in servers_.workers()]
    p50, p90, p99, longest = latencies.take()
    return {
        "seconds": round(time.monotonic() - began, 1), "requests": requests,
        "rss_kib": max((kib for kib, _ in sizes), default=0),
        "files": max((files for _, files in sizes), default=0),
        "master_kib": (servers.memory(servers_.master()) or (0, 0))[0],
        "zone_slots": slots_used(servers_), "in_flight": servers_.in_flight(),
        "p50_ms": round(p50, 2), "p90_ms": round(p90, 2), "p99_ms": round(p99, 2), "longest_ms": round(longest, 1),
    }


# What may grow from the end of the warm-up to the end, by the robust slope of the samples: KiB, files, slots.
MAY_GROW = {"rss_kib": 1024, "files": 4, "master_kib": 512, "zone_slots": 4}


def growth(rows, name):
    """How much this has grown over the samples, going by the median of all slopes between two of them."""
    points = [(row["seconds"], row[name]) for row in rows]
    return model.slope(points) * (points[-1][0] - points[0][0])
