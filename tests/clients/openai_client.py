"""The official openai package, through the module, in front of the mock engine."""

import concurrent.futures
import sys
import time
import unittest

import jwt
import openai

from gateway import MESSAGES, QUESTION, QUESTION_TOKENS, GatewayTest, eventually

WITH_USAGE = {"include_usage": True}


class OpenAITest(GatewayTest):
    def client(self, key, **options):
        options.setdefault("max_retries", 0)
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, **options
        )
        self.addCleanup(client.close)
        return client

    def setUp(self):
        self.pro = self.client(self.keys["pro"])

    def assert_usage_charged(self, request_id, usage):
        """The audit line says what the engine told the client."""
        self.assert_charged(
            request_id, usage="measured",
            input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens,
        )


class Requests(OpenAITest):
    def test_the_list_of_models_and_the_headers(self):
        answer = self.pro.models.with_raw_response.list()
        self.assertEqual(answer.headers["x-ratelimit-limit-requests"], "1000")
        self.assertTrue(answer.headers["x-request-id"])
        self.assertTrue(answer.parse().data)

    def test_a_token_of_another_library(self):
        token = jwt.encode(
            {"sub": "acme", "tier": "pro", "exp": int(time.time()) + 60}, self.secret, "HS256"
        )
        self.assertTrue(self.client(token).models.list().data)

    def test_a_wrong_key_is_an_authentication_error(self):
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.client("tg_wrong").models.list()
        self.assertEqual(caught.exception.code, "invalid_api_key")
        self.assertEqual(caught.exception.type, "invalid_request_error")
        self.assertTrue(caught.exception.request_id)

    def test_an_error_of_the_engine_is_the_client_s_and_costs_nothing(self):
        with self.assertRaises(openai.InternalServerError) as caught:
            self.pro.chat.completions.create(
                model="mock", messages=MESSAGES, extra_headers={"X-Mock-Status": "503"}
            )
        self.assertEqual(caught.exception.type, "server_error")
        line = self.audit_line(caught.exception.request_id)
        self.assertFalse(line.get("output_tokens"), line)


class WholeAnswers(OpenAITest):
    def test_a_chat_completion(self):
        answer = self.pro.chat.completions.create(
            model="mock", messages=MESSAGES, max_completion_tokens=5
        )
        self.assertEqual(answer.model, "mock")
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.prompt_tokens, QUESTION_TOKENS)
        self.assertEqual(answer.usage.completion_tokens, 5)
        self.assert_usage_charged(answer._request_id, answer.usage)

    def test_a_chat_completion_with_reasoning_a_tool_call_and_cached_input(self):
        answer = self.pro.chat.completions.create(
            model="mock", messages=MESSAGES,
            extra_headers={
                "X-Mock-Reasoning-Tokens": "3", "X-Mock-Tool-Call": "1",
                "X-Mock-Cached-Tokens": "4",
            },
        )
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(answer.choices[0].message.tool_calls[0].function.name, "look_up")
        self.assert_usage_charged(answer._request_id, answer.usage)
        self.assert_charged(answer._request_id, cached_tokens=4, reasoning_tokens=3)

    def test_a_completion_with_two_prompts_and_two_choices(self):
        answer = self.pro.completions.create(
            model="mock", prompt=["one two", "three"], n=2, max_tokens=3
        )
        self.assertEqual(len(answer.choices), 4)
        self.assertEqual(answer.usage.prompt_tokens, 3)
        self.assertEqual(answer.usage.completion_tokens, 12)
        self.assert_usage_charged(answer._request_id, answer.usage)

    def test_embeddings(self):
        answer = self.pro.embeddings.create(model="mock", input=["one two", "three"])
        self.assertEqual([len(vector.embedding) for vector in answer.data], [8, 8])
        self.assert_charged(answer._request_id, usage="measured", input_tokens=3)

    def test_a_response(self):
        answer = self.pro.responses.create(model="mock", input=QUESTION, max_output_tokens=5)
        self.assertEqual(answer.status, "incomplete")
        self.assertEqual(answer.usage.output_tokens, 5)
        self.assert_charged(
            answer._request_id, usage="measured", input_tokens=QUESTION_TOKENS, output_tokens=5
        )


class Streams(OpenAITest):
    def assert_no_trace_of_usage(self, chunks):
        self.assertTrue(all(chunk.choices for chunk in chunks), chunks)
        self.assertTrue(all(chunk.usage is None for chunk in chunks), chunks)

    def test_a_chat_completion_whose_usage_was_asked_for(self):
        stream = self.pro.chat.completions.create(
            model="mock", messages=MESSAGES, max_tokens=5, stream=True, stream_options=WITH_USAGE
        )
        *chunks, last = stream
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks),
                         "The gate opens for those ")
        self.assertEqual((last.choices, last.usage.completion_tokens), ([], 5))
        self.assert_usage_charged(stream.response.headers["x-request-id"], last.usage)

    def test_a_chat_completion_whose_usage_was_not_asked_for(self):
        stream = self.pro.chat.completions.create(
            model="mock", messages=MESSAGES, max_tokens=5, stream=True
        )
        chunks = list(stream)
        self.assertEqual(len(chunks), 1 + 5 + 1)
        self.assert_no_trace_of_usage(chunks)
        request_id = stream.response.headers["x-request-id"]
        self.assertEqual(self.received_by_engine(request_id)["stream_options"], WITH_USAGE)
        self.assert_charged(
            request_id, usage="measured", input_tokens=QUESTION_TOKENS, output_tokens=5
        )

    def test_a_chat_completion_whose_usage_was_refused(self):
        stream = self.pro.chat.completions.create(
            model="mock", messages=MESSAGES, max_tokens=5, stream=True,
            stream_options={"include_usage": False},
        )
        self.assert_no_trace_of_usage(list(stream))

    def test_completions_with_and_without_usage(self):
        for options in (WITH_USAGE, openai.omit):
            with self.subTest(options=options):
                stream = self.pro.completions.create(
                    model="mock", prompt=QUESTION, max_tokens=5, stream=True, stream_options=options
                )
                chunks = list(stream)
                if options is WITH_USAGE:
                    self.assertEqual(chunks[-1].usage.completion_tokens, 5)
                else:
                    self.assert_no_trace_of_usage(chunks)
                self.assert_charged(
                    stream.response.headers["x-request-id"], usage="measured",
                    input_tokens=QUESTION_TOKENS, output_tokens=5,
                )

    def test_a_tool_call_and_reasoning(self):
        stream = self.pro.chat.completions.create(
            model="mock", messages=MESSAGES, stream=True,
            extra_headers={"X-Mock-Reasoning-Tokens": "3", "X-Mock-Tool-Call": "1"},
        )
        chunks = list(stream)
        calls = [c.choices[0].delta.tool_calls for c in chunks if c.choices[0].delta.tool_calls]
        self.assertEqual(calls[0][0].function.name, "look_up")
        self.assertTrue("".join(call[0].function.arguments for call in calls).endswith('"}'))
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")
        self.assert_charged(
            stream.response.headers["x-request-id"], usage="measured", output_tokens=16 + 3,
            reasoning_tokens=3,
        )

    def test_a_response(self):
        with self.pro.responses.stream(model="mock", input=QUESTION) as stream:
            names = [event.type for event in stream]
            answer = stream.get_final_response()
        self.assertEqual((names[0], names[-1]), ("response.created", "response.completed"))
        self.assertEqual(names.count("response.output_text.delta"), 16)
        self.assertEqual(answer.usage.output_tokens, 16)
        line = eventually(
            lambda: next(iter(self.audit_lines(path="/v1/responses", stream=True)), None),
            "the audit line of the response",
        )
        self.assertEqual((line["usage"], line["output_tokens"]), ("measured", 16))

    def test_a_stream_that_the_client_leaves_ends_at_the_engine(self):
        aborted = self.ask_engine("/_mock/stats")["aborted"]
        stream = self.pro.chat.completions.create(
            model="mock", messages=MESSAGES, max_tokens=1000, stream=True,
            extra_headers={"X-Mock-Tokens": "1000", "X-Mock-Token-Delay-Ms": "20"},
        )
        seen = [next(stream) for _ in range(4)]
        self.assert_no_trace_of_usage(seen)
        stream.close()
        eventually(
            lambda: self.ask_engine("/_mock/stats")["aborted"] == aborted + 1 or None,
            "the end of the generation",
        )
        line = self.audit_line(stream.response.headers["x-request-id"])
        self.assertEqual(line["usage"], "partial")
        # The first chunk has the role only.
        self.assertGreaterEqual(line["output_tokens"], 3)
        self.assertLess(line["output_tokens"], 1000)


class Retries(OpenAITest):
    def test_a_spent_limit_is_a_rate_limit_error_and_a_retry_passes(self):
        client = self.client(self.keys["slow"])
        client.models.list()
        with self.assertRaises(openai.RateLimitError) as caught:
            client.models.list()
        self.assertEqual(caught.exception.code, "rate_limit_exceeded")
        self.assertEqual(caught.exception.type, "requests")
        self.assertLessEqual(int(caught.exception.response.headers["retry-after-ms"]), 1000)
        # The package waits as long as the header says, and then the same request passes.
        self.assertTrue(self.client(self.keys["slow"], max_retries=1).models.list().data)

    def test_a_spent_token_limit_passes_at_the_first_retry(self):
        def complete(**options):
            return self.client(self.keys["drip"], **options).chat.completions.create(
                model="mock", messages=MESSAGES, max_tokens=200,
                extra_headers={"X-Mock-Tokens": "200"},
            )

        complete()
        with self.assertRaises(openai.RateLimitError) as caught:
            complete()
        self.assertEqual(caught.exception.code, "rate_limit_exceeded")
        self.assertEqual(caught.exception.type, "tokens")
        refusals, answer = self.refusals_of("drip", lambda: complete(max_retries=1))
        self.assertEqual(answer.usage.completion_tokens, 200)
        self.assertLessEqual(len(refusals), 1)

    def test_a_spent_budget_is_not_retried(self):
        def complete(**options):
            return self.client(self.keys["poor"], **options).chat.completions.create(
                model="mock", messages=MESSAGES, max_tokens=16
            )

        # A completion costs 7 + 2 x 16 of the 200, so that few pass.
        passed = 0
        with self.assertRaises(openai.RateLimitError) as caught:
            while passed < 10:
                complete()
                passed += 1
        self.assertGreater(passed, 0)
        self.assertEqual(caught.exception.code, "insufficient_quota")
        self.assertEqual(caught.exception.type, "insufficient_quota")
        self.assertEqual(caught.exception.response.headers["x-should-retry"], "false")
        refusals, error = self.refusals_of("poor", lambda: complete(max_retries=5))
        self.assertIsInstance(error, openai.RateLimitError)
        self.assertEqual(refusals, ["budget_exceeded"])

    def test_a_second_stream_passes_when_the_first_has_ended(self):
        def open_stream(**options):
            return self.client(self.keys["single"], **options).chat.completions.create(
                model="mock", messages=MESSAGES, stream=True, extra_headers={"X-Mock-Hold": "1"}
            )

        with open_stream() as first:
            next(first)
            with self.assertRaises(openai.RateLimitError) as caught:
                open_stream()
            self.assertEqual(caught.exception.code, "rate_limit_exceeded")
            self.assertEqual(caught.exception.type, "requests")
            self.assertNotIn("x-should-retry", caught.exception.response.headers)
            self.assertGreater(int(caught.exception.response.headers["retry-after-ms"]), 0)
        with open_stream(max_retries=5) as second:
            self.assertTrue(next(second).choices)

    def test_requests_in_a_queue_all_pass_without_a_retry(self):
        def complete(_):
            return self.client(self.keys["queued"]).chat.completions.create(
                model="mock", messages=MESSAGES, max_tokens=5,
                extra_headers={"X-Mock-Latency-Ms": "50"},
            )

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(complete, range(6)))
        self.assertEqual([answer.usage.completion_tokens for answer in answers], [5] * 6)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
