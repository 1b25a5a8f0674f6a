"""The ways to nginx: HTTP/1 and HTTP/2, with and without TLS."""

import asyncio
import shutil
import socket
import ssl
import subprocess


class Way:
    """`certificate`: who signs that of the server, where there is TLS."""

    def __init__(self, name, port, certificate=None, protocol="http/1.1"):
        self.name, self.port, self.context = name, port, None
        if certificate is not None:
            self.context = ssl.create_default_context(cafile=certificate)
            self.context.set_alpn_protocols([protocol])

    async def connect(self, limit=1 << 16):
        """Reader and writer."""
        if self.context is None:
            return await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        return await asyncio.open_connection("127.0.0.1", self.port, limit=limit, ssl=self.context,
                                             server_hostname="localhost")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ways:
    """Of one nginx. Without openssl there is none by TLS."""

    def __init__(self, folder, port):
        self.folder, self.h2_port, self.tls_port = folder, free_port(), free_port()
        self.has_tls = shutil.which("openssl") is not None
        self.plain, self.h2 = Way("HTTP/1", port), Way("HTTP/2", self.h2_port)
        self.tls = self.h2_tls = None
        if self.has_tls:
            self.make_certificate()
            self.tls = Way("TLS", self.tls_port, folder / "tls.pem")
            self.h2_tls = Way("HTTP/2 in TLS", self.tls_port, folder / "tls.pem", "h2")

    def make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.folder / "tls.key",
             "-out", self.folder / "tls.pem"], check=True, stderr=subprocess.DEVNULL)

    def listener(self):
        """What the server needs for it."""
        if not self.has_tls:
            return ""
        return (f"listen 127.0.0.1:{self.tls_port} ssl http2 backlog=4096; "
                "ssl_certificate tls.pem; ssl_certificate_key tls.key;")
