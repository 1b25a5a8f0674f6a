"""What must become of each request, and whether it did. Nothing here opens a file or a connection, or looks at a
clock: a run tells what it asked, what it saw and whom it killed, and the audit log what became of it."""

import bisect
import collections
import dataclasses
import decimal
import json
import math

# Nano-units of money for a token of the input and of the output: tollgate_price of the configuration.
INPUT_PRICE, OUTPUT_PRICE = 150, 600


# What may become of whom nothing is leased, when the store is away: within the first second, when nobody knows that yet,
# the limit is taken for used up.
WITHOUT_STORE = {"deny store_lost": {503}, "deny requests_exceeded": {429}, "deny tokens_exceeded": {429},
                 "deny budget_exceeded": {429}}


@dataclasses.dataclass(frozen=True)
class Expect:
    """What may become of a request whose worker lives. `verdicts` has the statuses that go with each decision:
    "allow", "deny REASON", or "none" where nothing was judged. `input` and `output` are what may be charged, from
    and to, of a request that was let in, and `usage` how it may be known."""

    verdicts: dict
    input: tuple = (0, 0)
    output: tuple = (0, 0)
    usage: frozenset = frozenset(("none",))
    # What it reserves: a killed worker may leave that charged.
    reserves: int = 0
    # The engine breaks off, so the client may get no end.
    breaks: bool = False


@dataclasses.dataclass
class Asked:
    id: str
    kind: str
    client: str
    expect: Expect
    sent: float = 0.0
    ended: float = math.inf
    status: int = 0
    worker: int = 0
    # The answer has come to its end.
    whole: bool = False
    # Its engine is not the one that dies.
    is_apart: bool = False
    # Its key may be in no file just then.
    or_nobody: bool = False
    # The client hung up by itself, or sent only a part.
    left: bool = False
    # So little of it was sent that nobody can know its id.
    nameless: bool = False


def in_outage(expect):
    """What may become of a request while the engine dies: it answers, breaks off, or can't be reached."""
    if "allow" not in expect.verdicts:
        return expect
    verdicts = {**expect.verdicts, "allow": expect.verdicts["allow"] | {502, 504}}
    high = max(expect.reserves - expect.input[0], expect.output[1])
    return Expect(verdicts, (0, max(expect.input[1], expect.reserves)), (0, high),
                  expect.usage | frozenset(("none", "partial", "measured")), expect.reserves, True)


def verdict_of(line):
    decision = line.get("decision", "none")
    return f"deny {line.get('reason')}" if decision == "deny" else decision


def cost_of(line):
    """In nano-units, as docs/metering.md has it. Nothing is cached in these runs."""
    return INPUT_PRICE * line.get("input_tokens", 0) + OUTPUT_PRICE * line.get("output_tokens", 0)


def nano(money):
    """Money, as text or as a decimal number, in nano-units."""
    return int(decimal.Decimal(money).scaleb(9))


class Book:
    """All that was asked, and which workers were killed when."""

    def __init__(self, flush):
        # For how long a line may wait in a worker, in seconds.
        self.flush = flush
        self.asked = {}
        # When which worker was killed, in order.
        self.kills = []
        self._of_client, self._indexed = {}, -1
        # From when to when everything was dead, and the engine alone.
        self.crashes = []
        self.outages = []
        # From when to when the store of a cluster was away.
        self.lost = []
        # When workers were told to go, for others that come.
        self.moves = []

    def add(self, asked):
        self.asked[asked.id] = asked
        return asked

    def killed(self, pid, moment):
        self.kills.append((moment, pid))

    def is_killed(self, asked):
        """Whether its worker has been killed since it was sent."""
        return any(pid == asked.worker and moment >= asked.sent for moment, pid in self.kills) \
            or any(end >= asked.sent for _, end in self.crashes)

    def moved_since(self, moment):
        """Whether a worker may have ended in order since then, a moment before it included."""
        return any(one >= moment - 5.0 for one in self.moves)

    def expected(self, asked):
        # nginx may learn of the death of the engine before it learns that the client has left.
        outage = any(asked.sent <= end and begin <= asked.ended + 0.5 for begin, end in self.outages)
        expect = in_outage(asked.expect) if outage and not asked.is_apart else asked.expect
        if "allow" in expect.verdicts and self.is_lost(asked):
            return dataclasses.replace(expect, verdicts={**expect.verdicts, **WITHOUT_STORE})
        return expect

    def is_lost(self, asked):
        """Whether the store was away meanwhile."""
        return any(begin <= asked.ended and asked.sent <= end for begin, end in self.lost)

    def may_be_lost(self, asked):
        """Whether a killed worker may have had this request, or its line."""
        for begin, end in self.crashes:
            if asked.sent <= end and begin <= asked.ended + self.flush:
                return True
        first = bisect.bisect_left(self.kills, (asked.sent, 0))
        for moment, pid in self.kills[first:]:
            if moment > asked.ended + self.flush:
                return False
            if asked.worker in (0, pid):
                return True
        return False

    def of(self, client):
        """What this client has asked, all in all."""
        if self._indexed != len(self.asked):
            self._of_client, self._indexed = {}, len(self.asked)
            for asked in self.asked.values():
                self._of_client.setdefault(asked.client, []).append(asked)
        return self._of_client.get(client, [])


class Findings:
    """What was wrong, in words, and what was counted."""

    def __init__(self):
        self.problems = []
        self.counts = collections.Counter()
        # The lines by the id of their request, and the requests without one.
        self.lines = {}
        self.lost = []

    def wrong(self, text):
        self.problems.append(text)


def read_log(data, findings, torn=0):
    """The lines of an audit log, bytes as they are in the file; each must be whole, but for so many."""
    lines = data.split(b"\n")
    if lines.pop() != b"":
        findings.wrong("the audit log does not end with the end of a line")
    found = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line.decode(), parse_float=decimal.Decimal)
            if not isinstance(record, dict):
                raise ValueError("no object")
            # Of a sealed log.
            if "seal" in record:
                continue
        except ValueError as error:
            findings.counts["torn lines"] += 1
            if findings.counts["torn lines"] <= torn:
                continue
            findings.wrong(f"line {number} of the audit log is damaged ({error}): {line[:120]!r}")
            continue
        found.append(record)
    return found


def judge(book, data, told_lost=0, torn=0):
    """Compares an audit log with what was asked. `told_lost`: so many lines nginx itself says that it lost. `torn`: of
    so many the log may have a beginning beside the whole."""
    findings = Findings()
    nameless = 0
    for line in read_log(data, findings, torn):
        name = line.get("request_id", "")
        if name not in book.asked:
            if line.get("decision") == "allow":
                findings.wrong(f"wrong admission: nobody asked {name!r}: {line}")
            nameless += 1
        elif name in findings.lines:
            findings.wrong(f"a second line for {name}")
        else:
            findings.lines[name] = line
    for asked in book.asked.values():
        line = findings.lines.get(asked.id)
        if line is not None:
            judge_line(book, asked, line, findings)
        elif asked.nameless:
            findings.counts["nameless"] += 1
        else:
            findings.lost.append(asked)
        judge_answer(book, asked, findings)
    if nameless > findings.counts["nameless"]:
        findings.wrong(f"{nameless} lines of nobody's requests, of which {findings.counts['nameless']} are explained")
    unexplained = [asked for asked in findings.lost if not book.may_be_lost(asked)]
    if len(unexplained) != told_lost:
        names = ", ".join(f"{one.id} ({one.kind}, {one.status})" for one in unexplained[:3])
        findings.wrong(f"{len(unexplained)} lines are missing, of which nginx tells {told_lost}: {names}")
    findings.counts["requests"] = len(book.asked)
    findings.counts["lines"] = len(findings.lines)
    findings.counts["lost with a worker"] = len(findings.lost) - len(unexplained)
    findings.counts["lost and told"] = told_lost
    return findings


def judge_line(book, asked, line, findings):
    """The line of one request: the decision, and what was charged."""
    expect, verdict = book.expected(asked), verdict_of(line)
    findings.counts[verdict] += 1
    statuses = expect.verdicts.get(verdict)
    name = f"{asked.id} ({asked.kind})"
    if statuses is None:
        kind = "wrong admission" if verdict == "allow" else "wrong refusal"
        findings.wrong(f"{kind}: {name} got {verdict}, and may get {', '.join(expect.verdicts)}: {line}")
        return
    status = line.get("status", 0)
    if status not in statuses and not (asked.left or book.may_be_lost(asked)):
        findings.wrong(f"wrong status: {name} with {verdict} got {status}, and may get {sorted(statuses)}")
    if asked.status and asked.status != status:
        findings.wrong(f"wrong status: {name} saw {asked.status}, and its line has {status}")
    client = line.get("client", "")
    if client != asked.client and not (asked.or_nobody and client == ""):
        findings.wrong(f"wrong client: {name} is {asked.client!r}, and its line has {client!r}")
    tokens = line.get("input_tokens", 0), line.get("output_tokens", 0)
    if verdict != "allow":
        if any(tokens):
            findings.wrong(f"wrong charge: {name} was refused, and charged {tokens}")
        return
    usage = line.get("usage", "none")
    # nginx itself had no answer for it.
    if usage == "none":
        if any(tokens):
            findings.wrong(f"wrong charge: {name} says none, and is charged {tokens}")
        if "none" not in expect.usage:
            findings.wrong(f"wrong usage: {name} is none, and may be {sorted(expect.usage)}: {line}")
        return
    if usage not in expect.usage:
        findings.wrong(f"wrong usage: {name} is {usage}, and may be {sorted(expect.usage)}: {line}")
    for what, said, (low, high) in zip(("input", "output"), tokens, (expect.input, expect.output)):
        if not low <= said <= high:
            findings.wrong(f"wrong charge: {name} is charged {said} of {what}, and may be {low} to {high}: {line}")
    if "cost" in line and nano(line["cost"]) != cost_of(line):
        findings.wrong(f"wrong cost: {name} costs {line['cost']}, and {tokens} are {cost_of(line)} nano")


def judge_answer(book, asked, findings):
    """What the client saw of it."""
    if asked.left or book.may_be_lost(asked) or book.expected(asked).breaks:
        return
    if asked.status == 0:
        findings.wrong(f"no answer: {asked.id} ({asked.kind}) of {asked.sent:.3f} to {asked.ended:.3f}")
    elif not asked.whole:
        findings.wrong(f"half an answer: {asked.id} ({asked.kind}), {asked.status}")


def charges(book, findings, client, what):
    """What a limit of this client must say is used: from and to. `what`: tokens, cost or requests."""
    low = high = 0
    for asked in book.of(client):
        line = findings.lines.get(asked.id)
        if line is not None:
            if verdict_of(line) != "allow":
                continue
            tokens = line.get("input_tokens", 0) + line.get("output_tokens", 0)
            used = {"tokens": tokens, "cost": cost_of(line), "requests": 1}[what]
            low, high = low + used, high + used
        elif not asked.nameless:
            most = max(asked.expect.reserves, asked.expect.input[1] + asked.expect.output[1])
            high += {"tokens": most, "cost": most * OUTPUT_PRICE, "requests": 1}[what]
    return low, high


def judge_used(book, findings, client, what, used, forgotten=0, refilled=0):
    """Compares that with what the limit says. `forgotten`: so much was used, or reserved, in the last second before
    a crash: it may be forgotten, or charged as it was reserved."""
    low, high = charges(book, findings, client, what)
    if not low - forgotten - refilled <= used <= high + forgotten:
        findings.wrong(f"wrong charge: {client} has used {used} {what}, and must have used {low} to {high}"
                       f" less {forgotten} that may be forgotten and {refilled} refilled")
    return low, high


def judge_quota(book, findings, client, quota, forgotten=0):
    """A bucket that isn't refilled within the run lets in as many as it holds, and refuses nobody earlier."""
    mine = book.of(client)
    refused, admitted = [], 0
    for asked in mine:
        line = findings.lines.get(asked.id)
        verdict = verdict_of(line) if line else None
        if book.is_lost(asked) and verdict != "allow":
            continue
        if verdict == "deny requests_exceeded" or (line is None and asked.status == 429):
            refused.append(asked)
        elif verdict == "allow" or (line is None and asked.status == 200):
            admitted += 1
    if admitted > quota + forgotten:
        findings.wrong(f"wrong admission: {client} was let in {admitted} times of {quota}")
    if refused:
        first = min(refused, key=lambda one: one.ended)
        others = {one.id for one in refused}
        possible = sum(1 for one in mine if one.sent <= first.ended and one.id not in others)
        if possible < quota:
            findings.wrong(f"wrong refusal: {client} was refused when it had sent {possible} of {quota}")
    return admitted


@dataclasses.dataclass
class Held:
    """A stream that takes a place of a limit on requests in flight, or was refused one."""

    sent: float
    answered: float
    refused: bool
    # From when on it may be gone, and from when on its place must be free.
    closed: float = math.inf
    free: float = math.inf


def judge_places(held, limit):
    """What was wrong with the places of one client."""
    problems = []
    for one in held:
        others = [other for other in held if other is not one and not other.refused]
        if one.refused:
            possible = sum(1 for other in others if other.sent <= one.answered and other.free >= one.sent)
            if possible < limit:
                problems.append(f"a place is kept: refused at {one.answered:.3f} with {possible} of {limit} in flight")
        else:
            certain = sum(1 for other in others if other.answered <= one.sent and other.closed >= one.answered)
            if certain >= limit:
                problems.append(f"wrong admission: at {one.answered:.3f} with {certain} of {limit} in flight")
    return problems


@dataclasses.dataclass
class Snapshot:
    """All that is judged when a run is over."""

    book: Book
    # The audit log, and how many lines nginx says that it lost.
    data: bytes
    told_lost: int
    # Streams that took places, of so many; clients whose requests are counted, and how many they have.
    held: list
    places: int
    quota: int
    # What a crash may have forgotten, by client.
    forgotten: dict
    # Of so many lines the log may have a beginning alone.
    torn: int = 0
    counted: list = dataclasses.field(default_factory=list)
    # What limits say is used, by client and "tokens", "cost" or "requests"; of tokens, so much may be refilled.
    used: dict = dataclasses.field(default_factory=dict)
    refilled: float = 0.0

    def judge(self):
        """What is wrong, in words."""
        findings = judge(self.book, self.data, self.told_lost, self.torn)
        for (client, what), used in self.used.items():
            refilled = self.refilled if what == "tokens" else 0
            judge_used(self.book, findings, client, what, used, self.forgotten.get(client, 0), refilled)
        for client in self.counted:
            judge_quota(self.book, findings, client, self.quota, self.forgotten.get(client, 0))
        return findings.problems + judge_places(self.held, self.places)


def slope(samples):
    """The median of the slopes between pairs of (time, value): a few odd values don't move it (Theil and Sen)."""
    slopes = sorted(
        (later[1] - sooner[1]) / (later[0] - sooner[0])
        for index, sooner in enumerate(samples)
        for later in samples[index + 1:]
        if later[0] > sooner[0]
    )
    return slopes[len(slopes) // 2] if slopes else 0.0
