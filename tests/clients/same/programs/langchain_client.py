"""LangChain's ChatOpenAI, which adds up the usage of chunks."""

from langchain_openai import ChatOpenAI

from cases import BASE, KEY, QUESTION, TOOL, report


def model(name="mock", **options):
    return ChatOpenAI(model=name, base_url=f"{BASE}/v1", api_key=KEY, max_retries=0, **options)


def said(message):
    return {"content": message.content, "calls": getattr(message, "tool_calls", None),
            "usage": message.usage_metadata, "metadata": message.response_metadata,
            "more": message.additional_kwargs}


def summed(chunks):
    total = None
    for chunk in chunks:
        total = chunk if total is None else total + chunk
    return said(total)


for kind, chosen in {"text": model(), "thinking": model("mock-think"),
                     "bound": model(max_tokens=3),
                     "tool": model().bind_tools([TOOL])}.items():
    report(kind, lambda: said(chosen.invoke(QUESTION)))
    report(f"{kind} stream", lambda: [said(chunk) for chunk in chosen.stream(QUESTION)])
    report(f"{kind} summed", lambda: summed(chosen.stream(QUESTION)))
with_usage, without = model(stream_usage=True), model(stream_usage=False)
report("usage", lambda: summed(with_usage.stream(QUESTION)))
report("no usage", lambda: summed(without.stream(QUESTION)))
