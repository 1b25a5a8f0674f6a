"""nginx with the module, the engine, and what is seen of their processes."""

import ctypes
import hashlib
import http.client
import json
import mmap
import os
import pathlib
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time

from .ways import Ways, free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

WORKERS = 2
CAPACITY = 30_000_000
# The refill of the buckets of tokens, in tokens a second.
REFILL = 100_000 / 86_400
QUOTA = 20
PLACES = 6
# How long a line of the audit log waits, in seconds.
FLUSH = 0.1

CONFIGURATION = """
{user}
load_module {module};
worker_processes {workers};
pid nginx.pid;
error_log error.log notice;
env TOLLGATE_CHAOS_FAULTS;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    tollgate_zone zone=tollgate:{zone}{state};
    tollgate_price mock* input=0.15 output=0.60;
    tollgate_tier open   {{ tokens 100k/d burst={capacity}; models mock mock-*; }}
    tollgate_tier few    {{ requests {quota}r/d; }}
    tollgate_tier money  {{ budget 1000/day; }}
    tollgate_tier places {{ {scope} concurrency {places}; tokens 100k/d burst={capacity}; }}
    tollgate_audit_log {audit} buffer=64k flush=100ms{seal};
    proxy_buffering off;
    {shared}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        tollgate on;
        tollgate_api_keys keys.json;
        listen 127.0.0.1:{h2} http2 backlog=4096;
        {tls}
        add_header X-Worker $pid always;
        location / {{ proxy_pass http://127.0.0.1:{engine}; }}
        location /jwt/ {{
            tollgate_auth jwt;
            tollgate_jwt_key_file jwks.json;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        {locations}
    }}
    server {{
        listen 127.0.0.1:{inside};
        tollgate on;
        tollgate_audit_log off;
        tollgate_api_keys keys.json;
        location = /usage {{ tollgate_usage; }}
        location = /metrics {{ tollgate off; allow 127.0.0.1; deny all; tollgate_metrics; }}
    }}
}}
"""


def key_of(client):
    return f"key-{client}"


def entry(client, tier, **members):
    digest = hashlib.sha256(key_of(client).encode()).hexdigest()
    return {"id": f"k_{client}", "hash": f"sha256:{digest}", "client": client, "tier": tier, **members}


def wait_for(port, what, process=None):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            sys.exit(f"chaos: {what} ended at its start")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"chaos: {what} did not start")


def paths(target):
    """nginx, the module, and the engine."""
    names = ("TOLLGATE_NGINX", "TOLLGATE_MODULE", "TOLLGATE_MOCK_ENGINE")
    if all(name in os.environ for name in names):
        return [os.environ[name] for name in names]
    build = subprocess.run(
        [ROOT / "scripts/build", target, "--no-command"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found = dict(word.split("=", 1) for word in shlex.split(build) if "=" in word)
    return [found[name] for name in names]


def command():
    """The command `tollgate`."""
    if "TOLLGATE_CLI" not in os.environ:
        built = subprocess.run([ROOT / "scripts/build", "debian", "--debug"], check=True, stdout=subprocess.PIPE, text=True).stdout
        found = dict(word.split("=", 1) for word in shlex.split(built) if "=" in word)
        os.environ["TOLLGATE_CLI"] = found["TOLLGATE_CLI"]
    return os.environ["TOLLGATE_CLI"]


def adopt_orphans():
    """Processes whose parents have ended are ours (PR_SET_CHILD_SUBREAPER), and so is their end."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


def is_alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def reap():
    """Zombies that were adopted. Those that a Popen waits for are left to it."""
    for child in pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        title = pathlib.Path(f"/proc/{child}/stat")
        try:
            if "(nginx)" in title.read_text():
                os.waitpid(int(child), os.WNOHANG)
        except OSError:
            pass


def memory(pid):
    """The memory of its own in KiB, and the number of open files. None: it has ended. Pages of the zone that it has
    looked at are no memory of its own."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]), len(os.listdir(f"/proc/{pid}/fd"))
    except (OSError, TypeError):
        return None


class Faults:
    """What faults.c is told."""

    def __init__(self, folder):
        self.path = folder / "faults"
        self.path.write_bytes(bytes(4096))
        self.library = folder / "faults.so"
        source = pathlib.Path(__file__).with_name("faults.c")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", self.library, source, "-ldl"], check=True)
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def set(self, fsync_ms=0, clock_s=0):
        self.page[:16] = struct.pack("qq", fsync_ms, clock_s)

    def environment(self):
        return {"LD_PRELOAD": str(self.library), "TOLLGATE_CHAOS_FAULTS": str(self.path)}


class Seal:
    """The keys of a sealed log, and what it is verified with."""

    def __init__(self, folder):
        self.command, self.key = command(), folder / "verify.key"
        subprocess.run([self.command, "audit", "seal", "keygen", "--seal", folder / "seal.key", "--verify", self.key],
                       check=True, stderr=subprocess.DEVNULL)

    def verified(self, log):
        """How it ended, and what it says. What is told to be lost is no finding."""
        done = subprocess.run([self.command, "audit", "verify", "--key", self.key, log],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()


class Servers:
    def __init__(self, binaries, folder, entries, key_set=b"", zone="4m", state="", audit="audit.log",
                 locations="", faults=False, shared="", more=None, scope="", seal=False):
        self.folder = pathlib.Path(folder)
        self.nginx, module, self.engine_path = binaries
        self.port, self.inside, self.engine_port = free_port(), free_port(), free_port()
        self.ways = Ways(self.folder, self.port)
        self.seal = Seal(self.folder) if seal else None
        self.audit = self.folder / audit
        self.faults = Faults(self.folder) if faults else None
        # What a kind needs to know of its locations.
        self.more = more or {}
        (self.folder / "keys.json").write_text(json.dumps({"version": 1, "keys": entries}))
        (self.folder / "jwks.json").write_bytes(key_set)
        self.settings = {
            # Workers of another user could not write into the folder.
            "user": "user root;" if os.geteuid() == 0 else "",
            "module": module, "workers": WORKERS, "zone": zone, "state": f" state={state}" if state else "",
            "audit": audit, "capacity": CAPACITY, "quota": QUOTA, "places": PLACES, "port": self.port,
            "inside": self.inside, "engine": self.engine_port, "shared": shared, "scope": scope,
            "h2": self.ways.h2_port, "tls": self.ways.listener(), "seal": " seal=seal.key" if seal else "",
            "locations": locations.replace("{engine}", str(self.engine_port)),
        }
        self.configure()
        self.engine = None
        self.start_engine()

    def configure(self, **changes):
        self.settings.update(changes)
        (self.folder / "nginx.conf").write_text(CONFIGURATION.format(**self.settings))

    def start_engine(self):
        self.engine = subprocess.Popen(
            [self.engine_path, "--listen", f"127.0.0.1:{self.engine_port}"], stdout=subprocess.DEVNULL
        )
        wait_for(self.engine_port, "the engine", self.engine)

    def start(self):
        """nginx in the background: only so it heeds USR2."""
        folder = self.folder
        environment = dict(os.environ, **(self.faults.environment() if self.faults else {}))
        # It may say that it tries again to listen, where an nginx that was killed has not quite ended.
        started = subprocess.run(
            [self.nginx, "-p", f"{folder}/", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"],
            check=False, env=environment, stderr=subprocess.PIPE, text=True,
        )
        if started.returncode != 0:
            raise OSError(f"nginx does not start: {started.stderr[-1000:]}")
        wait_for(self.port, "nginx")

    def master(self):
        """The pid of the newest master, or 0."""
        try:
            return int((self.folder / "nginx.pid").read_text())
        except (OSError, ValueError):
            return 0

    def workers(self):
        """Those of the newest master that accept connections."""
        master, found = self.master(), []
        try:
            children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        except OSError:
            return []
        for child in children:
            try:
                title = pathlib.Path(f"/proc/{child}/cmdline").read_text()
            except OSError:
                continue
            if "worker process" in title and "shutting down" not in title:
                found.append(int(child))
        return found

    def processes(self):
        """All of this nginx, old and new, with or without their master: those that have a file of its folder open."""
        found = set()
        for name in os.listdir("/proc"):
            try:
                if not name.isdigit() or pathlib.Path(f"/proc/{name}/comm").read_text() != "nginx\n":
                    continue
                files = pathlib.Path(f"/proc/{name}/fd").iterdir()
                if any(os.readlink(file).startswith(f"{self.folder}/") for file in files):
                    found.add(int(name))
            except OSError:
                # It has ended, or a file of it was closed just now: its next look will tell.
                continue
        return found

    def inner(self, path, client=None):
        """What a page says: text, and its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.inside, timeout=20)
        try:
            connection.request("GET", path, headers={"X-API-Key": key_of(client)} if client else {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def usage(self, client):
        status, text = self.inner("/usage", client)
        if status != 200:
            raise OSError(f"/usage answers {status}")
        return json.loads(text)

    def used(self, client, dimension):
        """What a limit of this client says is used."""
        for limit in self.usage(client)["limits"]:
            if limit["dimension"] == dimension:
                return limit["used"]
        raise OSError(f"no limit on {dimension}")

    def in_flight(self):
        """The requests in flight, as the metrics have it."""
        _, text = self.inner("/metrics")
        return sum(int(float(count)) for count in re.findall(r"(?m)^tollgate_in_flight\{[^}]*\} (\S+)$", text))

    def stats(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.engine_port, timeout=20)
        try:
            connection.request("GET", "/_mock/stats")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def log(self):
        return (self.folder / "error.log").read_text(errors="replace")

    def stop(self, patience=20):
        """Ends nginx in order: whether it did."""
        master = self.master()
        if master and is_alive(master):
            os.kill(master, signal.SIGQUIT)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and (left := self.alive()):
            reap()
            time.sleep(0.02)
        return not left

    def alive(self):
        return [pid for pid in self.processes() if is_alive(pid)]

    def kill(self):
        """Ends all that is left, at once."""
        for pid in self.alive():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        deadline = time.monotonic() + 20
        # A process has no files any more a moment before its sockets are closed.
        while (self.alive() or not self.are_free()) and time.monotonic() < deadline:
            reap()
            time.sleep(0.01)

    def are_free(self):
        """Whether nobody listens on its ports."""
        for port in (self.port, self.inside, self.ways.h2_port, self.ways.tls_port):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return False
        return True

    def close(self):
        self.kill()
        if self.engine is not None:
            self.engine.kill()
            self.engine.wait()
