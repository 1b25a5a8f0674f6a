"""Runs the commands of a page, in their order, in one shell and one folder, before a Tollgate of their own."""

import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import threading
import time

from .configuration import walk
from .fixtures import Fixtures, relocated
from .output import differs, undocumented

HERE = pathlib.Path(__file__).resolve().parent
# Ports that pages speak of. The engine's is one for all pages.
PORTS = ["8080", "8443", "9145", "9146"]
NGINX = """
user {user};
worker_processes 2;
pid {root}/run/nginx.pid;
error_log {root}/var/log/nginx/error.log notice;
include {root}/etc/nginx/modules-enabled/*.conf;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {root}/var/tmp-body;
    proxy_temp_path {root}/var/tmp-proxy;
    fastcgi_temp_path {root}/var/tmp-fastcgi;
    uwsgi_temp_path {root}/var/tmp-uwsgi;
    scgi_temp_path {root}/var/tmp-scgi;
    include {root}/etc/nginx/conf.d/*.conf;
}}
"""
# Programs of the machine that pages call: for the sandbox's own nginx, and without root.
PROGRAMS = {
    "nginx": 'exec {nginx} -p {root}/etc/nginx -e {root}/var/log/nginx/error.log -c {root}/etc/nginx/nginx.conf "$@"\n',
    "sudo": 'while [ "$1" = -u ]; do shift 2; done\nexec "$@"\n',
    "chown": "exit 0\n",
    "chgrp": "exit 0\n",
    "install": (
        "arguments=()\nwhile (($#)); do case $1 in -g | -o) shift ;; *) arguments+=(\"$1\") ;; esac; shift; done\n"
        'exec /usr/bin/install "${{arguments[@]}}"\n'
    ),
    # Returns when the workers of before are about to end, so that the next request meets new ones.
    "systemctl": (
        'case "$1 $2" in\n"reload nginx") ;; *) echo "systemctl: $*: not here" >&2; exit 1 ;; esac\n'
        "ends() {{ grep -c 'gracefully shutting down' {root}/var/log/nginx/error.log; }}\n"
        "before=$(ends)\nnginx -t -q && nginx -s reload || exit 1\n"
        "for ((i = 0; i < 3000; i++)); do (($(ends) >= before + 2)) && exit; sleep 0.02; done\nexit 1\n"
    ),
}


# Of each port one page only may think that it is free.
GIVEN, GIVING = set(), threading.Lock()


def free_port():
    """A port that nobody listens at, and that no other page was given."""
    while True:
        port = random.randint(18000, 18999)
        with GIVING:
            if port in GIVEN:
                continue
            GIVEN.add(port)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return str(port)
            except OSError:
                continue


class Servers:
    """The mock engine, and what it takes to start an nginx for a page."""

    def __init__(self, nginx, module, command, engine, tree):
        self.nginx, self.module, self.command, self.tree = nginx, module, command, pathlib.Path(tree)
        self.engine = subprocess.Popen([engine, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        self.engine_port = self.engine.stdout.readline().strip().rpartition(":")[2]

    def stop(self):
        self.engine.terminate()
        self.engine.wait(10)

    def test(self, page, page_blocks, before, templates, folder):
        """Each command of a page, with what is wrong with it or None. What is there before it: "nothing" but nginx, a
        "gateway", or "clients" as well, and what they have asked for."""
        to_run = [block for block in page_blocks if is_run(block)]
        if not any(block.language == "sh" or block.is_session for block in to_run):
            return []
        root = pathlib.Path(folder) / page.replace("/", "-")
        run = PageRun(self, page, Fixtures(root, templates))
        try:
            run.start(before)
            return run.blocks(to_run)
        except RuntimeError as error:
            return [(page, str(error))]
        finally:
            run.stop()


def is_run(block):
    """Whether a block has commands, or is the answer to some."""
    return "not run" not in block.notes and (block.language == "sh" or block.is_session or "answer" in block.notes)


class PageRun:
    """One page: its root folder, its ports, its nginx, its shell."""

    def __init__(self, servers, page, fixtures):
        self.servers, self.page, self.fixtures = servers, page, fixtures
        self.root = fixtures.root
        self.count = 0
        self.ports = {port: free_port() for port in PORTS} | {"8000": servers.engine_port}
        self.work = self.root / "work"
        self.steps = self.root / "steps"
        for path in (self.work, self.steps, self.root / "bin"):
            path.mkdir()

    def here(self, text):
        """What a page writes, with this sandbox's paths and ports."""
        text = relocated(text, self.root)
        return re.sub(r"\b(127\.0\.0\.1|localhost):(\d+)\b",
                      lambda match: f"{match.group(1)}:{self.ports.get(match.group(2), match.group(2))}", text)

    def there(self, text):
        """The same the other way."""
        for name, port in self.ports.items():
            text = re.sub(rf"\b{port}\b", name, text)
        return text.replace(str(self.root), "")

    def start(self, before):
        etc = self.root / "etc/nginx"
        (etc / "nginx.conf").write_text(NGINX.format(root=self.root, user=self.fixtures.user))
        (etc / "modules-enabled/50-tollgate.conf").write_text(f"load_module {self.servers.module};\n")
        if before != "nothing":
            gateway = self.here((HERE / "gateway.conf").read_text())
            (etc / "conf.d/gateway.conf").write_text(gateway)
            self.fixtures.provide(walk(gateway))
        for name, text in PROGRAMS.items():
            path = self.root / "bin" / name
            path.write_text("#!/usr/bin/env bash\n" + text.format(root=self.root, nginx=self.servers.nginx))
            path.chmod(0o755)
        (self.root / "bin/tollgate").symlink_to(self.servers.command)
        certificate = self.fixtures.templates / "cert.pem"
        # An answer that is an error fails, so that no command of a page is refused unnoticed.
        (self.work / ".curlrc").write_text(
            "".join(f'connect-to = "{host}:443:127.0.0.1:{self.ports["8443"]}"\n'
                    for host in ("llm.example.com", "api.example.com", "llm.example.org"))
            + f'cacert = "{certificate}"\nmax-time = 60\nfail-with-body\n')
        if before == "clients":
            self.tell("keys.sh")
        run = subprocess.run([self.root / "bin/nginx"], capture_output=True, text=True, timeout=120, check=False)
        if run.returncode:
            raise RuntimeError(f"{self.page}: nginx does not start: {run.stderr}")
        if before == "clients":
            self.tell("requests.sh")

    def tell(self, name):
        """Runs one of the scripts that make what pages take for granted."""
        script = self.steps / name
        script.write_text(self.here((HERE / name).read_text()))
        run = subprocess.run(["bash", script], cwd=self.work, env=self.environment(), capture_output=True, text=True,
                             timeout=300, check=False)
        if run.returncode:
            raise RuntimeError(f"{self.page}: {name} fails: {run.stderr}")

    def environment(self):
        return {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}", "HOME": str(self.work), "CURL_HOME": str(self.work),
            "LANG": "C.UTF-8", "TZ": "UTC", "TOLLGATE_STATUS": f"{self.root}/run/nginx.tollgate-status",
            "TOLLGATE_CONTROL": f"{self.root}/run/tollgate.sock", "TREE": str(self.servers.tree),
            "TEMPLATES": str(self.fixtures.templates),
        }

    def stop(self):
        pid = self.root / "run/nginx.pid"
        for _ in range(100):
            if pid.exists() and pid.read_text().strip():
                os.kill(int(pid.read_text()), signal.SIGTERM)
                return
            time.sleep(0.02)

    def blocks(self, to_run):
        """Runs the blocks. After one that fails the shell is gone, and those behind it were not run."""
        steps = list(self.prepare(to_run))
        script = self.steps / "page.sh"
        script.write_text("".join(step.shell for step in steps))
        try:
            subprocess.run(["bash", script], cwd=self.work, env=self.environment(), stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=1200, check=False)
        except subprocess.TimeoutExpired:
            pass
        return [(step.place, step.fault(self)) for step in steps if step.is_told]

    def prepare(self, to_run):
        previous = None
        for block in to_run:
            if "answer" in block.notes:
                if previous is None:
                    raise RuntimeError(f"{block.place}: there is no command before this answer")
                previous.expected, previous.how = block.text.splitlines(), block.notes
                continue
            if setup := block.notes.get("setup"):
                yield Step(self, block.place + " (setup)", setup, {}, is_told=False)
            if block.is_session:
                for command, lines in block.commands():
                    step = Step(self, block.place, command, block.notes)
                    step.expected, step.how = lines, block.notes
                    yield step
            else:
                previous = Step(self, block.place, block.text, block.notes, is_strict=True)
                yield previous


class Step:
    """One command of a session, or one block of them."""

    def __init__(self, run, place, text, notes, *, is_told=True, is_strict=False):
        run.count += 1
        self.place, self.notes, self.is_strict = place, notes, is_strict
        self.is_told, self.expected, self.how = is_told, None, {}
        self.name = run.steps / str(run.count)
        self.name.with_suffix(".sh").write_text(run.here(text) + "\n")
        name = shlex.quote(str(self.name))
        strict = "set -euo pipefail\n" if is_strict and "fails" not in notes else ""
        # A shell that ends in the middle leaves no status.
        merged = "2>&1" if not is_strict else f"2>{name}.err"
        self.shell = (
            f"set +euo pipefail\n{strict}. {name}.sh >{name}.out {merged}\n"
            f"echo $? >{name}.status\n"
        )

    def fault(self, run):
        status = self.name.with_suffix(".status")
        output = self.name.with_suffix(".out")
        errors = self.name.with_suffix(".err")
        printed = run.there(output.read_text()) if output.exists() else ""
        told = run.there(errors.read_text()) if errors.exists() else printed
        if not output.exists():
            return "was not run, as the commands before it failed"
        if not status.exists():
            return f"fails: {told.strip()[-600:] or 'it says nothing, or does not end'}"
        ended = int(status.read_text())
        wanted = self.notes.get("fails")
        if wanted is not None and ended != int(wanted):
            return f"ends with {ended}, not with {wanted}"
        # 22 is curl's where the answer is an error, which the page then shows.
        if not self.is_strict and wanted is None and ended not in (0, 1, 22):
            return f"ends with {ended}: {told.strip()[-600:]}"
        if self.expected is None or "not compared" in self.how:
            return None
        if "members" in self.how:
            return undocumented("\n".join(self.expected), printed)
        printed = printed.splitlines()
        if "only" in self.how:
            words = tuple(self.how["only"].split(", "))
            printed = [line for line in printed if line.startswith(words)]
            return differs([line for line in self.expected if line.startswith(words)], printed, "shape" in self.how)
        return differs(self.expected, printed, "shape" in self.how)
