"""Runs client programs twice, at the mock engine itself and through Tollgate, and compares what
they see. See scripts/test-clients.

A program is told ENGINE BASE-URL KEY, and prints a JSON object for each of its cases.
"""

import argparse
import difflib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from gateway import ROOT, free_port, wait_for  # noqa: E402

# The mock's --engine, and the tollgate_engine before it.
ENGINES = {
    "openai": (None, "openai"),
    "vllm": ("vllm", "vllm"),
    "sglang": ("sglang", "sglang"),
    "tgi": ("tgi", "tgi"),
    "llamacpp": ("llamacpp", "llamacpp"),
    "ollama": ("ollama", "ollama"),
    "transformers": ("transformers", "openai"),
    "anthropic": (None, "anthropic"),
}
CHATS = [name for name in ENGINES if name != "anthropic"]
MESSAGES = ["vllm", "llamacpp", "anthropic"]

CLIENTS = ROOT / "target" / "clients"
PYTHON = CLIENTS / "python" / "bin" / "python"
LLAMA_INDEX = CLIENTS / "llama-index" / "bin" / "python"

# What runs a program, its file, and the engines that it speaks to.
PROGRAMS = {
    "raw": ([sys.executable], "raw.py", list(ENGINES)),
    "openai-python": ([PYTHON], "openai_python.py", CHATS),
    "anthropic-python": ([PYTHON], "anthropic_python.py", MESSAGES),
    "langchain": ([PYTHON], "langchain_client.py", CHATS),
    "litellm": ([PYTHON], "litellm_client.py", CHATS),
    "pydantic-ai": ([PYTHON], "pydantic_ai_client.py", CHATS),
    "llama-index": ([LLAMA_INDEX], "llama_index_client.py", CHATS),
    "ollama-python": ([PYTHON], "ollama_python.py", ["ollama"]),
    "openai-node": (["node"], "openai_node.mjs", CHATS),
    "anthropic-node": (["node"], "anthropic_node.mjs", MESSAGES),
    "ai-sdk": (["node"], "ai_sdk.mjs", CHATS),
    "continue": ([sys.executable], "continue_cli.py", ["vllm", "llamacpp", "sglang", "ollama"]),
}
QUICK = {
    "raw": list(ENGINES),
    "openai-python": ["vllm", "llamacpp"],
    "openai-node": ["vllm", "sglang"],
    "langchain": ["vllm"],
    "anthropic-python": ["llamacpp"],
}

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
    tollgate_tier pro {{ requests 100000r/d; tokens 100m/d; budget 1000/day; concurrency 64; }}
    server {{
        listen 127.0.0.1:{port};
        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log audit.log;
        tollgate_engine {tollgate_engine};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / {{
            proxy_pass http://127.0.0.1:{engine};
        }}
    }}
}}
"""

# What differs from run to run: ids and times.
CHANGING = [
    (re.compile(r"mock-\d+"), "mock-N"),
    # A package's own.
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r'("(?:created|created_at|completed_at)\\*": ?)[\d.]+'), r"\g<1>0"),
]


class Servers:
    """A mock engine, and nginx with Tollgate before it."""

    def __init__(self, name, nginx, module, engine, folder):
        mocked, tollgate_engine = ENGINES[name]
        self.folder = folder
        self.engine_port, self.port = free_port(), free_port()
        self.processes = []
        made = subprocess.run(
            [os.environ["TOLLGATE_CLI"], "key", "create", "--client", "acme", "--tier", "pro",
             "--quiet", "--file", folder / "keys.json"],
            check=True, stdout=subprocess.PIPE, text=True,
        )
        self.key = made.stdout.strip()
        (folder / "nginx.conf").write_text(CONFIGURATION.format(
            module=module, port=self.port, engine=self.engine_port,
            tollgate_engine=tollgate_engine, user="user root;" if os.geteuid() == 0 else "",
        ))
        options = ["--engine", mocked] if mocked else []
        self.start(engine, "--listen", f"127.0.0.1:{self.engine_port}", "--tokens", "8", *options)
        self.start(nginx, "-p", f"{folder}/", "-e", "error.log", "-c", f"{folder}/nginx.conf")
        wait_for(self.engine_port)
        wait_for(self.port)

    def start(self, *command):
        self.processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def output_of(name, engine, port, key):
    """The lines that a program prints, without what changes from run to run."""
    command, file, _ = PROGRAMS[name]
    # Python's sets are in another order each time, and litellm prints members in that.
    environment = dict(os.environ, PYTHONHASHSEED="0",
                       NODE_PATH=str(CLIENTS / "node" / "node_modules"),
                       TOLLGATE_CLIENTS=str(CLIENTS))
    run = subprocess.run(
        [*command, HERE / "programs" / file, engine, f"http://127.0.0.1:{port}", key],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, timeout=300,
    )
    if run.returncode != 0:
        raise SystemExit(f"{name} ended with {run.returncode}:\n{run.stderr}")
    text = run.stdout.replace(f":{port}", ":PORT")
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    return [json.loads(line) for line in text.splitlines()]


def lines_of(seen):
    """One line for each value."""
    return json.dumps(seen, indent=1, ensure_ascii=False).splitlines()


def compare(name, engine, servers):
    """The cases in which a program sees something else through Tollgate; and how many there are."""
    direct = output_of(name, engine, servers.engine_port, servers.key)
    through = output_of(name, engine, servers.port, servers.key)
    different = []
    names = [case["case"] for case in direct]
    if names != [case["case"] for case in through]:
        return ["other cases: " + ", ".join(case["case"] for case in through)], len(names)
    for one, other in zip(direct, through):
        seen, otherwise = lines_of(one["seen"]), lines_of(other["seen"])
        if seen != otherwise:
            diff = difflib.unified_diff(
                seen, otherwise, "direct", "through", lineterm="", n=0
            )
            different.append(f"{one['case']}:\n  " + "\n  ".join(list(diff)[2:20]))
    return different, len(names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nginx")
    parser.add_argument("module")
    parser.add_argument("mock")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=list(PROGRAMS))
    parser.add_argument("--engine", action="append", choices=list(ENGINES))
    options = parser.parse_args()

    passed, failed = 0, 0
    for engine in options.engine or ENGINES:
        chosen = [
            name for name in options.only or PROGRAMS
            if engine in PROGRAMS[name][2]
            and (not options.quick or engine in QUICK.get(name, []))
        ]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory(prefix="tollgate-same-") as folder:
            servers = Servers(
                engine, options.nginx, options.module, options.mock, pathlib.Path(folder)
            )
            try:
                for name in chosen:
                    different, cases = compare(name, engine, servers)
                    passed += cases - len(different)
                    failed += len(different)
                    print(f"{engine:12} {name:16} {cases} cases, {len(different)} differ",
                          flush=True)
                    for difference in different:
                        print(f"  {difference}", flush=True)
            finally:
                servers.stop()
    print(f"{passed} the same, {failed} not")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
