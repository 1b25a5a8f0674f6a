"""docs/performance.md and its plots."""

import datetime
import os
import pathlib
import re
import subprocess
import textwrap
import tomllib

from . import budget, plot
from .gateways import BARE
from .servers import ROOT

PAGE = ROOT / "docs/performance.md"
FOLDER = ROOT / "docs/performance"

TEXT = """# Performance

`scripts/bench` writes this page: what a request costs with Tollgate, beside a bare `proxy_pass` and
beside others that do the same work.

{measured}
{busy}
## Beside nginx itself

{table}

![Processor time of the worker](performance/nginx.svg)

- **instructions**: user-space instructions of the worker for a request, under callgrind. They hardly vary
  with the load of the machine. valgrind knows no SHA extensions, so a SHA-256 costs more here than in
  production.
- **CPU**: processor time of the worker for a request, user and system. nginx and an engine that answers at
  once share the machine with the load of {connections} connections. In each of {rounds} rounds, every gateway
  has its turn; the ratio is that to the bare one of the same round, median, and in brackets the quartiles.
  Streams come from the mock engine, a chunk each {pace} ms.
- **rate**: requests per second of one worker at full load, the same way. The client and the engine take their
  part of the same processors, so the rate says less than the processor time. A stream lasts as long as the
  engine takes for it, so it has no rate.

What is compared, each with one worker and the audit line of each request in a file:

| | what it does |
|---|---|
| bare proxy_pass | nothing but that, with keepalive to the engine |
| nginx's own directives | `map` from the key to the client, two `limit_req`, `limit_conn`, `access_log` in JSON |
| Lua module | [a script](../scripts/benchmarks/gateway.lua): the key by its SHA-256, a token bucket for the client and one for the address, ratelimit headers, identity headers, `access_log` in JSON. It reads no body |
| Tollgate, the same checks | an API key by its SHA-256, a limit of the client and one of the address, ratelimit headers, identity headers, the audit log. Of a chat it reads the body and the answer's usage all the same, for the audit log |
| Tollgate, metered | limits on tokens and concurrency, and a budget, as well |
{peers}
## What a change may cost

`scripts/test` fails where Tollgate adds more instructions to a bare `proxy_pass` than
[benches/budget.toml](../benches/budget.toml) says, by 3% (`scripts/bench --budget`; nginx 1.28.3,
{budget_rustc}):

| | instructions added |
|---|---|
{budget}

## Where it goes

Of a GET through the gate, on nginx 1.28.3 on 2026-12-02: 12,500 instructions more than a bare `proxy_pass`.
`callgrind_annotate --inclusive=yes` says so of what `scripts/bench --instructions --profiles FOLDER` keeps.

| phase | what happens | instructions |
|---|---|--:|
| access | id, credential, who that is, endpoint, permissions: 3,040; two limits: 2,480 | 5,520 |
| log | the audit line, and its way into the file | 2,675 |
| precontent | the client's word of itself and its credential are taken off, identity headers put on | 1,500 |
| header filter | the id, and how the limits stand | 845 |
| body filter, twice | whether the answer is read, ends, or has another one in its place | 475 |
| end | what was known of the request is dropped | 280 |
| preaccess | headers that only Tollgate may send | 120 |
| nginx | it reads, copies and writes the headers that were added, and calls the phases | 1,100 |

## A sealed audit log

What `seal=` of [tollgate_audit_log](directives.md#tollgate_audit_log) costs beside the same log without it, both with
`buffer=64k flush=1s` (`scripts/bench --seal`, 2026-12-02):

| | GET | metered chat of 1 KB |
|---|--:|--:|
| a line of the log | 428 bytes | 572 bytes |
| to seal it | 361 ns | 409 ns |
| beside the processor time of the request, above | 1.9% | 1.4% |
| instructions, but for SHA-256 | 300 to 850 | 1,760 |

So it costs less than 2% of the requests that a worker can do. The SHA-256 of the line is four fifths of that, with the
processor's own instructions; where it has none, it takes 25,000 others for a line of 428 bytes. The machine was too busy
(load average 20) for processor time and rates side by side to tell anything.

## Other questions

| | |
|---|---|
| `scripts/bench --instructions` | the same numbers on nginx 1.28.3, with a JWT beside the API key; with `--profiles`, where they come from |
| `scripts/bench --bodies` | how long a body of 8 MB holds a worker, whatever is in it |
| `scripts/bench --exactness` | how many requests pass at full speed, and how many may |
| `scripts/bench --seal` | what a sealed audit log costs |
| `scripts/bench --keys` | a million keys beside a thousand |
| `scripts/idle-cost` | what workers without requests ask of the kernel |
"""

BUSY = """
The load average of the machine was {load:.0f} before the start. The busier it is, the more rates and processor
times vary from one run to the next; instructions do not.
"""

PEERS = """
## Beside other gateways

{table}

![Processor time of all processes](performance/gateways.svg)

Processor time of all processes of each gateway for a request, user and system, and of Redis where it needs
one. Each runs as its documentation has it, with one worker process.

{notes}
"""

BUDGET_NAMES = {
    "gate": "API key, limits, headers, audit line",
    "chat_1k": "a metered chat of 1 KB",
    "chat_64k": "a metered chat of 64 KB",
    "chunk_usage_asked_for": "a chunk of a metered stream, usage asked for",
    "chunk_usage_hidden": "a chunk of a metered stream, usage hidden",
}


def table(heads, rows):
    """Markdown: the first column to the left, the others to the right."""
    lines = [heads, ["---"] + ["--:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine():
    """Its class, without its name."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", cpuinfo, re.M)
    kind = "a virtual machine" if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.M) else "a machine"
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) / 2**20
    system = re.search(r'^PRETTY_NAME="(.*)"$', pathlib.Path("/etc/os-release").read_text(), re.M)[1]
    name = f" ({model[1]})" if model else ""
    return (
        f"on {kind} with {os.cpu_count()} processors{name} and {memory:.0f} GiB, {system}, Linux "
        f"{'.'.join(os.uname().release.split('.')[:2])}"
    )


def package(name):
    return subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", name], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def versions(bench):
    said = [
        bench.version(), budget.said_by("rustc", "--version").rsplit(" (", 1)[0],
        f"libnginx-mod-http-lua {package('libnginx-mod-http-lua')}",
        budget.said_by("valgrind", "--version"), f"wrk {package('wrk')}",
    ]
    return ", ".join(said)


def row(found):
    rate = "" if found["rate_ratio"] is None else f"{found['rate_ratio']:.2f}"
    spread = "" if found["name"] == BARE else f" ({found['cpu_low']:.2f}-{found['cpu_high']:.2f})"
    return [
        f"{found['workload']}: {found['name']}", f"{found['instructions']:,.0f}", f"{found['added']:+,.0f}",
        f"{found['instructions_ratio']:.2f}", f"{found['cpu_us']:.1f} µs", f"{found['cpu_ratio']:.2f}{spread}", rate,
    ]


def write(bench, rows, peers, *, rounds, connections, pace, load):
    """Writes the page and its plots. `peers` are rows of other gateways, if they were measured; `load` is how
    busy the machine was before."""
    FOLDER.mkdir(exist_ok=True)
    groups = {}
    for one in rows:
        groups.setdefault(one["workload"], []).append(
            plot.Bar(one["name"], one["cpu_ratio"], f"{one['cpu_ratio']:.2f}", one["cpu_low"], one["cpu_high"])
        )
    (FOLDER / "nginx.svg").write_text(plot.bars(
        "Processor time of the worker for a request, beside a bare proxy_pass", list(groups.items()),
        "times a bare proxy_pass: median and quartiles",
    ))
    heads = ["", "instructions", "added", "beside bare", "CPU", "beside bare", "rate beside bare"]
    limits = tomllib.loads(budget.FILE.read_text())
    PAGE.write_text(TEXT.format(
        measured=textwrap.fill(
            f"Measured on {datetime.date.today()}, {machine()}; {versions(bench)}. "
            f"The command: `scripts/bench{' --peers' if peers else ''}`.", 110, break_on_hyphens=False,
        ),
        table=table(heads, [row(one) for one in rows]),
        connections=connections, rounds=rounds, pace=pace, busy=BUSY.format(load=load) if load > 1 else "",
        peers=peers_text(peers) if peers else "",
        budget_rustc=limits["measured"]["rustc"].rsplit(" (", 1)[0],
        budget="\n".join(f"| {BUDGET_NAMES[name]} | {limits['instructions'][name]:,} |" for name in budget.NAMES),
    ))
    print(f"written: {PAGE.relative_to(ROOT)}")


def peers_text(peers):
    groups = {}
    for one in peers:
        groups.setdefault(one["workload"], []).append(plot.Bar(one["name"], one["cpu_us"], amount(one["cpu_us"])))
    (FOLDER / "gateways.svg").write_text(plot.bars(
        "Processor time of a request, all processes of the gateway", list(groups.items()),
        "microseconds, on a logarithmic scale", logarithmic=True,
    ))
    heads = ["", "version", "CPU", "beside Tollgate", "requests per second"]
    rows = [
        [f"{one['workload']}: {one['name']}", one["version"], amount(one["cpu_us"]), f"{one['ratio']:.1f}",
         f"{one['rate']:,.0f}"]
        for one in peers
    ]
    notes = "\n\n".join(
        textwrap.fill(note, 110, break_on_hyphens=False)
        for note in dict.fromkeys(one["note"] for one in peers if one["note"])
    )
    return PEERS.format(table=table(heads, rows), notes=notes)


def amount(microseconds):
    return f"{microseconds / 1000:.1f} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"
