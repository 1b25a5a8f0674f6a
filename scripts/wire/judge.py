"""What must hold after each round, and at the end."""

import re
import time

# How long what was begun may take to end, in seconds: nginx's own timeouts, and those of queues, end before.
QUIET = 15.0
# What memory may grow by from the middle third of a run to its last, in KiB.
SLACK_KIB = 4096
# Connections that nginx keeps to the engine, and those of two pages that are looked at just then.
KEPT = 8 + 2
BAD = re.compile(r"\[(?:alert|emerg|crit)\]|panicked|internal error")
# What a client says (RST_STREAM), and nginx tells.
OF_CLIENTS = re.compile(r"\[info\] .* client terminated stream \d+ due to internal error")


def log_of(text):
    """The lines of an error log that must not be there."""
    return [line for line in text.splitlines() if BAD.search(line) and not OF_CLIENTS.search(line)]


def growth(samples):
    """Of the middle third's median to that of the last third, in KiB."""
    third = len(samples) // 3
    if third < 2:
        return 0
    middle, last = sorted(samples[third:2 * third]), sorted(samples[-third:])
    return last[len(last) // 2] - middle[len(middle) // 2]


def admitted(lines, started):
    """Each request that generated has a line by which it was let in. `started`: what the engine says."""
    let_in = sum(line.get("decision") == "allow" or line.get("dry_run") is True or "would" in line for line in lines)
    return [] if started <= let_in else [f"the engine was asked {started} times, and {let_in} requests were let in"]


class Judge:
    def __init__(self, servers):
        self.servers, self.problems, self.memory, self.probes = servers, [], [], 0
        self.most_files = 0

    def begin(self):
        """Before anything is sent: of the files that are open then, and the connections that are kept to the engine."""
        self.most_files = self.servers.files() + KEPT

    def is_alive(self):
        ended = self.servers.process.poll()
        report = self.servers.reported()
        if report:
            first = re.search(r"ERROR: AddressSanitizer.*", report)
            self.problems.append(f"AddressSanitizer: {first[0] if first else report[:300]}")
        if ended is not None:
            self.problems.append(f"nginx has ended, with status {ended}")
        return not self.problems

    def after_round(self):
        """Whether nothing is wrong so far."""
        if not self.is_alive():
            return False
        wrong = self.servers.probe()
        self.probes += 1
        # What is wrong with the answer may be that nobody is there any more.
        if wrong and self.is_alive():
            self.problems.append(wrong)
        if not self.problems:
            self.quiet()
        if not self.problems:
            self.memory.append(self.servers.memory())
        return not self.problems

    def quiet(self):
        """Waits until nothing is in flight any more."""
        deadline = time.monotonic() + QUIET
        while True:
            count, active, files = self.servers.in_flight(), self.servers.stats()["active"], self.servers.files()
            if not count and not active and files <= self.most_files:
                return
            if time.monotonic() > deadline:
                self.problems.append(
                    f"a place is kept: {count} requests in flight, and nobody asks" if count else
                    f"the engine still generates {active} answers" if active else
                    f"connections are kept: {files} files are open, of {self.most_files}")
                return
            time.sleep(0.02)

    def at_end(self):
        """What can be said when it is over: nginx is ended."""
        if not self.problems:
            grown = growth(self.memory)
            if grown > SLACK_KIB:
                self.problems.append(f"memory: grew by {grown} KiB, from {self.memory[len(self.memory) // 3]} to {self.memory[-1]}")
            started = self.servers.stats()["started"]
            ended = self.servers.stop()
            if ended != 0:
                self.problems.append(f"nginx does not end in order: {ended}")
            self.is_alive_after(ended)
            lines, damaged = self.servers.audited()
            if damaged:
                self.problems.append(f"{damaged} lines of the audit log are damaged")
            self.problems += admitted(lines, started - self.probes)
            wrong = self.servers.verified()
            if wrong:
                self.problems.append(f"the sealed log: {wrong[:300]}")
            self.lines = len(lines)
        self.problems += [f"error.log: {line}" for line in log_of(self.servers.log())[:20]]
        return self.problems

    def is_alive_after(self, ended):
        report = self.servers.reported()
        if report and ended is not None:
            self.problems.append(f"AddressSanitizer, at its end: {report[:300]}")
