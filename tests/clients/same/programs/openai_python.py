"""The openai package for Python."""

import openai

from cases import BASE, ENGINE, KEY, MESSAGES, QUESTION, TOOL, report

client = openai.OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0)
WITH_USAGE = {"include_usage": True}


def chat(**more):
    more.setdefault("model", "mock")
    return client.chat.completions.create(messages=MESSAGES, **more)


def final(**more):
    more.setdefault("model", "mock")
    with client.chat.completions.stream(messages=MESSAGES, **more) as stream:
        events = [event.type for event in stream]
        return events, stream.get_final_completion()


for kind, more in {
    "text": {}, "bound": {"max_tokens": 3}, "thinking": {"model": "mock-think"},
    "tool": {"tools": [TOOL]}, "n": {"n": 2},
}.items():
    report(f"chat {kind}", lambda: chat(**more))
    report(f"chat {kind} stream", lambda: list(chat(stream=True, **more)))
    report(f"chat {kind} stream usage",
           lambda: list(chat(stream=True, stream_options=WITH_USAGE, **more)))
report("chat final", lambda: final())
report("chat final usage", lambda: final(stream_options=WITH_USAGE))
for kind, more in {"text": {}, "bound": {"max_tokens": 3}}.items():
    ask = lambda **way: client.completions.create(model="mock", prompt=QUESTION, **more, **way)
    report(f"completion {kind}", ask)
    report(f"completion {kind} stream", lambda: list(ask(stream=True)))
    report(f"completion {kind} stream usage",
           lambda: list(ask(stream=True, stream_options=WITH_USAGE)))
report("models", lambda: client.models.list())
report("error", lambda: chat(extra_headers={"X-Mock-Status": "400"}))
report("error stream", lambda: list(chat(stream=True, extra_headers={"X-Mock-Status": "500"})))
report("death", lambda: list(chat(stream=True, extra_headers={
    "X-Mock-Cut-After": "2", "X-Mock-Cut-End": "error"})))
if ENGINE in ("openai", "vllm", "llamacpp", "transformers"):
    report("response", lambda: client.responses.create(model="mock", input=QUESTION, stream=False))
    report("response stream",
           lambda: list(client.responses.create(model="mock", input=QUESTION, stream=True)))
if ENGINE in ("openai", "vllm", "ollama"):
    report("embeddings", lambda: client.embeddings.create(model="mock", input=["one two", "three"]))
