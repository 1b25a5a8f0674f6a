"""The parsers of Prometheus' own package for Python, on what tollgate_metrics answers."""

import json
import sys
import unittest
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_older

from gateway import MESSAGES, PATIENCE_SECONDS, GatewayTest, eventually

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


class Metrics(GatewayTest):
    def chat(self, key, model="mock"):
        """A chat completion."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/chat/completions",
            json.dumps({"model": model, "messages": MESSAGES}).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def page(self, accept):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics", headers={"Accept": accept}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.headers["Content-Type"], answer.read().decode()

    def families(self):
        """By name, as each of the formats has them."""
        kind, text = self.page(OPEN_METRICS)
        self.assertTrue(kind.startswith("application/openmetrics-text"))
        strict = list(read_open(text))
        kind, text = self.page("text/plain")
        self.assertTrue(kind.startswith("text/plain"))
        return strict, list(read_older(text))

    def test_both_formats_are_understood_and_say_the_same(self):
        self.chat(self.keys["pro"])
        self.chat(self.keys["pro"], 'a "model" \\with \u202e')
        with self.assertRaises(urllib.error.HTTPError):
            self.chat("wrong")

        def settled():
            strict, _ = self.families()
            requests = next(family for family in strict if family.name == "tollgate_requests")
            return sum(sample.value for sample in requests.samples) >= 3 or None

        eventually(settled, "three requests")
        strict, older = self.families()
        self.assertGreater(len(strict), 30)
        for one, other in zip(strict, older):
            if one.type in ("counter", "gauge", "histogram"):
                self.assertEqual(one.type, other.type)
            self.assertTrue(one.documentation)
            self.assertEqual(
                sorted(map(str, (s.labels for s in one.samples))),
                sorted(map(str, (s.labels for s in other.samples))),
            )
        kinds = {family.name: family.type for family in strict}
        self.assertEqual(kinds["tollgate_build"], "info")
        self.assertEqual(kinds["tollgate_request_duration_seconds"], "histogram")
        units = {family.unit for family in strict}
        self.assertEqual(units, {"", "seconds", "ratio"})

    def test_clients_have_series_of_their_own(self):
        self.chat(self.keys["pro"])

        def tokens():
            strict, _ = self.families()
            found = [
                sample.value
                for family in strict if family.name == "tollgate_client_tokens"
                for sample in family.samples if sample.labels == {"client": "pro"}
            ]
            return found or None

        self.assertGreater(eventually(tokens, "the tokens of a client")[0], 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
