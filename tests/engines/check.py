"""Compares what Tollgate charges with what a running engine counts. See scripts/check-engine."""

import argparse
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))

from gateway import eventually, free_port, wait_for  # noqa: E402

import counts  # noqa: E402
from known import Known  # noqa: E402
from asked import TEXTS, body_for, varied  # noqa: E402

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
        # For operators, unless it is opened; it is metered all the same.
        tollgate_endpoints +POST:/invocations;
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


class Gateway:
    """nginx with Tollgate before the engine, and the engine's counters."""

    def __init__(self, options, folder):
        self.known, self.deadline = Known(options.engine), time.monotonic() + options.minutes * 60
        self.engine, self.url, self.folder, self.model = options.engine, options.url, folder, options.model
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

    def is_late(self):
        return time.monotonic() > self.deadline

    def settled(self):
        """What the engine counts, once nothing runs."""
        return counts.settled(self.engine, self.url)

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
        """Asks for a stream, and closes after so many events: whether it was cut, and how many had text."""
        connection = self.connection()
        connection.request("POST", path, json.dumps(body), self.headers(name))
        answer = connection.getresponse()
        seen, received = 0, 0
        while seen < pieces:
            line = answer.readline()
            if not line:
                return False, received
            seen += line.startswith((b"data:", b"{"))
            received += counts.pieces_in(line)
        answer.close()
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        return True, received

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


def is_charged(charged, made, usage, body):
    """An estimate, where the client declines usage, may be off in its input; where an engine says the usage of one of
    several prompts, it is no less than was made (docs/metering.md)."""
    if usage != "estimated":
        return charged == made
    if isinstance(body.get("prompt"), list) and len(body["prompt"]) > 1 and charged[0] >= made[0]:
        return charged[1] == made[1]
    return charged[1] == made[1] and abs(charged[0] - made[0]) <= max(3, made[0] // 5)


def model_of(gateway):
    if gateway.model:
        return gateway.model
    _, text = gateway.ask("models", "/v1/models", None, "GET", direct=True)
    return json.loads(text)["data"][0]["id"]


def with_usage(body):
    """The same request, whose stream says its usage."""
    if not body.get("stream") or "prompt" not in body and "messages" not in body:
        return body
    return {**body, "stream_options": {"include_usage": True}}


def made_of(gateway, body, before, after, through, path, name):
    """(input, output) that a request took: what the engine counted, or what it says where it doesn't count."""
    if before is None:
        said = counts.said(through)
        if said is None and body.get("stream"):
            said = counts.said(gateway.ask(name, path, with_usage(body), direct=True)[1])
        return said or (0, 0)
    made = (after[0] - before[0], after[1] - before[1])
    if gateway.engine in ("vllm", "sglang"):
        # They count the prompt once for each choice, and say it once.
        return made[0] // body.get("n", 1), made[1]
    return made


def check_requests(gateway, count, first=0):
    """Charged is what the engine counts, and the answer has the same members. Good, known, bad."""
    good, known, bad = 0, 0, 0
    before = gateway.settled()
    for number, (kind, path, body) in enumerate(varied(gateway.engine, model_of(gateway), count)):
        if number < first:
            continue
        if gateway.is_late():
            break
        name = f"request-{number}"
        status, through = gateway.ask(name, path, body)
        made = made_of(gateway, body, before, gateway.settled(), through, path, name)
        line = gateway.charged(name)
        charged = (line.get("input_tokens", 0), line.get("output_tokens", 0))
        direct_status, direct = gateway.ask(name, path, body, direct=True)
        before = gateway.settled()
        what = f"{path} {json.dumps(body, ensure_ascii=False)[:150]}"
        problems = []
        if line.get("decision") == "deny":
            problems.append(f"{kind}: refused: {line.get('reason')}")
        elif not is_charged(charged, made, line.get("usage"), body):
            problems.append(f"{kind}: charged {charged} ({line.get('usage')}), made {made}")
        one, other = shape(direct), shape(through)
        if line.get("decision") != "deny" and (status, one) != (direct_status, other):
            problems.append(f"{kind}: differs: {direct_status} {[k for k in one if k not in other]} / "
                            f"{status} {[k for k in other if k not in one]}")
        new, count_known = gateway.known.split("requests", problems)
        good, known, bad = good + (not problems), known + (not new and count_known > 0), bad + bool(new)
        for problem in new:
            print(f"  {what}\n    {problem[:900]}", flush=True)
    print(f"requests: {good} as the engine {'says' if before is None else 'counts'}, {known} known to differ, {bad} not", flush=True)
    return good, known, bad


def streams(engine, model):
    """Long streams, to be left: path and body."""
    chat = {"model": model, "messages": [{"role": "user", "content": TEXTS[1]}], "max_tokens": 400, "stream": True}
    if engine != "ollama":
        chat["ignore_eos"] = True
    yield "/v1/chat/completions", {**chat, "temperature": 0}
    if engine == "ollama":
        yield "/api/chat", {"model": model, "messages": chat["messages"], "options": {"num_predict": 400}}
    else:
        yield "/v1/messages", {name: chat[name] for name in ("model", "messages", "max_tokens", "stream")}
        yield "/v1/chat/completions", {**chat, "n": 3, "temperature": 0.7}


def check_cuts(gateway, points):
    """Streams that the client leaves: charged at least what it received, at most what was made. Good, known, bad."""
    good, known, bad = 0, 0, 0
    for index, (path, body) in enumerate(streams(gateway.engine, model_of(gateway))):
        # All of them with one choice, some of them in other forms.
        for point in range(points if index == 0 else max(points // 4, 2)):
            if gateway.is_late():
                break
            pieces = 1 + int(point ** 1.4 if index == 0 else (point * 3) ** 1.4)
            name = f"cut-{index}-{point}"
            before = gateway.settled()
            was_cut, received = gateway.cut(name, path, body, pieces)
            line = gateway.charged(name)
            after = gateway.settled()
            charged = (line.get("input_tokens", 0), line.get("output_tokens", 0))
            # An event has a token at least, but for the last bytes of a character.
            problems = [] if charged[1] >= received else ["less than the client received"]
            made = "what isn't counted"
            if before is not None:
                made = (after[0] - before[0], after[1] - before[1])
                if charged[1] > made[1]:
                    problems.append("more than was made")
            new, _ = gateway.known.split("cuts", [f"{path} n={body.get('n', 1)}: {problem}" for problem in problems])
            good, known, bad = good + (not problems), known + (bool(problems) and not new), bad + bool(new)
            print(f"  {path} n={body.get('n', 1)} after {pieces} events, {received} with text"
                  f"{'' if was_cut else ' (at its end)'}: charged {charged} {line.get('usage')},"
                  f" made {made}{': WRONG: ' + ', '.join(problems) if problems else ''}", flush=True)
    print(f"cuts: {good} within what was received and made, {known} known to differ, {bad} not", flush=True)
    return good, known, bad


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
        status, through = gateway.ask(f"row-{number}", path, body, method)
        made = made_of(gateway, body or {}, before, gateway.settled(), through, path, "direct")
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


def check_routes(options, known):
    """The engine's own routes beside its table, as scripts/check-engines compares them: its last line, and how many
    differences are new."""
    done = subprocess.run([ROOT / "scripts" / "check-engines", options.url, "--engine", options.engine],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, end="", flush=True)
    lines = done.stdout.strip().splitlines() or [""]
    new, _ = known.split("routes", [line for line in lines if line.startswith("not ")])
    # What ended otherwise than by a difference, has no line for it.
    return lines[-1].partition(": ")[2].partition(";")[0], len(new) if done.returncode in (0, 1) else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nginx")
    parser.add_argument("module")
    parser.add_argument("engine", choices=counts.ENGINES)
    parser.add_argument("url")
    parser.add_argument("--model")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--cuts", type=int, nargs="?", const=10, default=0)
    parser.add_argument("--routes", action="store_true")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--directive", action="append", default=[])
    options = parser.parse_args()
    options.url = options.url.rstrip("/")
    if options.all:
        options.requests, options.cuts, options.routes = options.requests or 300, options.cuts or 40, True
    bad, told = 0, []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tollgate-engine-") as folder:
        gateway = Gateway(options, pathlib.Path(folder))
        try:
            is_counted = gateway.settled() is not None
            if not is_counted:
                print("it has no counters: charged is compared with what its answers say", flush=True)
            checks = [name for name in ("requests", "cuts", "table", "routes") if getattr(options, name)]
            if options.requests:
                good, known, wrong = check_requests(gateway, options.requests, options.first)
                bad += wrong
                told.append(f"{good} of {options.requests - options.first} requests as it {'counts' if is_counted else 'says'}, {known} known to differ")
            if options.cuts:
                good, known, wrong = check_cuts(gateway, options.cuts)
                bad += wrong
                told.append(f"{good} of {good + known + wrong} streams that were left within what was received and made")
            if options.table:
                bad += check_table(gateway, options.table)
            if options.routes:
                line, wrong = check_routes(options, gateway.known)
                bad += wrong
                told.append(f"its routes: {line}")
            for line in gateway.known.told(checks):
                print(line)
            if gateway.is_late():
                bad += 1
                told.append(f"not done in {options.minutes:.0f} minutes")
        finally:
            gateway.stop()
    told.append(f"{time.monotonic() - begin:.0f} s")
    print(f"{options.engine} {counts.version(options.engine, options.url)}: {'; '.join(told)}; {bad} wrong")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
