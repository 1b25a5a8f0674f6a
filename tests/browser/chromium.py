"""Chromium without a window, driven over a pipe by its DevTools protocol."""

import base64
import collections
import fcntl
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-features=Translate,OptimizationHints", "--remote-debugging-pipe",
    # One page is before the other ones, and is no more important than they.
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows", "about:blank",
]
# A machine may be slow; nothing is decided by how slow.
PATIENCE_SECONDS = 300


class Chromium:
    """A browser. `with Chromium(path, folder) as browser: browser.page()`"""

    def __init__(self, path, folder):
        self.profile = tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True)
        read, self.commands = self._pipe()
        self.answers, write = self._pipe()

        def redirect():
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.log = open(os.path.join(folder, "chromium.log"), "ab")
        self.process = subprocess.Popen(
            [path, f"--user-data-dir={self.profile.name}", *FLAGS], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, pass_fds=(3, 4), preexec_fn=redirect, start_new_session=True,
        )
        os.close(read)
        os.close(write)
        self.number = 0
        self.results = {}
        self.pages = {}
        # A command may be sent while something is read.
        self.arrived = threading.Condition(threading.RLock())
        threading.Thread(target=self._read, daemon=True).start()

    @staticmethod
    def _pipe():
        """Both ends above the numbers that the browser expects its own at."""
        ends = os.pipe()
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
        for end in ends:
            os.close(end)
        return high

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.commands)
        self.log.close()
        self.profile.cleanup()

    def _read(self):
        buffer = b""
        while chunk := os.read(self.answers, 1 << 16):
            *messages, buffer = (buffer + chunk).split(b"\0")
            for message in map(json.loads, messages):
                with self.arrived:
                    if "id" in message:
                        self.results[message["id"]] = message
                    elif page := self.pages.get(message.get("sessionId")):
                        page.note(message["method"], message["params"])
                    self.arrived.notify_all()

    def send(self, method, session=None, **parameters):
        """Sends a command, and gives the number of its result."""
        with self.arrived:
            self.number += 1
            message = {"id": self.number, "method": method, "params": parameters}
            if session:
                message["sessionId"] = session
            rest = json.dumps(message).encode() + b"\0"
            while rest:
                rest = rest[os.write(self.commands, rest):]
            return self.number

    def call(self, method, session=None, **parameters):
        """Sends a command, and gives its result."""
        number = self.send(method, session, **parameters)
        with self.arrived:
            if not self.arrived.wait_for(lambda: number in self.results, PATIENCE_SECONDS):
                raise AssertionError(f"the browser doesn't answer {method}")
            result = self.results.pop(number)
        if "error" in result:
            raise AssertionError(f"{method}: {result['error']['message']}")
        return result["result"]

    def page(self, width=1280, height=900, theme="light", motion="no-preference"):
        """A page of that size, with that theme."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, context)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": motion}]
        page.call("Emulation.setEmulatedMedia", features=features)
        return page


class Page:
    """A page, and all that has happened in it."""

    def __init__(self, browser, session, context):
        self.browser, self.session, self.context = browser, session, context
        self.events = collections.deque()
        self.invented = None

    def note(self, method, parameters):
        self.events.append((method, parameters))
        if method == "Fetch.requestPaused":
            self.browser.send(
                "Fetch.fulfillRequest", self.session, requestId=parameters["requestId"], responseCode=200,
                responseHeaders=[{"name": "Content-Type", "value": "application/json"}],
                body=base64.b64encode(json.dumps(self.invented).encode()).decode(),
            )

    def invent(self, data):
        """What its script asks for is answered with this."""
        self.invented = data
        self.call("Fetch.enable", patterns=[{"resourceType": "Fetch", "urlPattern": "*"}])

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def close(self):
        """Takes it away, with all that it asks for from time to time."""
        if self.browser.pages.pop(self.session, None):
            self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def open(self, url, headers=None):
        self.call("Network.setExtraHTTPHeaders", headers=headers or {})
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise AssertionError(f"{url}: {answer['errorText']}")
        self.wait(bool, "location.href !== 'about:blank' && document.readyState === 'complete'")

    def run(self, script):
        """The value of an expression, or of what it promises."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, condition, script):
        """Waits until the expression has such a value, and gives that."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            value = self.run(script)
            if condition(value):
                return value
            if time.monotonic() > end:
                raise AssertionError(f"it never came to that: {script}: {value!r}")
            time.sleep(0.05)

    def press(self, key, text=None):
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40}
        parameters = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
        if key in ("Enter", " "):
            parameters["text"] = "\r" if key == "Enter" else " "
        self.call("Input.dispatchKeyEvent", type="keyDown", **parameters)
        self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def screenshot(self, width, height):
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", clip=clip)["data"])

    def happened(self, *methods):
        return [parameters for method, parameters in list(self.events) if method in methods]

    def complaints(self):
        """What the console says, of whoever."""
        logged = [entry["entry"]["text"] for entry in self.happened("Log.entryAdded")]
        said = [str(call["args"]) for call in self.happened("Runtime.consoleAPICalled")]
        thrown = [thrown["exceptionDetails"]["text"] for thrown in self.happened("Runtime.exceptionThrown")]
        return logged + said + thrown

    def requested(self):
        """Where it has asked for anything."""
        return [request["request"]["url"] for request in self.happened("Network.requestWillBeSent")]
