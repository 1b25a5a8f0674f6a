"""Whether leaks are found that are planted: one of each kind in each place, and none where there is none."""

import base64
import sys
import tempfile
from pathlib import Path

import scan

KEY = "tg_Planted-0123456789"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhY21lIn0." + "s1gn" * 16
PROMPT = "what nobody else may read"
COMPLETION = "the answer to that"
SECRET = "a secret of thirty-two bytes or so"
STAMP = "2026/12/02 00:00:00"
QUOTED = 'a "quoted" key'

# What the harness prints, and nginx debugs, of a test with these.
TRANSCRIPT = f"""1..3
# >> POST /v1/chat/completions HTTP/1.1
# >> X-API-Key: {KEY}
# >>
# >> {{"model":"m","messages":[{{"role":"user","content":"{PROMPT}"}}]}}
# << HTTP/1.1 200 OK
# <<
# << {{"choices":[{{"message":{{"content":"{COMPLETION}"}}}}]}}
ok 1 - {KEY} is let in
"""
ERROR_LOG = f"""{STAMP} [debug] 1#1: *1 http header: "Authorization: Bearer {TOKEN}"
{STAMP} [debug] 1#1: *1 http2 header: "x-my-key: {QUOTED}"
{STAMP} [debug] 1#1: *1 http proxy header:
POST /v1/chat/completions HTTP/1.0
Authorization: Basic {base64.b64encode(b"tollgate:planted-password").decode()}
{STAMP} [info] 1#1: *1 client sent invalid header line: "X_Key: {KEY}" while reading client request headers
{STAMP} [info] 1#1: *1 tollgate: request refused: unknown_credential, client: 127.0.0.1, server: , request: "GET /{KEY} HTTP/1.1"
{STAMP} [info] 1#1: *2 tollgate: request refused: unknown_credential, client: 127.0.0.1, request_id: t-2, server: , request: "GET /{KEY} HTTP/1.1"
"""
ACCESS_LOG = f'127.0.0.1 - - [02/Dec/2026:00:00:00 +0000] "GET /?key={KEY} HTTP/1.1" 401 272 "-" "-"\n'

# What must be found: (where, kind, what is written there).
FILES = [
    ("error.log", "credential", f"{STAMP} [info] 1#1: *1 tollgate: key {KEY} isn't known, client: 127.0.0.1, server: \n"),
    ("error.log", "credential", f"{STAMP} [error] 1#1: *1 tollgate: token {TOKEN[:80]}..., client: 127.0.0.1, server: \n"),
    ("error.log", "text", f'{STAMP} [warn] 1#1: *1 tollgate: in "{PROMPT}", client: 127.0.0.1, server: \n'),
    ("audit.log", "credential", '{"path":"/v1/models/%s"}\n' % KEY),
    ("audit.log", "credential", '{"path":"%s"}\n' % QUOTED.replace('"', '\\"')),
    ("audit.log", "credential", '{"path":"/%s"}\n' % QUOTED.replace('"', "%22").replace(" ", "%20")),
    ("audit.log", "text", '{"model":"%s"}\n' % COMPLETION),
    ("audit.log", "credential", base64.b64encode(KEY.encode()).decode() + "\n"),
    ("access.log", "credential", f'127.0.0.1 - - [02/Dec/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 2 "-" "{KEY}"\n'),
    ("limits.state", "credential", f"\0\1\2{KEY}\3\4"),
    ("nginx.tollgate-status", "credential", f'{{"password":"planted-password"}}'),
    ("client_body_temp/0000000001", "text", f'{{"prompt":"{PROMPT}"}}'),
    ("core", "credential", SECRET),
]
PAGES = [
    ("metrics", "credential", f'# HELP tollgate_requests_total x\ntollgate_requests_total{{client="{KEY}"}} 1'),
    ("refusal", "text", f'HTTP/1.1 400 Bad Request\n\n{{"error":{{"message":"{PROMPT}"}}}}'),
    ("page", "credential", f'HTTP/1.1 200 OK\n\n{{"tollgate":"0.1.0","key":"{KEY}"}}'),
    ("stderr", "credential", None),
]


def found(base, name, file=None, text="", page=None, stderr=""):
    """What is found where this is planted."""
    directory = Path(base, name)
    directory.mkdir()
    (directory / "error.log").write_text(ERROR_LOG, encoding="latin-1")
    (directory / "access.log").write_text(ACCESS_LOG, encoding="latin-1")
    (directory / "nginx.conf").write_text("http { tollgate_api_key_header X-My-Key; }", encoding="latin-1")
    (directory / "secret").write_text(SECRET, encoding="latin-1")
    (directory / "sent").write_text(PROMPT + KEY, encoding="latin-1")
    if file:
        path = directory / file
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="latin-1") as log:
            log.write(text)
    transcript = TRANSCRIPT + stderr
    if page:
        transcript += "# >> GET /page HTTP/1.1\n" + "".join(f"# << {line}\n" for line in page.split("\n"))
    findings, credentials, texts, _ = scan.scan(
        scan.Ran(name, directory, transcript, {"nginx.conf", "secret", "sent"}, ("of_others",)))
    return findings, credentials, texts


def main():
    wrong = []
    with tempfile.TemporaryDirectory() as base:
        findings, credentials, texts = found(base, "nothing")
        if findings:
            wrong.append(f"found, where nothing is planted: {findings}")
        # The key; the token, and its signature; the key of the configuration's own header; the password, in base64
        # and not; the secret file.
        if (credentials, texts) != (7, 2):
            wrong.append(f"{credentials} credentials and {texts} texts are looked for, and not 7 and 2")
        for number, (file, kind, text) in enumerate(FILES):
            findings, _, _ = found(base, f"file-{number}", file=file, text=text)
            if not any((each.where, each.kind) == (file, kind) for each in findings):
                wrong.append(f"not found: {kind} in {file}: {text!r}")
        for number, (where, kind, text) in enumerate(PAGES):
            findings, _, _ = found(base, f"page-{number}", page=text,
                                   stderr=f"nginx: [emerg] {KEY}\n" if text is None else "")
            if not any((each.where, each.kind) == (where, kind) for each in findings):
                wrong.append(f"not found: {kind} in {where}: {text!r}")
        findings, _, _ = found(base, "others", file="of_others", text=KEY)
        if findings:
            wrong.append(f"found, where somebody else writes: {findings}")
    for line in wrong:
        print(line)
    print(f"self test: {len(FILES) + len(PAGES)} planted leaks, {len(wrong)} mistakes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
