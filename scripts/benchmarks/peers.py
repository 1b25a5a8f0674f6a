"""Gateways from PyPI and npm, beside Tollgate."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

from .gateways import BARE, METERED, Gateway, Load, Recorded, configurations, cpu_nanos
from .instructions import STREAM_CHUNKS
from .servers import ROOT, free_port, wait_for
from .traffic import SteppedEngine, chat, message, size_of_answer

HERE = ROOT / "scripts/benchmarks/others"
INSTALLED = ROOT / "target/peers"
PACE_MS = 4
LITELLM = """
model_list:
  - model_name: mock
    litellm_params: {{ model: openai/mock, api_base: "http://127.0.0.1:{engine}/v1", api_key: none }}
litellm_settings: {{ telemetry: false }}
general_settings: {{ master_key: {key} }}
"""


def python(name):
    """The folder of programs of a virtual environment with what others/NAME.txt names."""
    folder, wanted = INSTALLED / name, HERE / f"{name}.txt"
    installed = folder / "requirements.txt"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run(
            [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted],
            check=True,
        )
        shutil.copy(wanted, installed)
    return folder / "bin"


def node(name):
    """The folder with the packages of others/NAME.json."""
    folder, wanted = INSTALLED / name, (HERE / f"{name}.json").read_text()
    installed = folder / "installed.json"
    if not installed.exists() or installed.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(wanted)
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True
        )
        installed.write_text(wanted)
    return folder / "node_modules"


def version_in(name, package):
    """The version that is pinned."""
    for line in (HERE / f"{name}.txt").read_text().splitlines():
        if line.lower().startswith(f"{package}=="):
            return line.split("==")[1]
    return sys.exit(f"bench: {name}.txt lacks {package}")


class Peer:
    """The processes of another gateway."""

    note = ""

    def __init__(self, bench, engine_port):
        self.bench, self.engine_port, self.port = bench, engine_port, free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=bench.folder))
        self.processes = []

    def start(self, command, port, **environment):
        """One of them, which listens there."""
        with open(self.folder / "log", "ab") as log:
            self.processes.append(subprocess.Popen(
                [str(word) for word in command], cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", **environment},
            ))
        wait_for(port, self.processes[-1], self.errors, patience=300)

    def errors(self):
        return (self.folder / "log").read_text()

    def __enter__(self):
        try:
            self.run()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def cpu_nanos(self):
        """That of all processes in the sessions that were started here."""
        sessions = {process.pid for process in self.processes}
        taken = 0
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                # After the name, which may hold anything: state, parent, group, session.
                if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) in sessions:
                    taken += cpu_nanos(int(entry.name))
        return taken


class FastApi(Peer):
    name = "FastAPI, PyJWT, Redis"
    note = (
        "FastAPI: [a gateway](../scripts/benchmarks/others/fastapi_gateway.py) as the tutorials build it, which "
        "verifies a JWT and counts requests in Redis; uvicorn with one worker."
    )

    @staticmethod
    def version():
        return version_in("fastapi", "fastapi")

    def run(self):
        programs, redis = python("fastapi"), free_port()
        self.start(["redis-server", "--port", redis, "--bind", "127.0.0.1", "--save", ""], redis)
        self.start(
            [programs / "uvicorn", "--app-dir", HERE, "--port", self.port, "--no-access-log", "fastapi_gateway:app"],
            self.port, SECRET_FILE=str(self.bench.folder / "secret"), REDIS_URL=f"redis://127.0.0.1:{redis}",
            ENGINE_URL=f"http://127.0.0.1:{self.engine_port}", PYTHONDONTWRITEBYTECODE="1",
        )

    def credential(self):
        return self.bench.jwt

    headers = {}


class LiteLlm(Peer):
    name = "LiteLLM proxy"
    note = (
        "LiteLLM: its proxy with one model and a master key; no database, so neither keys of clients, nor limits, "
        "nor a log."
    )

    @staticmethod
    def version():
        return version_in("litellm", "litellm")

    def run(self):
        programs = python("litellm")
        (self.folder / "config.yaml").write_text(LITELLM.format(engine=self.engine_port, key=self.credential()))
        self.start(
            [programs / "litellm", "--config", self.folder / "config.yaml", "--host", "127.0.0.1", "--port", self.port,
             "--num_workers", "1", "--telemetry", "False"],
            self.port, LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR",
            PATH=f"{programs}:{os.environ['PATH']}",
        )

    def credential(self):
        return "sk-bench"

    headers = {}


class Portkey(Peer):
    name = "Portkey gateway"
    # "TypeError: immutable", where it adds headers to an answer of Node's fetch.
    note = "Portkey: it passes the provider's key on, and checks none itself; no limits, no log. Its streams fail on Node 20."

    @staticmethod
    def version():
        return json.loads((HERE / "portkey.json").read_text())["dependencies"]["@portkey-ai/gateway"]

    def __init__(self, bench, engine_port):
        super().__init__(bench, engine_port)
        self.headers = {
            "x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{engine_port}/v1",
        }

    def run(self):
        packages = node("portkey")
        self.start(
            ["node", packages / "@portkey-ai/gateway/build/start-server.js", f"--port={self.port}", "--headless"],
            self.port, TRUSTED_CUSTOM_HOSTS="127.0.0.1,localhost",
        )

    def credential(self):
        return "none"


class Ours:
    """An nginx of the table, as a row of this one."""

    note, headers = "", {}

    def __init__(self, bench, name, engine_port):
        self.bench, self.name = bench, name
        self.gateway = Gateway(bench, *configurations(bench, True)[name], engine_port)
        self.port = self.gateway.port

    def __enter__(self):
        self.gateway.__enter__()
        return self

    def __exit__(self, *_):
        self.gateway.__exit__()

    def cpu_nanos(self):
        return self.gateway.cpu_nanos()

    def credential(self):
        return self.bench.key

    def version(self):
        return self.bench.version()


def asked_of(peer, body):
    """Such a request, as this one wants it."""
    more = "".join(f"{name}: {value}\r\n" for name, value in peer.headers.items())
    return message(peer.credential(), body).replace(b"Accept:", more.encode() + b"Accept:", 1)


class Turns:
    """What each takes for a request of one kind, by turns."""

    def __init__(self, bench, peers, body, seconds, connections):
        self.peers, self.seconds, self.connections = peers, seconds, connections
        self.whole = {peer.name: size_of_answer(peer.port, asked_of(peer, body)) for peer in peers}
        self.loads = {
            peer.name: Load(bench.folder, peer.credential(), "/v1/chat/completions", body, peer.headers)
            for peer in peers
        }
        self.cpu = {peer.name: [] for peer in peers}
        self.rates = {peer.name: [] for peer in peers}

    def run(self, rounds):
        """The first one isn't counted."""
        for number in range(rounds + 1):
            for peer in self.peers:
                before = peer.cpu_nanos()
                _, size, lasted = self.loads[peer.name].run(peer.port, self.seconds, self.connections)
                # Those that the end of the turn cut count by what came of them.
                count = size / self.whole[peer.name]
                if number:
                    self.cpu[peer.name].append((peer.cpu_nanos() - before) / count)
                    self.rates[peer.name].append(count / lasted)


def compare(bench, name, kinds, body, engine_port, rounds, seconds, connections):
    """Rows of one kind of request."""
    with contextlib.ExitStack() as stack:
        peers = [Ours(bench, one, engine_port) for one in (BARE, METERED)]
        peers += [kind(bench, engine_port) for kind in kinds]
        for peer in peers:
            stack.enter_context(peer)
        turns = Turns(bench, peers, body, seconds, connections)
        turns.run(rounds)
    ours = statistics.median(turns.cpu[METERED])
    rows = []
    for peer in peers:
        cpu = statistics.median(turns.cpu[peer.name])
        rows.append({
            "workload": name, "name": peer.name, "version": peer.version(), "note": peer.note,
            "cpu_us": cpu / 1000, "ratio": cpu / ours, "rate": statistics.median(turns.rates[peer.name]),
        })
        print(f"  {name + ': ' + peer.name:<50}{cpu / 1000:>10.0f} us{cpu / ours:>8.1f} x Tollgate"
              f"{rows[-1]['rate']:>10.0f}/s", flush=True)
    return rows


def report(bench, rounds):
    """Measures them, and returns the rows."""
    subprocess.run([ROOT / "scripts/setup", "--peers"], check=True)
    print("processor time of all processes, a request")
    body = chat(1024)
    answer = bench.answer_to("/v1/chat/completions", body)
    with Recorded(bench, answer) as engine:
        rows = compare(bench, "chat of 1 KB", (Portkey, FastApi, LiteLlm), body, engine.port, rounds, 3, 16)
    with bench.streaming_engine(STREAM_CHUNKS, PACE_MS) as port:
        rows += compare(bench, f"{STREAM_CHUNKS} chunks", (FastApi, LiteLlm), SteppedEngine.body(True), port, rounds, 8, 4)
    return rows
