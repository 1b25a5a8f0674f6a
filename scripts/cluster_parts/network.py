"""Network namespaces: one for each node and each store, and one in which the clients, the engine and the ways to the
store are. They are in namespaces of this script, which end with it, whatever happens."""

import os
import pathlib
import shutil
import subprocess
import sys

MARK = "TOLLGATE_CLUSTER_NAMESPACE"
# What is started in there ends with the script as well.
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
NAMES = pathlib.Path("/run/netns")
# Clients and the engine reach nodes over one bridge, nodes the store over another: so either can be cut off alone.
FRONT, BACK = "10.77.0", "10.77.1"
HUB = 1


def missing():
    """Why there can be no namespaces here; nothing, if there can."""
    if MARK in os.environ:
        return ""
    for program in ("unshare", "nsenter", "ip"):
        if not shutil.which(program):
            return f"{program} is missing"
    if os.geteuid() != 0:
        return "network namespaces need root"
    command = [*UNSHARE, "ip", "link", "add", "probe", "type", "bridge"]
    if subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return "the kernel gives no network namespace with a bridge"
    return ""


def enter():
    """Goes on in namespaces of our own."""
    if MARK not in os.environ:
        os.environ[MARK] = "yes"
        os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, *sys.argv])


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def make():
    """The bridges, where this script is."""
    NAMES.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", NAMES], check=True)
    ip("link", "set", "lo", "up")
    for bridge, net in (("front", FRONT), ("back", BACK)):
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{net}.{HUB}/24", "dev", bridge)
        ip("link", "set", bridge, "up")


class Place:
    """A namespace, and its links. `number` is the last part of its addresses."""

    def __init__(self, name, number):
        self.name, self.number = name, number
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        for bridge, net in (("front", FRONT), ("back", BACK)):
            ip("link", "add", f"{name}-{bridge}", "type", "veth", "peer", "name", bridge, "netns", name)
            ip("link", "set", f"{name}-{bridge}", "master", bridge, "up")
            ip("-n", name, "addr", "add", f"{net}.{number}/24", "dev", bridge)
            ip("-n", name, "link", "set", bridge, "up")

    @property
    def front(self):
        return f"{FRONT}.{self.number}"

    @property
    def back(self):
        return f"{BACK}.{self.number}"

    def link(self, is_up):
        """That to the store."""
        ip("link", "set", f"{self.name}-back", "up" if is_up else "down")

    def remove(self):
        for bridge in ("front", "back"):
            ip("link", "del", f"{self.name}-{bridge}")
        ip("netns", "del", self.name)

    def start(self, command, **options):
        """A process in there."""
        return subprocess.Popen(["nsenter", f"--net={NAMES / self.name}", *map(str, command)], **options)
