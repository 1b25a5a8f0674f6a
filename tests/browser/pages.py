"""Pages in Chromium that call the API on another origin: one that tollgate_cors lets in, and one that it doesn't."""

import base64
import hashlib
import http.server
import json
import os
import pathlib
import queue
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from gateway import GatewayTest, free_port, wait_for  # noqa: E402

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
    tollgate_tier pro {{ requests 1000r/d; tokens 10m/d; }}
    tollgate_tier few {{ requests 1r/d; }}
    server {{
        listen 127.0.0.1:{port};
        tollgate on;
        tollgate_endpoints +*:/*;
        tollgate_api_keys keys.json;
        tollgate_audit_log audit.log;
        tollgate_cors http://127.0.0.1:{allowed};
        tollgate_security_headers on;
        proxy_http_version 1.1;
        proxy_buffering off;
        # What an engine says of pages doesn't count.
        location / {{
            proxy_pass http://127.0.0.1:{wild};
        }}
        location /v1/messages {{
            tollgate_engine anthropic;
            proxy_pass http://127.0.0.1:{wild};
        }}
        location /small/ {{
            client_max_body_size 10;
            proxy_pass http://127.0.0.1:{wild}/;
        }}
        location /gone/ {{
            proxy_pass http://127.0.0.1:1/;
        }}
        location /v1/realtime {{
            tollgate_api_key_header Authorization Sec-WebSocket-Protocol;
            tollgate_upgrade allow;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://127.0.0.1:{sockets};
        }}
    }}
    # The engine, with a CORS middleware that lets in everybody.
    server {{
        listen 127.0.0.1:{wild};
        proxy_http_version 1.1;
        proxy_buffering off;
        add_header Access-Control-Allow-Origin * always;
        add_header Access-Control-Allow-Headers * always;
        add_header X-Not-Exposed 1 always;
        location / {{
            proxy_pass http://127.0.0.1:{engine};
        }}
    }}
}}
"""

# A page has so long for all that it does.
PATIENCE_SECONDS = 120


class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


class PageServer(http.server.BaseHTTPRequestHandler):
    """Serves the page, and takes what it has found."""

    def do_GET(self):
        body = (HERE / "page.html").read_bytes() if self.path == "/" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.found.put(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class SocketServer(http.server.BaseHTTPRequestHandler):
    """Opens a WebSocket with the first protocol that is offered, and says once what it was asked for."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        offered = self.headers.get("Sec-WebSocket-Protocol", "")
        key = self.headers.get("Sec-WebSocket-Key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("Sec-WebSocket-Protocol", offered.split(",")[0].strip())
        self.end_headers()
        seen = json.dumps({"client": self.headers.get("X-Client-ID"), "headers": str(self.headers)}).encode()
        self.wfile.write(b"\x81\x7e" + len(seen).to_bytes(2, "big") + seen)
        self.wfile.flush()
        # The client closes.
        self.rfile.read(1)
        self.close_connection = True

    def log_message(self, *_):
        pass


class Pages(GatewayTest):
    @classmethod
    def setUpClass(cls):
        nginx, module, engine, cls.chromium = sys.argv[1:5]
        cls.temporary = tempfile.TemporaryDirectory(prefix="tollgate-browser-", ignore_cleanup_errors=True)
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.keys = {tier: cls.new_key(tier) for tier in ("pro", "few")}
        cls.allowed, cls.forbidden, sockets = (
            cls.serve(handler) for handler in (PageServer, PageServer, SocketServer)
        )
        ports = {name: free_port() for name in ("port", "wild", "engine")}
        cls.port = ports["port"]
        (cls.folder / "nginx.conf").write_text(
            CONFIGURATION.format(
                module=module, allowed=cls.allowed.server_address[1], sockets=sockets.server_address[1],
                user="user root;" if os.geteuid() == 0 else "", **ports,
            )
        )
        cls.start(engine, "--listen", f"127.0.0.1:{ports['engine']}", "--token-delay-ms", "20")
        cls.start(nginx, "-p", f"{cls.folder}/", "-e", "error.log", "-c", f"{cls.folder}/nginx.conf")
        wait_for(ports["engine"])
        wait_for(cls.port)
        # The one that is let in last: the other one must not have spent its limits.
        cls.stranger = cls.visit(cls.forbidden)
        cls.lines_of_stranger = cls.all_audit_lines()
        cls.page = cls.visit(cls.allowed)

    @classmethod
    def serve(cls, handler):
        server = Threads(("127.0.0.1", 0), handler)
        server.found = queue.Queue()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        return server

    @classmethod
    def all_audit_lines(cls):
        log = cls.folder / "audit.log"
        return [json.loads(line) for line in log.read_text().splitlines()]

    @classmethod
    def visit(cls, server):
        """What the page found that this server serves."""
        told = {"api": f"http://127.0.0.1:{cls.port}", "keys": cls.keys}
        told = urllib.parse.urlencode({name: json.dumps(value) for name, value in told.items()})
        url = f"http://127.0.0.1:{server.server_address[1]}/#{told}"
        with tempfile.TemporaryDirectory(dir=cls.folder, ignore_cleanup_errors=True) as profile:
            with open(cls.folder / "chromium.log", "ab") as log:
                browser = subprocess.Popen(
                    [cls.chromium, "--headless=new", "--no-sandbox", "--disable-gpu",
                     "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}", url],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )
            try:
                return server.found.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                log = (cls.folder / "chromium.log").read_text(errors="replace")
                raise AssertionError(f"the page never said what it found\n{log[-4000:]}") from None
            finally:
                os.killpg(browser.pid, signal.SIGTERM)
                try:
                    browser.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    os.killpg(browser.pid, signal.SIGKILL)
                    browser.wait()

    def test_a_page_that_is_let_in_reads_its_answer(self):
        for name in ("answer", "sdk"):
            answer = self.page[name]
            self.assertEqual(answer["status"], 200, answer)
            self.assertTrue(answer["body"]["choices"][0]["message"]["content"])
            self.assertTrue(answer["headers"]["x-request-id"])
            self.assertEqual(answer["headers"]["x-ratelimit-limit-requests"], "1000")
            self.assertTrue(answer["headers"]["x-ratelimit-remaining-requests"])
            self.assertIsNone(answer["headers"]["x-not-exposed"])
        self.assertEqual(self.page["anthropic"]["status"], 200, self.page["anthropic"])
        self.assertTrue(self.page["anthropic"]["body"]["content"])

    def test_it_reads_its_stream_as_that_comes(self):
        stream = self.page["stream"]
        self.assertEqual(stream["status"], 200, stream)
        self.assertTrue(stream["isWhole"])
        self.assertGreater(stream["chunks"], 1)
        self.assertTrue(stream["headers"]["x-request-id"])

    def test_it_reads_why_it_is_refused(self):
        self.assertEqual(self.page["first"], 200)
        limit = self.page["limit"]
        self.assertEqual(limit["status"], 429, limit)
        self.assertEqual(limit["body"]["error"]["code"], "rate_limit_exceeded")
        self.assertGreater(int(limit["headers"]["retry-after"]), 0)
        self.assertGreater(int(limit["headers"]["retry-after-ms"]), 0)
        self.assertEqual(limit["headers"]["x-ratelimit-remaining-requests"], "0")
        wrong = self.page["unauthorized"]
        self.assertEqual(wrong["status"], 401, wrong)
        self.assertEqual(wrong["body"]["error"]["code"], "invalid_api_key")
        self.assertIn("Bearer", wrong["headers"]["www-authenticate"])

    def test_it_reads_what_nginx_itself_says(self):
        self.assertEqual(self.page["tooLarge"]["status"], 413, self.page["tooLarge"])
        self.assertTrue(self.page["tooLarge"]["headers"]["x-request-id"])
        self.assertEqual(self.page["gone"], 502)
        self.assertEqual(self.page["simple"], 401)

    def test_it_may_not_send_what_no_client_sends(self):
        self.assertEqual(self.page["unknownHeader"], {"error": "TypeError"})

    def test_a_frame_without_an_origin_is_not_let_in(self):
        for page in (self.page, self.stranger):
            self.assertEqual(page["sandboxed"], "TypeError")

    def test_a_websocket_opens_with_a_key_in_its_protocols(self):
        socket = self.page["socket"]
        self.assertEqual((socket["opened"], socket["protocol"]), (True, "realtime"), socket)
        seen = json.loads(socket["message"])
        self.assertEqual(seen["client"], "pro")
        self.assertIn("realtime, openai-beta.realtime-v1", seen["headers"])
        self.assertNotIn(self.keys["pro"], seen["headers"])
        self.assertNotIn("insecure", seen["headers"])
        for name in ("wrongSocket", "keylessSocket"):
            self.assertFalse(self.page[name]["opened"], name)

    def test_a_page_that_is_not_let_in_reads_nothing(self):
        names = ["answer", "sdk", "anthropic", "stream", "first", "limit", "unauthorized", "tooLarge", "gone",
                 "unknownHeader", "simple"]
        self.assertEqual({name: self.stranger[name] for name in names},
                         {name: {"error": "TypeError"} for name in names})

    def test_it_opens_no_websocket(self):
        for name in ("socket", "wrongSocket", "keylessSocket"):
            self.assertFalse(self.stranger[name]["opened"], name)

    def test_what_it_asks_for_never_comes_to_the_engine(self):
        lines = self.lines_of_stranger
        self.assertTrue(lines)
        self.assertEqual([line for line in lines if line.get("upstream")], [])
        asked = [line for line in lines if line["method"] == "OPTIONS" or line["path"] == "/v1/realtime"]
        reasons = {line["reason"] for line in asked}
        self.assertEqual(reasons, {"origin_denied"})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
