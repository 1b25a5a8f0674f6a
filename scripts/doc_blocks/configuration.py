"""Puts what a page shows of nginx.conf into a whole one, for `nginx -t` with the module."""

import re
import subprocess

from .fixtures import relocated

# Where nginx's own directives belong that stand at the top of a block; what is not named here goes into a
# location, or with it into its server.
OWN = {
    "main": {"load_module", "user", "worker_processes", "worker_rlimit_nofile", "pid", "events", "http"},
    "http": {
        "map", "geo", "upstream", "server", "limit_req_zone", "limit_conn_zone", "log_format", "split_clients",
        "proxy_cache_path", "ssl_session_cache",
    },
    "server": {
        "location", "listen", "server_name", "ssl_certificate", "ssl_certificate_key", "ssl_verify_client",
        "ssl_client_certificate", "large_client_header_buffers",
    },
}
LOOSE = re.compile(r"\s+|#[^\n]*")
WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\$\{[^}]*\}|[^\s;{}"'])+""", re.DOTALL)


class Statement:
    """A directive with its words and, where it has one, what is between its braces."""

    def __init__(self, words, body, text):
        self.words, self.body, self.text = words, body, text

    @property
    def name(self):
        return self.words[0]


def parse(text):
    """The statements at the top of a configuration. Raises ValueError where it is none."""
    statements, position = [], 0
    while True:
        position = skip(text, position)
        if position == len(text):
            return statements
        start, words = position, []
        while True:
            position = skip(text, position)
            match = WORD.match(text, position)
            if not match:
                break
            words.append(match.group())
            position = match.end()
        if not words or position == len(text) or text[position] == "}":
            raise ValueError(f"no directive: {text[start : start + 40]!r}")
        body = None
        if text[position] == "{":
            end = closing(text, position)
            body = text[position + 1 : end]
            position = end
        statements.append(Statement(words, body, text[start : position + 1]))
        position += 1


def skip(text, position):
    while match := LOOSE.match(text, position):
        position = match.end()
    return position


def closing(text, position):
    """Where the brace that opens at `position` is closed."""
    depth = 0
    while position < len(text):
        character = text[position]
        if character == "#":
            position = text.find("\n", position)
            if position < 0:
                break
        elif character in "\"'":
            match = WORD.match(text, position)
            if not match:
                break
            position = match.end()
            continue
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return position
        position += 1
    raise ValueError("a block has no end")


def walk(text):
    """All statements, within blocks too; the bodies of maps are no statements."""
    for statement in parse(text):
        yield statement
        if statement.body is not None and statement.name not in ("map", "geo", "split_clients"):
            yield from walk(statement.body)


def places(reference):
    """Where each directive of ours belongs, by the "Context:" lines of docs/directives.md."""
    found, names = {}, []
    for line in reference.splitlines():
        if match := re.match(r"^ {4}Syntax: +(\S+)", line):
            names.append(match.group(1))
        elif match := re.match(r"^ {13}([a-z_]+)[ ;]", line):
            names.append(match.group(1))
        elif match := re.match(r"^ {4}Context: +(.*)$", line):
            contexts = [context.strip() for context in match.group(1).split(",")]
            for name in names:
                found[name] = contexts
            names = []
    return found


def place(statement, contexts):
    """The block that a statement goes into."""
    name = statement.name
    for context, names in OWN.items():
        if name in names:
            return context
    known = contexts.get(name)
    if known is None:
        return "location"
    for context in ("server", "location", "http"):
        if context in known:
            return context
    return known[0]


def frame(text, contexts, module, root, within=None):
    """A whole configuration that holds this one, and what it refers to but leaves out."""
    statements = parse(text)
    if any(statement.name == "events" for statement in statements):
        return located(text, module, root)
    parts = {"main": [], "http": [], "server": [], "location": []}
    for statement in statements:
        where = within or place(statement, contexts)
        parts.setdefault(where, []).append(statement.text)
    if any(statement.name == "http" for statement in statements):
        inner = next(statement for statement in statements if statement.name == "http")
        parts["main"].remove(inner.text)
        parts["http"].append(inner.body)
    for where in [where for where in parts if where not in ("main", "http", "server", "location")]:
        parts["http"].append(f"{where} page {{ " + "\n".join(parts.pop(where)) + " }")
    everything = list(walk(text))
    http = "\n".join(missing(everything)) + "\n" + "\n".join(parts["http"])
    server = "\n".join(parts["server"])
    location = "\n".join(parts["location"])
    if "proxy_pass" not in location and "tollgate_" not in server:
        location += "\nproxy_pass http://engine.test;"
    whole = f"""
        load_module modules/libtollgate.so;
        events {{ }}
        {" ".join(parts["main"])}
        http {{
            tollgate_api_keys /etc/nginx/tollgate/keys.json;
            {http}
            server {{
                listen 8080;
                {"" if is_said(parts["server"]) else "tollgate on;"}
                {server}
                location /the-page {{ {location} }}
            }}
        }}"""
    return located(whole, module, root)


def is_said(server):
    """Whether a server says itself whether Tollgate judges."""
    return any(statement.name == "tollgate" for statement in parse("\n".join(server)))


def missing(statements):
    """What a part of a configuration takes for granted: the zone, tiers, rules, guards, upstreams."""
    def named(directive, index=1):
        return {s.words[index] for s in statements if s.name == directive and len(s.words) > index}

    def mentioned(directive):
        return {word for s in statements if s.name == directive for word in s.words[1:]} - {"off"}

    if not named("tollgate_zone"):
        yield "tollgate_zone zone=tollgate:1m;"
    tiers = {"free", "pro"} | mentioned("tollgate_default_tier")
    for tier in sorted(tiers - named("tollgate_tier")):
        yield f"tollgate_tier {tier} {{ requests 10r/m; }}"
    for rule in sorted(mentioned("tollgate_apply") - named("tollgate_limit")):
        yield f"tollgate_limit {rule} key=$binary_remote_addr requests=20r/s;"
    for guard in sorted(mentioned("tollgate_guards") - named("tollgate_guard")):
        yield f"tollgate_guard {guard} {{ input secrets log; }}"
    names = {s.name for s in statements}
    if "budget" in names and "tollgate_price" not in names:
        yield "tollgate_price * input=1 output=2;"
    if "tollgate_auth" not in names and any(name.startswith("tollgate_jwt_") for name in names):
        yield "tollgate_auth api_key jwt;"
    if not names & {"tollgate_jwt_key_file", "tollgate_jwt_key_request"} and (
        "jwt" in mentioned("tollgate_auth") or any(name.startswith("tollgate_jwt_") for name in names)
    ):
        yield "tollgate_jwt_key_file /etc/nginx/tollgate/jwks.json;"
    for cache in sorted(mentioned("proxy_cache")):
        yield f"proxy_cache_path /var/lib/nginx-cache keys_zone={cache}:1m;"
    if any(s.name == "listen" and "ssl" in s.words for s in statements) and not named("ssl_certificate"):
        yield "ssl_certificate /etc/nginx/tls/cert.pem; ssl_certificate_key /etc/nginx/tls/key.pem;"
    hosts = {"engine.test"}
    for statement in statements:
        if statement.name == "proxy_pass" and (match := re.match(r"https?://([A-Za-z0-9._-]+)", statement.words[1])):
            hosts.add(match.group(1))
    for host in sorted(hosts - named("upstream")):
        if not re.fullmatch(r"[0-9.]+", host):
            yield f"upstream {host} {{ server 127.0.0.1:8000; }}"


def located(text, module, root):
    """The configuration with its files under `root`, the module in its place, and no port of anybody's."""
    sockets = iter(range(1000))
    text = re.sub(r"load_module\s+[^;]+;", f"load_module {module};", text)
    text = re.sub(
        r"(\blisten\s+)(?!unix:)[^\s;]+", lambda match: f"{match.group(1)}unix:{root}/run/{next(sockets)}.sock", text
    )
    # nginx looks up the names of servers at its start.
    text = re.sub(r"(\bserver\s+)[a-z][\w.-]*(:\d+)?(?=[\s;])", r"\g<1>127.0.0.1\2", text)
    # What nginx would open in folders of root's.
    own = [f"{name}_temp_path {root}/var/tmp-{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
           if f"{name}_temp_path" not in text]
    if not re.search(r"\baccess_log\s", text):
        own.append("access_log off;")
    text = re.sub(r"(^|[\s;}])http\s*\{", lambda match: match.group() + " " + " ".join(own), text, count=1)
    return relocated(text, root)


def test(block, contexts, nginx, module, fixtures):
    """What `nginx -t` has against a block; nothing if it is good."""
    try:
        text = frame(block.text, contexts, module, fixtures.root, block.notes.get("in"))
        fixtures.provide(walk(text))
    except ValueError as error:
        return str(error)
    own = fixtures.root / "etc/nginx" / f"page-{block.page.replace('/', '-')}-{block.line}.conf"
    own.write_text(f"pid {fixtures.root}/run/nginx-t.pid; error_log stderr; user {fixtures.user};\n{text}\n"
                   if not re.search(r"^\s*user\s", text, re.MULTILINE) else text)
    run = subprocess.run(
        [nginx, "-t", "-q", "-p", fixtures.root / "etc/nginx", "-c", own],
        capture_output=True, text=True, timeout=120, check=False,
    )
    if run.returncode == 0:
        return None
    errors = [line for line in run.stderr.splitlines() if "[emerg]" in line or "[alert]" in line]
    return (errors or run.stderr.splitlines() or ["nginx -t fails, and says nothing"])[0]
