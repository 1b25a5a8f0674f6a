"""What goes over the wire, byte for byte: every endpoint of each engine, streamed and not."""

import http.client
import json
import sys
import urllib.parse

engine, base, key = sys.argv[1:4]
QUESTION = [{"role": "user", "content": "How many tokens are in this question?"}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                       "required": ["city"]}}}
TOOL_OF_MESSAGES = {"name": "weather", "description": "of a city",
                    "input_schema": TOOL["function"]["parameters"]}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
CONTINUOUS = {"stream": True,
              "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
DECLINED = {"stream": True, "stream_options": {"include_usage": False}}
EMPTY_OPTIONS = {"stream": True, "stream_options": {}}

WAYS = {"whole": {}, "stream": {"stream": True}}
OPENAI_WAYS = WAYS | {"usage": WITH_USAGE, "continuous": CONTINUOUS, "declined": DECLINED,
                      "no options": EMPTY_OPTIONS}


def chat(**more):
    return {"model": "mock", "messages": QUESTION, **more}


def cases_of(path, kinds, ways, headers=None):
    """Each kind of body in each of the ways."""
    for kind, body in kinds.items():
        for way, more in ways.items():
            yield f"{path} {kind} {way}", "POST", path, {**body, **more}, headers or {}


CHAT_KINDS = {
    "text": chat(),
    "bound": chat(max_tokens=3),
    "n": chat(n=2),
    "tool": chat(tools=[TOOL]),
    "thinking": {**chat(), "model": "mock-think"},
}
COMPLETION_KINDS = {
    "text": {"model": "mock", "prompt": "one two three"},
    "bound": {"model": "mock", "prompt": "one two three", "max_tokens": 3},
    "n": {"model": "mock", "prompt": "one two three", "n": 2},
    "prompts": {"model": "mock", "prompt": ["one two", "three"]},
}
MESSAGE_KINDS = {
    "text": chat(max_tokens=64),
    "bound": chat(max_tokens=3),
    "tool": chat(max_tokens=64, tools=[TOOL_OF_MESSAGES]),
    "thinking": {**chat(max_tokens=64), "model": "mock-think"},
}
RESPONSE_KINDS = {
    "text": {"model": "mock", "input": "one two three"},
    "bound": {"model": "mock", "input": "one two three", "max_output_tokens": 3},
    "thinking": {"model": "mock-think", "input": "one two three"},
}
EMBEDDING_KINDS = {"one": {"model": "mock", "input": "one two"},
                   "two": {"model": "mock", "input": ["one two", "three"],
                           "encoding_format": "base64"}}


def cases():
    def openai():
        yield from cases_of("/v1/chat/completions", CHAT_KINDS, OPENAI_WAYS)
        yield from cases_of("/v1/completions", COMPLETION_KINDS, OPENAI_WAYS)

    def responses():
        yield from cases_of("/v1/responses", RESPONSE_KINDS,
                            {"whole": {"stream": False}, "stream": {"stream": True}})

    def messages():
        yield from cases_of("/v1/messages", MESSAGE_KINDS, WAYS)

    def embeddings():
        yield from cases_of("/v1/embeddings", EMBEDDING_KINDS, {"whole": {}})

    def errors():
        for status in (400, 429, 500):
            for way, more in WAYS.items():
                yield (f"error {status} {way}", "POST", "/v1/chat/completions", chat(**more),
                       {"X-Mock-Status": str(status)})

    def deaths():
        for end in ("closed", "quiet", "error"):
            yield (f"death {end}", "POST", "/v1/chat/completions", chat(stream=True),
                   {"X-Mock-Cut-After": "3", "X-Mock-Cut-End": end})

    if engine == "anthropic":
        yield from messages()
        return
    if engine == "ollama":
        yield from cases_of("/api/chat", {"text": chat(), "tool": chat(tools=[TOOL])},
                            {"default": {}, "whole": {"stream": False}})
        yield from cases_of("/api/generate", {"text": {"model": "mock", "prompt": "one two"}},
                            {"default": {}, "whole": {"stream": False}})
    if engine == "tgi":
        for path in ("/generate", "/generate_stream", "/"):
            yield from cases_of(path, {"text": {"inputs": "one two"},
                                       "details": {"inputs": "one two",
                                                   "parameters": {"details": True}}},
                                WAYS if path == "/" else {"whole": {}})
    if engine == "llamacpp":
        for path in ("/completion", "/completions"):
            yield from cases_of(path, {"text": {"prompt": "one two", "n_predict": 4},
                                       "prompts": {"prompt": ["one two", "three"]}}, WAYS)
        yield from cases_of("/chat/completions", {"text": chat()}, OPENAI_WAYS)
    yield "models", "GET", "/v1/models", None, {}
    yield from openai()
    yield from errors()
    yield from deaths()
    if engine in ("openai", "vllm", "sglang", "llamacpp", "transformers"):
        yield from responses()
    if engine in ("vllm", "llamacpp"):
        yield from messages()
        yield ("count", "POST", "/v1/messages/count_tokens", chat(), {})
        yield from cases_of("/tokenize", {"text": {"prompt": "one two", "content": "one two"}},
                            {"whole": {}})
    if engine in ("openai", "vllm", "ollama"):
        yield from embeddings()
    if engine == "vllm":
        yield ("pooling", "POST", "/pooling", {"model": "mock", "input": "one two"}, {})
        yield ("score", "POST", "/score",
               {"model": "mock", "text_1": "one", "text_2": ["two", "three"]}, {})
        yield ("rerank", "POST", "/v1/rerank",
               {"model": "mock", "query": "one", "documents": ["two", "three"]}, {})
        yield ("batch", "POST", "/v1/chat/completions/batch",
               {"model": "mock", "messages": [QUESTION, QUESTION]}, {})


def ask(method, path, body, headers):
    """Status, type and text; an answer that breaks off says so."""
    address = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}
    connection.request(method, path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    try:
        text, end = answer.read().decode(), "whole"
    except http.client.IncompleteRead as error:
        text, end = error.partial.decode(), "broken off"
    return {"status": answer.status, "type": answer.headers["Content-Type"], "end": end,
            "text": text.split("\n")}


for name, method, path, body, headers in cases():
    print(json.dumps({"case": name, "seen": ask(method, path, body, headers)}), flush=True)
