"""What the test must find: planted faults, and their good twins. A test that can't fail tests nothing."""

from .blocks import Block, Unreadable, blocks, hidden_commands, label_fault
from .output import differs

GOOD = ["tollgate_zone zone=a:1m;", "location /v1/ { tollgate_engine vllm; proxy_pass http://engine; }"]
BAD = [
    "tollgate_nonsense on;",
    "tollgate_zone zone=a:1m colour=red;",
    "tollgate_tier pro { requests 10 per minute; }",
    "server { tollgate_zone zone=a:1m; }",
    "location /v1/ { tollgate_engine nobody; }",
    "location /v1/ { tollgate on; ",
]
NAMES = ["`tollgate key create --nonsense`", "`tollgate nonsense`", "`tollgate_nonsense`", "`scripts/nonsense`"]
GOOD_NAMES = ["`tollgate key create --client acme`", "`$tollgate_client` and `tollgate_zone`", "`scripts/build`"]
GOOD_PAGE = """
```sh
tollgate key create --quiet --client acme --tier pro --file keys.json >key
```

```console
$ curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8080/v1/models
401
```
"""
BAD_PAGES = [
    "```sh\ntollgate key create --nonsense\n```\n",
    "```sh\nfalse\n```\n",
    "```sh\ncurl -s http://127.0.0.1:8080/v1/models\n```\n",
    "```console\n$ curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8080/v1/models\n200\n```\n",
    "```console\n$ echo one\none\ntwo\n```\n",
    "```sh\necho one\n```\n\n<!-- answer -->\n```text\ntwo\n```\n",
    "```sh\necho '{\"one\":1}'\n```\n\n<!-- answer -->\n<!-- members -->\n```json\n{\"two\": 1}\n```\n",
    "<!-- fails: 1 -->\n```sh\ntrue\n```\n",
]
# Blocks that are tested, or say why not; and those that would slip through.
GOOD_LABELS = [
    "```text\nused <= capacity\ntollgate:   what it is\n```\n",
    "```\n$ echo one\none\n```\n",
    "<!-- not run: it builds -->\n```\ncargo build\n```\n",
    "<!-- not run: it builds -->\n```sh\nif true; then\n\n    cargo build\nfi\n```\n",
    "Its syntax:\n\n    Syntax:  tollgate on | off;\n    tollgate: cannot read it\n",
    "1. A step, and what\n    tollgate key says\n",
    "<!-- not run: it needs Docker -->\n```bash\ndocker run one\n```\n",
]
BAD_LABELS = [
    "```\ncargo build\n```\n",
    "```console\ncargo build\n```\n",
    "```bash\necho one\n```\n",
    "```text\n$ echo one\n```\n",
    "```text\n# first\nscripts/build --debug\n```\n",
    "```text\ntollgate key list\n```\n",
    "<!-- not run: -->\n```sh\necho one\n```\n",
    "```sh title=one\necho one\n```\n",
    "~~~\necho one\n~~~\n",
    "As root:\n\n    # first\n    apt install ./one.deb\n",
]
# What is random is the same, whichever characters it has; one more is another.
DIGESTS = ["A" * 43, "-" + "b" * 42, "--" + "b" * 41, "b" * 42 + "-", "_" + "b" * 41 + "-"]
NO_DIGESTS = ["b" * 42, "-" + "b" * 43]


def outputs(failures):
    def fault(digest):
        return differs([f"key id {'a' * 43}"], [f"key id {digest}"], False)

    failures.extend(f"self-test: {fault(digest)}" for digest in DIGESTS if fault(digest))
    failures.extend(f"self-test: {digest} is taken for a digest" for digest in NO_DIGESTS if not fault(digest))


def labels(failures):
    def fault(text):
        try:
            hidden = (told for _, told in hidden_commands("selftest", text))
            return next(filter(None, [*map(label_fault, blocks("selftest", text)), *hidden]), None)
        except Unreadable as error:
            return str(error)

    failures.extend(f"self-test: {text!r}: {told}" for text in GOOD_LABELS if (told := fault(text)))
    failures.extend(f"self-test: the label is not noticed in {text!r}" for text in BAD_LABELS if not fault(text))


def configurations(tested, failures):
    for number, text in enumerate(GOOD):
        if fault := tested(Block("selftest-good", number, "nginx", text)):
            failures.append(f"self-test: '{text}' fails: {fault}")
    for number, text in enumerate(BAD):
        if not tested(Block("selftest-bad", number, "nginx", text)):
            failures.append(f"self-test: '{text}' is not noticed")


def names(known, failures):
    for text in GOOD_NAMES:
        failures.extend(f"self-test: {text}: {fault}" for _, fault in known.faults(text))
    failures.extend(f"self-test: {text} is not noticed" for text in NAMES if not list(known.faults(text)))


def sessions(servers, pool, templates, folder, failures):
    def faults(page):
        name, text = page
        found = servers.test(name, blocks(name, text), "gateway", templates, folder)
        return [fault for _, fault in found if fault]

    pages = [("selftest-good", GOOD_PAGE)] + [(f"selftest-bad-{number}", text) for number, text in enumerate(BAD_PAGES)]
    good, *bad = pool.map(faults, pages)
    failures.extend(f"self-test: {fault}" for fault in good)
    for text, noticed in zip(BAD_PAGES, bad):
        if not noticed:
            failures.append(f"self-test: the fault is not noticed in {text!r}")
