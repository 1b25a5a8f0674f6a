"""Faults of processes: workers that are killed, reloads, upgrades, and the death of everything."""

import asyncio
import os
import pathlib
import signal
import time

from . import servers


async def quiet_traffic(run):
    """Nothing but traffic: what all others stand on."""
    await run.start()
    while await run.pause(0.2, 0.5):
        pass
    await run.finish()


async def kill(run):
    """Workers are killed, one at a time or all at once."""
    await run.start()
    while await run.pause(0.2, 0.9):
        victims = await run.workers()
        if run.generator.random() < 0.7:
            victims = [run.generator.choice(victims)]
        for pid in victims:
            run.kill(pid)
        await run.workers()
        run.look_at_the_pace()
    await run.finish()


async def replaced(run, old, patience=20):
    """Waits until other workers than these take requests."""
    deadline = time.monotonic() + patience
    while set(run.servers.workers()) & set(old) or len(run.servers.workers()) < servers.WORKERS:
        if time.monotonic() > deadline:
            run.wrong("a reload or upgrade was not done")
            return
        servers.reap()
        await asyncio.sleep(0.01)


async def reload(run):
    """Reloads under traffic: no request may notice."""
    await run.start()
    before, sizes = servers.memory(run.servers.master()), []
    while await run.pause(0.1, 1.0):
        old = await run.workers()
        run.book.moves.append(time.monotonic())
        os.kill(run.servers.master(), signal.SIGHUP)
        await replaced(run, old)
        run.counts["reloads"] += 1
        sizes.append(servers.memory(run.servers.master())[0])
    await old_workers_gone(run)
    # It keeps a channel to each worker, and so has more as long as old ones live.
    kib, files = servers.memory(run.servers.master())
    if files > before[1]:
        run.wrong(f"descriptors: the master had {before[1]}, and has {files} after {len(sizes)} reloads")
    # The first ones fill what the allocator keeps.
    if len(sizes) > 4 and kib > sizes[3] + master_slack(len(sizes)):
        run.wrong(f"memory: the master had {sizes[3]} KiB after 4 reloads, and {kib} after {len(sizes)}")
    await run.finish()


def master_slack(reloads):
    """What a master may grow by, in KiB: nginx itself keeps some pages."""
    return 1024 + 16 * reloads


async def old_workers_gone(run):
    """Workers of before end when their last stream has."""
    await run.quiet()
    deadline = time.monotonic() + 10 * run.pace
    while len(run.servers.alive()) > servers.WORKERS + 1 and time.monotonic() < deadline:
        servers.reap()
        await asyncio.sleep(0.02)
    left = len(run.servers.alive()) - servers.WORKERS - 1
    if left:
        run.wrong(f"{left} processes of before have not ended")


async def upgrade(run):
    """USR2: a new master inherits the zone. Then the old one quits, or the upgrade is called off."""
    await run.start()
    pid_file = run.servers.folder / "nginx.pid"
    while await run.pause(0.2, 1.0):
        old = run.servers.master()
        os.kill(old, signal.SIGUSR2)
        deadline = time.monotonic() + 20
        while run.servers.master() in (0, old) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        new = run.servers.master()
        if new in (0, old):
            run.wrong("an upgrade was not done")
            break
        await run.workers()
        # Both take requests.
        await asyncio.sleep(run.generator.random() * 0.5)
        if run.generator.random() < 0.6:
            await quit_master(run, old)
            run.counts["upgrades"] += 1
        else:
            await quit_master(run, new)
            deadline = time.monotonic() + 20
            while run.servers.master() != old and time.monotonic() < deadline:
                await asyncio.sleep(0.01)
            run.counts["upgrades called off"] += 1
            if not pid_file.exists():
                run.wrong("the old nginx has no pid file any more")
                break
    await old_workers_gone(run)
    await run.finish()


async def quit_master(run, pid):
    run.book.moves.append(time.monotonic())
    os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + 20 * run.pace
    # Its workers end when the last of their streams has: those that are held here, by and by.
    while servers.is_alive(pid) and time.monotonic() < deadline:
        servers.reap()
        await asyncio.sleep(0.01)
    if servers.is_alive(pid):
        run.wrong(f"the master {pid} does not end: {pathlib.Path(f'/proc/{pid}/cmdline').read_text()!r}")


async def crash(run):
    """All of nginx is killed, and started again from its state."""
    await run.start()
    run.expected_log.append(r"bind\(\) to .* failed")
    while await run.pause(1.0, 3.0):
        await crash_now(run)
    await run.finish()


async def crash_now(run):
    moment = time.monotonic()
    run.servers.kill()
    run.places.killed(set(one.asked.worker for one in run.places.open), moment)
    # What was used in the second before, and while the file was written, may be forgotten.
    forget(run, moment - 1.0 * run.pace)
    run.servers.start()
    run.book.crashes.append((moment, time.monotonic()))
    run.counts["crashes"] += 1


def forget(run, since):
    """What was asked after this moment may be forgotten by the limits."""
    for asked in run.book.asked.values():
        if asked.ended >= since and asked.client:
            most = max(asked.expect.reserves, asked.expect.input[1] + asked.expect.output[1])
            kind = asked.client.partition("-")[0]
            run.forgotten[asked.client] += {"few": 1, "money": most * 600}.get(kind, most)
