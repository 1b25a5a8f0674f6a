"""What a test sent and got that nobody may write down: credentials, and texts of prompts and completions.

Nothing is planted: each test has its own credentials and texts, and they are read off the wire. nginx's debug log has
each header line that came, and the transcript of the harness (TEST_NGINX_VERBOSE) the bodies of both directions.
"""

import base64
import re

# Shorter ones are found everywhere: "x" is a good key, and a good prompt.
SHORTEST_CREDENTIAL = 6
SHORTEST_TEXT = 8
# Of a longer one the beginning is looked for: logs cut what is long.
LONGEST = 60

# "unknown" is a good key as well, and says nothing where it is found.
PLAIN_WORD = re.compile(r"[A-Za-z]+")

# Header lines that carry credentials. tollgate_api_key_header adds to them.
CARRIERS = r"authorization|[\w-]*api-?key|[\w-]*token|[\w-]*secret|cookie|sec-websocket-protocol"
# What precedes the credential in such a line.
SCHEMES = re.compile(r"^(?:bearer|basic|dpop|token|key)\s+", re.I)
# Members of requests and answers that hold what people and models say.
MEMBERS = ("content|text|prompt|input|instructions|system|suffix|output_text|reasoning_content|reasoning|thinking|"
           "arguments|delta|response|query|documents|inputs|generated_text|refusal|partial_json|token_str")
TEXT = re.compile(r'"(?:%s)"\s*:\s*\[?\s*"((?:[^"\\]|\\.)*)"' % MEMBERS)


def credentials(header_lines, own_names=()):
    """All that these header lines present, as strings."""
    names = "|".join([CARRIERS, *(re.escape(name) for name in own_names)])
    carrier = re.compile(r"^(?:%s)$" % names, re.I)
    found = set()
    for name, value in header_lines:
        if not carrier.match(name):
            continue
        found.update(parts_of(value))
    return {value for value in found if len(value) >= SHORTEST_CREDENTIAL and not PLAIN_WORD.fullmatch(value)}


def parts_of(value):
    """A header's value, without its scheme; a password apart from its user, a signature from what it signs."""
    value = value.strip()
    basic = re.match(r"^basic\s+(\S+)$", value, re.I)
    if basic:
        try:
            user, _, password = base64.b64decode(basic[1]).decode("latin-1").partition(":")
            yield password
        except ValueError:
            pass
    bare = SCHEMES.sub("", value)
    yield bare
    if re.fullmatch(r"[\w-]+\.[\w-]*\.[\w-]{20,}", bare):
        yield bare.rpartition(".")[2]
    # Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.KEY
    for piece in re.findall(r"api-key\.([^\s,]+)", bare):
        yield piece


def secrets_of_files(files):
    """Lines of files that hold secrets: raw keys of signatures, and private keys."""
    found = set()
    for content in files:
        for line in content.splitlines():
            if len(line) >= 16 and not line.startswith(("-----", "{", "#")):
                found.add(line.strip())
    return found


def texts(exchanges):
    """What was said in these requests and answers, as it is written in their JSON."""
    found = set()
    for text in exchanges:
        for said in TEXT.findall(text):
            said = said.strip()
            if len(said) >= SHORTEST_TEXT and not PLAIN_WORD.fullmatch(said):
                found.add(said)
    return found


def spellings(value):
    """The forms in which a value can be in a file: as it is, and as JSON, a URI, or base64 has it."""
    raw = value[:LONGEST]
    forms = {raw, raw.replace("\\", "\\\\").replace('"', '\\"')}
    forms.add("".join(c if c.isalnum() or c in "-._~" else "%%%02X" % ord(c) for c in raw if ord(c) < 256))
    # Whole groups of three bytes, so that what follows doesn't matter.
    whole = raw.encode("latin-1", "replace")
    whole = whole[:len(whole) // 3 * 3]
    if len(whole) >= SHORTEST_CREDENTIAL:
        forms.add(base64.b64encode(whole).decode())
    return forms
