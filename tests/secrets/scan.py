"""Looks for secrets in what nginx and Tollgate have written while a test ran."""

import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path

import harvest

# nginx begins each line of its error log so.
STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] ")
# What nginx itself adds to a line that has to do with a request.
CONTEXT = re.compile(r", client: [^,]*, (?:request_id: [\w-]*, )?server: .*$")
# Lines that nginx writes of header lines that it doesn't take, and of what it does at rewrite_log.
OF_NGINX = re.compile(r"client sent (?:invalid|duplicate|too long) header line|\" (?:matches|does not match) \"")
# In nginx's debug log: what came, and what is sent to a backend.
RECEIVED = re.compile(r'http(?:2|3)? header: "?([\w-]+): (.*?)"?$')
SENT_ON = re.compile(r'^([\w-]+): (.*?)\r?$')
# From so many on, a look at each place of a text is quicker than one for each of them.
MANY = 400
# What the test says of itself.
TAP = re.compile(r"\s*(#|ok \d|not ok \d|\d+\.\.\d)")


@dataclass
class Ran:
    """A test that has run: its directory, what it printed, and the files in it that it wrote itself."""

    name: str
    directory: Path
    transcript: str = ""
    own_files: set = field(default_factory=set)
    # Patterns of files that a test's own servers and tools write.
    of_others: tuple = ()


@dataclass(frozen=True)
class Finding:
    test: str
    where: str
    kind: str
    value: str
    line: str


def lines_of_error_log(text):
    """(level, line) of each line; one without a stamp goes on with the line before it."""
    level = "debug"
    for line in text.split("\n"):
        stamp = STAMP.match(line)
        if stamp:
            level = stamp[1]
        yield level, line


def exchanges(transcript):
    """What was sent, and what was received, as the harness printed it."""
    sent, received, block, way = [], [], [], None
    for line in [*transcript.split("\n"), ""]:
        found = re.match(r"# (>>|<<) (.*)$", line)
        now = found[1] if found else None
        if now != way and block:
            (sent if way == ">>" else received).append("\n".join(block))
            block = []
        way = now
        if found:
            block.append(re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), found[2]))
    return sent, received


def read(path):
    """Bytes as characters of the same number, so that nothing is lost."""
    try:
        return path.read_bytes().decode("latin-1")
    except OSError:
        return ""


def files_of(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def is_error_log(path):
    return bool(re.search(r"error[\w.-]*log$|error\.log", path.name))


def secrets_of(ran):
    """The credentials, and the texts, of a test."""
    sent, received = exchanges(ran.transcript)
    header_lines, names, secret_files = [], set(), []
    for text in sent:
        header_lines += [line.split(": ", 1) for line in text.replace("\r", "").split("\n") if ": " in line]
    for path in files_of(ran.directory):
        relative = str(path.relative_to(ran.directory))
        if is_error_log(path):
            for level, line in lines_of_error_log(read(path)):
                if level == "debug":
                    found = RECEIVED.search(line) or SENT_ON.match(line)
                    if found:
                        header_lines.append(found.groups())
        elif path.name.endswith(".conf"):
            for value in re.findall(r"tollgate_api_key_header\s+([^;]*);", read(path)):
                names.update(value.split())
        elif relative in ran.own_files and re.search(r"secret|\.key$|salt", path.name):
            secret_files.append(read(path))
    credentials = harvest.credentials(header_lines, names) | harvest.secrets_of_files(secret_files)
    return credentials, harvest.texts(sent + received) - credentials


def written(ran):
    """(where, text) of all that was written by nginx, Tollgate and the command, and isn't nginx's own debugging."""
    for path in files_of(ran.directory):
        relative = str(path.relative_to(ran.directory))
        if relative in ran.own_files or any(fnmatch.fnmatchcase(relative, pattern) for pattern in ran.of_others):
            continue
        text = read(path)
        if path.name == "access.log":
            # The first quoted field is the request, with its query string.
            text = re.sub(r'"[A-Z]+ [^"]*"', '""', text)
        if is_error_log(path):
            # nginx writes down each header line at this level, and the module writes nothing at all there.
            text = "\n".join(CONTEXT.sub("", line) for level, line in lines_of_error_log(text)
                             if level != "debug" and not OF_NGINX.search(line))
        yield relative, text
    _, received = exchanges(ran.transcript)
    for text in received:
        # Several answers can follow each other without a request between.
        for answer in re.split(r"(?m)^(?=HTTP/\d)", text):
            page = kind_of_page(answer)
            if page:
                yield page, answer
    # Errors of nginx's start, and of the command.
    yield "stderr", "\n".join(line for line in ran.transcript.split("\n") if not TAP.match(line))


def kind_of_page(response):
    """What of Tollgate's own an answer is; None for one of an engine."""
    if re.search(r"^# HELP tollgate_", response, re.M):
        return "metrics"
    status = re.match(r"HTTP/\S+ ([45]\d\d)", response)
    if status and '"error"' in response:
        return "refusal"
    if re.search(r'"tollgate":|<title>[^<]*Tollgate', response):
        return "page"
    return None


class Needles:
    """Spellings of secrets, found by their first bytes: some tests present thousands of keys."""

    def __init__(self, credentials, texts):
        self.by_head = {}
        for kind, values in (("credential", credentials), ("text", texts)):
            for value in values:
                for form in harvest.spellings(value):
                    self.by_head.setdefault(form[:harvest.SHORTEST_CREDENTIAL], []).append((form, kind, value))

    def found(self, text):
        """(kind, value, position) of each that is there."""
        if len(self.by_head) < MANY:
            heads = [head for head in self.by_head if head in text]
        else:
            size = harvest.SHORTEST_CREDENTIAL
            heads = {text[at:at + size] for at in range(len(text) - size + 1)} & self.by_head.keys()
        for head in heads:
            for form, kind, value in self.by_head[head]:
                at = text.find(form)
                if at >= 0:
                    yield kind, value, at


def scan(ran):
    """(findings, number of credentials, number of texts, number of places that were looked at)"""
    credentials, texts = secrets_of(ran)
    needles = Needles(credentials, texts)
    findings, places = {}, 0
    for where, text in written(ran):
        places += 1
        for kind, value, at in needles.found(text):
            begin, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
            line = text[begin:end if end >= 0 else len(text)]
            findings.setdefault((where, value[:harvest.LONGEST]), Finding(ran.name, where, kind, value, line))
    return list(findings.values()), len(credentials), len(texts), places
