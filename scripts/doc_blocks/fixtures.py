"""The files that pages speak of, in a folder that stands for the root of the machine."""

import json
import pathlib
import pwd
import re
import shutil
import subprocess

ABSOLUTE = re.compile(r"(?:(?<=unix:)|(?<![\w/.:-]))/(?=(?:etc|var|run|usr/lib/nginx|usr/share/nginx|usr/local)/)")
CERTIFICATES = {
    "ssl_certificate", "ssl_client_certificate", "ssl_trusted_certificate", "proxy_ssl_trusted_certificate",
    "proxy_ssl_certificate", "uwsgi_ssl_trusted_certificate",
}
FOLDERS = [
    "etc/nginx/tollgate", "etc/nginx/conf.d", "etc/nginx/modules-enabled", "etc/nginx/tls", "etc/tollgate", "run",
    "var/log/nginx", "var/lib/tollgate", "usr/lib/nginx/modules", "usr/local/bin", "usr/share/nginx/html",
]


def relocated(text, root):
    """The text with its absolute paths in that folder."""
    return ABSOLUTE.sub(f"{root}/", text)


class Templates:
    """Keys and certificates, made once."""

    def __init__(self, folder, command):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", "key.pem", "-out", "cert.pem", "-days", "30", "-subj", "/CN=llm.example.com",
                 "-addext", "subjectAltName=DNS:llm.example.com,DNS:api.example.com,DNS:llm.example.org")
        self.run(command, "jwt", "keygen", "--out", "signing.pem", "--jwks", "jwks.json")
        self.run(command, "jwt", "keygen", "--alg", "RS256", "--out", "rsa.pem", "--jwks", "rsa.json")
        keys = [key for name in ("jwks.json", "rsa.json") for key in json.loads((self.folder / name).read_text())["keys"]]
        (self.folder / "jwks.json").write_text(json.dumps({"keys": keys}))
        self.run(command, "audit", "seal", "keygen", "--seal", "seal.key", "--verify", "verify.key")
        self.run(command, "key", "create", "--quiet", "--file", "keys.json", "--client", "someone", "--tier", "free")
        (self.folder / "secret").write_text("0123456789abcdef0123456789abcdef0123456789abcdef\n")
        (self.folder / "terms.txt").write_text("project falcon\n")
        (self.folder / "rules.toml").write_text(
            'version = "1"\n[[rule]]\nid = "a"\ngroup = "a"\nlanguage = "en"\nweight = 50\nsource = "a test"\n'
            'anchors = ["falcon"]\npatterns = ["falcon"]\nhits = ["falcon"]\n'
        )
        (self.folder / "empty").write_text("")

    def run(self, *command):
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, timeout=60)


class Fixtures:
    """A root folder of its own, and the files in it that a configuration names."""

    def __init__(self, root, templates):
        self.root = pathlib.Path(root)
        self.templates = templates.folder
        self.user = pwd.getpwuid(self.root.parent.stat().st_uid).pw_name
        for folder in FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def provide(self, statements):
        """Makes what these statements name and what isn't there yet."""
        for statement in statements:
            for name, word in needed(statement):
                path = self.root / "etc/nginx" / word.strip("\"'")
                path.parent.mkdir(parents=True, exist_ok=True)
                if name and not path.exists():
                    shutil.copy(self.templates / name, path)


def needed(statement):
    """The files of a statement, with what each is a copy of; None where its folder is enough."""
    name, words = statement.name, statement.words
    first = words[1] if len(words) > 1 else ""
    if name == "tollgate_api_keys" and first != "off":
        yield "keys.json", first
    elif name == "tollgate_jwt_key_file" and first != "off":
        yield ("secret" if "secret" in first else "jwks.json"), first
    elif name in CERTIFICATES:
        yield "cert.pem", first
    elif name.endswith("ssl_certificate_key"):
        yield "key.pem", first
    elif name == "include" and "*" not in first and "mime.types" not in first:
        yield "empty", first
    elif name in ("input", "output") and first == "list" and len(words) > 2:
        yield "terms.txt", words[2]
    elif name == "tollgate_guard_rules":
        yield "rules.toml", first
    elif name in ("tollgate_audit_log", "access_log", "error_log", "tollgate_status_file") and "/" in first:
        yield None, first
    elif name == "tollgate_control":
        yield None, first.removeprefix("unix:")
    for word in words:
        option, _, value = word.partition("=")
        if option == "seal":
            yield "seal.key", value
        elif option == "secret":
            yield "secret", value
        elif option == "state":
            yield None, value
