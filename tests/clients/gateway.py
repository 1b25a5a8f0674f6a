"""nginx with the module in front of the mock engine, for the tests of one client package."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# With these prices, a token of input costs 0.000001, and one of output twice that.
CONFIGURATION = """
load_module {module};
{user}
daemon off;
pid nginx.pid;
error_log error.log info;
events {{ }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    tollgate_zone zone=tollgate:1m;
    tollgate_price "*" input=1 output=2;
    tollgate_tier pro {{ requests 1000r/d; tokens 10m/d; }}
    tollgate_tier slow {{ requests 60r/m burst=1; }}
    tollgate_tier drip {{ tokens 6000/m burst=300; }}
    tollgate_tier poor {{ budget 0.0002/month; }}
    tollgate_tier single {{ concurrency 1; }}
    tollgate_tier queued {{ concurrency 1 queue=8 timeout=60s; }}
    server {{
        listen 127.0.0.1:{port};
        tollgate on;
        tollgate_auth api_key jwt;
        tollgate_api_keys keys.json;
        tollgate_jwt_key_file secret;
        tollgate_audit_log audit.log;
        proxy_http_version 1.1;
        proxy_buffering off;
        location / {{
            proxy_pass http://127.0.0.1:{engine};
        }}
        location = /metrics {{
            tollgate off;
            allow 127.0.0.1;
            deny all;
            tollgate_metrics clients=10;
        }}
        location /v1/messages {{
            tollgate_engine anthropic;
            proxy_pass http://127.0.0.1:{engine};
        }}
    }}
}}
"""

# As the mock engine counts: a token for each word.
QUESTION = "How many tokens are in this question?"
QUESTION_TOKENS = 7
MESSAGES = [{"role": "user", "content": QUESTION}]

PATIENCE_SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(find, what):
    """What `find` returns, as soon as that is not None."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = find()
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never seen: {what}")


def wait_for(port):
    def connect():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return None

    eventually(connect, f"a server on port {port}")


class GatewayTest(unittest.TestCase):
    """The servers run for all tests of a class; a client is made for each test that needs one."""

    @classmethod
    def setUpClass(cls):
        nginx, module, engine = sys.argv[1:4]
        cls.temporary = tempfile.TemporaryDirectory(prefix="tollgate-clients-")
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.keys = {
            tier: cls.new_key(tier)
            for tier in ("pro", "slow", "drip", "poor", "single", "queued")
        }
        cls.secret = os.urandom(32).hex()
        (cls.folder / "secret").write_text(cls.secret)
        cls.port, cls.engine_port = free_port(), free_port()
        (cls.folder / "nginx.conf").write_text(
            CONFIGURATION.format(
                module=module, port=cls.port, engine=cls.engine_port,
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        cls.start(engine, "--listen", f"127.0.0.1:{cls.engine_port}")
        # nginx says on stderr what is wrong with its configuration.
        cls.start(
            nginx, "-p", f"{cls.folder}/", "-e", "error.log", "-c", f"{cls.folder}/nginx.conf"
        )
        wait_for(cls.engine_port)
        wait_for(cls.port)

    @classmethod
    def start(cls, *command):
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.terminate)

    @classmethod
    def new_key(cls, tier):
        """A key of a client that is named like its tier."""
        made = subprocess.run(
            [os.environ["TOLLGATE_CLI"], "key", "create", "--client", tier, "--tier", tier,
             "--quiet", "--file", cls.folder / "keys.json"],
            check=True, stdout=subprocess.PIPE, text=True,
        )
        return made.stdout.strip()

    def audit_lines(self, **fields):
        """The audit log's lines with these fields."""
        log = self.folder / "audit.log"
        lines = map(json.loads, log.read_text().splitlines()) if log.exists() else []
        return [line for line in lines if fields.items() <= line.items()]

    def audit_line(self, request_id):
        """Written when the request ends: a moment after the client has read the last byte."""
        return eventually(
            lambda: next(iter(self.audit_lines(request_id=request_id)), None),
            f"an audit line for {request_id}",
        )

    def assert_charged(self, request_id, **fields):
        """The audit line of a request has these fields."""
        line = self.audit_line(request_id)
        self.assertEqual({name: line.get(name) for name in fields}, fields, line)

    def refusals_of(self, client, request):
        """How often the gateway refused while `request` ran, and what that returned or raised."""
        before = len(self.audit_lines(client=client))
        try:
            outcome = request()
        except Exception as error:  # whatever the package raises
            outcome = error
        lines = eventually(
            lambda: self.audit_lines(client=client)[before:] or None, "audit lines"
        )
        return [line["reason"] for line in lines if line["decision"] == "deny"], outcome

    def ask_engine(self, path):
        """The mock engine's own answer, past the gateway."""
        url = f"http://127.0.0.1:{self.engine_port}{path}"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def received_by_engine(self, request_id):
        """The body of a request, as it came to the engine."""
        return self.ask_engine(f"/_mock/body/{request_id}")
