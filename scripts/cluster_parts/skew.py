"""One client, whose requests go to three nodes as 9:1:0: how much of its limit can it use?"""

import asyncio
import time

from .traffic import SHARED, ask

SECONDS = 20.0
# Beyond the limit, so that all of it is asked for.
OFFERED = 1.6
USABLE = 0.98


async def measure(cluster, counts):
    shares = zip(cluster.nodes, (0.9, 0.1, 0.0))
    seen, client = [], "shared-0"
    began = time.monotonic()
    end = began + SECONDS

    async def one(node):
        seen.append((await ask(node, client))[0])

    async def flow(node, rate):
        tasks, due = [], time.monotonic()
        while rate and due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(one(node)))
            due += 1 / rate
        await asyncio.gather(*tasks)

    await asyncio.gather(*(flow(node, share * OFFERED * SHARED.rate) for node, share in shares))
    passed = sum(one.status == 200 for one in seen)
    length = max((one.answered for one in seen if one.status == 200), default=end) - began
    most = SHARED.capacity + SHARED.rate * length
    usable = passed / most
    counts["of a limit usable at 9:1:0"] = round(usable, 4)
    problems = []
    if usable < USABLE:
        problems.append(f"9:1:0: {passed} let in of {most:.0f}: {usable:.3f} of the limit")
    if passed > most:
        problems.append(f"9:1:0: {passed} let in in {length:.2f} s")
    return problems
