"""Mistakes that are planted in what a run has seen: the model must find each of them, and nothing without them."""

import copy
import json

from . import model, traffic
from .servers import PLACES, QUOTA

WORKER = 77


def line_of(asked, verdict):
    """What an honest server writes of this request."""
    decision, _, reason = verdict.partition(" ")
    line = {"request_id": asked.id, "decision": decision, "status": asked.status, "client": asked.client}
    if reason:
        line["reason"] = reason
    if decision == "allow" and asked.expect.usage != frozenset(("none",)):
        line["input_tokens"], line["output_tokens"] = asked.expect.input[0], asked.expect.output[1]
        line["usage"] = sorted(asked.expect.usage)[0]
        cost = model.cost_of(line)
        line["cost"] = f"{cost // 10**9}.{cost % 10**9:09}"
    return {name: value for name, value in line.items() if value != ""}


def honest():
    """A run of a server that makes no mistake."""
    book = model.Book(0.5)
    mix = traffic.Mix(book, "self-test", 1)
    lines, moment, taken = [], 0.0, {}
    for _ in range(400):
        asked, _, leave = mix.next()
        moment += 0.01
        asked.sent, asked.ended, asked.worker, asked.whole = moment, moment + 0.005, WORKER, leave is None
        asked.left = leave is not None
        verdicts = list(asked.expect.verdicts)
        if asked.kind == "quota":
            taken[asked.client] = taken.get(asked.client, 0) + 1
            verdicts = verdicts[1:] if taken[asked.client] > QUOTA else verdicts
        asked.status = sorted(asked.expect.verdicts[verdicts[0]])[0]
        lines.append(line_of(asked, verdicts[0]))
    # A worker is killed just behind the last request.
    book.killed(WORKER, moment + 0.2)
    held = [model.Held(number * 0.1, number * 0.1 + 0.01, False, 2.0, 2.5) for number in range(PLACES)]
    held.append(model.Held(1.0, 1.01, True))
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    snapshot = model.Snapshot(book, data, 0, held, PLACES, QUOTA, {})
    snapshot.counted = sorted(taken)
    findings = model.judge(book, data)
    for number in range(4):
        client = f"open-{number}"
        snapshot.used[client, "tokens"] = model.charges(book, findings, client, "tokens")[0]
    snapshot.used["money-0", "cost"] = model.charges(book, findings, "money-0", "cost")[0]
    return snapshot


class Log:
    """The audit log of a snapshot, to be changed."""

    def __init__(self, snapshot):
        self.snapshot = snapshot
        self.lines = [json.loads(line, parse_float=str) for line in snapshot.data.splitlines()]

    def find(self, wanted, early=True):
        """A line that fits, whose request is no longer in a worker that is killed later."""
        for line in self.lines:
            asked = self.snapshot.book.asked.get(line.get("request_id"))
            if asked and wanted(asked, line) and not (early and self.snapshot.book.may_be_lost(asked)):
                return asked, line
        raise LookupError("the run has no such line")

    def save(self):
        self.snapshot.data = "".join(json.dumps(line) + "\n" for line in self.lines).encode()


def changed(wanted, **members):
    def plant(snapshot):
        log = Log(snapshot)
        _, line = log.find(wanted)
        for name, change in members.items():
            value = change(line.get(name)) if callable(change) else change
            line.pop(name, None)
            if value is not None:
                line[name] = value
        log.save()

    return plant


def is_kind(kind):
    return lambda asked, line: asked.kind == kind and line["decision"] == "allow"


def of_kind(kind):
    return lambda asked, line: asked.kind == kind


def lost_line(snapshot):
    log = Log(snapshot)
    log.lines.remove(log.find(is_kind("chat"))[1])
    log.save()


def line_twice(snapshot):
    log = Log(snapshot)
    log.lines.append(dict(log.find(is_kind("chat"))[1]))
    log.save()


def half_line(snapshot):
    end = snapshot.data.index(b"\n", len(snapshot.data) // 2)
    snapshot.data = snapshot.data[:end - 3] + snapshot.data[end:]


def no_end(snapshot):
    snapshot.data = snapshot.data[:-1]


def line_of_nobody(snapshot):
    log = Log(snapshot)
    log.lines.append({"request_id": "nobody", "decision": "allow", "status": 200})
    log.save()


def charged_twice(snapshot):
    client = next(client for client, what in snapshot.used if what == "tokens")
    snapshot.used[client, "tokens"] += 24 + int(snapshot.refilled)


def not_charged(snapshot):
    client = next(client for (client, what), used in snapshot.used.items() if what == "tokens" and used > 0)
    snapshot.used[client, "tokens"] -= 2 + int(snapshot.refilled)


def budget_charged_twice(snapshot):
    snapshot.used["money-0", "cost"] += 1


def place_kept(snapshot):
    # All that held places have given them back, and one more is refused.
    late = max(one.free for one in snapshot.held if one.free < 1e12) + 10
    snapshot.held.append(model.Held(late, late + 0.01, True))


def place_too_many(snapshot):
    late = max(one.free for one in snapshot.held if one.free < 1e12) + 10
    for number in range(PLACES + 1):
        snapshot.held.append(model.Held(late + number, late + number + 0.1, False, late + 100, late + 101))


def quota_exceeded(snapshot):
    """The client whose requests are counted gets one more than it has."""
    log = Log(snapshot)
    _, line = log.find(lambda asked, line: line.get("reason") == "requests_exceeded")
    asked = snapshot.book.asked[line["request_id"]]
    asked.status = 200
    log.lines[log.lines.index(line)] = line_of(asked, "allow")
    log.save()


def quota_cut(snapshot):
    """It is refused before it has used up what it has."""
    log = Log(snapshot)
    _, line = log.find(is_kind("quota"))
    asked = snapshot.book.asked[line["request_id"]]
    asked.status = 429
    log.lines[log.lines.index(line)] = line_of(asked, "deny requests_exceeded")
    log.save()


def no_answer(snapshot):
    asked, _ = Log(snapshot).find(is_kind("chat"))
    asked.status, asked.whole = 0, False


def half_answer(snapshot):
    asked, _ = Log(snapshot).find(is_kind("chat"))
    asked.whole = False


def wrong_admission(kind, client):
    """A request that must be refused is let in: the client sees it, and the log says so."""
    def plant(snapshot):
        log = Log(snapshot)
        asked, line = log.find(of_kind(kind))
        asked.status = 200
        line.pop("reason")
        line.update(decision="allow", status=200, client=client)
        log.save()

    return plant


# What is planted, and how what is found begins.
PLANTED = {
    "one charge too many": (charged_twice, "wrong charge"),
    "one charge forgotten": (not_charged, "wrong charge"),
    "a budget charged twice": (budget_charged_twice, "wrong charge"),
    "a token too many in a line": (changed(is_kind("chat"), output_tokens=lambda n: n + 1), "wrong charge"),
    "a token too few in a cut stream": (changed(is_kind("cut"), output_tokens=lambda n: n - 1), "wrong charge"),
    "a cost that is no cost of its tokens": (changed(is_kind("chat"), cost="0.000000001"), "wrong cost"),
    "usage that was measured by nobody": (changed(is_kind("stream"), usage="estimated"), "wrong usage"),
    "one place kept": (place_kept, "a place is kept"),
    "one place too many": (place_too_many, "wrong admission"),
    "one line lost": (lost_line, "1 lines are missing"),
    "one line twice": (line_twice, "a second line"),
    "a line without its end": (half_line, "line "),
    "a log without its last byte": (no_end, "the audit log does not end"),
    "a line of nobody's request": (line_of_nobody, "wrong admission"),
    "a stranger let in": (wrong_admission("stranger", "open-0"), "wrong admission"),
    "a forged token let in": (wrong_admission("forged", "open-0"), "wrong admission"),
    "a model that is not allowed": (wrong_admission("denied", "open-0"), "wrong admission"),
    "one request beyond the quota": (quota_exceeded, "wrong admission"),
    "one request of the quota refused": (quota_cut, "wrong refusal"),
    "an honest client refused": (changed(is_kind("chat"), decision="deny", reason="zone_full"), "wrong refusal"),
    "another status in the log": (changed(is_kind("chat"), status=502), "wrong status"),
    "another client in the log": (changed(is_kind("chat"), client="open-9"), "wrong client"),
    "a request without an answer": (no_answer, "no answer"),
    "half an answer": (half_answer, "half an answer"),
}


def lost_with_a_worker(snapshot):
    """What is no mistake: the last lines, which a killed worker had not written."""
    log = Log(snapshot)
    line = next(line for line in reversed(log.lines) if line["decision"] == "allow")
    asked = snapshot.book.asked[line["request_id"]]
    log.lines.remove(line)
    log.save()
    if (asked.client, "tokens") in snapshot.used:
        snapshot.used[asked.client, "tokens"] -= line.get("input_tokens", 0) + line.get("output_tokens", 0)


def try_all(snapshot, name):
    """Plants each mistake in a copy: how many were not found."""
    failed = 0
    problems = copy.deepcopy(snapshot).judge()
    failed += bool(problems)
    print(f"  {'FAILED' if problems else 'ok    '} {name}: nothing planted, found: {problems[:3] or 'nothing'}")
    for what, (plant, begin) in PLANTED.items():
        planted = copy.deepcopy(snapshot)
        plant(planted)
        problems = planted.judge()
        found = [one for one in problems if one.startswith(begin)]
        failed += not found
        print(f"  {'ok    ' if found else 'FAILED'} {name}: {what}: {(found or problems or ['nothing found'])[0][:90]}")
    return failed


def main(live=None):
    """`live` makes a snapshot of a real run, where nginx is there."""
    failed = try_all(honest(), "model")
    kept = honest()
    lost_with_a_worker(kept)
    problems = kept.judge()
    failed += bool(problems)
    print(f"  {'FAILED' if problems else 'ok    '} model: what a killed worker had is no mistake:"
          f" {problems[:2] or 'yes'}")
    if live is not None:
        failed += try_all(live(), "nginx")
    print(f"self-test: {'each mistake is found' if not failed else f'{failed} failed'}")
    return bool(failed)
