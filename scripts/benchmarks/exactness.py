"""How many requests pass at full speed, and how many may."""

import json
import shutil
import subprocess
import sys
import time

from .configurations import GATE_LOCATION, TOLLGATE_HTTP
from .servers import stop, wait_for

HELP = """
  --exactness     two workers, 64 connections, one client at full speed for 10 s: how many requests
                  were admitted, and how many may be
"""


def report(bench, seconds=10):
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is missing; scripts/setup --bench installs it")
    rate, burst = 1000, 500
    http = TOLLGATE_HTTP.format(client=f"{rate}r/s burst={burst}", address="5000000r/s")
    # The lines of other measurements don't count.
    (bench.folder / "audit.log").unlink(missing_ok=True)
    bench.configure(http, GATE_LOCATION, workers=2)
    nginx = subprocess.Popen(bench.command())
    wait_for(bench.port, nginx, bench.errors)
    started = time.monotonic()
    subprocess.run(
        ["wrk", "-t2", "-c64", f"-d{seconds}s", "-H", f"Authorization: Bearer {bench.key}",
         f"http://127.0.0.1:{bench.port}/health"],
        check=True, stdout=subprocess.DEVNULL,
    )
    ended = time.monotonic()
    stop(nginx)
    lines = [json.loads(line) for line in (bench.folder / "audit.log").open()]
    admitted = [line for line in lines if line["decision"] == "allow"]
    # The log has milliseconds. From the first admission to the last one, the bucket gives its burst
    # and what was refilled meanwhile.
    times = sorted(
        time.mktime(time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S"))
        + int(line["time"][20:23]) / 1000
        for line in admitted
    )
    between = times[-1] - times[0]
    print(f"{len(lines)} requests in {ended - started:.2f} s, {len(admitted)} admitted")
    print(f"  at most {burst + int(rate * (ended - started))}: {burst} + {rate}/s over the whole run")
    print(
        f"  at least {burst + int(rate * between) - 1}: {burst} + {rate}/s over the "
        f"{between:.3f} s from the first to the last admission (+- 1 ms in the log), less 1"
    )
