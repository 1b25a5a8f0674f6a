"""What the store keeps of limits, read as it lies there. The script that writes it says where what is."""

import re
import struct

from .servers import ROOT

SCRIPT = ROOT / "crates/tollgate-core/src/cluster/exchange.lua"
# An account's numbers, by their order there: incarnation, seq, born, drawn, adjust, leased, wish, seen.
LEASED, SEEN = 5, 7


def numbers(data):
    """MessagePack: an array of whole numbers."""
    at = 0

    def take(form):
        nonlocal at
        value, = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
        return value

    head = take("B")
    count = head & 0x0F if head & 0xF0 == 0x90 else take(">H") if head == 0xDC else take(">I")
    found = []
    forms = {0xCC: "B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: "b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
             0xCA: ">f", 0xCB: ">d"}
    for _ in range(count):
        kind = take("B")
        found.append(kind if kind < 0x80 else kind - 0x100 if kind >= 0xE0 else take(forms[kind]))
    return found


def layout():
    """How many numbers there are before the first account, and in each."""
    text = SCRIPT.read_text()
    names = re.search(r"local KIND, [A-Z, ]*FIRST = ([0-9, ]+)\n", text)[1]
    return int(names.split(",")[-1]) - 1, int(re.search(r"local ACCOUNT = (\d+)", text)[1])


def accounts(store):
    """Of each limit: the accounts of nodes."""
    first, length = layout()
    found = {}
    for key in store.command("KEYS", "tollgate:{*"):
        if len(key) != len(b"tollgate:{default:00}") + 16:
            continue
        kept = store.command("GET", key)
        if kept:
            kept = numbers(kept)
            found[key] = [kept[at:at + length] for at in range(first, len(kept), length)]
    return found


def leased(store, dead):
    """What is leased of each limit, by nodes that the store doesn't take for dead."""
    seconds, micros = store.command("TIME")
    now = int(seconds) * 1_000_000 + int(micros)
    found = {}
    for key, kept in accounts(store).items():
        total = sum(one[LEASED] for one in kept if now - one[SEEN] < dead * 1e6)
        if total:
            found[key] = total
    return found

