"""Documents in pages: JSON, YAML, TOML, scripts. Each must be one."""

import json
import pathlib
import shutil
import subprocess
import tomllib

try:
    import yaml
except ImportError:  # Debian's python3-yaml
    yaml = None

READERS = {"json", "yaml", "toml", "js"}


def missing(language):
    """What it takes to read a language, where it isn't here."""
    if language == "yaml" and yaml is None:
        return "python3-yaml"
    return "node" if language == "js" and not shutil.which("node") else None


def fault(block, command, fixtures):
    """What is wrong with a document; nothing if it is good."""
    try:
        if block.language == "json":
            return json_fault(block.text, command, fixtures)
        if block.language == "toml":
            return toml_fault(block.text, command, fixtures)
        elif block.language == "yaml":
            list(yaml.safe_load_all(block.text))
        elif block.language == "js":
            return script_fault(block.text, fixtures)
    except (ValueError, *((yaml.YAMLError,) if yaml else ())) as error:
        return str(error).replace("\n", " ")
    return None


def toml_fault(text, command, fixtures):
    """Rules of guards must be good ones."""
    if "rule" in tomllib.loads(text):
        path = pathlib.Path(fixtures.root) / "page-rules.toml"
        path.write_text(text)
        run = subprocess.run([command, "guard", "check", path], capture_output=True, text=True, timeout=60, check=False)
        return (run.stdout + run.stderr).strip() if run.returncode else None
    return None


def json_fault(text, command, fixtures):
    """One document, or one on each line, or the members of an object. A keys file must be a good one."""
    try:
        document = parsed(text)
    except json.JSONDecodeError as error:
        lines = text.strip().splitlines()
        if len(lines) > 1 and all(line.startswith("{") for line in lines):
            for line in lines:
                parsed(line)
            return None
        if text.lstrip().startswith('"'):
            parsed("{" + text.strip().rstrip(",") + "}")
            return None
        return str(error)
    if isinstance(document, dict) and document.get("version") == 1 and "keys" in document:
        path = pathlib.Path(fixtures.root) / "page-keys.json"
        path.write_text(text)
        run = subprocess.run([command, "check", path], capture_output=True, text=True, timeout=120, check=False)
        return (run.stdout + run.stderr).strip() if run.returncode else None
    return None


def parsed(text):
    def once(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a member is there twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def script_fault(text, fixtures):
    path = pathlib.Path(fixtures.root) / "page.mjs"
    path.write_text(text)
    run = subprocess.run(["node", "--check", path], capture_output=True, text=True, timeout=120, check=False)
    return run.stderr.strip() if run.returncode else None
