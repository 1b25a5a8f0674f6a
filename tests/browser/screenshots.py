"""Pictures of the status page, for docs/monitoring.md: of the page as the module serves it, with invented numbers."""

import collections
import datetime
import math
import pathlib
import struct
import sys
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from chromium import Chromium  # noqa: E402
from status import StatusPage  # noqa: E402

DOCS = HERE.parent.parent / "docs" / "monitoring"
WIDTH, HEIGHT = 1100, 2400
NOW = datetime.datetime(2026, 12, 1, 15, 4, 30, tzinfo=datetime.timezone.utc)


def moment(seconds_ago):
    at = NOW - datetime.timedelta(seconds=seconds_ago)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minute(ago):
    wave = 300 + 180 * math.sin(ago / 8) + 40 * math.sin(ago * 2.3)
    trouble = max(0, 12 - ago) * 14
    row = {
        "at": moment(ago * 60 + 30), "requests": round(wave + trouble), "refused": round(trouble * 0.8 + wave * 0.02),
        "errors": round(trouble * 0.1), "input": round(wave * 870), "output": round(wave * 260), "cost": "0.4312",
        "ttft_ms": round(210 + 30 * math.sin(ago / 3) + trouble * 2),
    }
    return row


def limit(name, dimension, quota, share, seconds=None, period=None):
    used = quota * share
    is_money = dimension == "budget"
    amount = (lambda value: f"{value:.4f}".rstrip("0").rstrip(".")) if is_money else round
    found = {"name": name, "dimension": dimension, "quota": amount(quota), "used": amount(used),
             "left": amount(max(quota - used, 0)), "used_ratio": share}
    if seconds is not None:
        found |= {"reset_seconds": seconds, "period": period}
    return found


def client(name, shares, requests, refused, cost, in_flight, seen):
    each = [
        limit("requests 600r/m", "requests", 600, shares[0], shares[0] * 60, "minute"),
        limit("tokens 2m/h", "tokens", 2_000_000, shares[1], shares[1] * 3600, "hour"),
        limit("concurrency 16", "concurrency", 16, shares[2]),
        limit("budget 50/day", "budget", 50, shares[3], 32130, "day"),
    ]
    return {"client": name, "tier": "pro", "last_seen": moment(seen), "requests": requests, "refused": refused,
            "input_tokens": requests * 870, "output_tokens": requests * 260, "cost": cost, "in_flight": in_flight,
            "limits": each, "worst": max(shares)}


DATA = {
    "version": "0.1.0", "nginx": "1.22.1", "now": moment(0), "since": moment(190000), "workers": 4,
    "window_seconds": 291, "requests_per_second": 7.9, "tokens_per_second": 8231.5, "in_flight": 31, "queued": 6,
    "tiers": [{"tier": "free", "in_flight": 7, "queued": 6}, {"tier": "pro", "in_flight": 24, "queued": 0}],
    "refusals": [
        {"reason": "tokens_exceeded", "count": 5121, "recent": 402},
        {"reason": "requests_exceeded", "count": 9034, "recent": 118},
        {"reason": "invalid_credential", "count": 77, "recent": 2},
    ],
    "models": [
        {"model": "llama-3.1-70b-instruct", "requests": 902104, "recent": 1402, "ttft_p50_ms": 412.3,
         "ttft_p95_ms": 1890.1, "tokens_per_second_per_request": 41.2, "input_tokens": 784000000,
         "output_tokens": 234000000, "cost": "4125.5"},
        {"model": "qwen2.5-coder-32b", "requests": 120931, "recent": 690, "ttft_p50_ms": 98.5, "ttft_p95_ms": 310.4,
         "tokens_per_second_per_request": 67.9, "input_tokens": 91000000, "output_tokens": 31000000, "cost": "318.25"},
    ],
    "minutes": [minute(ago) for ago in range(60, -1, -1)],
    "keys": [
        {"paths": ["/etc/nginx/keys.json"], "kind": "api_keys", "keys": 1204, "generation": 7, "since": moment(5400),
         "workers_on_it": 4, "workers": 4, "refused": [], "refused_count": 0, "warnings": [],
         "failure": {"at": moment(140), "error": "\"/etc/nginx/keys.json\": expected `,` or `}` at line 812"}},
        {"paths": ["/etc/nginx/jwks.json"], "kind": "jwt_keys", "keys": 3, "generation": 1, "since": moment(190000),
         "workers_on_it": 4, "workers": 4, "refused": [], "refused_count": 0, "warnings": []},
    ],
    "providers": [{"provider": "/_jwks", "ok": 402, "error": 0, "timeout": 1}],
    "zone": [{"part": "clients", "used": 1180, "slots": 27000, "full": 0},
             {"part": "failures", "used": 61, "slots": 6700, "full": 0}],
    "audit": {"written": 1032214, "lost": 0}, "state": {"ok": 190021, "error": 0}, "panics": 0,
    "clients": {
        "clients": [
            client("acme-batch", (0.41, 1.0, 0.9375, 0.81), 410233, 4821, "40.51", 15, 0),
            client("north/search", (0.22, 0.64, 0.25, 0.92), 88120, 31, "46.0312", 4, 1),
            client("blue-notebooks", (0.12, 0.18, 0.125, 0.2), 20331, 0, "9.9", 2, 4),
        ],
        "total": 1180, "offset": 0, "limit": 20, "sort": "used", "search": "",
    },
}


def paeth(left, up, corner):
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))


def rows(png):
    """The lines of a picture, each a list of colours (PNG, third edition, sections 9 and 10)."""
    at, compressed, header = 8, b"", b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + length]
        header = body if kind == b"IHDR" else header
        compressed += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, _, colours = struct.unpack(">IIBB", header[:10])
    size = {2: 3, 6: 4}[colours]
    raw, row = zlib.decompress(compressed), width * size
    above = bytearray(row)
    for y in range(height):
        start = y * (row + 1)
        kind, line = raw[start], bytearray(raw[start + 1:start + 1 + row])
        for i in range(row if kind else 0):
            left, corner = (line[i - size], above[i - size]) if i >= size else (0, 0)
            guess = (0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner))[kind]
            line[i] = (line[i] + guess) & 255
        yield [bytes(line[i:i + 3]) for i in range(0, row, size)]
        above = line


def smaller(png):
    """The same picture with the 256 colours that most of it has, and for others the nearest of these."""
    lines = list(rows(png))
    counts = collections.Counter(colour for line in lines for colour in line)
    palette = [colour for colour, _ in counts.most_common(256)]

    def nearest(colour):
        return min(range(len(palette)), key=lambda one: sum((a - b) ** 2 for a, b in zip(palette[one], colour)))

    number = {colour: nearest(colour) for colour in counts}
    pixels = b"".join(b"\0" + bytes(number[colour] for colour in line) for line in lines)
    header = struct.pack(">IIBBBBB", len(lines[0]), len(lines), 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    return png[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def main():
    StatusPage.setUpClass()
    try:
        DOCS.mkdir(exist_ok=True)
        for theme in ("light", "dark"):
            page = StatusPage.browser.page(WIDTH, HEIGHT, theme)
            page.invent(DATA)
            page.open(StatusPage.url)
            page.wait(bool, "!document.getElementById('content').hidden")
            page.run("document.getElementById('pause').click(); document.activeElement.blur();"
                     " document.getElementById('live').textContent = 'Live'")
            height = min(page.run("document.documentElement.scrollHeight"), HEIGHT)
            (DOCS / f"status-{theme}.png").write_bytes(smaller(page.screenshot(WIDTH, height)))
    finally:
        StatusPage.doClassCleanups()


if __name__ == "__main__":
    main()
