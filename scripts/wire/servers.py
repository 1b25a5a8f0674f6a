"""nginx in one process with AddressSanitizer, before the mock engine; and what can be seen of both."""

import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

from . import bodies

# Of memory that was given back, AddressSanitizer keeps so much; it would hide what is never given back.
KEPT_MB = 8

CONFIGURATION = """
load_module {module};
{plant}
{user}
master_process off;
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    # What waits for a client that says no more must not last.
    client_header_timeout 1s; client_body_timeout 1s; send_timeout 1s; keepalive_timeout 1s;
    lingering_time 1s; lingering_timeout 500ms; proxy_read_timeout 2s;
    reset_timedout_connection on;
    client_body_buffer_size 8k; client_max_body_size 256k; large_client_header_buffers 4 8k;
    tollgate_max_body 128k;
    tollgate_zone zone=tollgate:1m state=limits;
    tollgate_owned_objects zone=objects:256k;
    tollgate_control unix:{folder}/control.sock;
    tollgate_price "*" input=1 output=2;
    tollgate_guard strict {{
        input pii tokenize; input secrets block; input injection log;
        input pattern "(?i)project falcon" name=codename mask;
        output pii mask; output secrets block; output leak mask;
    }}
    tollgate_tier wide {{ requests 100000000r/d; tokens 2000m/d; concurrency 64; }}
    tollgate_tier few {{ requests 20r/s; tokens 2k/s; concurrency 3; }}
    tollgate_tier one {{ concurrency 1 queue=4 timeout=300ms; models mock mock-*; max_output_tokens 100; }}
    tollgate_tier poor {{ budget 1/day; model mock-1 {{ requests 5r/s; }} deny media; }}
    tollgate_tier guarded {{ guards strict; tokens 2000m/d; }}
    tollgate_limit address key=$binary_remote_addr auth_failures=1000000r/m requests=1000000r/s;
    tollgate_limit queued key=all concurrency=1 queue=8 timeout=500ms;
    tollgate_audit_log audit.log buffer=64k flush=100ms{seal};
    upstream engine {{ server 127.0.0.1:{engine}; keepalive 8; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_next_upstream off;
    proxy_buffering off;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        listen 127.0.0.1:{h2} http2 backlog=1024;
        http2_max_concurrent_streams 16;
        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_apply address;
        tollgate_cors https://app.example.com;
        tollgate_model_alias chat-default mock;
        location / {{ proxy_pass http://engine; }}
        location /vllm/ {{ tollgate_engine vllm; tollgate_include_usage always; proxy_pass http://engine/; }}
        location /llamacpp/ {{ tollgate_engine llamacpp; tollgate_resumable_streams on; proxy_pass http://engine/; }}
        location /ollama/ {{ tollgate_engine ollama; proxy_pass http://engine/; }}
        location /open/ {{ tollgate_auth none; tollgate_default_tier wide; proxy_pass http://engine/; }}
        location /dry/ {{ tollgate_dry_run on; proxy_pass http://engine/; }}
        location /queue/ {{ tollgate_apply queued; proxy_pass http://engine/; }}
        location /jwt/ {{ tollgate_auth jwt api_key; tollgate_jwt_key_file jwks.json; proxy_pass http://engine/; }}
        location /led/ {{
            error_page 401 403 404 429 502 = @led;
            recursive_error_pages on;
            proxy_intercept_errors on;
            proxy_pass http://engine/;
        }}
        location @led {{ rewrite ^/led/(.*)$ /$1 break; proxy_pass http://engine; }}
        location /asked/ {{ auth_request /is-it; proxy_pass http://engine/; }}
        location = /is-it {{ internal; tollgate off; return 204; }}
        location /twice/ {{ mirror /copy; proxy_pass http://engine/; }}
        location /copy {{ internal; tollgate off; proxy_pass http://engine/echo; }}
        location /zip/ {{ gzip on; gzip_types *; gzip_min_length 1; gunzip on; proxy_buffering on; proxy_pass http://engine/; }}
        location /socket/ {{
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
            proxy_pass http://engine/;
        }}
        location /usage {{ tollgate_usage; }}
        location /status {{ tollgate_status; }}
        location /plain/ {{ tollgate off; proxy_pass http://engine/echo/; }}
        location /file/ {{ root .; try_files /none @led; }}
        location /spelled/ {{ proxy_pass http://engine$request_uri; }}
    }}
    server {{
        listen 127.0.0.1:{inside};
        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log off;
        location / {{ proxy_pass http://engine; }}
        location = /metrics {{ tollgate off; tollgate_metrics clients=20; }}
    }}
}}
"""


class Trouble(Exception):
    """What is to be tested can't be started."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def wait_until(what, is_so, patience=60.0):
    deadline = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > deadline:
            raise Trouble(f"{what}: not within {patience:.0f} s")
        time.sleep(0.02)


class Servers:
    """`binaries`: nginx, the module, the engine, and the command (or None). `plant`: a module that makes mistakes."""

    def __init__(self, binaries, folder, plant=None):
        self.folder = pathlib.Path(folder)
        self.nginx, module, engine, self.command = binaries
        self.port, self.h2_port, self.inside, self.engine_port = (free_port() for _ in range(4))
        self.reports = self.folder / "reports"
        self.reports.mkdir()
        keys = [{"id": f"k_{client}", "hash": "sha256:" + hashlib.sha256(bodies.key_of(client).encode()).hexdigest(),
                 "client": client, "tier": tier} for client, tier in [*bodies.CLIENTS, ("probe", "wide")]]
        (self.folder / "keys.json").write_text(json.dumps({"version": 1, "keys": keys}))
        secret = "Y2hhb3M" * 8
        (self.folder / "jwks.json").write_text(json.dumps({"keys": [{"kty": "oct", "kid": "1", "alg": "HS256", "k": secret}]}))
        self.verify_key = self.folder / "verify.key"
        seal = ""
        if self.command:
            self.seal()
            seal = " seal=seal.key"
        (self.folder / "nginx.conf").write_text(CONFIGURATION.format(
            module=module, plant=f"load_module {plant};" if plant else "", folder=self.folder, seal=seal, port=self.port,
            h2=self.h2_port, user="user root;" if os.geteuid() == 0 else "", inside=self.inside, engine=self.engine_port))
        self.engine = subprocess.Popen([engine, "--listen", f"127.0.0.1:{self.engine_port}"], stdout=subprocess.DEVNULL)
        self.process = None

    def seal(self):
        done = subprocess.run([self.command, "audit", "seal", "keygen", "--seal", self.folder / "seal.key",
                               "--verify", self.verify_key], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Trouble(f"no key for the seal: {done.stderr}")

    def start(self):
        wait_until("the engine listens", lambda: listens(self.engine_port))
        options = ["detect_odr_violation=0", "detect_leaks=0", "allocator_may_return_null=1", "abort_on_error=0",
                   f"quarantine_size_mb={KEPT_MB}", "thread_local_quarantine_size_kb=64", f"log_path={self.reports}/asan"]
        environment = dict(os.environ, ASAN_OPTIONS=":".join(options),
                           ASAN_SYMBOLIZER_PATH=shutil.which("llvm-symbolizer-19") or "")
        with open(self.folder / "stderr", "wb") as errors:
            self.process = subprocess.Popen(
                [self.nginx, "-p", f"{self.folder}/", "-e", "error.log", "-c", self.folder / "nginx.conf"],
                env=environment, stderr=errors, cwd=self.folder)
        wait_until("nginx listens", lambda: self.process.poll() is not None or listens(self.port))
        if self.process.poll() is not None:
            raise Trouble("nginx ended at its start: " + (self.folder / "stderr").read_text(errors="replace")[-2000:] + self.log()[-2000:])

    def log(self):
        try:
            return (self.folder / "error.log").read_text(errors="replace")
        except OSError:
            return ""

    def reported(self):
        """What AddressSanitizer said."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.reports.iterdir()))

    def memory(self):
        """Of its own, in KiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1])

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def ask(self, method, path, body=None, port=None, **headers):
        """Status and text of an ordinary request."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.inside, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def in_flight(self):
        _, text = self.ask("GET", "/metrics")
        return sum(int(float(count)) for count in re.findall(r"(?m)^tollgate_in_flight\{[^}]*\} (\S+)$", text))

    def stats(self):
        return json.loads(self.ask("GET", "/_mock/stats", port=self.engine_port)[1])

    def probe(self):
        """An ordinary request gets its ordinary answer: what is wrong, or nothing."""
        body = json.dumps({"model": "mock", "messages": [{"role": "user", "content": "one two"}], "max_tokens": 3})
        try:
            status, text = self.ask("POST", "/v1/chat/completions", body, X_API_Key=bodies.key_of("probe"),
                                    Content_Type="application/json")
            used = json.loads(text).get("usage", {}).get("completion_tokens") if status == 200 else None
            return "" if used == 3 else f"an ordinary request is answered {status}: {text[:200]}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            return f"an ordinary request is not answered: {error!r}"

    def audited(self):
        """The lines of the audit log, and how many are no JSON."""
        lines, damaged = [], 0
        data = (self.folder / "audit.log").read_bytes() if (self.folder / "audit.log").exists() else b""
        for line in data.split(b"\n")[:-1]:
            try:
                lines.append(json.loads(line))
            except ValueError:
                damaged += 1
        return lines, damaged + (not data.endswith(b"\n") if data else 0)

    def verified(self):
        """What `tollgate audit verify` has to say against the log: nothing, if all is well."""
        if not self.command:
            return ""
        done = subprocess.run([self.command, "audit", "verify", "--key", self.verify_key, self.folder / "audit.log"],
                              capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()

    def stop(self):
        """In order: how it ended, or None if it didn't."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            return None

    def close(self):
        for process in (self.process, self.engine):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
