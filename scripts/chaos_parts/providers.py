"""An identity provider that can be dead, slow, or lie: RFC 7662 at /introspect, a JWK Set at /jwks."""

import asyncio
import base64
import json
import subprocess
import time
import urllib.parse

from .traffic import base64url

# The provider takes so long when it is slow, in seconds: longer than nginx waits.
SLOW = 2.0
# What is no verdict, and no set of keys, whatever was asked.
LIES = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>Log in</html>",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"active":tr',
    b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"active":"true","sub":"open-0","tier":"open"}',
    b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"active":1,"sub":"open-0","tier":"open"}',
    b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[{"active":true,"sub":"open-0","tier":"open"}]',
    b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"sub":"open-0","tier":"open"}',
    b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n{"active":true,"sub":"open-0","tier":"open"}',
    b'HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n{"active":true,"sub":"open-0","tier":"open"}',
    b'HTTP/1.1 302 Found\r\nLocation: /else\r\nConnection: close\r\n\r\n{"active":true,"sub":"open-0","tier":"open"}',
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"[" * 300_000,
    b"\x00\x01 no HTTP at all",
)


class Provider:
    MODES = ("honest", "dead", "slow", "lying")

    def __init__(self, port, generator):
        self.port, self.generator = port, generator
        self.mode = "honest"
        self.server = None
        # The text of the JWK Set that it has.
        self.keys = b'{"keys":[]}'
        self.questions = 0

    async def set(self, mode):
        self.mode = mode
        if mode == "dead":
            await self.stop()
        elif self.server is None:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)

    async def stop(self):
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
            body = await reader.readexactly(int(length[0].partition(":")[2])) if length else b""
            mode = self.mode
            self.questions += 1
            if mode == "slow":
                await asyncio.sleep(SLOW)
            if mode == "lying":
                writer.write(self.generator.choice(LIES))
            else:
                text = self.keys if " /jwks " in head else self.verdict(body)
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def verdict(self, form):
        token = urllib.parse.parse_qs(form.decode()).get("token", [""])[0]
        if not token.startswith("good-"):
            return b'{"active":false}'
        return json.dumps({"active": True, "sub": "opaque", "tier": "open"}).encode()


class SigningKey:
    """An RSA key, of openssl's making."""

    def __init__(self, folder, kid):
        self.kid, self.path = kid, folder / f"{kid}.pem"
        subprocess.run(["openssl", "genrsa", "-out", self.path, "2048"], check=True, stderr=subprocess.DEVNULL)
        modulus = subprocess.run(["openssl", "rsa", "-in", self.path, "-noout", "-modulus"],
                                 check=True, stdout=subprocess.PIPE, text=True).stdout.strip().partition("=")[2]
        self.jwk = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "e": "AQAB",
                    "n": base64url(bytes.fromhex(modulus))}

    def sign(self, client, kid=None):
        """A token, which may lie about the name of its key."""
        claims = {"sub": client, "tier": "open", "exp": int(time.time()) + 86_400}
        header = {"alg": "RS256", "kid": kid or self.kid}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.path, "-binary"],
                                   check=True, input=signed.encode(), stdout=subprocess.PIPE).stdout
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def key_set(*keys):
    return json.dumps({"keys": [key.jwk for key in keys]}).encode()
