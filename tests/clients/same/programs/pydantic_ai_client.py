"""Pydantic AI, with its limits of usage."""

import asyncio

from pydantic_ai import Agent, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from cases import BASE, KEY, QUESTION, report

provider = OpenAIProvider(base_url=f"{BASE}/v1", api_key=KEY)
LIMITS = UsageLimits(output_tokens_limit=40, request_limit=4)


def agent(name="mock"):
    return Agent(OpenAIChatModel(name, provider=provider))


def with_tool():
    made = agent()

    @made.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    return made


def said(run):
    usage = run.usage() if callable(run.usage) else run.usage
    return {"usage": [usage.requests, usage.input_tokens, usage.output_tokens, usage.details],
            "parts": [[part.part_kind, getattr(part, "content", None)]
                      for message in run.all_messages() for part in message.parts]}


def whole(made):
    return said(asyncio.run(made.run(QUESTION, usage_limits=LIMITS)))


def streamed(made):
    async def run():
        async with made.run_stream(QUESTION, usage_limits=LIMITS) as result:
            texts = [text async for text in result.stream_text(delta=True, debounce_by=None)]
            return {"texts": texts, **said(result)}

    return asyncio.run(run())


for kind, make in {"text": agent, "thinking": lambda: agent("mock-think"), "tool": with_tool}.items():
    report(kind, lambda: whole(make()))
    report(f"{kind} stream", lambda: streamed(make()))
