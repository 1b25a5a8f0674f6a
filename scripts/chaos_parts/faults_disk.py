"""Faults of the disk: one that is full, and one that is slow."""

import asyncio
import os
import re
import signal
import subprocess
import time

from .faults_processes import crash_now, replaced

SIZE = "24m"


def mount(folder):
    """A small disk: the state and the audit log are on it."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", disk], check=True)
    return {"state": "disk/state/file", "audit": "disk/audit.log"}


def unmount(folder):
    subprocess.run(["umount", "--lazy", folder / "disk"], check=False, stderr=subprocess.DEVNULL)


def cannot_mount():
    if "TOLLGATE_CHAOS_NAMESPACE" not in os.environ:
        return "no mount namespace to be had (unshare --mount)"
    return ""


def told_lost(run):
    """The lines that nginx says were lost: each failure is told when it is over."""
    return sum(int(count) for count in re.findall(
        r'audit log "[^"]*" is written again; (\d+) lines were lost', run.servers.log()))


def fill(path):
    with open(path, "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1 << 8, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


async def disk_full(run):
    """The disk under the audit log and the state is full, for a while, again and again."""
    run.told_lost = lambda: told_lost(run)
    # A sealed log has a line whose end found no room once more, whole, and verifying it says so (docs/audit-log.md).
    run.torn = lambda: len(re.findall(r"was written in part|cannot write the audit log", run.servers.log()))
    await run.start()
    filler = run.servers.folder / "disk/filler"
    while await run.pause(0.3, 0.8):
        fill(filler)
        run.counts["times full"] += 1
        await run.pause(0.3, 2.5)
        filler.write_bytes(b"")
        # It is tried again every second.
        await run.pause(1.2 * run.pace, 1.5 * run.pace)
    filler.unlink()
    await run.quiet()
    deadline = time.monotonic() + 5 * run.pace
    while time.monotonic() < deadline:
        log = run.servers.log()
        failed, again = (len(re.findall(one, log)) for one in (
            r"cannot write the audit log|was written in part", r"audit log \S+ is written again"))
        if again >= 1 or not failed:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.2 * run.pace)
    if run.counts["times full"] and not re.search(r"cannot write the audit log|was written in part", run.servers.log()):
        run.wrong("the error log does not say that the audit log can't be written")
    # The state is whole again, and what it says is what was used.
    await crash_now(run)
    await run.finish()


async def slow_disk(run):
    """fsync(2) takes up to seconds; no request may wait for it, nor a reload."""
    await run.start()
    while await run.pause(0.2, 0.6):
        run.servers.faults.set(fsync_ms=run.generator.choice((0, 50, 500, 3000)))
        await run.pause(0.2, 0.8)
        deed = run.generator.choice(("nothing", "reload", "kill"))
        if deed == "kill":
            run.kill(run.generator.choice(await run.workers()))
        elif deed == "reload":
            old, began = await run.workers(), time.monotonic()
            os.kill(run.servers.master(), signal.SIGHUP)
            await replaced(run, old)
            run.look_at_the_pace()
            if time.monotonic() - began > 2 * run.pace:
                run.wrong(f"a reload took {time.monotonic() - began:.1f} s")
        run.counts[deed] += 1
    run.servers.faults.set()
    await run.quiet()
    lives = [one for one in run.book.asked.values() if one.kind != "place" and not run.book.may_be_lost(one)]
    slowest = max(lives, key=lambda one: one.ended - one.sent)
    run.counts["ms of the slowest request"] = round(1000 * (slowest.ended - slowest.sent))
    if slowest.ended - slowest.sent > 1.0 * run.pace:
        run.wrong(f"{slowest.id} took {slowest.ended - slowest.sent:.2f} s, of {run.pace:.2f} s")
    await run.finish()
