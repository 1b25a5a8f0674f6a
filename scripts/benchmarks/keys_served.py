"""Keys files, and nginx with them."""

import base64
import hashlib
import itertools
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

from .servers import free_port, stop, wait_for

CONFIGURATION = """
{user}
load_module {module};
daemon off;
master_process {master};
worker_processes {workers};
pid nginx.pid;
error_log error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    open_file_cache max=10 inactive=1h;
    open_file_cache_valid 1h;
    tollgate_zone zone=tollgate:1m;
    tollgate_tier pro {{ }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        root {folder};
        tollgate on;
        tollgate_api_keys {keys};
        tollgate_endpoints +GET:/page;
        location /page {{ }}
        location /off {{ tollgate off; alias {folder}/page; }}
        location /pid {{ tollgate off; return 200 $pid; }}
    }}
}}
"""

FEW, MANY = 1_000, 1_000_000
DIFFERENT = 20_000


def key(number):
    """As the tollgate command makes them, but always the same."""
    return "tg_" + base64.urlsafe_b64encode(hashlib.sha256(b"%d" % number).digest()).rstrip(b"=").decode()


def write_keys(path, count, *more):
    """A keys file with one entry a line, and with these keys beside. A client has ten of them."""
    with open(path, "w") as file:
        file.write('{"version": 1, "keys": [\n')
        for place, number in enumerate(itertools.chain(range(count), more)):
            entry = {
                "id": f"k_{key(number)[3:13]}",
                "hash": "sha256:" + hashlib.sha256(key(number).encode()).hexdigest(),
                "client": f"client-{number // 10}",
                "tier": "pro",
            }
            file.write((",\n" if place else "") + json.dumps(entry))
        file.write("\n]}\n")


def request(credential, path="/page"):
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Authorization: Bearer {credential}\r\n\r\n"
    ).encode()


class Client:
    """A connection that is kept alive."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def ask(self, message):
        """Status and body of the answer."""
        self.socket.sendall(message)
        while b"\r\n\r\n" not in self.received:
            self.received += self.socket.recv(65536) or sys.exit("bench: the connection ended")
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1])
        while len(self.received) < length:
            self.received += self.socket.recv(65536) or sys.exit("bench: the connection ended")
        body, self.received = self.received[:length], self.received[length:]
        return int(head[9:12]), body

    def close(self):
        self.socket.close()


class Nginx:
    """One with this keys file."""

    def __init__(self, bench, keys, workers, before=()):
        self.bench, self.port = bench, free_port()
        self.folder = pathlib.Path(bench.folder) / f"keys-{self.port}"
        self.folder.mkdir()
        (self.folder / "page").write_text("PAGE")
        self.count = workers
        text = CONFIGURATION.format(
            # Workers of another user could not read the folder.
            user="user root;" if os.geteuid() == 0 else "",
            module=bench.module,
            master="on" if workers > 1 else "off",
            workers=workers,
            port=self.port,
            folder=self.folder,
            keys=keys,
        )
        (self.folder / "nginx.conf").write_text(text)
        self.command = [
            *before, bench.nginx, "-p", f"{self.folder}/", "-e", f"{self.folder}/error.log",
            "-c", f"{self.folder}/nginx.conf",
        ]
        self.process = None

    def errors(self):
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, self.process, self.errors, patience=600)
        return self

    def __exit__(self, *_):
        stop(self.process)

    def workers(self):
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]

    def clients(self, each=1):
        """So many connections to each worker: lists by its pid."""
        found = {}
        while len(found) < self.count or any(len(clients) < each for clients in found.values()):
            client = Client(self.port)
            pid = int(client.ask(request("", "/pid"))[1])
            if len(found.setdefault(pid, [])) < each:
                client.worker = pid
                found[pid].append(client)
            else:
                client.close()
        return found


def wait_until_in_force(clients, number, patience=120):
    """Until this key is known in all workers: when it was known in the last one."""
    missing = {pid: own[0] for pid, own in clients.items()}
    deadline = time.monotonic() + patience
    while missing:
        for pid, client in list(missing.items()):
            if client.ask(request(key(number)))[0] == 200:
                del missing[pid]
        if time.monotonic() > deadline:
            sys.exit("bench: a changed keys file does not come into force")
        time.sleep(0.002)
    return time.monotonic()


class Switch:
    """A keys file that is changed at once: a link to one of two files that are ready. Each holds one
    key that the other one lacks."""

    def __init__(self, folder, count):
        self.link = folder / f"switch-{count}.json"
        self.files = [folder / f"{count}-{side}.json" for side in "ab"]
        self.own = [10_000_000, 10_000_001]
        for file, number in zip(self.files, self.own):
            write_keys(file, count, number)
        self.side = 0
        self.link.symlink_to(self.files[0])

    def change(self):
        """The number of a key that is new then."""
        self.side = 1 - self.side
        new = self.link.with_suffix(".new")
        new.symlink_to(self.files[self.side])
        os.rename(new, self.link)
        return self.own[self.side]


def in_turn(numbers):
    return [request(key(number)) for number in numbers]
