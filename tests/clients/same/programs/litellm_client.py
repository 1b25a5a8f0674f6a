"""LiteLLM as a library."""

import logging
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
logging.disable(logging.CRITICAL)

import litellm  # noqa: E402

from cases import BASE, KEY, MESSAGES, TOOL, report  # noqa: E402

litellm.suppress_debug_info = True


def chat(**more):
    more = {"model": "openai/mock", **more}
    return litellm.completion(
        messages=MESSAGES, api_base=f"{BASE}/v1", api_key=KEY, num_retries=0, max_retries=0, **more
    )


def streamed(**more):
    return [chunk.model_dump() for chunk in chat(stream=True, **more)]


def built(**more):
    return litellm.stream_chunk_builder(list(chat(stream=True, **more)), messages=MESSAGES)


for kind, more in {"text": {}, "thinking": {"model": "openai/mock-think"},
                   "bound": {"max_tokens": 3}, "tool": {"tools": [TOOL]}}.items():
    report(kind, lambda: chat(**more))
    report(f"{kind} stream", lambda: streamed(**more))
    report(f"{kind} usage", lambda: streamed(stream_options={"include_usage": True}, **more))
    report(f"{kind} built", lambda: built(stream_options={"include_usage": True}, **more))
