"""Those that are compared, each an nginx of its own with one worker, and the load on them."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from .configurations import (
    GATE_LOCATION, LUA_HTTP, LUA_LOCATION, METERED_HTTP, NGINX_HTTP, NGINX_LOCATION, TOLLGATE_HTTP,
    TOLLGATE_LOCATION, UNBUFFERED, sha256_for_lua,
)
from .servers import ROOT, free_port, nginx_command, stop, wait_for, worker_of, write_configuration

BARE, OWN, LUA, CHECKS, METERED = (
    "bare proxy_pass", "nginx's own directives", "Lua module", "Tollgate, the same checks", "Tollgate, metered",
)


def configurations(bench, is_post):
    """What each of them is told, at the http level and in its location. Only bodies are metered."""
    unbuffered = UNBUFFERED if is_post else ""
    scripts = ROOT / "scripts/benchmarks"
    found = {
        BARE: ("", unbuffered),
        OWN: (NGINX_HTTP.format(key=bench.key), NGINX_LOCATION + unbuffered),
        LUA: (LUA_HTTP.format(scripts=scripts, digest=sha256_for_lua(bench.key)), LUA_LOCATION + unbuffered),
        CHECKS: (TOLLGATE_HTTP.format(client="500000000r/m", address="5000000r/s"), GATE_LOCATION + unbuffered),
        METERED: (METERED_HTTP, TOLLGATE_LOCATION + unbuffered),
    }
    if not is_post:
        del found[METERED]
    return found


def cpu_nanos(pid):
    """What this process has taken of the processors, all its threads together."""
    # Linux makes the number of a process's clock of its pid: see clock_getcpuclockid(3).
    return time.clock_gettime_ns((~pid << 3) | 2)


class Gateway:
    """One of them, in front of an engine."""

    def __init__(self, bench, http, location, engine_port):
        self.bench, self.port = bench, free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
        for name in ("keys.json", "secret"):
            (self.folder / name).symlink_to(bench.folder / name)
        write_configuration(bench, self.folder, self.port, http, location, engine_port=engine_port)
        self.process = self.worker = None

    def errors(self):
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""

    def __enter__(self):
        self.process = subprocess.Popen(nginx_command(self.bench.nginx, self.folder))
        wait_for(self.port, self.process, self.errors)
        self.worker = worker_of(self.process.pid)
        return self

    def __exit__(self, *_):
        stop(self.process)

    def cpu_nanos(self):
        return cpu_nanos(self.worker)


class Recorded:
    """An engine that answers at once, from a recording of what the mock engine says: nginx itself. So the
    engine is never what is waited for."""

    def __init__(self, bench, answer):
        self.bench, self.port = bench, free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
        if re.search(r"['$\\]", answer):
            sys.exit(f"bench: this answer can't be written into a configuration: {answer}")
        text = RECORDED.format(user="user root;" if os.geteuid() == 0 else "", port=self.port, answer=answer)
        (self.folder / "nginx.conf").write_text(text)
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(nginx_command(self.bench.nginx, self.folder))
        wait_for(self.port, self.process)
        return self

    def __exit__(self, *_):
        stop(self.process)

    def worker(self):
        return worker_of(self.process.pid)


RECORDED = """
{user}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    keepalive_requests 100000000;
    client_body_buffer_size 1m;
    client_max_body_size 64m;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 '{answer}'; }}
    }}
}}
"""

WRK = """
wrk.method = "{method}"
wrk.path = "{path}"
{headers}
local file = {body} and io.open({body}, "rb")
wrk.body = file and file:read("*a") or nil
done = function(summary)
    local errors = summary.errors
    io.write(string.format("%d %d %d %d\\n", summary.requests, summary.bytes, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Load:
    """Requests of one kind, at full speed."""

    def __init__(self, folder, key, path, body=None, headers=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        headers = {"Authorization": f"Bearer {key}", **(headers or {})}
        if body is not None:
            (self.folder / "body").write_bytes(body)
            headers["Content-Type"] = "application/json"
        lines = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
        (self.folder / "load.lua").write_text(WRK.format(
            method="GET" if body is None else "POST", path=path, headers=lines,
            body="nil" if body is None else json.dumps(str(self.folder / "body")),
        ))

    def run(self, port, seconds, connections):
        """How many requests were answered, the bytes of all answers, and how long that took."""
        said = subprocess.run(
            ["wrk", "-t1", "--timeout", "60s", f"-c{connections}", f"-d{seconds}s", "-s", self.folder / "load.lua",
             f"http://127.0.0.1:{port}"],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        count, size, microseconds, errors = map(int, said.splitlines()[-1].split())
        # Of long streams none may have come to its end.
        if errors or not size:
            sys.exit(f"bench: {errors} errors in {count} requests to port {port}: {said}")
        return count, size, microseconds / 1e6
