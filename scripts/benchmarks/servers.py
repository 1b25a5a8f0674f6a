"""The module, an nginx that it fits, a backend and credentials."""

import contextlib
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

CONFIGURATION = """
{load_modules}
daemon off;
worker_processes {workers};
pid nginx.pid;
error_log error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    upstream engine {{ server 127.0.0.1:{engine}; keepalive 64; }}
    keepalive_requests 100000000;
    {http}
    server {{
        listen 127.0.0.1:{port};
        client_body_buffer_size 1m;
        location / {{
            {location}
            proxy_pass http://engine;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

LUA_MODULES = [f"/usr/lib/nginx/modules/{name}.so" for name in ("ndk_http_module", "ngx_http_lua_module")]


def run(*command):
    """The standard output of a command that must succeed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, errors=str, patience=60):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"bench: a server ended at its start\n{errors()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("bench: a server did not start")


def stop(process):
    # Again and again: a signal that comes just before nginx waits for events doesn't wake it.
    for _ in range(60):
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(1)
            return
        except subprocess.TimeoutExpired:
            pass
    process.kill()
    process.wait()


def write_configuration(bench, folder, port, http, location, workers=1, engine_port=None):
    """Writes nginx.conf into the folder."""
    modules = [bench.module] if "tollgate" in http else LUA_MODULES if "lua" in http else []
    text = CONFIGURATION.format(
        load_modules="\n".join(f"load_module {module};" for module in modules),
        workers=workers,
        engine=engine_port or bench.engine_port,
        port=port,
        http=http,
        location=location,
    )
    if os.geteuid() == 0:
        # Workers of another user could not write into the folder.
        text = "user root;" + text
    (folder / "nginx.conf").write_text(text)


def nginx_command(nginx, folder):
    return [nginx, "-p", f"{folder}/", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]


def worker_of(master, patience=60):
    """The pid of the one worker of this process."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        if len(children) == 1:
            return int(children[0])
        time.sleep(0.05)
    sys.exit("bench: nginx has no worker, or several")


def programs(target):
    """What is measured: where the environment names it, that; else what scripts/build makes."""
    names = ("TOLLGATE_NGINX", "TOLLGATE_MODULE", "TOLLGATE_MOCK_ENGINE", "TOLLGATE_CLI")
    if all(os.environ.get(name) for name in names):
        return {name: os.environ[name] for name in names}
    build = run(ROOT / "scripts/build", target)
    return dict(word.split("=", 1) for word in shlex.split(build) if "=" in word)


class Bench:
    """The module, an nginx that it fits, a backend and credentials."""

    def __init__(self, target, folder):
        paths = programs(target)
        self.port = None  # where nginx listens
        self.module, self.nginx = paths["TOLLGATE_MODULE"], paths["TOLLGATE_NGINX"]
        self.mock_engine, self.cli = paths["TOLLGATE_MOCK_ENGINE"], paths["TOLLGATE_CLI"]
        self.folder = pathlib.Path(folder)
        self.engine_port = free_port()
        self.engine = subprocess.Popen(
            [self.mock_engine, "--listen", f"127.0.0.1:{self.engine_port}"],
            stdout=subprocess.DEVNULL,
        )
        wait_for(self.engine_port, self.engine)
        made = run(
            paths["TOLLGATE_CLI"], "key", "create", "--client", "acme", "--tier", "pro", "--quiet",
            "--file", self.folder / "keys.json",
        )
        self.key = made.strip()
        (self.folder / "secret").write_bytes(os.urandom(48).hex().encode())
        self.jwt = run(
            paths["TOLLGATE_CLI"], "jwt", "issue", "--secret-file", self.folder / "secret",
            "--client", "acme", "--tier", "pro", "--expires", "30d",
        ).strip()

    @contextlib.contextmanager
    def streaming_engine(self, tokens, pace_ms):
        """The port of a mock engine whose answers have so many tokens, one each so many milliseconds."""
        port = free_port()
        engine = subprocess.Popen(
            [self.mock_engine, "--listen", f"127.0.0.1:{port}", "--tokens", str(tokens),
             "--token-delay-ms", str(pace_ms)],
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(port, engine)
            yield port
        finally:
            engine.terminate()
            engine.wait()

    def answer_to(self, path, body=None):
        """What the mock engine says."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.engine_port}{path}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def configure(self, http, location, workers=1, engine_port=None):
        """Writes nginx's configuration, in front of the mock engine or of another one."""
        self.port = free_port()
        write_configuration(self, self.folder, self.port, http, location, workers, engine_port)

    def version(self):
        said = subprocess.run([self.nginx, "-v"], stderr=subprocess.PIPE, text=True, check=True).stderr
        return said.split()[-1]

    def errors(self):
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""

    def command(self):
        return nginx_command(self.nginx, self.folder)
