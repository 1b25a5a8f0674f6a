"""What a thousand keys and a million cost: memory, loading, look-ups, and those who ask meanwhile."""

import base64
import hashlib
import itertools
import json
import os
import pathlib
import re
import select
import socket
import struct
import subprocess
import sys
import time

from .servers import free_port, stop, wait_for

HELP = """
  --keys          with 1,000 and with 1,000,000 keys: how long nginx needs to start; how long until a
                  changed file is in force in the last of four workers, and how long if all processors
                  are busy with requests; the memory of each of them; instructions and requests per
                  second with one key and with 20,000 in turn, of which a worker remembers fewer; and
                  how long requests wait while the million is read
  --check         with --keys: fail where a look-up costs more than 1.5 x with a million keys, or a
                  request waited for more than p99 + 5 ms while they were read
  --rounds N      with --keys: how often the file is changed and each rate is measured (5)
"""

CONFIGURATION = """
{user}
load_module {module};
daemon off;
master_process {master};
worker_processes {workers};
pid nginx.pid;
error_log error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    open_file_cache max=10 inactive=1h;
    open_file_cache_valid 1h;
    tollgate_zone zone=tollgate:1m;
    tollgate_tier pro {{ }}
    server {{
        listen 127.0.0.1:{port} reuseport;
        root {folder};
        tollgate on;
        tollgate_api_keys {keys};
        location /page {{ }}
        location /off {{ tollgate off; alias {folder}/page; }}
        location /pid {{ tollgate off; return 200 $pid; }}
    }}
}}
"""

FEW, MANY = 1_000, 1_000_000
DIFFERENT = 20_000


def key(number):
    """As the tollgate command makes them, but always the same."""
    return "tg_" + base64.urlsafe_b64encode(hashlib.sha256(b"%d" % number).digest()).rstrip(b"=").decode()


def write_keys(path, count, *more):
    """A keys file with one entry a line, and with these keys beside. A client has ten of them."""
    with open(path, "w") as file:
        file.write('{"version": 1, "keys": [\n')
        for place, number in enumerate(itertools.chain(range(count), more)):
            entry = {
                "id": f"k_{key(number)[3:13]}",
                "hash": "sha256:" + hashlib.sha256(key(number).encode()).hexdigest(),
                "client": f"client-{number // 10}",
                "tier": "pro",
            }
            file.write((",\n" if place else "") + json.dumps(entry))
        file.write("\n]}\n")


def request(credential, path="/page"):
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Authorization: Bearer {credential}\r\n\r\n"
    ).encode()


class Client:
    """A connection that is kept alive."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def ask(self, message):
        """Status and body of the answer."""
        self.socket.sendall(message)
        while b"\r\n\r\n" not in self.received:
            self.received += self.socket.recv(65536) or sys.exit("bench: the connection ended")
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)[1])
        while len(self.received) < length:
            self.received += self.socket.recv(65536) or sys.exit("bench: the connection ended")
        body, self.received = self.received[:length], self.received[length:]
        return int(head[9:12]), body

    def close(self):
        self.socket.close()


class Nginx:
    """One with this keys file."""

    def __init__(self, bench, keys, workers, before=()):
        self.bench, self.port = bench, free_port()
        self.folder = pathlib.Path(bench.folder) / f"keys-{self.port}"
        self.folder.mkdir()
        (self.folder / "page").write_text("PAGE")
        self.count = workers
        text = CONFIGURATION.format(
            # Workers of another user could not read the folder.
            user="user root;" if os.geteuid() == 0 else "",
            module=bench.module,
            master="on" if workers > 1 else "off",
            workers=workers,
            port=self.port,
            folder=self.folder,
            keys=keys,
        )
        (self.folder / "nginx.conf").write_text(text)
        self.command = [
            *before, bench.nginx, "-p", f"{self.folder}/", "-e", f"{self.folder}/error.log",
            "-c", f"{self.folder}/nginx.conf",
        ]
        self.process = None

    def errors(self):
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else ""

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, self.process, self.errors, patience=600)
        return self

    def __exit__(self, *_):
        stop(self.process)

    def workers(self):
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children]

    def clients(self, each=1):
        """So many connections to each worker: lists by its pid."""
        found = {}
        while len(found) < self.count or any(len(clients) < each for clients in found.values()):
            client = Client(self.port)
            pid = int(client.ask(request("", "/pid"))[1])
            if len(found.setdefault(pid, [])) < each:
                client.worker = pid
                found[pid].append(client)
            else:
                client.close()
        return found


def wait_until_in_force(clients, number, patience=120):
    """Until this key is known in all workers: when it was known in the last one."""
    missing = {pid: own[0] for pid, own in clients.items()}
    deadline = time.monotonic() + patience
    while missing:
        for pid, client in list(missing.items()):
            if client.ask(request(key(number)))[0] == 200:
                del missing[pid]
        if time.monotonic() > deadline:
            sys.exit("bench: a changed keys file does not come into force")
        time.sleep(0.002)
    return time.monotonic()


class Switch:
    """A keys file that is changed at once: a link to one of two files that are ready. Each holds one
    key that the other one lacks."""

    def __init__(self, folder, count):
        self.link = folder / f"switch-{count}.json"
        self.files = [folder / f"{count}-{side}.json" for side in "ab"]
        self.own = [10_000_000, 10_000_001]
        for file, number in zip(self.files, self.own):
            write_keys(file, count, number)
        self.side = 0
        self.link.symlink_to(self.files[0])

    def change(self):
        """The number of a key that is new then."""
        self.side = 1 - self.side
        new = self.link.with_suffix(".new")
        new.symlink_to(self.files[self.side])
        os.rename(new, self.link)
        return self.own[self.side]


###################################################################################################


def memory(pid):
    """KiB: private to this process, its share of all, and the most that it ever had."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(\w+): +(\d+) kB", rollup, re.M))
    private = int(found["Private_Clean"]) + int(found["Private_Dirty"])
    return private, int(found["Pss"]), int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def report_loading(bench, switches, rounds):
    print("start, and a change of the file with 4 workers")
    print(f"  {'':<32}{'1,000 keys':>16}{'1,000,000 keys':>16}")
    rows = [loading(bench, switch, rounds) for switch in switches.values()]
    for name in rows[0]:
        print(f"  {name:<32}" + "".join(f"{row[name]:>16}" for row in rows))


def loading(bench, switch, rounds):
    """What is to be told of this file, by its name."""
    def change(clients):
        """Seconds until it was in force everywhere."""
        started = time.monotonic()
        number = switch.change()
        seconds = wait_until_in_force(clients, number) - started
        time.sleep(1)
        return seconds

    row = {}
    server = Nginx(bench, switch.link, 4)
    started = time.monotonic()
    subprocess.run([*server.command, "-t", "-q"], check=True)
    row["nginx -t"] = f"{time.monotonic() - started:.2f} s"
    started = time.monotonic()
    with server as nginx:
        clients = nginx.clients()
        wait_until_in_force(clients, 0)
        row["start to the first answers"] = f"{time.monotonic() - started:.2f} s"
        time.sleep(1)
        row.update(memory_rows("after the start", nginx.workers()))
        for pid in nginx.workers():
            # From now on, the most is that since now.
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        seconds = [change(clients) for _ in range(rounds)]
        row["a change in force"] = shortest_and_longest(seconds)
        row.update(memory_rows("after changes", nginx.workers()))
        row["the most while they load"] = mebibytes(memory(pid)[2] for pid in nginx.workers())
        credentials(nginx, range(FEW))
        with subprocess.Popen(wrk(nginx, connections=64, seconds=600), stdout=subprocess.DEVNULL) as load:
            time.sleep(1)
            seconds = [change(clients) for _ in range(rounds)]
            load.kill()
        row["the same at full load"] = shortest_and_longest(seconds)
    return row


def shortest_and_longest(seconds):
    return f"{min(seconds):.2f}-{max(seconds):.2f} s"


def memory_rows(when, pids):
    found = [memory(pid) for pid in pids]
    return {
        f"private, {when}": mebibytes(one[0] for one in found),
        f"PSS, {when}": mebibytes(one[1] for one in found),
    }


def mebibytes(numbers):
    """Of the worker that has least, and of the one that has most."""
    numbers = [number / 1024 for number in numbers]
    return f"{min(numbers):.1f}-{max(numbers):.1f} M"


###################################################################################################


def in_turn(numbers):
    return [request(key(number)) for number in numbers]


def look_ups(count):
    """Kinds of requests: what they are called, and their messages."""
    return {
        "Tollgate off": [request(key(0), "/off")],
        "one key": [request(key(7))],
        "1,000 keys in turn": in_turn(range(FEW)),
        f"{min(count, DIFFERENT):,} keys in turn": in_turn(range(0, count, max(count // DIFFERENT, 1))),
        "unknown keys": in_turn(range(20_000_000, 20_000_000 + DIFFERENT)),
    }


class Counted:
    """nginx under callgrind, which counts only when it is told to."""

    def __init__(self, bench, switch):
        self.output = bench.folder / f"callgrind-{switch.link.name}"
        valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.output}")
        self.server = Nginx(bench, switch.link, 1, valgrind)

    def control(self, *arguments):
        subprocess.run(["callgrind_control", *arguments, str(self.server.process.pid)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def total(self):
        """Of what has been counted since the last time."""
        before = set(self.output.parent.glob(f"{self.output.name}.*"))
        self.control("--dump")
        new = set(self.output.parent.glob(f"{self.output.name}.*")) - before
        return sum(int(re.search(r"^(?:summary|totals): (\d+)", one.read_text(), re.M)[1]) for one in new)

    def per_request(self, messages, warm=5_000, count=DIFFERENT):
        client = Client(self.server.port)
        turn = itertools.cycle(messages)
        for _ in range(warm):
            client.ask(next(turn))
        self.control("--instr=on")
        client.ask(next(turn))
        self.total()
        for _ in range(count):
            client.ask(next(turn))
        found = self.total() / count
        self.control("--instr=off")
        client.close()
        return found


def report_instructions(bench, switches):
    print("user-space instructions per request for a file, under callgrind; and more than with Tollgate off")
    found = {}
    for count, switch in switches.items():
        counted = Counted(bench, switch)
        with counted.server:
            found[count] = {what: counted.per_request(messages) for what, messages in look_ups(count).items()}
        off = found[count]["Tollgate off"]
        for what, instructions in found[count].items():
            print(f"  {count:>9,} keys: {what:<24}{instructions:>8.0f}  +{instructions - off:.0f}", flush=True)
    few, many = found[FEW], found[MANY]
    worst = 0
    for what, of_few, of_many in (
        ("one key", "one key", "one key"),
        ("1,000 keys in turn", "1,000 keys in turn", "1,000 keys in turn"),
        ("many keys in turn", "1,000 keys in turn", f"{DIFFERENT:,} keys in turn"),
        ("unknown keys", "unknown keys", "unknown keys"),
    ):
        added = ((many[of_many] - many["Tollgate off"]) / (few[of_few] - few["Tollgate off"]))
        whole = many[of_many] / few[of_few]
        worst = max(worst, whole)
        print(f"  a million to a thousand, {what + ':':<20} {whole:.2f} x the request, {added:.2f} x what "
              "Tollgate adds")
    return worst


LUA = """
local number = 0
local messages = {}
for line in io.lines("%s") do
    messages[#messages + 1] = wrk.format("GET", "/page",
        {Host = "localhost", Authorization = "Bearer " .. line})
end
request = function()
    number = number %% #messages + 1
    return messages[number]
end
"""


def report_rates(bench, switches, rounds):
    print(f"requests per second for a file, one worker, 32 connections: {rounds} rounds by turns, median")
    rates = {}
    with Nginx(bench, switches[FEW].link, 1) as of_few, Nginx(bench, switches[MANY].link, 1) as of_many:
        for _ in range(rounds):
            for kind in ("one key", "keys in turn"):
                for count, nginx in ((FEW, of_few), (MANY, of_many)):
                    rates.setdefault((kind, count), []).append(rate(nginx, count, kind))
    for kind in ("one key", "keys in turn"):
        few, many = (sorted(rates[kind, count])[rounds // 2] for count in (FEW, MANY))
        print(f"  {kind:<14} {few:>9.0f} with a thousand keys, {many:>9.0f} with a million: {many / few:.2f} x")


def credentials(nginx, numbers):
    """Has wrk ask with these keys, in turn."""
    path = nginx.folder / "credentials"
    path.write_text("".join(f"{key(number)}\n" for number in numbers))
    (nginx.folder / "wrk.lua").write_text(LUA % path)


def wrk(nginx, connections, seconds):
    return [
        "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", nginx.folder / "wrk.lua",
        f"http://127.0.0.1:{nginx.port}",
    ]


def rate(nginx, count, kind):
    credentials(nginx, [7] if kind == "one key" else range(0, count, max(count // DIFFERENT, 1)))
    output = subprocess.run(
        wrk(nginx, connections=32, seconds=2), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    if "Non-2xx" in output:
        sys.exit(f"bench: requests were refused: {output}")
    return float(re.search(r"Requests/sec: +([\d.]+)", output)[1])


###################################################################################################


class Paced:
    """Requests at a steady pace, whatever becomes of those before. How long one takes is told by the
    kernel's clock, from the moment at which it was due to the arrival of its answer: that this
    program has to wait for a processor itself doesn't count."""

    # <linux/socket.h>: the time at which the kernel got it comes along.
    SO_TIMESTAMPNS = 35

    def __init__(self, clients, rate):
        self.interval = 1 / rate
        self.free = list(clients)
        self.busy = {}
        self.change = None
        self.poll = select.epoll()
        for client in clients:
            client.socket.setsockopt(socket.SOL_SOCKET, self.SO_TIMESTAMPNS, 1)
            self.poll.register(client.socket, select.EPOLLIN)
        self.by_number = {client.socket.fileno(): client for client in clients}

    def run(self, messages, is_over):
        """The seconds that each request took, and when it was answered, by time.time()."""
        taken, due = [], time.time()
        waiting = []
        while self.busy or waiting or not is_over():
            now = time.time()
            while due <= now and not is_over():
                waiting.append(due)
                due += self.interval
            while waiting and self.free:
                client = self.free.pop(0)
                asked = waiting.pop(0)
                # Who is late for want of a connection waited for an answer; else only we are.
                self.busy[client.socket.fileno()] = max(asked, time.time()) if len(self.free) else asked
                client.probes = self.change is not None and self.change.wants(client)
                client.socket.sendall(self.change.message if client.probes else next(messages))
            for number, _ in self.poll.poll(max(due - time.time(), 0) if not self.busy else 0.0005):
                taken.append(self.receive(number))
        return taken

    def receive(self, number):
        client = self.by_number[number]
        data, ancillary, _, _ = client.socket.recvmsg(65536, 64)
        is_good = data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"PAGE")
        if client.probes and is_good:
            self.change.is_known_in(client.worker)
        elif not is_good and not (client.probes and data.startswith(b"HTTP/1.1 401 ")):
            sys.exit(f"bench: unexpected answer: {data[:200]!r}")
        arrived = time.time()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == self.SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                arrived = seconds + nanoseconds / 1e9
        self.free.append(client)
        return arrived - self.busy.pop(number), arrived


def quantile(numbers, part):
    numbers = sorted(numbers)
    return numbers[min(int(len(numbers) * part), len(numbers) - 1)]


class Loading:
    """From a change of the file until what is new is in force everywhere, and what is old is gone."""

    def __init__(self, switch, workers):
        self.missing = {worker: 0 for worker in workers}
        self.started, self.began = time.monotonic(), time.time()
        self.message = request(key(switch.change()))
        self.in_force = None

    def wants(self, client):
        """Whether this request is to be one with the new key: every tenth of a worker that lacks it."""
        if client.worker not in self.missing:
            return False
        self.missing[client.worker] += 1
        return self.missing[client.worker] % 10 == 0

    def is_known_in(self, worker):
        self.missing.pop(worker, None)
        if not self.missing and self.in_force is None:
            self.in_force = time.monotonic()

    def is_over(self):
        return self.in_force is not None and time.monotonic() > self.in_force + 0.3


def report_latency(bench, switch, rounds, per_second=500, quiet=3.0):
    print(f"{per_second} requests per second to 2 workers, for a file, without and with {MANY:,} keys "
          "being read")
    without, loading, lasted, slowest = [], [], [], []
    with Nginx(bench, switch.link, 2) as nginx:
        clients = nginx.clients(each=8)
        # By turns to one worker and to the other one.
        asked = [client for pair in zip(*clients.values()) for client in pair]
        paced = Paced(asked, per_second)
        messages = itertools.cycle(in_turn(range(FEW)))
        for _ in range(rounds):
            end = time.monotonic() + quiet
            without.append(paced.run(messages, lambda end=end: time.monotonic() > end))
            paced.change = change = Loading(switch, clients)
            loading.append(paced.run(messages, change.is_over))
            paced.change = None
            lasted.append(change.in_force - change.started)
            taken, arrived = max(loading[-1])
            slowest.append(f"{taken * 1000:.2f} ms at {arrived - change.began:.2f} s")
            time.sleep(0.5)
    for name, taken in (("without", without), ("with", loading)):
        every = [seconds for one in taken for seconds, _ in one]
        p50, p99, p999 = (f"{quantile(every, part) * 1000:.2f}" for part in (0.5, 0.99, 0.999))
        worst = ", ".join(f"{max(one)[0] * 1000:.2f}" for one in taken)
        print(f"  {name:<8} {len(every):>7} requests: p50 {p50}, p99 {p99}, p99.9 {p999}, "
              f"max {max(every) * 1000:.2f} ms (of each round {worst})")
    without, loading = ([seconds for one in taken for seconds, _ in one] for taken in (without, loading))
    bound = quantile(without, 0.99) + 0.005
    slower = sum(one > bound for one in loading)
    print(f"  loading took {min(lasted):.2f} to {max(lasted):.2f} s. p99 without + 5 ms is "
          f"{bound * 1000:.2f} ms: {slower} of {len(loading)} took longer while loading, "
          f"{sum(one > bound for one in without)} of {len(without)} without")
    print(f"  the slowest of each round while loading, since the change: {', '.join(slowest)}")
    return slower


def report(bench, rounds, check):
    folder = bench.folder
    started = time.monotonic()
    switches = {count: Switch(folder, count) for count in (FEW, MANY)}
    size = switches[MANY].files[0].stat().st_size
    print(f"a file with {MANY:,} keys has {size / 1e6:.0f} MB; written in {time.monotonic() - started:.0f} s")
    report_loading(bench, switches, rounds)
    slower = report_latency(bench, switches[MANY], rounds)
    report_rates(bench, switches, rounds)
    worst = report_instructions(bench, switches)
    if check and (worst > 1.5 or slower):
        sys.exit(f"bench: a look-up costs up to {worst:.2f} x, and {slower} requests waited too long")
