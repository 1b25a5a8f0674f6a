"""A clock that somebody sets: steps of the time of day, forward and back."""

import asyncio
import time

from . import model, servers, traffic

DAY = 86_400
STEPS = (-DAY, -3600, -90, 90, 3600, DAY, 40 * DAY)


def clock_settings(folder):
    """Beside the usual clients one whose key is good until half a day from now, and one with a budget."""
    late = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + DAY // 2))
    entries = [servers.entry(*one) for one in traffic.clients()]
    entries += [servers.entry("late", "open", expires=late), servers.entry("money-1", "money")]
    return {"entries": entries, "faults": True}


class Calendar:
    """What a budget of a day has spent, as docs/metering.md says: it begins anew with the day; a clock that is set
    back by more than a minute takes what was spent along."""

    def __init__(self, now):
        self.day, self.spent = int(now // DAY), 0

    def set(self, now):
        day = int(now // DAY)
        if day > self.day:
            self.spent = 0
        self.day = day


async def clock(run):
    """The time of day is set forward and back. Buckets, places and queues go by another clock."""
    usual = dict(traffic.Mix.USUAL, money=0)
    await run.start(weights=usual)
    # So it is said of lines that are older than their keys, when the clock was set back by more than a minute.
    run.expected_findings.add("backdated")
    mix = run.mix("clock")
    calendar = Calendar(time.time())
    offset = 0

    async def let_in(kind, client):
        asked, text, _ = mix.completion(kind, client, False, 5)
        await traffic.ask(run.servers.port, asked, text)

    while await run.pause(0.1, 0.5):
        offset = 0 if offset and run.generator.random() < 0.3 else offset + run.generator.choice(STEPS)
        # Tokens are good from a day before the start to three months after it.
        offset = max(-DAY, min(offset, 80 * DAY))
        run.servers.faults.set(clock_s=offset)
        calendar.set(time.time() + offset)
        run.counts["steps"] += 1
        # A worker looks at the clock when it wakes up.
        await asyncio.sleep(0.2)
        if offset > DAY // 2:
            await refused_late(run, mix)
        else:
            await let_in("late", "late")
        await let_in("budget", "money-1")
        calendar.spent += 4 * model.INPUT_PRICE + 5 * model.OUTPUT_PRICE
        found = model.nano(run.servers.used("money-1", "budget"))
        if found != calendar.spent:
            run.wrong(f"wrong charge: with the clock at {offset:+} s money-1 has spent {found} nano, and must have"
                      f" spent {calendar.spent}")
    run.servers.faults.set()
    await run.quiet()
    await run.finish()


async def refused_late(run, mix):
    asked = mix.new("late", "late", model.Expect({"deny expired_credential": {401}}))
    text = traffic.wire("/v1/chat/completions", mix.body(), mix.headers(asked, "late"))
    await traffic.ask(run.servers.port, asked, text)
