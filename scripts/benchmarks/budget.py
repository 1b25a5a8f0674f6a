"""Whether a request costs no more instructions than it may."""

import datetime
import platform
import re
import subprocess
import sys
import tomllib

from .instructions import STREAM_CHUNKS, Instructions
from .configurations import GATE_LOCATION, METRICS_HTTP, STATUS_HTTP, TOLLGATE_HTTP
from .servers import ROOT
from .traffic import message

FILE = ROOT / "benches/budget.toml"
MARGIN = 0.03
# malloc's lists differ from one start of nginx to the next, by what random hash seeds do to the order of
# allocations: a request costs up to 2% more or less for that. The least of several starts hardly differs.
STARTS = 6

HELP = """
  --budget        whether what Tollgate adds to a bare proxy_pass is within benches/budget.toml, by 3%:
                  the gate (API key, limits, headers, audit line), what it adds to that to count for
                  metrics, and for a status page as well, a metered chat of 1 KB and of 64 KB, and a
                  chunk of a metered stream, its usage asked for or hidden. Numbers of another compiler,
                  nginx, valgrind or processor can't be compared: then they are printed, and nothing fails
  --write         with --budget: make what is measured the budget
"""

HEAD = """# User-space instructions that Tollgate adds to a bare proxy_pass, each as `scripts/bench --budget` measures
# it: scripts/test fails where one is exceeded by 3%. A change that costs more, for a reason, or that costs
# less, comes with new numbers: `scripts/bench --budget --write`.

"""


class Costs:
    """What there is a budget for, by its name: each is measured when it is asked for."""

    def __init__(self, bench):
        self.bench = bench
        self.rows = Instructions(bench, quiet=True)

    def passed(self, pages=""):
        """A request through the gate, which is counted for these pages: all of it, and without malloc."""
        http = TOLLGATE_HTTP.format(client="500000000r/m", address="5000000r/s")
        http += pages.format(folder=self.bench.folder)
        return self.rows.row("gate", http, GATE_LOCATION, message(self.bench.key)), self.rows.steady

    def gate(self):
        bare = self.rows.row("bare", "", "", message(self.bench.key))
        return self.passed()[0] - bare

    def metrics(self):
        return self.passed(METRICS_HTTP)[1] - self.passed()[1]

    def metrics_and_status(self):
        return self.passed(STATUS_HTTP)[1] - self.passed()[1]

    def chat_1k(self):
        bare, metered = self.rows.chat("1 KB", 1024, count=500)
        return metered - bare

    def chat_64k(self):
        bare, metered = self.rows.chat("64 KB", 65536, warm=20, count=100)
        return metered - bare

    def chunk_usage_asked_for(self):
        bare, metered = self.rows.stream("usage asked for", True, count=10)
        return (metered - bare) / STREAM_CHUNKS

    def chunk_usage_hidden(self):
        bare, metered = self.rows.stream("usage hidden", False, count=10)
        return (metered - bare) / STREAM_CHUNKS


NAMES = ("gate", "metrics", "metrics_and_status", "chat_1k", "chat_64k", "chunk_usage_asked_for",
         "chunk_usage_hidden")


def said_by(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def conditions(bench):
    """What the numbers depend on, beside the source."""
    flags = re.search(r"^flags\s*:(.*)$", open("/proc/cpuinfo").read(), re.M)
    # Of these, valgrind lets programs use what it knows: none of AVX-512 or SHA.
    known = [name for name in ("sse4_2", "avx", "avx2", "bmi2") if flags and name in flags[1].split()]
    return {
        "rustc": said_by("rustc", "--version"),
        "nginx": bench.version(),
        "valgrind": said_by("valgrind", "--version"),
        "processor": " ".join([platform.machine(), *known]),
    }


def report(bench, write):
    now = conditions(bench)
    costs = Costs(bench)
    if write:
        write_budget(now, {name: min(getattr(costs, name)() for _ in range(STARTS)) for name in NAMES})
        return
    budget = tomllib.loads(FILE.read_text())
    differs = [f"{name} is {now[name]}, not {budget['measured'][name]}"
               for name in now if now[name] != budget["measured"][name]]
    print(f"user-space instructions that Tollgate adds to a bare proxy_pass, {now['nginx']}")
    exceeded = [name for name in NAMES if not is_within(costs, name, budget["instructions"][name], not differs)]
    if differs:
        print(f"bench: NOT compared with the budget: {'; '.join(differs)}")
    elif exceeded:
        sys.exit(f"bench: over the budget of benches/budget.toml: {', '.join(exceeded)}")


def is_within(costs, name, budget, judged):
    """Measures and prints one; one that is over its budget is measured again."""
    found = getattr(costs, name)()
    for _ in range(STARTS - 1):
        if not judged or found <= budget * (1 + MARGIN):
            break
        found = min(found, getattr(costs, name)())
    change = 100 * (found / budget - 1)
    print(f"  {name:<24} {found:>9.0f}   budget {budget:>9}   {change:+.1f}%", flush=True)
    return found <= budget * (1 + MARGIN)


def write_budget(now, found):
    lines = [HEAD, "[measured]\n", f'date = "{datetime.date.today()}"\n']
    lines += [f'{name} = "{value}"\n' for name, value in now.items()]
    lines += ["\n[instructions]\n"]
    lines += [f"{name} = {value:.0f}\n" for name, value in found.items()]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("".join(lines))
    print(FILE.read_text(), end="")
