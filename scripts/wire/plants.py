"""A module with mistakes (plants.c), to see that they are found."""

import pathlib
import shlex
import subprocess

from . import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# The name of each, and how what is found begins. With "nothing", nothing may be found.
PLANTS = {
    "nothing": "",
    "overflow": "AddressSanitizer: ",
    "freed": "AddressSanitizer: ",
    "ends": "nginx has ended",
    "hangs": "an ordinary request is not answered",
    "alert": "error.log: ",
    "place": "a place is kept",
    "connection": "connections are kept",
    "memory": "memory: ",
}
# What needs a whole run to be seen, and what only AddressSanitizer sees.
SLOW = ["nothing", "memory"]
OF_ASAN = ["overflow", "freed"]


def installed():
    """Source and build of the nginx of this machine (scripts/setup --env)."""
    text = subprocess.run([ROOT / "scripts/setup", "--env"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)
    return pathlib.Path(found["NGINX_SOURCE_DIR"]), pathlib.Path(found["NGINX_BUILD_DIR"])


def vendored(nginx):
    """Those of one that was built beside them."""
    objs = pathlib.Path(nginx).parent
    # What the crate nginx-src has written: where its sources are, in quotes, and what they were configured with.
    written = objs / "last-build-info"
    source = pathlib.Path(written.read_text(errors="replace").split('"')[1]) if written.exists() else objs.parent
    if not (source / "src/core/nginx.h").exists():
        raise servers.Trouble(f"no sources of nginx beside {objs}")
    return source, objs


def build(nginx, folder, is_installed):
    """The module, for this nginx."""
    source, objs = installed() if is_installed else vendored(nginx)
    compiler = ["cc"] if is_installed else ["clang-19", "-fsanitize=address", "-DNGX_DEBUG_PALLOC=1"]
    library = pathlib.Path(folder) / "plants.so"
    includes = [f"-I{source / part}" for part in ("src/core", "src/event", "src/event/modules", "src/os/unix", "src/http",
                                                  "src/http/modules", "src/http/v2")] + [f"-I{objs}"]
    done = subprocess.run([*compiler, "-O1", "-fPIC", "-shared", *includes, "-o", library,
                           pathlib.Path(__file__).with_name("plants.c")], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise servers.Trouble(f"the module with mistakes can't be built: {done.stderr[-1500:]}")
    return library
