"""nginx with the module, and the engine."""

import asyncio
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

WORKERS = 4

CONFIGURATION = """
{user}
load_module {module};
daemon off;
worker_processes {workers};
pid nginx.pid;
error_log error.log notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    client_header_timeout 1h;
    tollgate_zone zone=tollgate:8m;
    tollgate_tier free {{ }}
    tollgate_tier pro {{ }}
    tollgate_default_tier free;
    add_header X-Worker $pid always;
    add_header X-Decision "$tollgate_reason/$tollgate_client/$tollgate_tier" always;
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        root {folder};
        tollgate on;
        tollgate_api_keys live/keys.json;
        tollgate_endpoints +GET:/page +GET:/jwt;
        location /page {{ }}
        location /jwt {{
            tollgate_auth jwt;
            tollgate_jwt_key_file live/jwks.json;
            alias {folder}/page;
        }}
        location /v1/ {{
            proxy_buffering off;
            proxy_pass http://127.0.0.1:{engine};
        }}
        location /pid {{
            tollgate off;
            return 200 $pid;
        }}
    }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit("live-keys: a server ended at its start")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("live-keys: a server did not start")


def paths(target):
    """nginx, the module, the engine, and the tollgate command or None."""
    names = ("TOLLGATE_NGINX", "TOLLGATE_MODULE", "TOLLGATE_MOCK_ENGINE")
    if all(name in os.environ for name in names):
        return [os.environ[name] for name in names] + [os.environ.get("TOLLGATE_CLI")]
    build = subprocess.run(
        [ROOT / "scripts/build", target], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found = dict(word.split("=", 1) for word in shlex.split(build) if "=" in word)
    return [found[name] for name in names] + [found["TOLLGATE_CLI"]]


class Answer:
    """What a request got, and when it was sent and answered."""

    def __init__(self, head, sent):
        self.status = int(head[9:12])
        worker = re.search(r"(?i)\r\nx-worker: (\d+)", head)
        self.worker = int(worker[1]) if worker else 0
        decision = re.search(r"(?i)\r\nx-decision: ([^/\r]*)([^\r]*)", head)
        reason, who = decision.groups() if decision else ("", "")
        # Who was refused is for the audit log.
        self.decision = f"{self.status} {who if self.status == 200 else reason}"
        self.sent, self.answered = sent, time.monotonic()


class Connection:
    """A connection that is kept alive: one request after the other."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.worker = 0

    @classmethod
    async def open(cls, port):
        connection = cls(*await asyncio.open_connection("127.0.0.1", port))
        connection.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, request):
        self.writer.write(request)

    async def head(self, sent):
        head = await self.reader.readuntil(b"\r\n\r\n")
        return Answer(head.decode("latin-1"), sent), head

    async def answer(self, sent):
        answer, head = await self.head(sent)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        self.body = await self.reader.readexactly(int(length[1]))
        return answer

    async def ask(self, request):
        sent = time.monotonic()
        self.send(request)
        return await self.answer(sent)

    def close(self):
        self.writer.transport.abort()


class Servers:
    def __init__(self, target, folder):
        self.folder = pathlib.Path(folder)
        self.nginx_path, module, engine, self.cli = paths(target)
        self.port, self.engine_port = free_port(), free_port()
        self.places = []
        (self.folder / "live").mkdir()
        (self.folder / "page").write_text("PAGE")
        text = CONFIGURATION.format(
            # Workers of another user could not read the folder.
            user="user root;" if os.geteuid() == 0 else "",
            module=module,
            workers=WORKERS,
            folder=folder,
            port=self.port,
            engine=self.engine_port,
        )
        (self.folder / "nginx.conf").write_text(text)
        self.engine = subprocess.Popen(
            [engine, "--listen", f"127.0.0.1:{self.engine_port}"], stdout=subprocess.DEVNULL
        )
        wait_for(self.engine_port, self.engine)
        self.nginx = None

    def start(self):
        folder = self.folder
        self.nginx = subprocess.Popen(
            [self.nginx_path, "-p", f"{folder}/", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
        )
        wait_for(self.port, self.nginx)

    def current(self):
        """The pids of the workers that accept connections."""
        pid = self.nginx.pid
        found = []
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            try:
                title = pathlib.Path(f"/proc/{child}/cmdline").read_text()
            except OSError:
                continue
            if "worker process" in title and "shutting down" not in title:
                found.append(int(child))
        return found

    async def workers(self):
        """The same, once there are as many as there should be. One that takes the place of another
        one has its place in the list."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            now = self.current()
            if len(now) == WORKERS:
                new = [pid for pid in now if pid not in self.places]
                self.places = [pid if pid in now else new.pop() for pid in self.places] or now
                return list(self.places)
            await asyncio.sleep(0.01)
        sys.exit(f"live-keys: nginx has no {WORKERS} workers")

    async def connect(self, place):
        """A connection to the worker at this place."""
        request = b"GET /pid HTTP/1.1\r\nHost: localhost\r\n\r\n"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            worker = (await self.workers())[place]
            try:
                connection = await Connection.open(self.port)
                answer = await connection.ask(request)
            except (OSError, asyncio.IncompleteReadError):
                # It came to one that is about to end.
                continue
            connection.worker = answer.worker
            if answer.worker == worker:
                return connection
            connection.close()
        sys.exit(f"live-keys: no connection to worker {place}")

    def log(self):
        return (self.folder / "error.log").read_text(errors="replace")

    def stop(self):
        for process in (self.nginx, self.engine):
            if process is None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
