"""The site of the documentation in a real browser: python3 -B tests/browser/site.py CHROMIUM

Takes what `scripts/docs build` made. TOLLGATE_AXE names axe-core (tests/browser/run gets it). For some pages, narrow and
wide, light and dark: axe-core finds nothing that keeps anybody from reading them, they say nothing on the console, ask
nobody else for anything, don't scroll sideways, and the search finds a directive. And without JavaScript the text and
the list of pages are there. Takes about a minute, and five on a machine that is busy otherwise.
"""

import functools
import http.server
import json
import os
import pathlib
import sys
import tempfile
import threading
import unittest

from chromium import Chromium

BOOK = pathlib.Path(__file__).resolve().parent.parent.parent / "target/docs/book"
PAGES = ["index.html", "tutorials/first-key.html", "comparison.html"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=BOOK))
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.origin = f"http://127.0.0.1:{cls.server.server_port}/"
        cls.browser = Chromium(CHROMIUM, cls.folder.name).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.server.shutdown()
        cls.folder.cleanup()

    def shown(self, path, *, width=1280, theme="light", script=True):
        page = self.browser.page(width=width, theme=theme)
        self.addCleanup(page.close)
        if not script:
            page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.open(self.origin + path)
        return page

    def test_nothing_keeps_anybody_from_reading_it(self):
        axe = pathlib.Path(os.environ["TOLLGATE_AXE"]).read_text()
        for path in PAGES:
            for width, theme in ((1280, "light"), (1280, "dark"), (360, "light")):
                with self.subTest(path=path, width=width, theme=theme):
                    page = self.shown(path, width=width, theme=theme)
                    page.run(f"{axe}; undefined")
                    found = page.run(
                        # The label that opens the list of pages is made a button by mdBook's script.
                        "axe.run({ rules: { 'aria-allowed-role': { enabled: false } } }).then((found) => ({ passes: found.passes.length, violations: found.violations.map((one) => "
                        "({ id: one.id, nodes: one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) })) }))")
                    self.assertEqual(found["violations"], [], json.dumps(found, indent=1))
                    self.assertGreater(found["passes"], 15)

    def test_it_says_nothing_on_the_console_and_asks_nobody_else(self):
        for path in PAGES:
            page = self.shown(path)
            self.assertEqual(page.complaints(), [])
            self.assertEqual([url for url in page.requested() if not url.startswith((self.origin, "data:"))], [])

    def test_it_does_not_scroll_sideways(self):
        for path in PAGES:
            page = self.shown(path, width=360)
            wide = page.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            self.assertLessEqual(wide, 0, path)

    def test_the_search_finds_a_directive(self):
        page = self.shown("index.html?search=tollgate_reserve")
        page.wait(bool, "document.querySelector('#mdbook-searchresults li, #searchresults li') !== null")

    def test_it_can_be_read_without_javascript(self):
        page = self.shown("tutorials/first-key.html", script=False)
        # Scripts of the page are off; this one is the debugger's.
        self.assertIn("From the first key", page.run("document.querySelector('main h1').textContent"))
        page.wait(bool, "document.querySelector('noscript') !== null || document.querySelector('iframe') !== null")
        self.assertIsNotNone(page.run("document.querySelector('iframe[title=Contents]') && 1"))


if __name__ == "__main__":
    CHROMIUM = sys.argv.pop(1) if len(sys.argv) > 1 else "chromium"
    if not (BOOK / "index.html").exists():
        sys.exit("tests/browser/site.py: scripts/docs build comes first")
    unittest.main()
