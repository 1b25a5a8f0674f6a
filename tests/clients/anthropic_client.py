"""The official anthropic package, through the module, in front of the mock engine."""

import sys
import unittest

import anthropic

from gateway import MESSAGES, QUESTION_TOKENS, GatewayTest, eventually


class AnthropicTest(GatewayTest):
    def client(self, key, **options):
        options.setdefault("max_retries", 0)
        client = anthropic.Anthropic(
            base_url=f"http://127.0.0.1:{self.port}", api_key=key, **options
        )
        self.addCleanup(client.close)
        return client

    def create(self, key, max_retries=0, max_tokens=16, headers=None, **parameters):
        return self.client(self.keys[key], max_retries=max_retries).messages.create(
            model="mock", messages=MESSAGES, max_tokens=max_tokens, extra_headers=headers,
            **parameters,
        )

    def create_raw(self, **parameters):
        """A message, and the id of its request: this package looks for another header."""
        raw = self.client(self.keys["pro"]).messages.with_raw_response.create(
            model="mock", messages=MESSAGES, **parameters
        )
        return raw.parse(), raw.headers["x-request-id"]

    def assert_type(self, error, kind):
        """An error in Anthropic's own words."""
        self.assertEqual(error.body["type"], "error")
        self.assertEqual(error.body["error"]["type"], kind)
        self.assertTrue(error.body["error"]["message"])


class Messages(AnthropicTest):
    def test_a_message(self):
        message, request_id = self.create_raw(max_tokens=5)
        self.assertEqual(message.content[0].text, "The gate opens for those ")
        self.assertEqual(message.stop_reason, "max_tokens")
        self.assertEqual(message.usage.output_tokens, 5)
        self.assert_charged(
            request_id, usage="measured", input_tokens=QUESTION_TOKENS, output_tokens=5
        )

    def test_cached_input_is_input(self):
        message, request_id = self.create_raw(
            max_tokens=16, extra_headers={"X-Mock-Cached-Tokens": "4"}
        )
        self.assertEqual(message.usage.input_tokens, QUESTION_TOKENS - 4)
        self.assertEqual(message.usage.cache_read_input_tokens, 4)
        self.assert_charged(
            request_id, usage="measured", input_tokens=QUESTION_TOKENS, cached_tokens=4
        )

    def test_a_streamed_message(self):
        stream = self.create("pro", stream=True)
        events = list(stream)
        self.assertEqual((events[0].type, events[-1].type), ("message_start", "message_stop"))
        deltas = [event for event in events if event.type == "content_block_delta"]
        self.assertEqual(len(deltas), 16)
        self.assertEqual(events[-2].usage.output_tokens, 16)
        self.assert_charged(
            stream.response.headers["x-request-id"], usage="measured",
            input_tokens=QUESTION_TOKENS, output_tokens=16,
        )

    def test_a_streamed_message_with_thinking_and_a_tool_call(self):
        headers = {"X-Mock-Reasoning-Tokens": "3", "X-Mock-Tool-Call": "1"}
        with self.client(self.keys["pro"]).messages.stream(
            model="mock", messages=MESSAGES, max_tokens=99, extra_headers=headers
        ) as stream:
            message = stream.get_final_message()
            request_id = stream.response.headers["x-request-id"]
        self.assertEqual([block.type for block in message.content], ["thinking", "tool_use"])
        self.assertEqual(list(message.content[1].input), ["text"])
        self.assertEqual(message.stop_reason, "tool_use")
        self.assertEqual(message.usage.output_tokens, 19)
        self.assert_charged(request_id, usage="measured", output_tokens=19)

    def test_a_streamed_message_that_the_client_leaves_ends_at_the_engine(self):
        aborted = self.ask_engine("/_mock/stats")["aborted"]
        stream = self.create(
            "pro", stream=True, max_tokens=1000,
            headers={"X-Mock-Tokens": "1000", "X-Mock-Token-Delay-Ms": "20"},
        )
        seen = []
        while len(seen) < 3:
            seen += [event for event in [next(stream)] if event.type == "content_block_delta"]
        stream.close()
        eventually(
            lambda: self.ask_engine("/_mock/stats")["aborted"] == aborted + 1 or None,
            "the end of the generation",
        )
        line = self.audit_line(stream.response.headers["x-request-id"])
        self.assertEqual((line["usage"], line["input_tokens"]), ("partial", QUESTION_TOKENS))
        self.assertGreaterEqual(line["output_tokens"], 3)
        self.assertLess(line["output_tokens"], 1000)


class Errors(AnthropicTest):
    def test_a_wrong_key_is_an_authentication_error(self):
        with self.assertRaises(anthropic.AuthenticationError) as caught:
            self.client("tg_wrong").messages.create(
                model="mock", messages=MESSAGES, max_tokens=5
            )
        self.assert_type(caught.exception, "authentication_error")

    def test_an_error_of_the_engine_is_the_client_s(self):
        with self.assertRaises(anthropic.APIStatusError) as caught:
            self.create("pro", headers={"X-Mock-Status": "529"})
        self.assertEqual(caught.exception.status_code, 529)
        self.assert_type(caught.exception, "overloaded_error")


class Retries(AnthropicTest):
    def test_a_spent_limit_passes_at_the_first_retry(self):
        self.create("slow")
        with self.assertRaises(anthropic.RateLimitError) as caught:
            self.create("slow")
        self.assert_type(caught.exception, "rate_limit_error")
        self.assertLessEqual(int(caught.exception.response.headers["retry-after-ms"]), 1000)
        self.assertTrue(self.create("slow", max_retries=1).content)

    def test_a_spent_token_limit_passes_at_the_first_retry(self):
        def create(**options):
            return self.create("drip", max_tokens=200, headers={"X-Mock-Tokens": "200"}, **options)

        create()
        with self.assertRaises(anthropic.RateLimitError) as caught:
            create()
        self.assert_type(caught.exception, "rate_limit_error")
        refusals, message = self.refusals_of("drip", lambda: create(max_retries=1))
        self.assertEqual(message.usage.output_tokens, 200)
        self.assertLessEqual(len(refusals), 1)

    def test_a_spent_budget_is_not_retried(self):
        # A message costs 7 + 2 x 16 of the 200, so that few pass.
        passed = 0
        with self.assertRaises(anthropic.RateLimitError) as caught:
            while passed < 10:
                self.create("poor")
                passed += 1
        self.assertGreater(passed, 0)
        self.assert_type(caught.exception, "rate_limit_error")
        self.assertEqual(caught.exception.response.headers["x-should-retry"], "false")
        refusals, error = self.refusals_of("poor", lambda: self.create("poor", max_retries=5))
        self.assertIsInstance(error, anthropic.RateLimitError)
        self.assertEqual(refusals, ["budget_exceeded"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
