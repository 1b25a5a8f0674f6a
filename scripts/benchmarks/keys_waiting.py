"""How long requests wait while a million keys are read."""

import itertools
import select
import socket
import struct
import sys
import time

from .keys_served import FEW, MANY, Nginx, in_turn, key, request


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
