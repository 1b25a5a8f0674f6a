"""What a thousand keys and a million cost: memory, loading, look-ups, and those who ask meanwhile."""

import itertools
import pathlib
import re
import subprocess
import sys
import time

from .keys_served import DIFFERENT, FEW, MANY, Client, Nginx, Switch, in_turn, key, request, wait_until_in_force
from .keys_waiting import report_latency

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
