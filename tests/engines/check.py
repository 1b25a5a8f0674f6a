"""Compares what Tollgate charges with what a running engine counts. See scripts/check-engine."""

import argparse
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))

from gateway import eventually, free_port, wait_for  # noqa: E402

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
    tollgate_tier pro {{ tokens 1000m/d; budget 100000/day; concurrency 64; }}
    server {{
        listen 127.0.0.1:{port};
        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log audit.log;
        tollgate_engine {engine};
        {more}
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        location / {{
            proxy_pass {url};
        }}
    }}
}}
"""

# Names of the engine's own counters: what it took in, what it made, what runs.
COUNTERS = {
    "vllm": (["vllm:prompt_tokens_total"], ["vllm:generation_tokens_total"],
             ["vllm:num_requests_running", "vllm:num_requests_waiting"]),
    "llamacpp": (["llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total"],
                 ["llamacpp:tokens_predicted_total"],
                 ["llamacpp:requests_processing", "llamacpp:requests_deferred"]),
}
TEXTS = [
    "Count: one, two, three,",
    "Write a short story about a toll gate in the mountains, and the people who pass it.",
    "for (let i = 0; i < 10; i++) { console.log(`${i}: ${items[i]}`); }",
    "Die Maut wird am Schlagbaum bezahlt, wie schon seit hundert Jahren.",
    "Шлагбаум открывается, когда плата внесена.",
    "4f6a 0c9d 77e1 b2aa 19f0 5c3d 88be 6471 deadbeef cafebabe",
    "收费站在山里。",
]
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                       "required": ["city"]}}}


class Gateway:
    """nginx with Tollgate before the engine, and the engine's counters."""

    def __init__(self, options, folder):
        self.engine, self.url, self.folder = options.engine, options.url, folder
        self.port = free_port()
        made = subprocess.run(
            [os.environ["TOLLGATE_CLI"], "key", "create", "--client", "acme", "--tier", "pro",
             "--quiet", "--file", folder / "keys.json"],
            check=True, stdout=subprocess.PIPE, text=True,
        )
        self.key = made.stdout.strip()
        (folder / "nginx.conf").write_text(CONFIGURATION.format(
            module=options.module, port=self.port, engine=options.engine, url=options.url,
            more=" ".join(options.directive), user="user root;" if os.geteuid() == 0 else "",
        ))
        self.process = subprocess.Popen(
            [options.nginx, "-p", f"{folder}/", "-e", "error.log", "-c", f"{folder}/nginx.conf"]
        )
        wait_for(self.port)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def counters(self):
        """What the engine counts: input, output, and how many requests it works on."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            text = answer.read().decode()

        def total(names):
            lines = [line for line in text.splitlines()
                     if re.split(r"[{ ]", line)[0] in names]
            return round(sum(float(line.rsplit(" ", 1)[1]) for line in lines))

        return tuple(total(names) for names in COUNTERS[self.engine])

    def settled(self):
        """The counters, once nothing runs and they stay as they are."""
        before = None
        while True:
            now = self.counters()
            if now == before and now[2] == 0:
                return now
            before = now
            time.sleep(0.25)

    def connection(self, direct=False):
        where = urllib.parse.urlsplit(self.url) if direct else None
        port = where.port if where else self.port
        return http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def headers(self, name, direct=False):
        headers = {"Content-Type": "application/json", "X-Request-ID": name}
        return headers if direct else {**headers, "Authorization": f"Bearer {self.key}"}

    def ask(self, name, path, body, method="POST", direct=False):
        connection = self.connection(direct)
        body = body if body is None else json.dumps(body)
        connection.request(method, path, body, self.headers(name, direct))
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, text

    def cut(self, name, path, body, pieces):
        """Asks for a stream, and closes after so many events; whether it was cut."""
        connection = self.connection()
        connection.request("POST", path, json.dumps(body), self.headers(name))
        answer = connection.getresponse()
        seen = 0
        while seen < pieces:
            line = answer.readline()
            if not line:
                return False
            seen += line.startswith(b"data:")
        answer.close()
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        return True

    def charged(self, name):
        """The audit line of a request."""
        def find():
            log = self.folder / "audit.log"
            for line in log.read_text().splitlines() if log.exists() else []:
                line = json.loads(line)
                if line.get("request_id") == name:
                    return line
            return None

        return eventually(find, f"an audit line for {name}")


def shape(text):
    """The members of an answer, or of the kinds of its events, in order; not their values."""
    def skeleton(value):
        if isinstance(value, dict):
            return {name: skeleton(item) for name, item in value.items()}
        if isinstance(value, list):
            kinds = []
            for item in map(skeleton, value):
                if item not in kinds:
                    kinds.append(item)
            return kinds
        return "null" if value is None else type(value).__name__.replace("float", "int")

    events = []
    for line in text.splitlines() if text.startswith(("data:", "event:")) else [text]:
        data = line.removeprefix("data:").strip()
        try:
            kind = json.dumps(skeleton(json.loads(data)))
        except ValueError:
            kind = data
        if kind not in events:
            events.append(kind)
    return events


def is_charged(charged, made, usage):
    """An estimate, where the client declines usage, may be off in its input."""
    if usage != "estimated":
        return charged == made
    return charged[1] == made[1] and abs(charged[0] - made[0]) <= max(3, made[0] // 5)


def varied(engine, model, count):
    """Requests of many kinds, each with a bound that keeps it short."""
    def chat(text, **more):
        return "/v1/chat/completions", {
            "model": model, "messages": [{"role": "user", "content": text}], "temperature": 0,
            "max_tokens": 16, **more}

    def completion(text, **more):
        return "/v1/completions", {"model": model, "prompt": text, "temperature": 0,
                                   "max_tokens": 16, **more}

    def response(text, **more):
        return "/v1/responses", {"model": model, "input": text, "temperature": 0,
                                 "max_output_tokens": 16, **more}

    def message(text, **more):
        return "/v1/messages", {"model": model, "messages": [{"role": "user", "content": text}],
                                "max_tokens": 16, **more}

    usage = {"stream": True, "stream_options": {"include_usage": True}}
    declined = {"stream": True, "stream_options": {"include_usage": False}}
    kinds = [
        lambda text: chat(text),
        lambda text: chat(text, stream=True),
        lambda text: chat(text, **usage),
        lambda text: chat(text, **declined),
        lambda text: chat(text, n=3, temperature=0.7),
        lambda text: chat(text, n=3, temperature=0.7, stream=True),
        lambda text: chat(text, n=2, temperature=0.7, **usage),
        lambda text: chat(text, tools=[TOOL]),
        lambda text: chat(text, tools=[TOOL], stream=True),
        lambda text: chat(text, logprobs=True, top_logprobs=2),
        lambda text: chat(text, max_tokens=1),
        lambda text: chat(text, stop=[" "]),
        lambda text: chat(text, response_format={"type": "json_object"}),
        lambda text: completion(text),
        lambda text: completion(text, stream=True),
        lambda text: completion(text, **usage),
        lambda text: completion([text, "one", "two three"]),
        lambda text: completion([text, "one", "two three"], stream=True),
        lambda text: completion(text, n=3, temperature=0.7),
        lambda text: completion(text, n=3, temperature=0.7, stream=True),
        lambda text: completion([300, 301, 302, 303]),
        lambda text: response(text),
        lambda text: response(text, stream=True),
        lambda text: message(text),
        lambda text: message(text, stream=True),
        lambda text: chat("word " * 3000),
        lambda text: ("/v1/chat/completions", {"model": model, "messages": "x"}),
    ]
    if engine == "llamacpp":
        native = {"n_predict": 16, "temperature": 0}
        kinds += [
            lambda text: ("/completion", {"prompt": text, **native}),
            lambda text: ("/completion", {"prompt": text, "stream": True, **native}),
            lambda text: ("/completions", {"prompt": [text, "one"], **native}),
            lambda text: ("/completion", {"prompt": text, "n_cmpl": 2, **native}),
            lambda text: ("/chat/completions", chat(text)[1]),
        ]
    if engine == "vllm":
        kinds += [
            lambda text: chat("nope", model="nope"),
            lambda text: ("/v1/chat/completions/batch",
                          {**chat(text)[1], "messages": [chat(text)[1]["messages"]] * 2}),
            lambda text: ("/invocations", chat(text)[1]),
            lambda text: ("/generative_scoring",
                          {"model": model, "query": text, "items": ["a", "b"],
                           "label_token_ids": [300, 301]}),
        ]
    for number in range(count):
        yield kinds[number % len(kinds)](TEXTS[number // len(kinds) % len(TEXTS)]
                                         + f" {number}" * (number % 5))


def model_of(gateway):
    _, text = gateway.ask("models", "/v1/models", None, "GET", direct=True)
    return json.loads(text)["data"][0]["id"]


def check_requests(gateway, count):
    """Charged is what the engine counts, and the answer has the same members."""
    good, bad = 0, 0
    before = gateway.settled()
    for number, (path, body) in enumerate(varied(gateway.engine, model_of(gateway), count)):
        name = f"request-{number}"
        status, through = gateway.ask(name, path, body)
        after = gateway.settled()
        made = (after[0] - before[0], after[1] - before[1])
        if gateway.engine == "vllm":
            # It counts the prompt once for each choice, and says it once.
            made = (made[0] // body.get("n", 1), made[1])
        line = gateway.charged(name)
        charged = (line.get("input_tokens", 0), line.get("output_tokens", 0))
        direct_status, direct = gateway.ask(name, path, body, direct=True)
        before = gateway.settled()
        what = f"{path} {json.dumps(body, ensure_ascii=False)[:150]}"
        problems = []
        if line.get("decision") == "deny":
            problems.append(f"refused: {line.get('reason')}")
        elif not is_charged(charged, made, line.get("usage")):
            problems.append(f"charged {charged} ({line.get('usage')}), made {made}")
        one, other = shape(direct), shape(through)
        if (status, one) != (direct_status, other):
            problems.append(f"differs: {direct_status} {[k for k in one if k not in other]} / "
                            f"{status} {[k for k in other if k not in one]}")
        good, bad = good + (not problems), bad + bool(problems)
        for problem in problems:
            print(f"  {what}\n    {problem[:900]}", flush=True)
    print(f"requests: {good} as the engine counts, {bad} not", flush=True)
    return bad


def check_cuts(gateway, points=10):
    """Streams that the client leaves: charged at least what it received, at most what was made."""
    bad = 0
    model = model_of(gateway)
    asks = [
        ("/v1/chat/completions", {"model": model, "messages": [
            {"role": "user", "content": TEXTS[1]}], "max_tokens": 400, "stream": True,
            "temperature": 0, "ignore_eos": True}),
        ("/v1/messages", {"model": model, "messages": [{"role": "user", "content": TEXTS[1]}],
                          "max_tokens": 400, "stream": True}),
        ("/v1/chat/completions", {"model": model, "messages": [
            {"role": "user", "content": TEXTS[1]}], "max_tokens": 400, "stream": True, "n": 3,
            "temperature": 0.7, "ignore_eos": True}),
    ]
    for index, (path, body) in enumerate(asks):
        for point in range(points):
            pieces = 1 + point * point * 2
            name = f"cut-{index}-{point}"
            before = gateway.settled()
            was_cut = gateway.cut(name, path, body, pieces)
            line = gateway.charged(name)
            after = gateway.settled()
            made = (after[0] - before[0], after[1] - before[1])
            charged = (line.get("input_tokens", 0), line.get("output_tokens", 0))
            print(f"  {path} n={body.get('n', 1)} after {pieces} events"
                  f"{'' if was_cut else ' (at its end)'}: charged {charged} {line.get('usage')},"
                  f" made {made}", flush=True)
            bad += charged[1] == 0 and made[1] > 0
    print(f"cuts: {bad} free")
    return bad


def check_table(gateway, table):
    """Each row: status without and with Tollgate, what is charged, what the engine counts."""
    bad = 0
    lines = table.read_text().splitlines()
    names = lines[0].split("\t")
    for number, line in enumerate(lines[1:]):
        row = dict(zip(names, line.split("\t")))
        method, path = row["method"].split(" ")[0], row["path"]
        body = None if method in ("GET", "DELETE") else body_for(path, model_of(gateway))
        harmful = row["admin"].startswith("yes")
        before = gateway.settled()
        status, _ = gateway.ask(f"row-{number}", path, body, method)
        after = gateway.settled()
        made = (after[0] - before[0], after[1] - before[1])
        line = gateway.charged(f"row-{number}")
        charged = (line.get("input_tokens", 0), line.get("output_tokens", 0))
        # What operators do is not done past the gateway.
        direct = "-" if harmful else gateway.ask("direct", path, body, method, direct=True)[0]
        wrong = (harmful and status < 400) or (sum(made) > 0 and charged != made)
        bad += wrong
        print(f"  {'WRONG' if wrong else 'ok':5} {method} {path} admin={row['admin']}"
              f" generates={row['generates']}: {direct} / {status} {line.get('reason', '')}"
              f" charged {charged} made {made}", flush=True)
    print(f"table: {len(lines) - 1} rows, {bad} wrong")
    return bad


def body_for(path, model):
    """Something that the endpoint takes."""
    chat = {"model": model, "messages": [{"role": "user", "content": "Count: one,"}],
            "max_tokens": 4, "max_output_tokens": 4}
    if path.endswith("/batch"):
        return {**chat, "messages": [chat["messages"]] * 2}
    if "responses" in path:
        return {"model": model, "input": "Count: one,", "max_output_tokens": 4}
    if "chat" in path or "messages" in path or path == "/invocations":
        return chat
    if path == "/generative_scoring":
        return {"model": model, "query": "nice?", "items": ["a", "b"],
                "label_token_ids": [300, 301]}
    if "generate" in path:
        return {"model": model, "token_ids": [300, 301], "sampling_params": {"max_tokens": 4}}
    return {"model": model, "prompt": "Count: one,", "content": "Count: one,", "input": "Count",
            "inputs": "Count", "max_tokens": 4, "n_predict": 4, "query": "one",
            "documents": ["one", "two"], "text_1": "one", "text_2": "two", "texts": ["one"],
            "tokens": [300, 301], "conversation_ids": ["x"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nginx")
    parser.add_argument("module")
    parser.add_argument("engine", choices=list(COUNTERS))
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--cuts", action="store_true")
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--directive", action="append", default=[])
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tollgate-engine-") as folder:
        gateway = Gateway(options, pathlib.Path(folder))
        try:
            if options.requests:
                bad += check_requests(gateway, options.requests)
            if options.cuts:
                bad += check_cuts(gateway)
            if options.table:
                bad += check_table(gateway, options.table)
        finally:
            gateway.stop()
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
