"""A file that nginx watches: what it says, the ways to change it, and the ways to break it."""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import time

PAST, FUTURE = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


def key_request(name):
    return (f"GET /page HTTP/1.1\r\nHost: localhost\r\nX-API-Key: key-{name}\r\n\r\n").encode()


def entry(name, **members):
    """The entry of the key key-NAME. It has an id and a client of that name."""
    digest = hashlib.sha256(f"key-{name}".encode()).hexdigest()
    return {"id": f"k_{name}", "hash": f"sha256:{digest}", "client": name, "tier": "free", **members}


def keys_file(entries, more=()):
    """One entry a line, as the tollgate command writes it; `more` are lines that are ready."""
    lines = [json.dumps(one) for one in entries] + list(more)
    return ('{"version": 1, "keys": [\n' + ",\n".join(lines) + "\n]}\n").encode()


def filler(count):
    """Entries that nobody uses."""
    return [json.dumps(entry(f"filler-{number}")) for number in range(count)]


def state(generator, name):
    """An entry in one of the states that a key can have, or none; and what it gets."""
    client, tier = f"client-{generator.randrange(4)}", generator.choice(("free", "pro"))
    usual = entry(name, client=client, tier=tier)
    return generator.choice((
        (None, "401 invalid_credential"),
        (usual | {"disabled": True}, "401 revoked_credential"),
        (usual | {"expires": PAST}, "401 expired_credential"),
        (usual | {"not_before": FUTURE}, "401 not_yet_valid"),
        (usual | {"cidrs": ["203.0.113.0/24"]}, "403 address_denied"),
        (usual, f"200 /{client}/{tier}"),
        (usual | {"expires": FUTURE}, f"200 /{client}/{tier}"),
    ))


###################################################################################################
# Ways to break one entry of a keys file. Each gets entries (a list that is its own) and gives the bytes,
# what the error must name, and what keys get that would get something else.

REFUSED, REVOKED = "401 invalid_credential", "401 revoked_credential"


def name_of(entry):
    return entry["id"].removeprefix("k_")


def refused(*entries):
    """What a key gets that these entries are of, of which one is wrong, or all of them."""
    return REVOKED if any(entry.get("disabled") for entry in entries) else REFUSED


def with_field(field, value, named=None):
    def wrong(generator, entries):
        victim = generator.choice(entries)
        victim[field] = value
        named_field = named or f'key "{victim["id"]}": field "{field}"'
        return keys_file(entries), named_field, {name_of(victim): refused(victim)}

    return wrong


def same_id(generator, entries):
    first, later = sorted(generator.sample(range(len(entries)), 2))
    name = name_of(entries[later])
    entries[later]["id"] = entries[first]["id"]
    return keys_file(entries), 'field "id"', {name: refused(entries[later])}


def same_hash(generator, entries):
    one, other = generator.sample(entries, 2)
    other["hash"] = one["hash"]
    # The other key is nobody's now.
    return keys_file(entries), 'field "hash"', {name_of(one): refused(one, other), name_of(other): REFUSED}


def unknown_tier(generator, entries):
    # What ended, or hasn't begun, is refused for that.
    usual = [one for one in entries if set(one) == set(entry("")) or one.get("expires") == FUTURE]
    victim = generator.choice(usual)
    victim["tier"] = "platinum"
    named = f'key "{victim["id"]}": field "tier" names the tier "platinum"'
    return keys_file(entries), named, {name_of(victim): "403 tier_denied"}


def missing(generator, entries):
    victim = generator.choice(entries)
    del victim["client"]
    return keys_file(entries), f'key "{victim["id"]}": field "client"', {name_of(victim): refused(victim)}


WRONG = {
    "a bad date": with_field("expires", "2027-13-01T00:00:00Z"),
    "a bad network": with_field("cidrs", ["203.0.113.0/33"]),
    "an unknown field": with_field("owner", "acme", 'field "owner"'),
    "null": with_field("tier", None),
    "an id twice": same_id,
    "a hash twice": same_hash,
    "an unknown tier": unknown_tier,
    "no client": missing,
}


###################################################################################################
# Ways to break a keys file as a whole. Each gives the bytes, and what the error must name.


def cut(generator, entries):
    whole = keys_file(entries)
    # What it lacks then is more than the line end.
    return whole[: generator.randrange(1, len(whole) - 2)], "keys.json"


def huge_number(generator, entries):
    generator.choice(entries)["disabled"] = 10 ** 400
    return keys_file(entries), "keys.json"


def edited(edit, named="keys.json"):
    return lambda generator, entries: (edit(keys_file(entries)), named)


BROKEN = {
    "cut off": cut,
    "a huge number": huge_number,
    "deeply nested": edited(lambda whole: whole.replace(b'"free"', b"[" * 100_000 + b"]" * 100_000, 1)),
    "empty": edited(lambda whole: b""),
    "zeros": edited(lambda whole: bytes(len(whole))),
    "a byte order mark": edited(lambda whole: b"\xef\xbb\xbf" + whole, "byte order mark"),
    "no UTF-8": edited(lambda whole: whole.replace(b"free", b"\xff\xfe", 1)),
    "twice": edited(lambda whole: whole + whole),
    "another version": edited(lambda whole: whole.replace(b'"version": 1', b'"version": 2'), '"version"'),
    "a list": edited(lambda whole: b"[]", "keys.json"),
}


###################################################################################################
# JSON Web Tokens

def base64url(text):
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def secret(kid):
    return hashlib.sha512(f"secret of {kid}".encode()).digest()


def key_set(*kids):
    """A JWK Set of secrets."""
    keys = [{"kty": "oct", "kid": kid, "alg": "HS256", "k": base64url(secret(kid))} for kid in kids]
    return json.dumps({"keys": keys}).encode()


def token_request(kid):
    header = {"alg": "HS256", "kid": kid}
    claims = {"sub": kid, "exp": int(time.time()) + 86_400}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.new(secret(kid), signed.encode(), "sha256").digest()
    token = f"{signed}.{base64url(signature)}"
    return f"GET /jwt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


###################################################################################################


class LiveFile:
    """A file, and the ways in which it is replaced. Each returns the moment from which on a reader
    may find something new, and the one at which everything was there."""

    def __init__(self, path, generator):
        self.path, self.generator = pathlib.Path(path), generator

    METHODS = ("rename", "in place", "link", "removed and made")
    NUMBERS = itertools.count()

    async def change(self, method, content):
        if method == "in place":
            return await self.in_place(content)
        if method == "link":
            return self.link(content)
        if method == "removed and made":
            return await self.remove_and_make(content)
        return self.rename(content)

    def new_name(self, prefix):
        return self.path.parent / f"{prefix}{next(self.NUMBERS)}"

    def rename(self, content):
        name = self.new_name(".new-")
        name.write_bytes(content)
        begin = time.monotonic()
        os.rename(name, self.path)
        return begin, time.monotonic()

    def link(self, content):
        """As Kubernetes mounts secrets: the file is a link into a folder, which is a link that is
        replaced."""
        folder = self.new_name("..folder-")
        folder.mkdir()
        (folder / self.path.name).write_bytes(content)
        link = self.new_name("..link-")
        link.symlink_to(folder.name)
        begin = time.monotonic()
        # Each file has its own, so that no other one changes with it.
        data = f"..data-{self.path.name}"
        os.rename(link, self.path.parent / data)
        if not self.path.is_symlink():
            link.symlink_to(f"{data}/{self.path.name}")
            os.rename(link, self.path)
        return begin, time.monotonic()

    async def in_place(self, content):
        begin = time.monotonic()
        with open(self.path, "wb", buffering=0) as file:
            await self.write(file, content)
        return begin, time.monotonic()

    async def remove_and_make(self, content):
        begin = time.monotonic()
        self.path.unlink()
        await asyncio.sleep(self.generator.choice((0, 0.05, 0.3)))
        with open(self.path, "xb", buffering=0) as file:
            await self.write(file, content)
        return begin, time.monotonic()

    async def write(self, file, content):
        """In pieces, between which time may pass."""
        cuts = sorted(self.generator.randrange(len(content) + 1) for _ in range(3))
        for start, end in zip([0, *cuts], [*cuts, len(content)]):
            await asyncio.sleep(self.generator.choice((0, 0.01, 0.15)))
            file.write(content[start:end])

    def remove(self):
        begin = time.monotonic()
        self.path.unlink()
        return begin, time.monotonic()
