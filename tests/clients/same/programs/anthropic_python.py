"""The anthropic package for Python."""

import anthropic

from cases import BASE, KEY, MESSAGES, TOOL, report

client = anthropic.Anthropic(base_url=BASE, api_key=KEY, max_retries=0)
WEATHER = {"name": "weather", "description": "The weather of a city",
           "input_schema": TOOL["function"]["parameters"]}


def create(**more):
    more = {"model": "mock", "max_tokens": 64, **more}
    return client.messages.create(messages=MESSAGES, **more)


def final(**more):
    more = {"model": "mock", "max_tokens": 64, **more}
    with client.messages.stream(messages=MESSAGES, **more) as stream:
        return [event.type for event in stream], stream.get_final_message()


for kind, more in {"text": {}, "bound": {"max_tokens": 3}, "thinking": {"model": "mock-think"},
                   "tool": {"tools": [WEATHER]}}.items():
    report(kind, lambda: create(**more))
    report(f"{kind} stream", lambda: list(create(stream=True, **more)))
    report(f"{kind} final", lambda: final(**more))
report("error", lambda: create(extra_headers={"X-Mock-Status": "400"}))
