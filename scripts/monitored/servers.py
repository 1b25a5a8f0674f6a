"""nginx with the module, an engine, Prometheus, Alertmanager, and what takes its messages."""

import hashlib
import hmac
import base64
import contextlib
import http.server
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from monitored import FILES

# So long a condition may take on a slow machine.
PATIENCE_SECONDS = 240

PAST = "2001-01-01T00:00:00Z"

CONFIGURATION = """
load_module {module};
{user}
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log info;
events {{ }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    tollgate_zone zone=tollgate:1m state=state/limits;
    tollgate_cluster redis://127.0.0.1:{store} node=here on_loss=local expected_nodes=1;
    tollgate_price "*" input=1 output=2;
    tollgate_tier pro {{ scope node; requests 100000r/d; tokens 100m/d; concurrency 512; budget 100/day; addresses 1/h; }}
    tollgate_tier few {{ scope node; requests 1r/d; }}
    # Of 0.00001: an answer of 4 tokens for 2 takes the whole of it, one for 1 that is a token shorter 0.8.
    tollgate_tier poor {{ scope node; budget 0.00001/month; }}
    tollgate_tier narrow {{ scope node; concurrency 1 queue=2 timeout=1s; }}
    tollgate_guard words {{ input list terms.txt name=words log; }}
    tollgate_limit per_address key=$binary_remote_addr auth_failures=1r/h;
    server {{
        listen 127.0.0.1:{port};
        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log audit.log;
        tollgate_on_revoke close;
        tollgate_guards words;
        proxy_http_version 1.1;
        proxy_buffering off;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Real-IP;
        location / {{
            proxy_pass http://127.0.0.1:{engine};
        }}
        location /watched/ {{
            tollgate_apply per_address;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        location /unwritten/ {{
            tollgate_audit_log /dev/full buffer=4k flush=1s;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        location /gone/ {{
            proxy_pass http://127.0.0.1:1/;
        }}
        location /signed/ {{
            tollgate_auth jwt;
            tollgate_jwt_key_file secret;
            tollgate_default_tier pro;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        location /fetched/ {{
            tollgate_auth jwt;
            tollgate_jwt_key_request /_silent;
            tollgate_default_tier pro;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        location /asked/ {{
            tollgate_auth introspection;
            tollgate_introspection_request /_introspect;
            tollgate_default_tier pro;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        location = /_silent {{
            internal;
            proxy_pass http://127.0.0.1:1/;
        }}
        location = /_introspect {{
            internal;
            proxy_pass http://127.0.0.1:{provider}/;
        }}
    }}
    server {{
        listen 127.0.0.1:{provider};
        return 200 '{{"active":true,"sub":"opaque","tier":"pro"}}';
    }}
    server {{
        listen 127.0.0.1:{metrics};
        location = /metrics {{
            allow 127.0.0.1;
            deny all;
            tollgate_metrics clients=20;
        }}
    }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(find, what):
    """What `find` returns, as soon as that is anything."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"never seen: {what}")


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def replaced(text, changes):
    """The text with these changes, each of which must be one."""
    for before, after in changes.items():
        if before not in text:
            raise ValueError(f"monitoring/ has no {before!r} any more, which is replaced for the test")
        text = text.replace(before, after)
    return text


def entry(name, tier, **members):
    """The entry of the key key-NAME, of a client of that name."""
    digest = hashlib.sha256(f"key-{name}".encode()).hexdigest()
    return {"id": f"k_{name}", "hash": f"sha256:{digest}", "client": name, "tier": tier, **members}


def token(secret, **claims):
    """A signed token."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, {"exp": int(time.time()) + 3600, **claims})]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    seal = hmac.new(secret.encode(), signed, "sha256").digest()
    return (signed + b"." + base64.urlsafe_b64encode(seal).rstrip(b"=")).decode()


class Webhook(http.server.ThreadingHTTPServer):
    """Takes what Alertmanager sends."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), WebhookHandler)
        self.port = self.server_address[1]
        self.messages = queue.Queue()
        self.alerts = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def arrived(self):
        """The alerts that have come so far, by name."""
        while not self.messages.empty():
            for alert in self.messages.get()["alerts"]:
                self.alerts.setdefault(alert["labels"]["alertname"], []).append(alert)
        return self.alerts


class WebhookHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.messages.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Servers:
    """All of them in one folder, each on a port of its own. A context: they end with it."""

    def __init__(self, folder, nginx, module, engine):
        self.folder = pathlib.Path(folder)
        self.programs = nginx, module, engine
        self.processes = []
        names = ("port", "engine", "store", "provider", "metrics", "prometheus", "alertmanager")
        self.ports = {name: free_port() for name in names}
        self.secret = os.urandom(32).hex()
        self.entries = [
            entry("acme", "pro"), entry("zenith", "pro"), entry("eager", "few"), entry("half", "poor"),
            entry("spent", "poor"), entry("narrow", "narrow"), entry("old", "pro", expires=PAST),
            entry("lost", "pro", disabled=True), entry("leaver", "pro"), entry("later", "pro", not_before="2999-01-01T00:00:00Z"),
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self.end(process)

    def begin(self, name, port, *command):
        log = open(self.folder / f"{name}.out", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        log.close()
        self.processes.append(process)

        def is_there():
            if process.poll() is not None:
                text = (self.folder / f"{name}.out").read_text(errors="replace")
                raise RuntimeError(f"{name} ended at its start: {text[-2000:]}")
            return is_listening(port)

        eventually(is_there, name)
        return process

    @staticmethod
    def end(process):
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_nginx(self):
        nginx, module, engine = self.programs
        (self.folder / "secret").write_text(self.secret)
        self.write_keys(self.entries)
        (self.folder / "terms.txt").write_text("falcon\n")
        text = CONFIGURATION.format(
            module=module,
            # Workers of another user could not read the folder.
            user="user root;" if os.geteuid() == 0 else "",
            **{name: port for name, port in self.ports.items() if name in ("port", "engine", "store", "provider", "metrics")},
        )
        (self.folder / "nginx.conf").write_text(text)
        self.store = self.begin(
            "store", self.ports["store"], shutil.which("redis-server"), "--port", str(self.ports["store"]),
            "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
        )
        self.begin("engine", self.ports["engine"], engine, "--listen", f"127.0.0.1:{self.ports['engine']}")
        self.nginx = self.begin(
            "nginx", self.ports["metrics"], nginx, "-p", f"{self.folder}/", "-e", f"{self.folder}/error.log",
            "-c", f"{self.folder}/nginx.conf",
        )

    def write_keys(self, entries, more=""):
        new = self.folder / "keys.new"
        new.write_text(json.dumps({"version": 1, "keys": entries}) + more)
        new.rename(self.folder / "keys.json")

    def break_key(self):
        """One entry of the file is refused, and another one revoked."""
        revoked = [one | {"disabled": one["client"] == "leaver"} for one in self.entries]
        self.write_keys([*revoked, entry("wrong", "pro", cidrs=["no network"])])

    def touch_keys(self):
        """Another content, of which nothing more is wrong than before."""
        self.entries.append(entry("newcomer", "pro"))
        self.break_key()

    @contextlib.contextmanager
    def still_worker(self):
        """One of the workers doesn't run meanwhile."""
        children = pathlib.Path(f"/proc/{self.nginx.pid}/task/{self.nginx.pid}/children").read_text().split()
        worker = int(children[0])
        os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker, signal.SIGCONT)

    def forget_target(self):
        """Prometheus has nothing to scrape any more."""
        place = self.folder / "prometheus.yml"
        place.write_text(replaced(place.read_text(), {f"targets: [127.0.0.1:{self.ports['metrics']}]": "targets: []"}))
        self.prometheus.send_signal(signal.SIGHUP)

    def break_keys(self):
        """The file is refused as a whole, and so is the list of a guard."""
        self.write_keys(self.entries, more="}")
        new = self.folder / "terms.new"
        new.write_text("!!\n")
        new.rename(self.folder / "terms.txt")

    def expect_nodes(self, count):
        """There should be so many nodes of the cluster, and not one."""
        place = self.folder / "nginx.conf"
        place.write_text(replaced(place.read_text(), {"expected_nodes=1;": f"expected_nodes={count};"}))
        self.nginx.send_signal(signal.SIGHUP)

    def lose_store(self):
        """The store of the cluster is gone."""
        self.end(self.store)

    def lose_state(self):
        """The folder of the state is gone, and can't be made again."""
        (self.folder / "state").rename(self.folder / "state-before")
        (self.folder / "state").write_text("")

    def start_monitoring(self):
        """The files in monitoring/, with ports and times of the test."""
        ports, folder = self.ports, self.folder
        self.webhook = Webhook()
        (folder / "rules").mkdir()
        for rules in (FILES / "rules").iterdir():
            text = rules.read_text()
            text = re.sub(r"^( +)for: \w+$", r"\1for: 0s", text, flags=re.MULTILINE)
            text = re.sub(r"^( +)interval: \w+$", r"\1interval: 1s", text, flags=re.MULTILINE)
            (folder / "rules" / rules.name).write_text(text)
        (folder / "prometheus.yml").write_text(replaced((FILES / "prometheus.yml").read_text(), {
            "scrape_interval: 15s": "scrape_interval: 1s",
            "evaluation_interval: 15s": "evaluation_interval: 1s",
            "127.0.0.1:9093": f"127.0.0.1:{ports['alertmanager']}",
            "127.0.0.1:9145": f"127.0.0.1:{ports['metrics']}",
        }))
        (folder / "alertmanager.yml").write_text(replaced((FILES / "alertmanager.yml").read_text(), {
            "group_wait: 30s": "group_wait: 1s",
            "group_wait: 10s": "group_wait: 1s",
            "group_interval: 5m": "group_interval: 1s",
            "http://127.0.0.1:9099/": f"http://127.0.0.1:{self.webhook.port}/",
        }))
        self.begin(
            "alertmanager", ports["alertmanager"], shutil.which("prometheus-alertmanager"),
            "--config.file=alertmanager.yml", "--storage.path=alertmanager", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
        )
        self.prometheus = self.begin(
            "prometheus", ports["prometheus"], shutil.which("prometheus"),
            "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
            f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
        )
        for name in ("alertmanager", "prometheus"):
            eventually(lambda name=name: self.is_ready(name), f"{name}, ready")

    def is_ready(self, name):
        """It listens before it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/-/ready", timeout=60):
                return True
        except OSError:
            return False

    def ask(self, path, **parameters):
        """What Prometheus answers."""
        query = urllib.parse.urlencode(parameters)
        url = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/{path}?{query}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"Prometheus doesn't take {parameters}: {error.read()[:500]}") from error

    def numbers(self, expression):
        """The numbers that an expression has now."""
        found = self.ask("query", query=expression)
        samples = found["result"] if found["resultType"] == "vector" else [{"value": found["result"]}]
        return [number for sample in samples if (number := float(sample["value"][1])) == number]

    def firing(self):
        """The names of the alerts that fire."""
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def page(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=60) as answer:
            return answer.read().decode()
