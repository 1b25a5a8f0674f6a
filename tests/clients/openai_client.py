"""The official openai package, through the module, in front of the mock engine."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import jwt
import openai

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NGINX, MODULE, ENGINE = sys.argv[1:4]

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
    tollgate_tier pro {{ requests 1000r/d; }}
    tollgate_tier slow {{ requests 60r/m burst=1; }}
    server {{
        listen 127.0.0.1:{port};
        tollgate on;
        tollgate_auth api_key jwt;
        tollgate_api_keys keys.json;
        tollgate_jwt_key_file secret;
        location / {{
            proxy_pass http://127.0.0.1:{engine};
            proxy_http_version 1.1;
            proxy_buffering off;
        }}
    }}
}}
"""

MESSAGES = [{"role": "user", "content": "How many tokens are in this question?"}]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def new_key(folder, client, tier):
    made = subprocess.run(
        [ROOT / "scripts/new-key", "--client", client, "--tier", tier, "--quiet",
         "--file", folder / "keys.json"],
        check=True, stdout=subprocess.PIPE, text=True,
    )
    return made.stdout.splitlines()[0]


class OpenAIClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="tollgate-clients-")
        folder = cls.folder = pathlib.Path(cls.temporary.name)
        cls.pro, cls.slow = new_key(folder, "acme", "pro"), new_key(folder, "snail", "slow")
        cls.secret = os.urandom(32).hex()
        (folder / "secret").write_text(cls.secret)
        cls.port, engine_port = free_port(), free_port()
        (folder / "nginx.conf").write_text(
            CONFIGURATION.format(
                module=MODULE, port=cls.port, engine=engine_port,
                user="user root;" if os.geteuid() == 0 else "",
            )
        )
        cls.servers = [
            subprocess.Popen([ENGINE, "--listen", f"127.0.0.1:{engine_port}"],
                             stdout=subprocess.DEVNULL),
            subprocess.Popen([NGINX, "-p", f"{folder}/", "-c", f"{folder}/nginx.conf"],
                             stderr=subprocess.DEVNULL),
        ]
        wait_for(engine_port)
        wait_for(cls.port)

    @classmethod
    def tearDownClass(cls):
        for server in cls.servers:
            server.terminate()
            server.wait()
        cls.temporary.cleanup()

    def client(self, key, **options):
        options.setdefault("max_retries", 0)
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, **options)

    def test_a_completion(self):
        answer = self.client(self.pro).chat.completions.create(model="mock", messages=MESSAGES)
        self.assertEqual(answer.model, "mock")
        self.assertGreater(answer.usage.completion_tokens, 0)

    def test_a_streamed_completion(self):
        stream = self.client(self.pro).chat.completions.create(
            model="mock", messages=MESSAGES, stream=True, max_tokens=5,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        self.assertEqual(chunks[-1].usage.completion_tokens, 5)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertTrue(text)

    def test_the_list_of_models_and_the_headers(self):
        answer = self.client(self.pro).models.with_raw_response.list()
        self.assertEqual(answer.headers["x-ratelimit-limit-requests"], "1000")
        self.assertTrue(answer.headers["x-request-id"])
        self.assertTrue(answer.parse().data)

    def test_a_token_of_another_library(self):
        token = jwt.encode(
            {"sub": "acme", "tier": "pro", "exp": int(time.time()) + 60}, self.secret, "HS256"
        )
        self.assertTrue(self.client(token).models.list().data)

    def test_a_wrong_key_is_an_authentication_error(self):
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.client("tg_wrong").models.list()
        self.assertEqual(caught.exception.code, "invalid_api_key")
        self.assertEqual(caught.exception.type, "invalid_request_error")
        self.assertTrue(caught.exception.request_id)

    def test_a_spent_limit_is_a_rate_limit_error_and_a_retry_passes(self):
        client = self.client(self.slow)
        client.models.list()
        with self.assertRaises(openai.RateLimitError) as caught:
            client.models.list()
        self.assertEqual(caught.exception.code, "rate_limit_exceeded")
        self.assertLessEqual(int(caught.exception.response.headers["retry-after-ms"]), 1000)
        # The package waits as long as the header says, and then the same request passes.
        self.assertTrue(self.client(self.slow, max_retries=1).models.list().data)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
