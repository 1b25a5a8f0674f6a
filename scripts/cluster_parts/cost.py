"""What a node costs that is part of a cluster, beside one that isn't, and how often it calls the store."""

import asyncio
import json
import pathlib
import re
import statistics
import subprocess
import time

from chaos_parts.servers import key_of

from .servers import EXCHANGE, PORT
from .traffic import OUTPUT, WORDS

ROUNDS, SECONDS = 90, 1
MOST_CALLS = 1 / EXCHANGE
MOST_CPU = 1.03
SCRIPT = """
wrk.method = "POST"
wrk.body = %s
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-API-Key"] = "%s"
wrk.headers["X-Mock-Tokens"] = "%d"
"""


def run_time(pids):
    """What these processes had of processors, in nanoseconds."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total


def calls(store):
    """Of scripts, as the store counts them."""
    text = store.command("INFO", "commandstats").decode()
    return sum(int(count) for count in re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", text))


async def load(node, script, connections):
    """Requests, and those that were refused."""
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", script, f"http://{node.place.front}:{PORT}/v1/chat/completions",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = (await process.communicate())[0].decode()
    count = re.search(r"(\d+) requests in ", text)
    if count is None:
        raise RuntimeError(f"wrk before {node.name} said {text!r}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return int(count[1]), int(refused[1]) if refused else 0


async def measure(cluster, counts):
    """The first node is in the cluster, the second one isn't. A round loads one after the other, and the order
    changes from round to round."""
    with_cluster, without, idle = cluster.nodes
    without.configure(None)
    without.stop()
    without.start()
    script = cluster.folder / "wrk.lua"
    body = json.dumps({"model": "mock", "messages": [{"role": "user", "content": WORDS}], "max_tokens": OUTPUT})
    script.write_text(SCRIPT % (json.dumps(body), key_of("wide-0"), OUTPUT))
    for node in (with_cluster, without):
        await load(node, script, 8)
    costs, problems, most_calls = {with_cluster: [], without: []}, [], 0.0
    idle.stop()
    for number in range(ROUNDS):
        pair = [with_cluster, without]
        for node in pair if number % 2 else reversed(pair):
            connections = (2, 8, 32)[number // 2 % 3]
            before, called, began = run_time(node.workers()), calls(cluster.store), time.monotonic()
            count, refused = await load(node, script, connections)
            if refused:
                problems.append(f"{node.name}: {refused} of {count} refused")
            costs[node].append((run_time(node.workers()) - before) / count / 1000)
            if node is with_cluster:
                most_calls = max(most_calls, (calls(cluster.store) - called) / (time.monotonic() - began))
    ratios = [one / other for one, other in zip(costs[with_cluster], costs[without])]
    ratio = statistics.median(ratios)
    counts["us of a worker for a request with a cluster"] = round(statistics.median(costs[with_cluster]), 1)
    counts["us without"] = round(statistics.median(costs[without]), 1)
    counts["times as much"] = round(ratio, 4)
    counts["calls a second of the store, at most, by one node"] = round(most_calls, 1)
    print(f"check-cluster: with a cluster {statistics.median(costs[with_cluster]):.1f} us of a worker for a request, "
          f"{statistics.median(costs[without]):.1f} without: {ratio:.3f} times as much ({min(ratios):.3f} to {max(ratios):.3f} "
          f"in {len(ratios)} rounds)", flush=True)
    if ratio > MOST_CPU:
        problems.append(f"a request costs {ratio:.3f} times as much with a cluster, and may {MOST_CPU}")
    # One more may fall into a round than its length has room for.
    if most_calls > MOST_CALLS + 1 / SECONDS:
        problems.append(f"{most_calls:.1f} calls a second of the store, and {MOST_CALLS:.1f} may be")
    return problems
