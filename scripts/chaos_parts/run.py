"""One kind of fault: traffic, the fault, and what is checked when it is over."""

import asyncio
import collections
import os
import re
import signal
import sys
import time

from pace import slowdown

from . import http2, model, servers, traffic
from .places import CLIENT, Places

# What a worker may have more in the end than when it was warm, in KiB: some more pages of the allocator.
SLACK_KIB = 3072
FLOWS = 6
# How long lines may take to be in the file, and how long a place may be kept when its stream has ended, on a
# processor that does nothing else, in seconds.
LINES, PLACE = 1.0, 1.0
# What the error log may have of nginx's own when workers are killed.
OF_KILLS = r"exited on signal 9"


class Run:
    """`seconds`: for how long there is traffic with faults."""

    def __init__(self, kind, seed, seconds, folder, binaries, **settings):
        self.kind, self.seed, self.seconds = kind, seed, seconds
        settings.setdefault("entries", [servers.entry(*one) for one in traffic.clients()])
        settings.setdefault("key_set", traffic.KEY_SET)
        settings.setdefault("seal", True)
        self.servers = servers.Servers(binaries, folder, **settings)
        self.pace = 1.0
        self.book = model.Book(servers.FLUSH + LINES)
        self.generator = traffic.random.Random(f"{seed} {kind} faults")
        self.problems = []
        self.counts = collections.Counter()
        self.stopping = False
        self.tasks = []
        self.began = time.monotonic()
        self.places = Places(self, self.mix("places"), self.grace)
        self.warm = {}
        self.expected_log = []
        # Findings of `tollgate audit verify` that are none here.
        self.expected_findings = set()
        # Of so many lines the log may have the beginning beside the whole.
        self.torn = lambda: 0
        self.told_lost = lambda: 0
        # Whose limits on tokens must say what was charged.
        self.charged = [f"open-{number}" for number in range(4)] + [CLIENT]
        self.forgotten = collections.Counter()

    def mix(self, name, weights=None):
        return traffic.Mix(self.book, f"{self.kind}-{name}", self.seed, weights)

    def grace(self):
        return PLACE * self.pace

    def look_at_the_pace(self):
        self.pace = max(self.pace, slowdown())

    def wrong(self, text):
        self.problems.append(text)

    def stopped(self):
        return self.stopping

    def time_left(self):
        return self.deadline - time.monotonic()

    async def start(self, flows=FLOWS, weights=None, churn=True, warm=1.0):
        """nginx, and traffic without faults; what workers have then is what they may have."""
        self.servers.start()
        end = time.monotonic() + warm
        await asyncio.gather(*(
            self.flow(number, self.mix(f"warm{number}", weights), lambda: time.monotonic() > end, 0.0)
            for number in range(flows)
        ))
        await asyncio.sleep(0.3)
        self.look_at_the_pace()
        self.warm = {pid: servers.memory(pid) for pid in await self.workers()}
        for number in range(flows):
            mix = self.mix(f"flow{number}", weights)
            self.tasks.append(asyncio.create_task(self.flow(number, mix, self.stopped, 0.002)))
        if churn:
            self.tasks.append(asyncio.create_task(self.places.churn(self.stopped)))
        self.deadline = time.monotonic() + self.seconds

    def flow(self, number, mix, stopped, pause):
        """Most clients come by HTTP/1, one by TLS, one by HTTP/2, and one by both, where there are so many."""
        ways = self.servers.ways
        if number == 3 and ways.tls:
            return traffic.flow(ways.tls, mix, stopped, pause)
        if number == 4 or number == 5 and ways.tls:
            return http2.flow(ways.h2 if number == 4 else ways.h2_tls, mix, self.book, stopped, pause)
        return traffic.flow(ways.plain, mix, stopped, pause)

    async def workers(self, count=servers.WORKERS):
        """The workers, once there are as many as there should be."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = self.servers.workers()
            servers.reap()
            if len(found) == count:
                return found
            await asyncio.sleep(0.01)
        sys.exit(f"chaos: nginx has no {count} workers:\n" + self.servers.log()[-2000:])

    async def pause(self, least, most):
        """For a while, as the seed says, and not beyond the end: whether there is time left."""
        await asyncio.sleep(max(0.0, min(self.generator.uniform(least, most), self.time_left())))
        for task in self.tasks:
            if task.done() and task.exception():
                raise task.exception()
        return self.time_left() > 0

    def kill(self, pid):
        """Kills a worker. The model learns of it before, as a request may."""
        moment = time.monotonic()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.book.killed(pid, time.monotonic())
        self.places.killed({pid}, moment)
        self.counts["killed"] += 1
        if OF_KILLS not in self.expected_log:
            self.expected_log.append(OF_KILLS)

    async def quiet(self):
        """Ends the traffic."""
        self.stopping = True
        await asyncio.gather(*self.tasks)
        self.places.let_all_go()
        self.ended = time.monotonic()
        self.look_at_the_pace()

    async def finish(self, quotas=True, used=True):
        """What must hold when it is over."""
        if not self.stopping:
            await self.quiet()
        await self.workers()
        for problem in await self.places.all_free(time.monotonic(), self.grace()):
            self.wrong(problem)
        await self.nothing_in_flight()
        findings = await self.audited()
        asked = {one.client for one in self.book.asked.values()}
        snapshot = model.Snapshot(self.book, self.servers.audit.read_bytes(), self.told_lost(), self.places.held,
                                  servers.PLACES, servers.QUOTA, self.forgotten, self.torn())
        if used:
            snapshot.refilled = servers.REFILL * (time.monotonic() - self.began) + 1
            for client in self.charged:
                snapshot.used[client, "tokens"] = self.servers.used(client, "tokens")
            snapshot.used["money-0", "cost"] = model.nano(self.servers.used("money-0", "budget"))
        if quotas:
            snapshot.counted = sorted(client for client in asked if client.startswith("few-"))
            self.counts["clients with a quota"] = len(snapshot.counted)
        self.snapshot = snapshot
        self.problems += snapshot.judge()
        self.counts.update(findings.counts)
        self.counts["places taken"] = sum(not one.refused for one in self.places.held)
        self.check_memory()
        self.check_engine()
        if not self.servers.stop(20 * self.pace):
            self.wrong(f"nginx does not end: {self.servers.alive()}")
        self.check_seal()
        self.check_error_log()

    async def nothing_in_flight(self):
        """By what nginx itself says."""
        deadline = time.monotonic() + 5 * self.grace()
        while (count := self.servers.in_flight()) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if count:
            self.wrong(f"a place is kept: {count} requests in flight, and nobody asks")

    async def audited(self):
        """What the log says, once it says all of it, or the time for that is over."""
        deadline = time.monotonic() + (servers.FLUSH + LINES) * self.pace
        while True:
            late = time.monotonic() > deadline
            findings = model.judge(self.book, self.servers.audit.read_bytes(), self.told_lost(), self.torn())
            if late or not findings.problems:
                return findings
            await asyncio.sleep(0.1)

    def check_memory(self):
        """Workers have what they had when they were warm, and new ones no more than that."""
        if not self.warm:
            return
        most_kib = max(kib for kib, _ in self.warm.values()) + SLACK_KIB
        most_files = max(files for _, files in self.warm.values())
        deadline = time.monotonic() + 5 * self.pace
        while True:
            found = {pid: servers.memory(pid) for pid in self.servers.workers()}
            found = {pid: one for pid, one in found.items() if one}
            many = {pid: one for pid, one in found.items() if one[1] > most_files}
            if not many or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        for pid, (kib, files) in found.items():
            if kib > most_kib:
                self.wrong(f"memory: worker {pid} has {kib} KiB, and may have {most_kib}")
            if files > most_files:
                self.wrong(f"descriptors: worker {pid} has {files}, and may have {most_files}")
        self.counts["KiB of the largest worker"] = max((one[0] for one in found.values()), default=0)

    def check_engine(self):
        deadline = time.monotonic() + 5 * self.pace
        while (active := self.servers.stats()["active"]) and time.monotonic() < deadline:
            time.sleep(0.02)
        if active:
            self.wrong(f"the engine still generates {active} answers")

    def check_seal(self):
        """What the seal of the log says: only what was told to be lost may be missing."""
        if self.servers.seal is None:
            return
        status, text = self.servers.seal.verified(self.servers.audit)
        findings = re.findall(r"(?m)^.*: (changed|removed|added|reordered|cut_off|backdated|bad_seal): .*$", text)
        unexpected = [kind for kind in findings if kind not in self.expected_findings]
        if unexpected or (status != 0 and not findings):
            self.wrong(f"the sealed log ({status}): {len(unexpected)} findings: {text[:600]}")
        if self.kind == "traffic" and not self.is_change_found():
            self.wrong("the sealed log: a line that was changed is not found")
        self.counts["seals"] = sum(int(count) for count in re.findall(r"(\d+) seals", text))

    def is_change_found(self):
        """Whether verifying finds one letter that is another."""
        changed = self.servers.folder / "changed.log"
        changed.write_bytes(self.servers.audit.read_bytes().replace(b'"allow"', b'"allov"', 1))
        return self.servers.seal.verified(changed)[0] == 1

    def check_error_log(self):
        bad = re.compile(r"\[(?:alert|emerg|crit)\]|panic|internal error")
        for line in self.servers.log().splitlines():
            if bad.search(line) and not any(re.search(one, line) for one in self.expected_log):
                self.wrong(f"error.log: {line}")

