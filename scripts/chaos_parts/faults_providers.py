"""Faults of identity providers: dead, slow, lying. Nobody is let in whom the provider has not vouched for, lately."""

import asyncio
import time

from . import servers, traffic
from .model import Expect
from .providers import Provider, SigningKey, key_set

# For how long a verdict is remembered, and a set of keys is used, in seconds; and so much longer while the provider
# fails.
CACHE, STALE = 1.0, 2.0

LOCATIONS = """
        location /opaque/ {{
            tollgate_auth introspection;
            tollgate_introspection_request /_introspect;
            tollgate_introspection_cache 1s;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        location /signed/ {{
            tollgate_auth jwt;
            tollgate_jwt_key_request /_jwks;
            tollgate_jwt_key_cache 1s stale=2s;
            proxy_pass http://127.0.0.1:{engine}/;
        }}
        location = /_introspect {{
            internal;
            proxy_connect_timeout 300ms;
            proxy_read_timeout 500ms;
            proxy_pass http://127.0.0.1:{port}/introspect;
        }}
        location = /_jwks {{
            internal;
            proxy_connect_timeout 300ms;
            proxy_read_timeout 500ms;
            proxy_pass http://127.0.0.1:{port}/jwks;
        }}
"""


def settings(folder):
    port = servers.free_port()
    text = LOCATIONS.format(port=port, engine="{engine}")
    return {"locations": text, "more": {"provider": port}}


def asking(run, mix, path, token, verdicts, client):
    """A request with this token."""
    if "allow" in verdicts:
        expect = Expect(verdicts, (4, 4), (3, 3), traffic.MEASURED, traffic.RESERVED)
    else:
        expect = Expect(verdicts)
    asked = mix.new("token", client, expect)
    asked.or_nobody = True
    headers = {"X-Request-ID": asked.id, "Authorization": f"Bearer {token}", "X-Mock-Tokens": 3}
    text = traffic.wire(f"{path}/v1/chat/completions", mix.body(), headers)
    return asked, traffic.ask(run.servers.port, asked, text)


ALLOW, INACTIVE = {"allow": {200}}, {"deny invalid_token": {401}}
NO_VERDICT = {"deny introspection_unavailable": {503}}
NO_KEYS = {"deny keys_unavailable": {503}}


async def introspection(run):
    provider = Provider(run.servers.more["provider"], run.generator)
    await provider.set("honest")
    await run.start()
    mix = run.mix("opaque")
    number = 0

    async def ask(token, verdicts):
        asked, sending = asking(run, mix, "/opaque", token, verdicts, "opaque")
        await sending
        return asked

    while await run.pause(0.0, 0.2):
        # A verdict of before, which is remembered for a while.
        number += 1
        known = f"good-known-{number}"
        await provider.set("honest")
        first = await ask(known, ALLOW)
        mode = run.generator.choice(Provider.MODES)
        await provider.set(mode)
        run.counts[f"{mode} provider"] += 1
        honest = mode == "honest"
        for _ in range(3):
            number += 1
            await asyncio.gather(
                ask(f"good-{number}", ALLOW if honest else NO_VERDICT),
                ask(f"bad-{number}", INACTIVE if honest else NO_VERDICT),
                # Each worker remembers by itself.
                ask(known, ALLOW if honest else {**ALLOW, **NO_VERDICT}),
            )
        if not honest:
            await asyncio.sleep(max(0.0, first.ended + CACHE + 0.3 * run.pace - time.monotonic()))
            await asyncio.gather(*(ask(known, NO_VERDICT) for _ in range(4)))
    await provider.set("honest")
    await run.finish()
    await provider.stop()


async def jwks(run):
    """Keys that the provider has withdrawn, or that are too old, let nobody in; nor do keys of anybody else."""
    keys = [SigningKey(run.servers.folder, name) for name in ("first", "second")]
    forger = SigningKey(run.servers.folder, "forger")
    tokens = [key.sign("signed") for key in keys]
    # Signed by nobody's key, under the names of keys that are there, and of one that isn't.
    forged = [forger.sign("signed", kid) for kid in ("first", "second", "forger")]
    provider = Provider(run.servers.more["provider"], run.generator)
    provider.keys = key_set(keys[0])
    await provider.set("honest")
    await run.start()
    mix = run.mix("signed")

    async def ask(token, verdicts):
        asked, sending = asking(run, mix, "/signed", token, verdicts, "signed")
        await sending
        return asked

    def attack():
        # Where there are no keys nobody knows better than that there are none.
        return [ask(token, {**INACTIVE, **NO_KEYS}) for token in forged]

    async def healthy():
        """Until every worker has the keys; it asks again after a pause that grows."""
        deadline, agreed = time.monotonic() + 12 * run.pace, 0
        while agreed < 6 and time.monotonic() < deadline:
            asked = await ask(tokens[0], {**ALLOW, **NO_KEYS, **INACTIVE})
            agreed = agreed + 1 if asked.status == 200 else 0
            await asyncio.sleep(0.02)
        if agreed < 6:
            run.wrong("wrong refusal: the provider is back, and its keys are not in use after 12 s")

    await healthy()
    while await run.pause(0.0, 0.2):
        mode = run.generator.choice(("dead", "slow", "lying", "withdrawn"))
        run.counts[f"{mode} provider"] += 1
        if mode == "withdrawn":
            provider.keys = key_set(keys[1])
        else:
            await provider.set(mode)
        began = time.monotonic()
        while time.monotonic() < began + CACHE + STALE and run.time_left() > 0:
            await asyncio.gather(ask(tokens[0], {**ALLOW, **NO_KEYS, **INACTIVE}), *attack())
            await asyncio.sleep(0.1)
        # A question that began before the end of that may still be waited for.
        await asyncio.sleep(0.7 * run.pace)
        refused = INACTIVE if mode == "withdrawn" else NO_KEYS
        await asyncio.gather(*(ask(tokens[0], refused) for _ in range(4)), *attack())
        provider.keys = key_set(keys[0])
        await provider.set("honest")
        await healthy()
    await run.finish()
    await provider.stop()
