"""Schedules: traffic, a fault, and what is checked when it is over."""

import asyncio
import random
import re
import time

from pace import slowdown

from . import bounds, ledger
from .kinds import KINDS
from .servers import EXCHANGE, NODES, WORKERS
from .traffic import LIMITS, Traffic

# Before and after the fault, in seconds.
WARM, COOL = 1.2, 1.5
# What a request may take beside its wait for the store, on a processor that does nothing else.
SLACK = 0.25
# How long places may stay taken when their streams have ended: a killed worker's are given back within a second.
FREE = 1.5
BAD = re.compile(r"\[(?:alert|emerg|crit)\]|panic|internal error")
EXPECTED = (r"exited on signal 9", r"open socket #\d+ left in connection")


class Schedule:
    def __init__(self, cluster, number, kind, seed, counts):
        self.cluster, self.number, self.kind, self.counts = cluster, number, kind, counts
        self.generator = random.Random(f"{seed} {number} {kind}")
        self.course = bounds.Course(self.generator.choice(("share", "share", "local", "deny")), NODES)
        self.traffic = Traffic(cluster, number, self.generator)
        self.problems, self.pauses = [], []
        self.store_clock = 0
        # Several faults at once: what one alone promises may be kept from it by another one.
        self.is_storm = False

    def wrong(self, text):
        self.problems.append(f"schedule {self.number} ({self.kind}, on_loss={self.course.on_loss}): {text}")

    def paused(self, node, begin, end):
        """Meanwhile requests may hang at this node for another reason than the store."""
        self.pauses.append((node.number, begin, end))

    def paused_all(self, begin, end):
        for node in self.cluster.nodes:
            self.paused(node, begin, end)

    def set_store_clock(self, seconds):
        self.store_clock = seconds
        self.cluster.store.clock.set(seconds)

    async def run(self):
        await self.prepare()
        self.traffic.start()
        await asyncio.sleep(WARM)
        # That what the store keeps can be read.
        self.counts["times that leases were seen"] += bool(await asyncio.to_thread(
            ledger.leased, self.cluster.store, bounds.DEAD))
        await KINDS[self.kind][0](self)
        await asyncio.sleep(COOL)
        await self.traffic.stop()
        self.counts["schedules"] += 1
        self.counts["requests"] += len(self.traffic.seen)
        self.check_bounds()
        self.check_waits()
        self.check_refused()
        await self.check_places()

    async def prepare(self):
        """on_loss of this schedule, no clock apart, and all nodes speaking with the store."""
        self.set_store_clock(0)
        for node in self.cluster.nodes:
            node.clock.set(0)
            if node.on_loss != self.course.on_loss:
                node.configure(self.course.on_loss)
                await asyncio.to_thread(node.reload)
        deadline = time.monotonic() + 15
        for node in self.cluster.nodes:
            while not await self.speaks(node):
                if time.monotonic() > deadline:
                    self.wrong(f"{node.name} does not speak with the store before the schedule")
                    return
                await asyncio.sleep(0.05)

    async def speaks(self, node):
        workers = node.workers()
        return len(workers) == WORKERS and await asyncio.to_thread(node.metric, "tollgate_cluster_up") == 1

    def check_bounds(self):
        for tier, limit in LIMITS.items():
            admitted = self.traffic.admitted(tier)
            found, most = bounds.reached(limit, admitted), bounds.bound(limit, self.course)
            self.counts[f"{tier} admitted"] += len(admitted)
            over = 100 * (found / limit.capacity - 1)
            name = f"% the most of {tier} beyond its capacity"
            self.counts[name] = max(self.counts[name], round(over, 1))
            if found > most + 1e-6:
                self.wrong(f"{tier}: {found:.1f} let in beyond its rate, of {limit.capacity}, and {most:.1f} may be")
            if not admitted and self.course.on_loss != "deny":
                self.wrong(f"{tier}: nobody was let in")

    def check_refused(self):
        """Nobody is told that the store is lost while it is there."""
        lost = sum(seen.status == 503 for seen in self.traffic.seen)
        self.counts["refused without the store"] += lost
        if lost and (not self.course.outages or self.course.on_loss != "deny"):
            self.wrong(f"{lost} requests were refused with 503")

    def check_returned(self, begin, end):
        """Of a node that was dead so early its places are there for the others meanwhile."""
        for tier, limit in LIMITS.items():
            if limit.slots and end - begin > 1.0 and not self.is_storm:
                meanwhile = [bounds.Admitted(max(one.begin, begin), min(one.end, end)) for one in self.traffic.admitted(tier)]
                if (found := bounds.in_flight(meanwhile)) < limit.capacity:
                    self.wrong(f"{tier}: the places of a dead node are not back: {found} of {limit.capacity} in use")
                self.counts["times that a dead node's places were back"] += 1

    def check_waits(self):
        """Beside what the machine and this script take, no request waits for longer than it may."""
        pace = slowdown()
        slack = SLACK * pace + 2 * self.traffic.lag
        for seen in self.traffic.seen:
            if any(node == seen.node and begin < seen.answered and seen.sent < end for node, begin, end in self.pauses):
                continue
            took = seen.answered - seen.sent
            self.counts["ms the longest answer took"] = max(self.counts["ms the longest answer took"], round(took * 1000))
            is_away = any(
                one.node == seen.node and one.begin < seen.answered and seen.sent < one.end for one in self.course.outages
            )
            most = bounds.longest_wait(EXCHANGE, is_away) + slack
            if took > most:
                self.wrong(f"a request of {seen.client} took {took:.2f} s on n{seen.node} ({seen.status}), and may {most:.2f}")

    async def check_places(self):
        """Nothing is in flight when nobody asks."""
        deadline = time.monotonic() + FREE * max(1.0, slowdown()) + 1.0
        for node in self.cluster.nodes:
            while count := await asyncio.to_thread(node.metric, "tollgate_in_flight"):
                if time.monotonic() > deadline:
                    self.wrong(f"{node.name} has {count:g} requests in flight, and nobody asks")
                    break
                await asyncio.sleep(0.05)


def check_idle(cluster, counts):
    """When nobody asks any more all leases go back in time, nothing else is left behind, and nodes know all the time
    that the store is there."""
    begin, patience, lost, looks = time.monotonic(), bounds.IDLE + 2 * bounds.HEARTBEAT, 0, 0
    while (left := ledger.leased(cluster.store, bounds.DEAD)) and time.monotonic() < begin + patience:
        time.sleep(0.1)
    counts["s until leases were back"] = round(time.monotonic() - begin, 1)
    problems = []
    if not counts["times that leases were seen"]:
        problems.append("no lease was ever seen in the store")
    if left:
        problems.append(f"after {patience:.0f} s leases have not gone back: {sorted(left.values())} of {len(left)} limits")
    end = time.monotonic() + 3 * bounds.HEARTBEAT
    while time.monotonic() < end:
        for node in cluster.nodes:
            looks += 1
            lost += node.metric("tollgate_cluster_up") != 1
    for node in cluster.nodes:
        if (count := node.connections()) != 1:
            problems.append(f"{node.name} has {count} connections to the store, and needs one")
    if active := cluster.generating():
        problems.append(f"the engine still generates {active} answers")
    if lost:
        problems.append(f"a node with nothing to say took the store for lost, {lost} of {looks} times that it was asked")
    return problems


def check_logs(cluster):
    found = []
    for node in cluster.nodes:
        for line in node.log().splitlines():
            if BAD.search(line) and not any(re.search(one, line) for one in EXPECTED):
                found.append(f"{node.name}, error.log: {line}")
    return found


async def run_all(options, cluster, numbers, kinds, counts):
    """What failed."""
    problems = []
    for number, kind in zip(numbers, kinds):
        schedule, began = Schedule(cluster, number, kind, options.seed, counts), time.monotonic()
        try:
            await asyncio.wait_for(schedule.run(), 120)
        except (OSError, asyncio.TimeoutError) as error:
            schedule.wrong(f"it broke off: {error!r}")
        finally:
            schedule.traffic.stopping = True
        if options.verbose or schedule.problems and not options.self_test:
            reached = " ".join(f"{tier} {bounds.reached(limit, schedule.traffic.admitted(tier)):.1f}/"
                               f"{bounds.bound(limit, schedule.course):.0f}" for tier, limit in LIMITS.items())
            print(f"  {number:3} {kind:12} {schedule.course.on_loss:6} {time.monotonic() - began:4.1f} s  {reached}",
                  flush=True)
        problems += schedule.problems
    if not options.quick:
        problems += await asyncio.to_thread(check_idle, cluster, counts)
    return problems + check_logs(cluster)
