"""The nodes, the stores, the way between them, and the engine."""

import http.client
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from chaos_parts.servers import entry, is_alive, paths  # noqa: F401  (paths: for the script)

from . import network

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

NODES = 3
WORKERS = 2
PORT, ENGINE_PORT, STORE_PORT = 8080, 9000, 6379
EXCHANGE = 0.05
# Where the relay listens: what nodes take for the store.
WAY = f"{network.BACK}.{network.HUB}"

CONFIGURATION = """
user root;
daemon off;
load_module {module};
worker_processes {workers};
pid nginx.pid;
error_log error.log notice;
env TOLLGATE_CHAOS_FAULTS;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    tollgate_zone zone=tollgate:4m;
    {cluster}
    tollgate_price * input=1000000 output=1000000;
    {tiers}
    proxy_buffering off;
    server {{
        listen {address}:{port} backlog=1024;
        tollgate on;
        tollgate_api_keys {keys};
        tollgate_audit_log audit.log;
        add_header X-Worker $pid always;
        location / {{ proxy_pass http://{hub}:{engine}; }}
        location /metrics {{ tollgate off; allow {net}.0/24; deny all; tollgate_metrics; }}
    }}
}}
"""


def faults_library(folder):
    """What sets a clock (scripts/chaos_parts/faults.c); None where nothing can be compiled."""
    if not shutil.which("cc"):
        return None
    library = folder / "faults.so"
    source = ROOT / "scripts/chaos_parts/faults.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


class Clock:
    """By how much a process has another time of day than this machine."""

    def __init__(self, folder, library):
        self.library, self.path = library, folder / "clock"
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def set(self, seconds):
        self.page[:16] = struct.pack("qq", 0, int(seconds))

    def environment(self):
        if self.library is None:
            return dict(os.environ)
        return dict(os.environ, LD_PRELOAD=str(self.library), TOLLGATE_CHAOS_FAULTS=str(self.path))


def wait_for(what, is_there, patience=30):
    deadline = time.monotonic() + patience
    while not is_there():
        if time.monotonic() > deadline:
            sys.exit(f"check-cluster: {what}: not within {patience} s")
        time.sleep(0.02)


def answers(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
        return True
    except OSError:
        return False


def send(pids, what):
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            pass


class Node:
    def __init__(self, number, folder, nginx, module, library, tiers, keys):
        self.number, self.name = number, f"n{number}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.place = network.Place(self.name, 10 + number)
        self.clock = Clock(self.folder, library)
        self.nginx, self.process = nginx, None
        self.settings = {"module": module, "workers": WORKERS, "tiers": tiers, "address": self.place.front,
                         "port": PORT, "keys": keys, "hub": f"{network.FRONT}.{network.HUB}", "net": network.FRONT, "engine": ENGINE_PORT}

    def configure(self, on_loss="share"):
        self.on_loss = on_loss
        cluster = (f"tollgate_cluster redis://{WAY} node={self.name} exchange={EXCHANGE * 1000:.0f}ms "
                   f"on_loss={on_loss} expected_nodes={NODES};") if on_loss else ""
        (self.folder / "nginx.conf").write_text(CONFIGURATION.format(cluster=cluster, **self.settings))

    def start(self):
        log = self.folder / "error.log"
        command = [self.nginx, "-p", f"{self.folder}/", "-e", log, "-c", self.folder / "nginx.conf"]
        self.process = self.place.start(command, env=self.clock.environment())
        wait_for(f"{self.name} listens", lambda: self.process.poll() is not None or answers(self.place.front, PORT))
        if self.process.poll() is not None:
            sys.exit(f"check-cluster: {self.name} ended at its start:\n" + self.log()[-2000:])

    def workers(self):
        master, found = self.process.pid, []
        try:
            children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
            for child in children:
                title = pathlib.Path(f"/proc/{child}/cmdline").read_text()
                if "worker process" in title and "shutting down" not in title:
                    found.append(int(child))
        except OSError:
            pass
        return found

    def all(self):
        master = self.process.pid
        try:
            children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        except OSError:
            children = []
        return [master, *map(int, children)]

    def speaker(self):
        """The worker whose thread speaks with the store."""
        return next(iter(self.speakers()), 0)

    def speakers(self):
        """All that have such a thread: two, while one is stopped."""
        found = []
        for pid in self.workers():
            for name in pathlib.Path(f"/proc/{pid}/task").glob("*/comm"):
                try:
                    if name.read_text().startswith("tollgate-store"):
                        found.append(pid)
                except OSError:
                    continue
        return found

    def kill(self):
        pids = self.all()
        # The master first, or it would start workers anew.
        send(pids[:1], signal.SIGKILL)
        self.process.wait()
        send(pids[1:], signal.SIGKILL)
        wait_for("killed workers are gone", lambda: not any(is_alive(pid) for pid in pids))

    def reload(self):
        before = set(self.workers())
        self.process.send_signal(signal.SIGHUP)
        wait_for(f"{self.name} has new workers", lambda: len(set(self.workers()) - before) == WORKERS
                 and not set(self.workers()) & before)

    def metrics(self):
        connection = http.client.HTTPConnection(self.place.front, PORT, timeout=10)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """The sum over all labels."""
        return sum(float(value) for value in re.findall(rf"(?m)^{name}(?:\{{[^}}]*\}})? (\S+)$", self.metrics()))

    def connections(self):
        """To the store, in whatever state they are, but for those that wait for their last segments to be gone."""
        count = 0
        for line in pathlib.Path(f"/proc/{self.process.pid}/net/tcp").read_text().splitlines()[1:]:
            _, _, remote, state = line.split()[:4]
            count += remote.endswith(f":{STORE_PORT:04X}") and state in ("01", "02", "08")
        return count

    def log(self):
        try:
            return (self.folder / "error.log").read_text(errors="replace")
        except OSError:
            return ""

    def stop(self):
        """In order: whether it ended."""
        if self.process is None or self.process.poll() is not None:
            return True
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
            return True
        except subprocess.TimeoutExpired:
            self.kill()
            return False


class Store:
    """Redis or Valkey, without files."""

    def __init__(self, number, program, folder, library):
        self.name, self.program = f"s{number}", program
        self.folder = folder / self.name
        self.folder.mkdir()
        self.place = network.Place(self.name, 20 + number)
        self.clock = Clock(self.folder, library)
        self.process = None

    @property
    def address(self):
        return self.place.back

    def start(self):
        self.process = self.place.start(
            [self.program, "--port", STORE_PORT, "--protected-mode", "no", "--save", "", "--appendonly", "no",
             "--dir", self.folder, "--repl-diskless-sync-delay", "0"],
            env=self.clock.environment(), stdout=open(self.folder / "log", "ab"))
        wait_for(f"{self.program} listens", lambda: answers(self.address, STORE_PORT))

    def command(self, *words):
        """What it answers: bytes, a number, or a list of those."""
        with socket.create_connection((self.address, STORE_PORT), timeout=10) as connection:
            parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in parts))
            with connection.makefile("rb") as file:
                return self.read(file)

    def read(self, file):
        line = file.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            if int(rest) < 0:
                return None
            return file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.read(file) for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest

    def signal(self, what):
        self.process.send_signal(what)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Relay:
    """See relay.py."""

    def __init__(self, store):
        self.process = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("relay.py"), WAY, store.address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.process.stdout.readline() != "ready\n":
            sys.exit("check-cluster: the relay did not start")

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()


class Cluster:
    """All of it. `clients` are pairs of a client and its tier."""

    def __init__(self, folder, binaries, program, tiers, clients):
        self.folder = folder
        nginx, module, engine = binaries
        self.library = faults_library(folder)
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"version": 1, "keys": [entry(*one) for one in clients]}))
        self.processes = []
        address = f"{network.FRONT}.{network.HUB}"
        self.engine = subprocess.Popen([engine, "--listen", f"{address}:{ENGINE_PORT}"], stdout=subprocess.DEVNULL)
        self.stores = [Store(number, program, folder, self.library) for number in (1, 2)]
        self.store = self.stores[0]
        self.store.start()
        self.relay = Relay(self.store)
        self.nodes = [Node(number, folder, nginx, module, self.library, tiers, keys)
                      for number in range(1, NODES + 1)]
        for node in self.nodes:
            node.configure()
            node.start()
        wait_for("the engine listens", lambda: answers(address, ENGINE_PORT))

    def spare(self):
        return next(store for store in self.stores if store is not self.store)

    def generating(self):
        """Answers that the engine has not come to the end of."""
        connection = http.client.HTTPConnection(f"{network.FRONT}.{network.HUB}", ENGINE_PORT, timeout=10)
        try:
            connection.request("GET", "/_mock/stats")
            return json.loads(connection.getresponse().read())["active"]
        finally:
            connection.close()

    def close(self):
        """Whether all nodes ended in order."""
        is_good = True
        for node in self.nodes:
            is_good = node.stop() and is_good
        for store in self.stores:
            store.kill()
        for process in (self.relay.process, self.engine):
            process.kill()
            process.wait()
        for one in (*self.nodes, *self.stores):
            one.place.remove()
        return is_good
