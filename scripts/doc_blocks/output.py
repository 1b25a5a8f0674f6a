"""Compares what a page says is printed with what is printed."""

import json
import re

# What differs from run to run. Small whole numbers stay: they are statuses and counts.
VARIES = [
    (re.compile(r"tg_[A-Za-z0-9_-]{20,}"), "KEY"),
    (re.compile(r"\beyJ[A-Za-z0-9_.-]+"), "TOKEN"),
    (re.compile(r"\bk_[A-Za-z0-9_-]{4,}"), "KEY_ID"),
    (re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"), "TIME"),
    (re.compile(r"\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?"), "TIME"),
    (re.compile(r"(?i)\b(Retry-After|retry-after-ms): \d+"), "RETRY"),
    # It may begin and end with a hyphen, at which no word does.
    (re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), "DIGEST"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b"), "HEX"),
    (re.compile(r"\b\d[\d,.]* (ms|s|seconds?|minutes?|hours?|days?|months?|years?)\b"), "TIME"),
    (re.compile(r"\b(\d+h)?(\d+m)?\d+(\.\d+)?(ms|s)\b"), "TIME"),
    (re.compile(r"\b\d{1,3}(,\d{3})+\b|\b\d+\.\d+\b|\b\d{4,}\b"), "NUMBER"),
]


def normal(line, shape):
    for pattern, name in VARIES:
        line = pattern.sub(name, line)
    line = re.sub(r"\bnow\b|\bin TIME\b|\bTIME ago\b", "WHEN", line)
    if shape:
        line = re.sub(r"\d+(?:[.,]\d+)*|NUMBER", "NUMBER", line)
    return " ".join(line.split())


def differs(expected, printed, shape):
    """The first line that isn't as expected; nothing if all are. A line `...` stands for any number of lines, and
    at the end of a line it stands for the rest of it."""
    wanted = [normal(line, shape) for line in expected if line.strip()]
    found = [normal(line, shape) for line in printed if line.strip()]
    if fits(wanted, found):
        return None
    for index, line in enumerate(wanted):
        if line == "...":
            break
        if index >= len(found) or not fits_line(line, found[index]):
            return f"expected: {line!r}, printed: {found[index] if index < len(found) else 'nothing'!r}"
    return f"expected: {wanted}, printed: {found}"


def undocumented(expected, printed):
    """The first member of printed JSON that the page's JSON doesn't have; nothing if there is none."""
    def members(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                yield name
                yield from members(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from members(inner)

    try:
        found = list(members(json.loads(printed)))
    except ValueError:
        return f"printed is no JSON: {printed[:200]!r}"
    known = set(members(json.loads(expected)))
    missing = [name for name in found if name not in known]
    if not found or missing:
        return f"printed has a member that the page lacks: {missing[:1]}"
    return None


def fits(wanted, found):
    if not wanted:
        return not found
    if wanted[0] == "...":
        return any(fits(wanted[1:], found[skipped:]) for skipped in range(len(found) + 1))
    return bool(found) and fits_line(wanted[0], found[0]) and fits(wanted[1:], found[1:])


def fits_line(wanted, found):
    if wanted.endswith("..."):
        return found.startswith(wanted.removesuffix("...").rstrip())
    return wanted == found
