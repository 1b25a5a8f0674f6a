"""Differences that are known, each with its reason (known.toml)."""

import fnmatch
import pathlib
import tomllib

FILE = pathlib.Path(__file__).with_name("known.toml")
MEMBERS = {"engine", "check", "what", "reason"}


class Known:
    """Those of one engine."""

    def __init__(self, engine, file=FILE):
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("difference", [])
        for entry in entries:
            if set(entry) != MEMBERS or not all(isinstance(value, str) and value for value in entry.values()):
                raise ValueError(f"{file.name}: a difference needs {', '.join(sorted(MEMBERS))}, and has {entry}")
        self.entries = [entry for entry in entries if entry["engine"] == engine]
        self.seen = [0] * len(self.entries)

    def reason(self, check, what):
        """Why this may be, or None. `check`: requests, cuts, routes, table; `what`: what was found, in words."""
        for number, entry in enumerate(self.entries):
            if entry["check"] == check and fnmatch.fnmatchcase(what, entry["what"]):
                self.seen[number] += 1
                return entry["reason"]
        return None

    def split(self, check, problems):
        """Those that are new, and how many are known."""
        new = [problem for problem in problems if self.reason(check, problem) is None]
        return new, len(problems) - len(new)

    def told(self, checks):
        """What was seen how often, and what wasn't, of these checks: lines."""
        lines = []
        for entry, count in zip(self.entries, self.seen):
            if entry["check"] in checks:
                lines.append(f"known, seen {count} times: {entry['check']}: {entry['what']}: {entry['reason']}")
        return lines
