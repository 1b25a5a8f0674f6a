"""What promtool and amtool say of the files, and whether each alert is tested and told of."""

import os
import pathlib
import re
import subprocess
import tempfile

from monitored import FILES, ROOT
from monitored import expressions

RULES = FILES / "rules" / "tollgate.rules.yml"
TESTS = FILES / "tests"


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def accepted():
    """Each file, by the program that reads it."""
    for command in (
        ["promtool", "check", "config", FILES / "prometheus.yml"],
        ["promtool", "check", "rules", RULES],
        ["amtool", "check-config", FILES / "alertmanager.yml"],
        ["promtool", "test", "rules", *sorted(TESTS.glob("*.yml"))],
    ):
        status, said = run(*command)
        if status != 0:
            yield f"{' '.join(map(str, command[:3]))}: {said}"


def alerts():
    """The text of each alert, by its name. In this file each is written in one way."""
    blocks = re.split(r"\n(?=      - (?:alert|record): |  - name: )", RULES.read_text())
    found = {}
    for block in blocks:
        name = re.match(r"      - alert: (\w+)\n", block)
        if name:
            found[name[1]] = block
    return found


def planted_in(text, kind, expression):
    """The rules, with this in place of each expression of one kind."""
    rule = rf"(      - {kind}: \S+\n        expr: )(?:>-\n(?:          .*\n)+|.*\n)(?:        for: .*\n)?"
    return re.sub(rule, rf"\g<1>{expression}\n", text)


def tested():
    """That each alert has a test in which it fires and one in which it doesn't: planted ones that never fire,
    or always, are noticed by name."""
    names = set(alerts())
    for what, planted in (("fires", "vector(0) > 1"), ("doesn't fire", "vector(1)")):
        with tempfile.TemporaryDirectory(prefix="tollgate-monitoring-") as folder:
            folder = pathlib.Path(folder)
            text = planted_in(RULES.read_text(), "alert", planted)
            # What nobody uses then takes most of the time.
            text = planted_in(text, "record", "vector(1)")
            (folder / "rules").mkdir()
            (folder / "rules" / RULES.name).write_text(text)
            (folder / "tests").mkdir()
            for test in TESTS.glob("*.yml"):
                (folder / "tests" / test.name).write_bytes(test.read_bytes())
            _, said = run("promtool", "test", "rules", *sorted((folder / "tests").glob("*.yml")))
        noticed = set(re.findall(r"alertname: (\w+), time", said))
        for name in sorted(names - noticed):
            yield f"{name} has no test in which it {what}"


def told_of():
    """That an alert has its labels, and its place in the documentation; and that none is told of that isn't there."""
    page = (ROOT / "docs" / "alerts.md").read_text()
    headings = set(re.findall(r"^### (Tollgate\w+)$", page, re.MULTILINE))
    listed = dict(re.findall(r"^\| \[(Tollgate\w+)\]\(#\w+\) \| (\w+) \|", page, re.MULTILINE))
    found = alerts()
    for name, block in found.items():
        severity = re.search(r"labels: \{ severity: (critical|warning), area: (security|money|engine|tollgate) \}", block)
        if not severity:
            yield f"{name} has no severity or no area"
        elif listed.get(name) != severity[1]:
            yield f"docs/alerts.md has no line for {name} with its severity"
        if f"runbook: docs/alerts.md#{name.lower()}\n" not in block + "\n" or name not in headings:
            yield f"{name} has no place in docs/alerts.md"
        for annotation in ("summary", "description"):
            if f"          {annotation}: " not in block:
                yield f"{name} has no {annotation}"
    for name in sorted((headings | set(listed)) - set(found)):
        yield f"docs/alerts.md tells of {name}, which is no alert"


def drawn():
    """That Grafana can show the dashboard wherever its data is."""
    dashboard = expressions.dashboard()
    panels = list(expressions.panels(dashboard))
    for what in ("id", "title"):
        values = [panel[what] for panel in panels if what == "id" or panel["type"] != "row"]
        for value in sorted({str(value) for value in values if values.count(value) > 1}):
            yield f"the dashboard has two panels with the {what} {value}"
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"panel {panel['title']!r} is wider than the dashboard"
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])):
            if cell in taken:
                yield f"panel {panel['title']!r} lies over {taken[cell]!r}"
                break
            taken[cell] = panel["title"]
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            yield f"panel {panel['title']!r} has no description"
        for source in (panel, *panel["targets"]):
            if source.get("datasource") != {"type": "prometheus", "uid": "${datasource}"}:
                yield f"panel {panel['title']!r} has a data source of its own"


def missing():
    """The programs that are not installed."""
    folders = os.environ["PATH"].split(os.pathsep)
    programs = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
    return [name for name in programs if not any(os.access(f"{folder}/{name}", os.X_OK) for folder in folders)]
