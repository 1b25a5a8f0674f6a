"""Faults of what is read while nginx runs, and of what is full: key files that are broken or half written, and a zone
with room for a tenth of the clients."""

import asyncio
import json
import re
import time

from live_keys.files import LiveFile

from . import model, servers, traffic

POOL = [f"pool-{number}" for number in range(6)]
# From a change to its being in force in every worker, on a processor that does nothing else, in seconds.
IN_FORCE = 1.0


def keys_file(pool):
    entries = [servers.entry(*one) for one in traffic.clients()] + list(pool.values())
    return json.dumps({"version": 1, "keys": entries}).encode()


def new_pool(generator):
    """Entries of the pool, some missing and some disabled, and what each key gets."""
    pool, decisions = {}, {}
    for name in POOL:
        state = generator.choice(("good", "disabled", "missing"))
        if state != "missing":
            pool[name] = servers.entry(name, "open", **({"disabled": True} if state == "disabled" else {}))
        decisions[name] = {"good": ("allow", 200, name), "disabled": ("deny revoked_credential", 401, name),
                           "missing": ("deny invalid_credential", 401, "")}[state]
    return pool, decisions


async def key_files(run):
    """The keys file is replaced in every way, whole, half or broken. Who is always in it notices nothing."""
    await run.start()
    generator, mix = run.generator, run.mix("keys")
    file = LiveFile(run.servers.folder / "keys.json", generator)
    # Of the key files of before, the set that was good.
    decisions = {name: ("deny invalid_credential", 401, "") for name in POOL}
    while await run.pause(0.0, 0.3):
        pool, new = new_pool(generator)
        content = keys_file(pool)
        broken = generator.random() < 0.4
        if broken:
            content = generator.choice((
                b"", b"{}", b"[]", content[: generator.randrange(len(content))], content[:-1], content + b"}",
                b"\0" * len(content), content.replace(b'"version": 1', b'"version": 2'),
            ))
        method = generator.choice(LiveFile.METHODS)
        _, complete = await file.change(method, content)
        run.counts["broken files" if broken else "good files"] += 1
        if broken:
            # It is looked at ten times a second, and nothing comes of it.
            await asyncio.sleep(0.3 * run.pace)
        else:
            await in_force(run, mix, decisions, new, complete + IN_FORCE * run.pace)
            decisions = new
        for _ in range(3):
            await asyncio.gather(*(ask_pool(run, mix, name, [decisions[name]]) for name in POOL))
        run.look_at_the_pace()
    await file.change("rename", keys_file({}))
    await run.finish()


async def in_force(run, mix, old, new, deadline):
    """Asks until nobody gets what the set of before says, some times in a row; later than that it is an error,
    which the requests that follow find."""
    agreed = 0
    while agreed < 4 and time.monotonic() < deadline:
        got = await asyncio.gather(*(ask_pool(run, mix, name, [old[name], new[name]]) for name in POOL))
        agreed = agreed + 1 if got == [new[name][1] for name in POOL] else 0


async def ask_pool(run, mix, name, decisions):
    """Asks with this key, which gets one of these decisions: the status."""
    verdicts = {verdict: {status} for verdict, status, _ in decisions}
    asked, text, _ = mix.completion("pool", name, False, 3, verdicts=verdicts)
    asked.or_nobody = any(not client for _, _, client in decisions)
    await traffic.ask(run.servers.port, asked, text)
    return asked.status


###################################################################################################


# Slots for clients in a zone of this size, at most, and ten times as many clients.
ZONE, CROWD = "128k", 2500


def crowd_settings(folder):
    entries = [servers.entry(*one) for one in traffic.clients()]
    entries += [servers.entry(f"crowd-{number}", "few") for number in range(CROWD)]
    return {"entries": entries, "zone": ZONE}


async def zone_full(run):
    """Ten times as many clients as the zone has room for. Who has a slot keeps it, with what was used of it."""
    usual = dict(traffic.Mix.USUAL, quota=0)
    await run.start(weights=usual)
    mix = run.mix("crowd")
    has_slot = {}

    async def ask(number):
        client = f"crowd-{number}"
        verdicts = {"allow": {200}, "deny requests_exceeded": {429}}
        if not has_slot.get(client):
            verdicts = {"allow": {200}, "deny zone_full": {503}}
        asked, text, _ = mix.completion("crowd", client, False, 1, verdicts=verdicts)
        await traffic.ask(run.servers.port, asked, text)
        if asked.status == 200:
            has_slot[client] = True

    async def first_of_all(offset):
        for number in range(offset, CROWD, 6):
            if run.time_left() < 0.3 * run.seconds:
                break
            await ask(number)
            run.counts["clients of the crowd"] += 1

    await asyncio.gather(*(first_of_all(offset) for offset in range(6)))
    members = list(has_slot)
    while await run.pause(0, 0.01):
        # Mostly those that have a slot: they must be let in just as often as their quota says.
        numbers = [int(run.generator.choice(members).partition("-")[2]) for _ in range(4)]
        numbers.append(run.generator.randrange(run.counts["clients of the crowd"]))
        await asyncio.gather(*(ask(number) for number in sorted(set(numbers))))
    await run.quiet()
    slots = room(run)
    run.counts["with a slot"], run.counts["slots"] = len(has_slot), slots
    if run.counts["clients of the crowd"] > 2 * slots:
        if len(has_slot) > slots:
            run.wrong(f"wrong admission: {len(has_slot)} clients have a slot, and there are {slots}")
        if len(has_slot) < 0.7 * slots:
            run.wrong(f"wrong refusal: {len(has_slot)} clients have a slot, and there are {slots}")
    findings = await run.audited()
    for client in has_slot:
        model.judge_quota(run.book, findings, client, servers.QUOTA)
        model.judge_used(run.book, findings, client, "requests", run.servers.used(client, "requests"))
    run.problems += [one for one in findings.problems if "crowd" in one]
    await run.finish()


def room(run):
    """The slots for clients that the zone has, as the metrics say."""
    _, text = run.servers.inner("/metrics")
    states = re.findall(r'(?m)^tollgate_zone_slots\{[^}]*part="clients"[^}]*\} (\S+)$', text)
    return sum(int(float(count)) for count in states)
