"""The faults. Each is a coroutine that does it and undoes it, and notes in the course of the schedule what it means for
the bound."""

import asyncio
import signal
import time

from pace import slowdown

from . import bounds
from .servers import EXCHANGE, send
from .traffic import ask

# From a fault of the speaking worker until another one speaks, and until a node speaks again with a store that is back:
# a turn of the upkeep, or the longest pause before it tries again, and some.
TAKE_OVER = 2.5


def outage(run, nodes, begin, after=0.5):
    for node in nodes:
        run.course.outages.append(bounds.Outage(node.number, begin, time.monotonic() + after))


def length(run):
    """Shorter than a store counts as lost; until leases have ended; until the store takes the node for dead."""
    return run.generator.choice((0.4, 2.0, bounds.LIFE + 0.7, bounds.DEAD + 1.0))


async def quiet(run):
    await asyncio.sleep(1.0)


async def kill_worker(run):
    for _ in range(run.generator.randint(1, 3)):
        node = run.generator.choice(run.cluster.nodes)
        workers = node.workers()
        if not workers:
            continue
        pid, begin = run.generator.choice(workers), time.monotonic()
        is_speaker = pid == node.speaker()
        run.traffic.killed(node, {pid}, begin)
        send([pid], signal.SIGKILL)
        run.paused(node, begin, begin + 1.0)
        await asyncio.sleep(run.generator.uniform(0.2, 0.8))
        if is_speaker:
            outage(run, [node], begin, TAKE_OVER)
            run.counts["speaking workers killed"] += 1
        run.counts["workers killed"] += 1


async def kill_node(run):
    node, begin = run.generator.choice(run.cluster.nodes), time.monotonic()
    run.traffic.killed(node, node.all(), begin)
    await asyncio.to_thread(node.kill)
    await asyncio.sleep(run.generator.choice((0.0, 1.5, bounds.DEAD + 2.0)))
    run.check_returned(begin + bounds.DEAD, time.monotonic())
    await asyncio.to_thread(node.start)
    run.paused(node, begin, time.monotonic())
    run.counts["nodes killed"] += 1


async def stop_worker(run):
    node = run.generator.choice(run.cluster.nodes)
    speaker, begin = node.speaker(), time.monotonic()
    pid = run.generator.choice([*node.workers(), *([speaker] * 2 if speaker else [])])
    send([pid], signal.SIGSTOP)
    try:
        pause = length(run)
        await asyncio.sleep(pause)
        # The worker that is left has taken over, unless other faults keep it from that.
        if pid == speaker and pause > bounds.SILENT + 0.5 * slowdown() and not run.is_storm:
            run.counts["speaking workers replaced"] += 1
            if not set(node.speakers()) - {pid}:
                run.wrong(f"{node.name}: nobody speaks with the store in place of a worker that is stopped")
    finally:
        send([pid], signal.SIGCONT)
    run.paused(node, begin, time.monotonic() + 0.5)
    if pid == speaker:
        outage(run, [node], begin, TAKE_OVER)
        run.counts["speaking workers stopped"] += 1
    run.counts["workers stopped"] += 1


async def stop_node(run):
    node, begin = run.generator.choice(run.cluster.nodes), time.monotonic()
    pids = node.all()
    # Those that go on first spend first.
    run.generator.shuffle(pids)
    send(pids, signal.SIGSTOP)
    try:
        await asyncio.sleep(length(run))
    finally:
        send(pids, signal.SIGCONT)
    outage(run, [node], begin)
    run.paused(node, begin, time.monotonic() + 0.5)
    run.counts["nodes stopped"] += 1


async def stop_store(run):
    begin = time.monotonic()
    run.cluster.store.signal(signal.SIGSTOP)
    try:
        pause = length(run)
        await asyncio.sleep(pause)
        await probe(run, run.cluster.nodes, pause)
    finally:
        run.cluster.store.signal(signal.SIGCONT)
    outage(run, run.cluster.nodes, begin, 1.5)
    run.counts["stores stopped"] += 1


async def link_down(run):
    nodes = run.generator.sample(run.cluster.nodes, run.generator.choice((1, 1, 2)))
    begin = time.monotonic()
    for node in nodes:
        node.place.link(False)
    try:
        pause = length(run)
        await asyncio.sleep(pause)
        await probe(run, nodes, pause)
    finally:
        for node in nodes:
            node.place.link(True)
    outage(run, nodes, begin, 1.5)
    run.counts["links down"] += len(nodes)


async def slow_link(run):
    """From a far store to one that is too far."""
    delay, begin = run.generator.choice((0.005, 0.02, 0.06, 0.1, 0.2)), time.monotonic()
    run.cluster.relay.tell("delay", delay, delay)
    try:
        await asyncio.sleep(run.generator.uniform(1.5, 4.0))
    finally:
        run.cluster.relay.tell("delay", 0, 0)
    if 2 * delay + EXCHANGE > bounds.call_timeout(EXCHANGE):
        outage(run, run.cluster.nodes, begin, 1.5)
    run.counts["slow links"] += 1


async def late_answers(run):
    """The store does what it is asked, and nobody hears of it in time."""
    begin = time.monotonic()
    run.cluster.relay.tell("delay", 0, run.generator.choice((0.4, 1.0, bounds.DEAD)))
    try:
        await asyncio.sleep(run.generator.uniform(1.0, 4.0))
    finally:
        run.cluster.relay.tell("delay", 0, 0)
    outage(run, run.cluster.nodes, begin, 1.5)
    run.counts["times that answers were late"] += 1


async def empty_store(run):
    """It is killed, and comes back without what it knew."""
    store, begin = run.cluster.store, time.monotonic()
    store.kill()
    await asyncio.sleep(run.generator.choice((0.0, 0.3, 2.0, bounds.LIFE + 0.5)))
    await asyncio.to_thread(store.start)
    outage(run, run.cluster.nodes, begin, 1.5)
    run.course.losses += 1
    run.counts["stores lost"] += 1


async def promote(run):
    """The store dies; its replica, which may have missed what came last, is the store from then on."""
    old, new = run.cluster.store, run.cluster.spare()
    await asyncio.to_thread(new.start)
    new.command("REPLICAOF", old.address, 6379)
    deadline = time.monotonic() + 20
    while b"master_link_status:up" not in new.command("INFO", "replication"):
        if time.monotonic() > deadline:
            run.wrong("the replica does not follow")
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(run.generator.uniform(0.5, 1.5))
    begin = time.monotonic()
    is_frozen = run.generator.random() < 0.5
    old.signal(signal.SIGSTOP if is_frozen else signal.SIGKILL)
    await asyncio.sleep(run.generator.choice((0.0, 0.2, 1.5)))
    new.command("REPLICAOF", "NO", "ONE")
    run.cluster.store = new
    run.cluster.relay.tell("to", new.address)
    old.kill()
    outage(run, run.cluster.nodes, begin, 1.5)
    run.course.losses += 1
    run.counts["replicas promoted"] += 1


async def clocks(run):
    """Clocks of nodes are set, and are apart by ten minutes."""
    for _ in range(3):
        for node in run.cluster.nodes:
            node.clock.set(run.generator.choice((-600, 0, 600)))
        await asyncio.sleep(run.generator.uniform(0.5, 1.5))
    run.counts["clocks set"] += 9


async def store_clock(run):
    """The clock of the store is set, forward and back. Time that it skips counts, so a limit may be used anew."""
    for _ in range(2):
        before = run.store_clock
        run.set_store_clock(run.generator.choice([one for one in (-600, 0, 600) if one != before]))
        run.course.losses += run.store_clock > before
        begin = time.monotonic()
        await asyncio.sleep(run.generator.uniform(0.8, 1.5))
        run.paused_all(begin, begin + 0.5)
    run.counts["clocks of stores set"] += 2


async def reload(run):
    """Of each node in turn: their newer workers go on in time."""
    for node in run.cluster.nodes:
        await asyncio.to_thread(node.reload)
        begin, workers = time.monotonic(), node.workers()
        while not set(node.speakers()) & set(workers) and time.monotonic() < begin + 5:
            await asyncio.sleep(0.005)
        took = time.monotonic() - begin
        name = "ms until a newer worker spoke with the store, at most"
        run.counts[name] = max(run.counts[name], round(took * 1000))
        # Two exchanges, and a look at the processes.
        if took > (2 * EXCHANGE + 0.1) * slowdown():
            run.wrong(f"{node.name}: no newer worker speaks with the store, for {took:.2f} s")
        await asyncio.sleep(run.generator.uniform(0.0, 0.5))
        run.counts["reloads"] += 1


async def storm(run):
    """Two or three of these at once."""
    run.is_storm = True
    several = (kill_worker, kill_node, stop_worker, stop_node, stop_store, link_down, slow_link, late_answers, empty_store)
    await asyncio.gather(*(one(run) for one in run.generator.sample(several, run.generator.choice((2, 3)))))
    run.counts["storms"] += 1


async def probe(run, nodes, pause):
    """What a client gets that nobody has seen before, by on_loss, on one of these nodes, which have lost the store."""
    if pause < bounds.LOST + 0.9 or run.is_storm:
        return
    node, client = run.generator.choice(nodes), f"probe-{run.number}"
    seen = [(await ask(node, client))[0] for _ in range(12)]
    found = sum(one.status == 200 for one in seen)
    expected = {"share": 9 // run.course.nodes, "local": 9, "deny": 0}[run.course.on_loss]
    if found != expected:
        run.wrong(f"on_loss={run.course.on_loss}: {node.name} alone lets in {found} of a limit of 9, and not {expected}: "
                  + " ".join(f"{one.status}" for one in seen))
    refused = {"share": 429, "local": 429, "deny": 503}[run.course.on_loss]
    if any(one.status not in (200, refused) for one in seen):
        run.wrong(f"on_loss={run.course.on_loss}: refused with " + " ".join(sorted({str(one.status) for one in seen})))
    run.counts["probes of on_loss"] += 1


KINDS = {
    "quiet": (quiet, "no fault"),
    "kill-worker": (kill_worker, "workers are killed"),
    "kill-node": (kill_node, "all of a node is killed, and starts again"),
    "stop-worker": (stop_worker, "a worker is stopped for a while (SIGSTOP), mostly the one that speaks with the store"),
    "stop-node": (stop_node, "all of a node is stopped for a while"),
    "stop-store": (stop_store, "the store is stopped for a while"),
    "link-down": (link_down, "one node or two can't reach the store"),
    "slow-link": (slow_link, "the store is far, or too far"),
    "late-answers": (late_answers, "the store does what it is asked, and its answers come too late"),
    "empty-store": (empty_store, "the store is killed, and starts without data"),
    "promote": (promote, "the store dies, and its replica takes its place"),
    "clocks": (clocks, "clocks of nodes are set apart by ten minutes, under way"),
    "store-clock": (store_clock, "the clock of the store is set by ten minutes, under way"),
    "storm": (storm, "two or three of these at once"),
    "reload": (reload, "nodes are reloaded, one after the other"),
}
