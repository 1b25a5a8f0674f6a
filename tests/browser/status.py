"""The pages of `tollgate_status` in Chromium, with names that somebody has chosen with care."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from chromium import Chromium  # noqa: E402
from gateway import GatewayTest, free_port, wait_for  # noqa: E402

CONFIGURATION = """
load_module {module};
{user}
daemon off;
worker_processes 2;
pid nginx.pid;
error_log error.log info;
events {{ }}
http {{
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    tollgate_zone zone=tollgate:1m;
    tollgate_price "*" input=1 output=2;
    tollgate_tier pro {{ requests 100r/h; tokens 10k/h; concurrency 8; budget 20/day; }}
    tollgate_tier few {{ requests 2r/h; }}
    tollgate_guard strict {{ input pii email mask; input list terms.txt name=terms log; input injection log; output pii mask; }}
    tollgate_guard_rules rules.toml;
    tollgate_guards strict;
    tollgate_tier staff {{ scopes admin; }}
    server {{
        listen 127.0.0.1:{port};
        tollgate_api_keys keys.json;
        location / {{
            tollgate on;
            proxy_pass http://127.0.0.1:{engine};
        }}
        location = /status {{
            tollgate_status;
        }}
        location /behind/a/prefix/ {{
            tollgate on;
            tollgate_status;
        }}
        location = /usage {{
            tollgate on;
            tollgate_usage;
        }}
        location = /usage/header {{
            tollgate on;
            tollgate_api_key_header API-Key;
            tollgate_usage;
        }}
    }}
}}
"""

RULES = """
version = "acme-7"
[[rule]]
id = "own.frob"
group = "own"
language = "en"
weight = 60
source = "a test"
anchors = ["frob"]
patterns = ["frob now"]
hits = ["Frob now!"]
"""

MARKUP = "<img src=/stolen onerror=alert(1)>"
TURNED = "\u202ednik\u202c \u05e9\u05dc\u05d5\u05dd"
LONG = "W" * 256
QUOTES = "it's \"quoted\" & 'not' </script><script>alert(2)</script>"
NAMES = [MARKUP, TURNED, LONG, QUOTES, "acme"]
# More than there are on a page.
MANY = 30
WIDTHS = [1280, 360]


class StatusPage(GatewayTest):
    @classmethod
    def setUpClass(cls):
        cls.nginx, module, engine, cls.chromium = sys.argv[1:5]
        cls.temporary = tempfile.TemporaryDirectory(prefix="tollgate-browser-", ignore_cleanup_errors=True)
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        entry = lambda number, client, tier: {  # noqa: E731
            "id": f"k_{number}", "client": client, "tier": tier,
            "hash": "sha256:" + hashlib.sha256(f"key-{number}".encode()).hexdigest(),
        }
        keys = [entry(number, client, "pro") for number, client in enumerate(NAMES)]
        keys += [entry(100, "few", "few"), entry(101, "staff", "staff")]
        keys += [entry(number, f"one of {MANY}: {number}", "pro") for number in range(200, 200 + MANY)]
        (cls.folder / "keys.json").write_text(json.dumps({"version": 1, "keys": keys}))
        (cls.folder / "terms.txt").write_text("falcon\n")
        (cls.folder / "rules.toml").write_text(RULES)
        cls.port, engine_port = free_port(), free_port()
        (cls.folder / "nginx.conf").write_text(
            CONFIGURATION.format(
                module=module, port=cls.port, engine=engine_port, user="user root;" if os.geteuid() == 0 else "",
            )
        )
        cls.start(engine, "--listen", f"127.0.0.1:{engine_port}")
        cls.start_nginx()
        cls.addClassCleanup(lambda: cls.stop_nginx())
        wait_for(engine_port)
        wait_for(cls.port)
        cls.make_traffic()
        browser = Chromium(cls.chromium, cls.folder)
        cls.browser = cls.enterClassContext(browser)
        cls.url = f"http://127.0.0.1:{cls.port}/status"

    @classmethod
    def start_nginx(cls):
        command = [cls.nginx, "-p", f"{cls.folder}/", "-e", "error.log", "-c", f"{cls.folder}/nginx.conf"]
        cls.server = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    @classmethod
    def stop_nginx(cls):
        cls.server.terminate()
        cls.server.wait()

    @classmethod
    def make_traffic(cls):
        for number, name in enumerate(NAMES):
            cls.chat(f"key-{number}", name)
        for _ in range(3):
            cls.chat("key-100", "acme")
        cls.chat("no-key", "acme")
        for text in ("Mail jo@example.com and jo@example.org", "Falcon", "Frob now"):
            cls.chat("key-4", "acme", text)
        for number in range(200, 200 + MANY):
            cls.chat(f"key-{number}", "acme")

    @classmethod
    def chat(cls, key, model, text="How are you?"):
        body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}).encode()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{cls.port}/v1/chat/completions", body, headers)
        try:
            urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as refused:
            refused.read()

    def shown(self, url=None, **how):
        """A page, once it shows something."""
        page = self.browser.page(**how)
        self.addCleanup(page.close)
        page.open(url or self.url)
        page.wait(bool, "!document.getElementById('content').hidden")
        return page

    def assert_quiet(self, page, *complaints):
        """The page has said nothing on the console, and has asked nobody else."""
        self.assertEqual([said for said in page.complaints() if not any(one in said for one in complaints)], [])
        origin = f"http://127.0.0.1:{self.port}/"
        foreign = [url for url in page.requested() if not url.startswith((origin, "data:,"))]
        self.assertEqual(foreign, [])

    def assert_accessible(self, page):
        """axe-core finds nothing, and not for want of something to look at."""
        axe = pathlib.Path(os.environ["TOLLGATE_AXE"]).read_text()
        page.run(f"{axe}; undefined")
        found = page.run("axe.run().then((found) => ({ passes: found.passes.length, violations: found.violations.map("
                         "(one) => ({ id: one.id, impact: one.impact, nodes: one.nodes.map((node) => node.html) })) }))")
        self.assertEqual(found["violations"], [], json.dumps(found, indent=1))
        self.assertGreater(found["passes"], 20)

    def test_nothing_keeps_anybody_from_reading_it(self):
        for theme in ("light", "dark"):
            for width in WIDTHS:
                with self.subTest(theme=theme, width=width):
                    page = self.shown(width=width, theme=theme)
                    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
                    page.wait(bool, "document.querySelector('#minutes-table table') !== null")
                    self.assert_accessible(page)
                    page.close()

    def test_it_says_nothing_on_the_console_and_asks_nobody_else(self):
        page = self.shown()
        polls = len(page.requested())
        page.wait(lambda urls: len(page.requested()) >= polls + 2, "1")
        self.assert_quiet(page)

    def test_names_are_text(self):
        page = self.shown()
        self.assertEqual(page.run("document.querySelectorAll('img, main script').length"), 0)
        self.assertEqual(page.happened("Page.javascriptDialogOpening"), [])
        for place in ("models", "clients"):
            shown = page.run(f"[...document.querySelectorAll('#{place} tbody th')].map((cell) => cell.textContent)")
            for name in (MARKUP, LONG, QUOTES, "U+202EdnikU+202C \u05e9\u05dc\u05d5\u05dd"):
                self.assertIn(name, shown)
            # Whatever a name does, what stands beside it stays where it is.
            self.assertEqual(page.run(f"[...document.querySelectorAll('#{place} tbody th')].every((cell) =>"
                                      " cell.querySelector('bdi, .quiet') !== null)"), True)

    def test_a_phone_shows_all_of_it(self):
        for width in WIDTHS:
            page = self.shown(width=width)
            self.assertLessEqual(page.run("document.documentElement.scrollWidth"), width)

    def test_each_theme_has_its_colours(self):
        colours = {theme: self.shown(theme=theme).run("getComputedStyle(document.body).backgroundColor")
                   for theme in ("light", "dark")}
        self.assertNotEqual(colours["light"], colours["dark"])

    def test_numbers_are_those_that_were_counted(self):
        page = self.shown()
        refusals = page.run("Object.fromEntries([...document.querySelectorAll('#refusals tbody tr')]"
                            ".map((row) => [...row.children].map((cell) => cell.textContent))"
                            ".map(([reason, , all]) => [reason, all]))")
        self.assertEqual(refusals, {"requests_exceeded": "1", "invalid_credential": "1"})
        self.assertIn("keys.json", page.run("document.getElementById('keys').textContent"))
        self.assertIn("in force in 2 of 2 workers", page.run("document.getElementById('keys').textContent"))
        label = page.run("document.querySelector('svg').getAttribute('aria-label')")
        self.assertRegex(label, r"^Requests in each minute of the last hour: let in 0 to \d")

    def test_guards_are_shown_with_what_they_found(self):
        page = self.shown()
        self.assertEqual(page.run("document.getElementById('guards-section').hidden"), False)
        guards = page.run("document.getElementById('guards').textContent")
        for part in ("strict", "input pii mask", "input list.terms log", "+acme-7", "output pii (", "nginx.conf:"):
            self.assertIn(part, guards)
        files = page.run("document.getElementById('guard-files').textContent")
        for part in ("rules.toml", "terms.txt", "1 terms of guards", "rules of guards, version ", "SHA-256",
                     "in force in 2 of 2 workers"):
            self.assertIn(part, files)
        found = page.run("Object.fromEntries([...document.querySelectorAll('#findings tbody tr')]"
                         ".map((row) => [...row.children].map((cell) => cell.textContent))"
                         ".map(([rule, guard, action, , all]) => [rule, [guard, action, all].join(' ')]))")
        self.assertEqual(found, {"pii.email": "strict mask 2", "list.terms": "strict log 1", "injection": "strict log 1"})
        label = page.run("[...document.querySelectorAll('svg')].at(-1).getAttribute('aria-label')")
        self.assertRegex(label, r"^Findings of guards in each minute of the last hour: logged 0 to \d")
        page.run("document.getElementById('minutes').open = true")
        page.wait(bool, "document.querySelector('#minutes-table th:last-child')?.textContent === 'Blocked by guards'")

    @staticmethod
    def clients(page):
        return page.run("[...document.querySelectorAll('#clients tbody th')].map((cell) => cell.textContent)")

    def test_clients_are_found_and_sorted(self):
        page = self.shown()
        self.assertEqual(self.clients(page)[0], "few", "the one that is nearest to a limit")
        full = "[...document.querySelectorAll('#clients [role=meter]')][0]"
        self.assertEqual(page.run(f"{full}.getAttribute('aria-valuenow')"), "100")
        self.assertEqual(page.run(f"{full}.getAttribute('aria-valuetext')"), "0 of 2 left")
        page.run("document.getElementById('search').focus()")
        page.type("<img")
        page.wait(lambda names: names == [MARKUP], "[...document.querySelectorAll('#clients tbody th')]"
                  ".map((cell) => cell.textContent)")
        self.assertIn("search=%3Cimg", page.run("location.search"))
        # A link leads to what is looked at.
        other = self.shown(f"{self.url}?search=acme&sort=name")
        self.assertEqual(self.clients(other), ["acme"])
        self.assertEqual(other.run("document.getElementById('sort').value"), "name")
        page.run("(() => { const search = document.getElementById('search'); search.value = '';"
                 " search.dispatchEvent(new Event('input'));"
                 " const sort = document.getElementById('sort'); sort.value = 'name';"
                 " sort.dispatchEvent(new Event('change')); })()")
        page.wait(lambda names: len(names) == 20 and names[0] == MARKUP,
                  "[...document.querySelectorAll('#clients tbody th')].map((cell) => cell.textContent)")
        self.assert_quiet(page)

    def test_clients_have_pages(self):
        page = self.shown(f"{self.url}?sort=name")
        range_of = "document.getElementById('range').textContent"
        seen = self.clients(page)
        self.assertEqual(page.run(range_of), "1 to 20 of 36")
        self.assertEqual(page.run("document.getElementById('previous').disabled"), True)
        page.run("document.getElementById('next').click()")
        page.wait(lambda text: text == "21 to 36 of 36", range_of)
        self.assertEqual(page.run("document.getElementById('next').disabled"), True)
        self.assertEqual(len({*seen, *self.clients(page)}), 36)
        page.run("document.getElementById('previous').click()")
        page.wait(lambda text: text == "1 to 20 of 36", range_of)
        self.assertEqual(self.clients(page), seen)

    def test_a_client_sees_itself(self):
        for path in ("/usage", "/usage/header"):
            with self.subTest(path=path):
                page = self.browser.page(width=360)
                self.addCleanup(page.close)
                page.open(f"http://127.0.0.1:{self.port}{path}")
                page.wait(bool, "!document.getElementById('credential').hidden")
                page.type("key-0")
                page.press("Enter")
                page.wait(bool, "!document.getElementById('content').hidden")
                self.assertEqual(page.run("document.querySelector('#server bdi').textContent"), MARKUP)
                self.assertEqual(page.run("document.querySelectorAll('#limits [role=meter]').length"), 4)
                text = page.run("document.body.textContent")
                self.assertIn("99 of 100 left", text)
                self.assertIn("k_0", text)
                self.assertNotIn("acme", text)
                self.assertLessEqual(page.run("document.documentElement.scrollWidth"), 360)
                self.assert_accessible(page)
                self.assert_quiet(page, "401")

    def test_everything_can_be_done_with_the_keyboard(self):
        page = self.shown()
        reached = []
        for _ in range(40):
            page.press("Tab")
            focus = page.run("document.activeElement.id || document.activeElement.tagName")
            if focus in reached:
                break
            reached.append(focus)
            if focus == "pause":
                page.press(" ")
                self.assertEqual(page.run("document.activeElement.getAttribute('aria-pressed')"), "true")
                self.assertNotEqual(page.run("getComputedStyle(document.activeElement).outlineStyle"), "none")
            if focus == "SUMMARY":
                page.press("Enter")
        self.assertEqual([one for one in ("pause", "json", "SUMMARY", "search", "sort") if one not in reached], [], reached)
        self.assertEqual(page.run("document.getElementById('minutes').open"), True)

    def test_it_pauses_when_it_is_told_to(self):
        page = self.shown()
        page.run("document.getElementById('pause').click()")
        self.assertEqual(page.run("document.getElementById('live').textContent"), "Paused")
        asked = len(page.requested())
        page.run("new Promise((done) => setTimeout(done, 3000))")
        self.assertEqual(len(page.requested()), asked)
        page.run("document.getElementById('pause').click()")
        page.wait(lambda said: said == "Live", "document.getElementById('live').textContent")
        self.assertGreater(len(page.requested()), asked)

    def test_nothing_moves_for_those_who_do_not_want_that(self):
        durations = {motion: self.shown(motion=motion).run(
            "(() => { const bar = document.createElement('div'); bar.className = 'bar';"
            " bar.append(document.createElement('span')); document.body.append(bar);"
            " return getComputedStyle(bar.firstChild).transitionDuration; })()")
            for motion in ("reduce", "no-preference")}
        self.assertEqual(durations["reduce"], "0s")
        self.assertNotEqual(durations["no-preference"], "0s")

    def test_it_asks_for_a_key_where_it_needs_one_and_keeps_it_to_itself(self):
        page = self.browser.page()
        self.addCleanup(page.close)
        page.open(f"http://127.0.0.1:{self.port}/behind/a/prefix/")
        page.wait(bool, "!document.getElementById('credential').hidden")
        self.assertEqual(page.run("document.getElementById('content').hidden"), True)
        self.assertEqual(page.run("document.activeElement.id"), "key")
        page.type("wrong")
        page.press("Enter")
        page.wait(bool, "document.getElementById('refused').textContent")
        page.type("key-101")
        page.press("Enter")
        page.wait(bool, "!document.getElementById('content').hidden")
        self.assertEqual(page.run("document.getElementById('key').value"), "")
        kept = page.run("JSON.stringify([localStorage.length, sessionStorage.length, document.cookie,"
                        " location.href, history.state])")
        self.assertEqual(json.loads(kept)[:3], [0, 0, ""])
        self.assertNotIn("key-101", kept)
        self.assertEqual([url for url in page.requested() if "key-101" in url], [])
        # A browser notes each 401 by itself.
        self.assert_quiet(page, "401")

    def test_it_says_when_the_server_is_gone_and_when_it_is_back(self):
        page = self.shown()
        self.stop_nginx()
        try:
            page.wait(lambda said: said.startswith("No answer"), "document.getElementById('live').textContent")
            self.assertEqual(page.run("document.getElementById('content').className"), "stale")
        finally:
            self.start_nginx()
            wait_for(self.port)
            # It has forgotten what it counted.
            self.make_traffic()
        page.wait(lambda said: said == "Live", "document.getElementById('live').textContent")
        self.assertEqual(page.run("document.getElementById('content').className"), "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
