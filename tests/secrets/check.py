"""Runs .t files, and looks for their secrets in what was written meanwhile: scripts/check-secrets."""

import argparse
import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import scan

ROOT = Path(__file__).resolve().parent.parent.parent
ALLOWED = Path(__file__).with_name("allowed.toml")
# No test takes so long, unless it hangs.
TIMEOUT = 900


class Allowed:
    """What may be found, and why. An entry that allows nothing any more is an error."""

    def __init__(self, path):
        lists = tomllib.loads(path.read_text(encoding="utf-8"))
        self.entries = lists.get("allow", [])
        self.of_others = tuple(entry["file"] for entry in lists.get("of_others", []))
        for entry in self.entries:
            if set(entry) - {"test", "where", "kind", "value", "line"} != {"reason"} or not entry["reason"]:
                raise SystemExit(f"{path}: an entry has test, where, kind, value, line, and a reason: {entry}")
        self.used = [False] * len(self.entries)

    def has(self, finding):
        for number, entry in enumerate(self.entries):
            if all(fnmatch.fnmatchcase(getattr(finding, name), entry[name])
                   for name in ("test", "where", "kind", "value", "line") if name in entry):
                self.used[number] = True
                return True
        return False

    def unused(self, tests):
        """Those that had a chance."""
        return [entry for entry, used in zip(self.entries, self.used)
                if not used and any(fnmatch.fnmatchcase(test, entry.get("test", "*")) for test in tests)]


def run(path, base, of_others):
    """The outcome of one file: (its status, findings, credentials, texts, places)."""
    name = Path(path).name
    # nginx's sockets are in there, whose paths may have 107 bytes.
    home = Path(tempfile.mkdtemp(dir=base))
    os.chmod(home, 0o755)
    own = home / "own-files"
    environment = dict(os.environ, TMPDIR=str(home), TEST_NGINX_LEAVE="1", TEST_NGINX_VERBOSE="1",
                       TEST_NGINX_WRITTEN=str(own))
    transcript = home / "transcript"
    try:
        with open(transcript, "wb") as output:
            status = subprocess.run(["perl", "-I", "tests/lib", path], cwd=ROOT, env=environment, stdout=output,
                                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=TIMEOUT,
                                    check=False).returncode
        printed = scan.read(transcript)
        own_files = set(scan.read(own).split("\n"))
        totals, findings = [0, 0, 0], []
        for directory in sorted(home.glob("nginx-test-*")):
            ran = scan.Ran(name, directory, printed, own_files, of_others)
            found, *numbers = scan.scan(ran)
            findings += found
            totals = [a + b for a, b in zip(totals, numbers)]
        return name, status, findings, totals, printed
    except subprocess.TimeoutExpired:
        return name, "no end", [], [0, 0, 0], ""
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    allowed = Allowed(ALLOWED)
    begin, failed, found, totals = time.monotonic(), [], 0, [0, 0, 0]
    with tempfile.TemporaryDirectory(prefix="tg-") as base:
        os.chmod(base, 0o755)
        with ThreadPoolExecutor(options.jobs) as pool:
            for name, status, findings, numbers, printed in pool.map(lambda path: run(path, base, allowed.of_others), options.files):
                totals = [a + b for a, b in zip(totals, numbers)]
                if status != 0:
                    failed.append(name)
                    told = [line for line in printed.split("\n") if line.startswith("not ok")]
                    print(f"{name}: failed ({status})", *told[:5], sep="\n  ", flush=True)
                for finding in findings:
                    if not allowed.has(finding):
                        found += 1
                        print(f"{name}: {finding.kind} {finding.value[:60]!r} in {finding.where}: "
                              f"{finding.line[:300]!r}", flush=True)
    unused = allowed.unused([Path(path).name for path in options.files])
    for entry in unused:
        print(f"{ALLOWED.name}: allows what isn't there any more: {entry}")
    credentials, texts, places = totals
    print(f"{len(options.files)} files, {credentials} credentials and {texts} texts looked for in {places} places: "
          f"{found} found, {len(failed)} files failed, {len(unused)} needless allowances; "
          f"{time.monotonic() - begin:.0f} s")
    return 1 if found or failed or unused else 0


if __name__ == "__main__":
    sys.exit(main())
