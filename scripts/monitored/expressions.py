"""The expressions of the dashboard and of the rules, made so that they answer whatever the numbers are."""

import json
import re

from monitored import FILES

# What Grafana would put there, for all of what is measured. A test is short.
VARIABLES = {
    "$job": ".*", "$instance": ".*", "$tier": ".*", "$model": ".*",
    "$__rate_interval": "1m", "$__range": "5m",
}

# A comparison with a number. Those of labels are with texts.
COMPARISON = re.compile(r"(?:>=|<=|==|!=|>|<)\s*[\d.]+(?:\s*\*\s*[\d.]+)?")


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def dashboard():
    return json.loads((FILES / "grafana-dashboard.json").read_text())


def of_dashboard(dashboard):
    """(where it stands, expression) of each panel, variable and annotation."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']!r}", filled_in(target["expr"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            # It has the label, not only the series.
            yield f"variable {variable['name']!r}", filled_in(f'{selector} unless {selector.split("{")[0]}{{{label}="missing"}}')
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield f"annotation {annotation['name']!r}", filled_in(annotation["expr"])


def filled_in(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    if "$" in expression:
        raise ValueError(f"a variable that nobody knows: {expression}")
    return expression


def without_thresholds(expression):
    """The same with every threshold far below, and of absent(...) what is looked for."""
    inner = re.fullmatch(r"absent\((.*)\)", expression)
    return COMPARISON.sub("> -1e9", inner[1] if inner else expression)


def metrics_in(expression):
    return set(re.findall(r"\btollgate_[a-z_]+", re.sub(r"\b\w+:tollgate_\w+:\w+", "", expression)))
