"""What it costs a worker to answer Prometheus."""

import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request

from .servers import stop, wait_for, worker_of
from .traffic import Connection, message

HELP = """
  --scrape        one worker, at least 10,000 series: the time that it works for an answer of
                  tollgate_metrics, in each format, and how long other requests take meanwhile
"""

TIERS = 110
SCRAPES = 100
# How long a worker may be busy with a scrape, and how much longer a request may take for it.
MAX_SCRAPE_MS = 20
MAX_DELAY_MS = 5
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"

HTTP = """
    tollgate_zone zone=tollgate:10m;
    tollgate_price "*" input=0.1 output=0.2;
""" + "".join(f"    tollgate_tier tier-{number} {{{{ }}}}\n" for number in range(TIERS))

LOCATION = """
            proxy_buffering off;
            tollgate on;
            tollgate_engine vllm;
            tollgate_auth jwt;
            tollgate_jwt_key_file secret;
            location = /metrics {
                tollgate off;
                allow 127.0.0.1;
                deny all;
                tollgate_metrics;
            }
"""


def token(bench, tier):
    """A JWT of a client in this tier."""
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    claims = {"sub": "acme", "tier": tier, "exp": int(time.time()) + 3600}
    text = part(b'{"alg":"HS256"}') + b"." + part(json.dumps(claims).encode())
    secret = (bench.folder / "secret").read_bytes()
    return (text + b"." + part(hmac.new(secret, text, hashlib.sha256).digest())).decode()


def post(bench, key, body):
    """A chat completion, to its end."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{bench.port}/v1/chat/completions", body,
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def scrape(bench, accept):
    """The page."""
    request = urllib.request.Request(f"http://127.0.0.1:{bench.port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def busy_ms(worker):
    """For how long a process has run."""
    with open(f"/proc/{worker}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e6


def series_of(text):
    return len(re.findall(r"^[a-z]", text, re.M))


def slowest(bench, key, until):
    """The times of requests, in milliseconds, one after the other until that is set."""
    times = []
    with Connection(bench.port) as client:
        while not until.is_set():
            begun = time.perf_counter()
            client.ask(message(key), 1)
            times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)


def beside(bench, key, work):
    """The times of requests while something is done."""
    until, found = threading.Event(), []
    thread = threading.Thread(target=lambda: found.extend(slowest(bench, key, until)))
    thread.start()
    work()
    until.set()
    thread.join()
    return found


def report(bench, check):
    bench.configure(HTTP.format(), LOCATION)
    nginx = subprocess.Popen(bench.command())
    try:
        wait_for(bench.port, nginx, bench.errors)
        worker = worker_of(nginx.pid)
        body = json.dumps({"model": "mock", "max_tokens": 16, "stream": True,
                           "messages": [{"role": "user", "content": "one two three"}]}).encode()
        keys = [token(bench, f"tier-{number}") for number in range(TIERS)]
        for key in keys:
            post(bench, key, body)
        worst = measure(bench, worker)
        delay = delays(bench, keys[0])
    finally:
        stop(nginx)
    if check and (worst > MAX_SCRAPE_MS or delay > MAX_DELAY_MS):
        sys.exit(f"bench: a scrape may take {MAX_SCRAPE_MS} ms, and delay a request by {MAX_DELAY_MS} ms")


def measure(bench, worker):
    """The dearest of the formats, in milliseconds."""
    worst = 0
    for name, accept in [("Prometheus", "text/plain"), ("OpenMetrics", OPEN_METRICS)]:
        text = scrape(bench, accept)
        count = series_of(text)
        if count < 10_000:
            sys.exit(f"bench: only {count} series")
        before = busy_ms(worker)
        for _ in range(SCRAPES):
            scrape(bench, accept)
        cost = (busy_ms(worker) - before) / SCRAPES
        worst = max(worst, cost)
        print(f"{name}: {count} series, {len(text) / 1e6:.2f} MB, {cost:.2f} ms of the worker")
    return worst


def delays(bench, key):
    """By how much the slowest requests are slower beside scrapes, in milliseconds."""
    def rest():
        time.sleep(3)

    def scrapes():
        # Not in this process, whose threads would wait for each other.
        for _ in range(SCRAPES):
            subprocess.run(
                ["curl", "-sf", "-o", "/dev/null", "-H", f"Accept: {OPEN_METRICS}",
                 f"http://127.0.0.1:{bench.port}/metrics"],
                check=True,
            )

    alone, together = beside(bench, key, rest), beside(bench, key, scrapes)

    def at(times, share):
        return times[min(int(len(times) * share), len(times) - 1)]

    for name, times in [("alone", alone), ("beside scrapes", together)]:
        print(f"requests {name}: {len(times)}, half within {at(times, 0.5):.2f} ms, "
              f"99% within {at(times, 0.99):.2f} ms, the slowest {times[-1]:.2f} ms")
    return at(together, 0.99) - at(alone, 0.99)
