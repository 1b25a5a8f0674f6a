"""Names in the text of pages: commands and their options, scripts, directives, variables and metrics."""

import pathlib
import re
import subprocess

CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"(?<![\w./-])\$?(tollgate_[a-z0-9_]+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# The contexts of the table in the code, as docs/directives.md calls them.
CONTEXTS = {
    "Main": {"http"},
    "Loc": {"http", "server", "location"},
    "Page": {"location"},
    "Tier": {"tollgate_tier", "model"},
    "OnlyTier": {"tollgate_tier"},
    "OnlyGuard": {"tollgate_guard"},
}
# Names that are none of these: a directive of debug builds, a kind of guards.
OTHERS = {"tollgate_debug_panic", "tollgate_key"}
METRIC_PARTS = ("_bucket", "_sum", "_count", "_total", "_created")


class Known:
    """Everything that has a name, out of the source and of the command's own help."""

    def __init__(self, root, command):
        self.root, self.command = pathlib.Path(root), command
        self.looked_at = 0
        self.helps = {}
        table = (self.root / "src/conf/directives/mod.rs").read_text()
        self.directives = dict(re.findall(r'^    command!\("([a-z_]+)",\s*\w+,\s*(\w+),', table, re.MULTILINE))
        self.directives |= {name: None for name in re.findall(r'^    (?:command|block)!\(\s*"([a-z_]+)"', table, re.MULTILINE)
                            if name not in self.directives}
        variables = (self.root / "src/request/variables.rs").read_text()
        self.names = set(self.directives) | set(re.findall(r'"(tollgate_[a-z_]+)"', variables)) | OTHERS
        family = "".join(path.read_text() for path in self.root.glob("crates/tollgate-core/src/metrics/exposition/*.rs"))
        rules = "".join(path.read_text() for path in self.root.glob("monitoring/rules/*.yml"))
        self.metrics = set(re.findall(r'"(tollgate_[a-z0-9_]+)"', family)) | set(re.findall(r"tollgate_[a-z0-9_]+", rules))
        if len(self.directives) < 40 or len(self.metrics) < 20:
            raise RuntimeError("found no names in the source")

    def is_known(self, name):
        if name in self.names or name in self.metrics:
            return True
        return any(name.removesuffix(part) in self.metrics for part in METRIC_PARTS)

    def faults(self, text):
        """Each name that there isn't, with its line."""
        prose = re.sub(r"^(\s*)```.*?^\s*```\s*$", lambda block: "\n" * block.group().count("\n"), text,
                       flags=re.MULTILINE | re.DOTALL)
        for number, line in enumerate(text.splitlines(), 1):
            for name in NAME.findall(line):
                self.looked_at += 1
                # `tollgate_...` and `tollgate_jwt_*` stand for several.
                if not self.is_known(name) and not any(known.startswith(name) for known in self.names | self.metrics
                                                       if name.endswith("_")):
                    yield number, f"there is no {name}"
        for number, line in enumerate(prose.splitlines(), 1):
            for code in CODE.findall(line):
                self.looked_at += 1
                if fault := self.command_fault(code) or self.script_fault(code):
                    yield number, fault

    def block_faults(self, block):
        """Scripts of ours in a block of commands, whether it is run or not."""
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            if fault := self.script_fault(line.split("#")[0].strip()):
                yield f"{block.page}:{number}", fault

    def command_fault(self, code):
        """What is wrong with `tollgate COMMAND --option`; nothing if it is good, or none."""
        words = code.split()
        if len(words) < 2 or words[0] != "tollgate" or "..." in words or words[1].rstrip(";") in ("on", "off"):
            return None
        path = []
        for word in words[1:]:
            if not re.fullmatch(r"[a-z]+(-[a-z]+)*", word) or word not in self.subcommands(tuple(path)):
                break
            path.append(word)
        if not path and re.fullmatch(r"[a-z]+", words[1]):
            return f"there is no command: {code}"
        if not path:
            return None
        return self.missing_option(code, self.help(tuple(path)))

    def subcommands(self, path):
        _, _, commands = self.help(path).partition("\nCommands:\n")
        return set(re.findall(r"^  ([a-z]+(?:-[a-z]+)*)(?: |$)", commands.split("\n\n")[0], re.MULTILINE))

    def help(self, path):
        if path not in self.helps:
            run = subprocess.run([self.command, *path, "--help"], capture_output=True, text=True, timeout=120, check=False)
            self.helps[path] = run.stdout
        return self.helps[path]

    def script_fault(self, code):
        match = re.match(r"(?:\./)?(scripts/[a-z][a-z-]*)(?= |$)", code)
        if not match:
            return None
        path = self.root / match.group(1)
        if not path.is_file():
            return f"there is no {match.group(1)}"
        return self.missing_option(code, path.read_text())

    @staticmethod
    def missing_option(code, text):
        for option in OPTION.findall(code):
            if not re.search(re.escape(option) + r"(?![\w-])", text):
                return f"there is no {option}: {code}"
        return None

    def context_faults(self, places):
        """Directives whose context in docs/directives.md is none that the code allows."""
        for name, level in self.directives.items():
            allowed = CONTEXTS.get(level)
            if allowed and name in places and not set(places[name]) <= allowed:
                yield f"docs/directives.md says of {name} 'Context: {', '.join(places[name])}', the code {allowed}"
