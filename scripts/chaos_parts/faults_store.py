"""Faults of the store that the nodes of a cluster share: it stops, or dies and comes back with its data."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time

from . import servers

# For how long it is away at most, in seconds: beyond five, what the node had leased counts as used, and limits are no
# longer exact. After that, how long the node may take to be connected again.
AWAY, AGAIN = 2.0, 1.5


def program():
    return shutil.which("redis-server") or shutil.which("valkey-server")


def missing():
    return "" if program() else "no redis-server, and no valkey-server"


class Store:
    """It keeps what it has acknowledged, however it ends."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder / "store", servers.free_port(), None
        self.folder.mkdir()
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
                 "--appendfsync", "always", "--dir", self.folder], stdout=log, stderr=log)
        (self.folder / "pid").write_text(str(self.process.pid))
        servers.wait_for(self.port, "the store", self.process)

    def kill(self):
        self.process.kill()
        self.process.wait()


def settings(folder):
    store = Store(folder)
    cluster = f"tollgate_cluster redis://127.0.0.1:{store.port} node=one exchange=50ms on_loss=deny expected_nodes=1;"
    # Places are taken and given back all the time; those of a cluster are what scripts/check-cluster looks at.
    return {"shared": cluster, "scope": "scope node;", "more": {"store": store}}


def clean(folder):
    try:
        os.kill(int((folder / "store/pid").read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        pass


def is_up(run):
    _, text = run.servers.inner("/metrics")
    found = re.search(r"(?m)^tollgate_cluster_up\S* (\S+)$", text)
    return found is not None and float(found[1]) == 1


async def connected(run, patience):
    deadline = time.monotonic() + patience
    while not is_up(run):
        if time.monotonic() > deadline:
            run.wrong("the store is there, and the node does not say so")
            return
        await asyncio.sleep(0.02)


async def store(run):
    """The store is away again and again. Whoever has nothing leased is refused meanwhile; nobody gets more than his
    limit, and in the end each limit says what was charged."""
    one = run.servers.more["store"]
    # Requests may come before the node has spoken with it.
    run.book.lost.append((0.0, float("inf")))
    await run.start()
    await connected(run, 10 * run.pace)
    run.book.lost[-1] = (0.0, time.monotonic() + AGAIN * run.pace)
    while await run.pause(0.5, 1.5):
        begin, away = time.monotonic(), run.generator.uniform(0.05, AWAY)
        run.book.lost.append((begin, float("inf")))
        if run.generator.random() < 0.5:
            one.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(away)
            one.process.send_signal(signal.SIGCONT)
            run.counts["times the store was stopped"] += 1
        else:
            one.kill()
            await asyncio.sleep(away)
            one.start()
            run.counts["times the store was killed"] += 1
        await connected(run, 10 * run.pace)
        run.look_at_the_pace()
        run.book.lost[-1] = (begin, time.monotonic() + AGAIN * run.pace)
    # The store counts money in millionths, and a part of one is rounded up when it is told.
    run.forgotten["money-0"] += 1000 * (1 + len(run.book.lost))
    await run.quiet()
    await connected(run, 10 * run.pace)
    # What waits for the next exchange.
    await asyncio.sleep(0.5 * run.pace)
    await run.finish()
    one.kill()
