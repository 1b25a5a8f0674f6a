"""The fenced blocks of Markdown pages, and what comments before them say of how they are tested.

A comment stands right before its block, and nobody who reads the page sees it:

  <!-- not run: REASON -->    it needs something that no test has; it is counted and listed
  <!-- setup: SHELL -->       commands that run before it, in the same folder
  <!-- in: CONTEXT -->        a configuration for this place: http, server, location, or a block's name
  <!-- answer -->             it is what the shell block before it prints
  <!-- shape -->              numbers of what is printed may differ
  <!-- members -->           it is JSON, and each member that is printed stands in the page
  <!-- only: WORD, ... -->    of what is printed, lines are compared that begin so
  <!-- not compared: REASON -->  what is printed is not looked at
  <!-- fails: STATUS -->      the commands end with this status
  <!-- page: bare -->         anywhere: no configuration is there before the page's first command
  <!-- page: builds -->       anywhere: the page's commands build Tollgate or test it, and are not run
"""

import re
from dataclasses import dataclass, field

FENCE = re.compile(r"^(\s*)(```+)\s*([A-Za-z0-9_-]*)\s*$")
NOTE = re.compile(r"<!--\s*(.*?)\s*-->", re.DOTALL)
# A fence that FENCE doesn't understand would hide its block from all tests.
OPENS = re.compile(r"^\s*(```|~~~)")
LANGUAGES = {"nginx", "sh", "console", "json", "yaml", "toml", "js", "text"}
# How a line of a command begins, which has no place in a block that nobody runs.
COMMAND = re.compile(r"^\s*(?:\$|scripts/\S+|(?:apt|apt-get|cargo|curl|docker|git|install|kubectl|make|minisign|nginx|npm|openssl|pip|prove|python3"
                     r"|redis-cli|rustup|sudo|systemctl|tollgate)(?= [a-z-]))(?:\s|$)")
WORDS = {"not run", "setup", "in", "answer", "shape", "members", "only", "not compared", "fails", "page"}


@dataclass
class Block:
    """A fenced block: its language ("" without one), its text, and the line of its fence."""

    page: str
    line: int
    language: str
    text: str
    notes: dict = field(default_factory=dict)

    @property
    def place(self):
        return f"{self.page}:{self.line}"

    @property
    def is_session(self):
        """Whether it shows commands, after "$ ", and what they print."""
        return self.language in ("", "console") and self.text.startswith("$ ")

    def commands(self):
        """The commands of a session, each with the lines that it prints."""
        commands = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                commands.append(([line[2:]], []))
            elif commands[-1][0][-1].endswith("\\") and not commands[-1][1]:
                commands[-1][0].append(line)
            else:
                commands[-1][1].append(line)
        return [("\n".join(command), lines) for command, lines in commands]


def label_fault(block):
    """What keeps a block from being tested, or listed with its reason; nothing if it is one or the other."""
    if block.notes.get("not run") == "":
        return "does not say why it is not run"
    if "not run" in block.notes or "answer" in block.notes:
        return None
    if block.language not in LANGUAGES | {""}:
        return f"is of a language that nothing here tests: {block.language}"
    if block.language in ("", "console") and not block.is_session:
        return "is not run, and says no reason: ```sh is for commands, ```text for what is none"
    if block.language == "text":
        if line := next((line for line in block.text.splitlines() if COMMAND.match(line)), None):
            return f"has a command that is not run, and no reason: {line.strip()}"
    return None


def hidden_commands(page, text):
    """Where commands stand in an indented block, without a fence: what is so is neither run nor listed."""
    fenced, indented, before = False, False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if OPENS.match(line):
            fenced = not fenced
        # Such a block begins behind an empty line.
        indented = not fenced and line.startswith("    ") and (indented or not before.strip())
        if indented and COMMAND.match(line):
            yield f"{page}:{number}", f"has a command without a fence, which is not run: {line.strip()}"
        before = line


class Unreadable(Exception):
    """A page that can't be read as it was meant."""


def notes_before(lines, end, place):
    """What the comments say that end right above the line `end`, blank lines apart."""
    text = "\n".join(lines[:end])
    notes = {}
    while True:
        text = text.rstrip()
        if not text.endswith("-->"):
            return notes
        start = text.rfind("<!--")
        match = NOTE.fullmatch(text, start)
        if start < 0 or match is None:
            return notes
        word, _, rest = match.group(1).partition(":")
        if word not in WORDS:
            raise Unreadable(f"{place}: a comment says '{word}', which means nothing here")
        notes[word] = rest.strip()
        text = text[:start]


def blocks(page, text):
    """All blocks of a page, in their order."""
    lines = text.splitlines()
    builds = says(text, "builds")
    found, start = [], None
    for number, line in enumerate(lines):
        match = FENCE.match(line)
        if start is None:
            if match:
                start, indent, fence, language = number, *match.groups()
            elif OPENS.match(line):
                raise Unreadable(f"{page}:{number + 1}: a fence that is not understood: {line.strip()}")
        elif match and match.group(2) == fence and not match.group(3):
            body = "\n".join(inner.removeprefix(indent) for inner in lines[start + 1 : number])
            place = f"{page}:{start + 1}"
            notes = notes_before(lines, start, place)
            if builds and language == "sh":
                notes.setdefault("not run", "it builds Tollgate, or tests it")
            found.append(Block(page, start + 1, language, body, notes))
            start = None
    if start is not None:
        raise Unreadable(f"{page}:{start + 1}: the block has no end")
    return found


def says(text, word):
    """Whether a comment says that of the whole page."""
    return any(match.group(1) == f"page: {word}" for match in NOTE.finditer(text))
