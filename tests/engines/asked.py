"""What a running engine is asked: requests of many kinds, each short."""

TEXTS = [
    "Count: one, two, three,",
    "Write a short story about a toll gate in the mountains, and the people who pass it.",
    "for (let i = 0; i < 10; i++) { console.log(`${i}: ${items[i]}`); }",
    "Die Maut wird am Schlagbaum bezahlt, wie schon seit hundert Jahren.",
    "Шлагбаум открывается, когда плата внесена.",
    "4f6a 0c9d 77e1 b2aa 19f0 5c3d 88be 6471 deadbeef cafebabe",
    "收费站在山里。",
]
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                       "required": ["city"]}}}


def varied(engine, model, count):
    """Requests of many kinds, each with a bound that keeps it short: name of the kind, path, body."""
    def chat(text, **more):
        return "/v1/chat/completions", {
            "model": model, "messages": [{"role": "user", "content": text}], "temperature": 0,
            "max_tokens": 16, **more}

    def completion(text, **more):
        return "/v1/completions", {"model": model, "prompt": text, "temperature": 0,
                                   "max_tokens": 16, **more}

    def response(text, **more):
        return "/v1/responses", {"model": model, "input": text, "temperature": 0,
                                 "max_output_tokens": 16, **more}

    def message(text, **more):
        return "/v1/messages", {"model": model, "messages": [{"role": "user", "content": text}],
                                "max_tokens": 16, **more}

    usage = {"stream": True, "stream_options": {"include_usage": True}}
    declined = {"stream": True, "stream_options": {"include_usage": False}}
    kinds = [
        ("chat", lambda text: chat(text)),
        ("chat, streamed", lambda text: chat(text, stream=True)),
        ("chat, streamed with usage", lambda text: chat(text, **usage)),
        ("chat, streamed, usage declined", lambda text: chat(text, **declined)),
        ("chat, n=3", lambda text: chat(text, n=3, temperature=0.7)),
        ("chat, n=3, streamed", lambda text: chat(text, n=3, temperature=0.7, stream=True)),
        ("chat, n=2, streamed with usage", lambda text: chat(text, n=2, temperature=0.7, **usage)),
        ("chat, a tool", lambda text: chat(text, tools=[TOOL])),
        ("chat, a tool, streamed", lambda text: chat(text, tools=[TOOL], stream=True)),
        ("chat, logprobs", lambda text: chat(text, logprobs=True, top_logprobs=2)),
        ("chat, one token", lambda text: chat(text, max_tokens=1)),
        ("chat, stop", lambda text: chat(text, stop=[" "])),
        ("chat, JSON", lambda text: chat(text, response_format={"type": "json_object"})),
        ("completion", lambda text: completion(text)),
        ("completion, streamed", lambda text: completion(text, stream=True)),
        ("completion, streamed with usage", lambda text: completion(text, **usage)),
        ("completion, three prompts", lambda text: completion([text, "one", "two three"])),
        ("completion, three prompts, streamed", lambda text: completion([text, "one", "two three"], stream=True)),
        ("completion, n=3", lambda text: completion(text, n=3, temperature=0.7)),
        ("completion, n=3, streamed", lambda text: completion(text, n=3, temperature=0.7, stream=True)),
        ("completion, token ids", lambda text: completion([300, 301, 302, 303])),
        ("response", lambda text: response(text)),
        ("response, streamed", lambda text: response(text, stream=True)),
        ("message", lambda text: message(text)),
        ("message, streamed", lambda text: message(text, stream=True)),
        ("chat, too long", lambda text: chat("word " * 3000)),
        ("chat, no request", lambda text: ("/v1/chat/completions", {"model": model, "messages": "x"})),
    ]
    if engine == "llamacpp":
        native = {"n_predict": 16, "temperature": 0}
        kinds += [
            ("native", lambda text: ("/completion", {"prompt": text, **native})),
            ("native, streamed", lambda text: ("/completion", {"prompt": text, "stream": True, **native})),
            ("native, two prompts", lambda text: ("/completions", {"prompt": [text, "one"], **native})),
            ("native, n=2", lambda text: ("/completion", {"prompt": text, "n_cmpl": 2, **native})),
            ("chat without /v1", lambda text: ("/chat/completions", chat(text)[1])),
        ]
    if engine == "ollama":
        native = {"model": model, "options": {"num_predict": 16, "temperature": 0}}
        talk = [{"role": "user", "content": "Count: one,"}]
        kinds += [
            ("native, streamed", lambda text: ("/api/generate", {"prompt": text, **native})),
            ("native", lambda text: ("/api/generate", {"prompt": text, "stream": False, **native})),
            ("native chat, streamed",
             lambda text: ("/api/chat", {"messages": [{"role": "user", "content": text}], **native})),
            ("native chat", lambda text: ("/api/chat", {"messages": talk, "stream": False, **native})),
        ]
        # It has one choice, and what it makes beyond it, its answers don't say.
        kinds = [one for one in kinds if one[1]("x")[1].get("n", 1) == 1]
    if engine == "sglang":
        sampling = {"sampling_params": {"max_new_tokens": 16, "temperature": 0}}
        kinds += [
            ("native", lambda text: ("/generate", {"text": text, **sampling})),
            ("native, streamed", lambda text: ("/generate", {"text": text, "stream": True, **sampling})),
        ]
    if engine == "vllm":
        kinds += [
            ("chat, no such model", lambda text: chat("nope", model="nope")),
            ("chats in a batch", lambda text: ("/v1/chat/completions/batch",
                                               {**chat(text)[1], "messages": [chat(text)[1]["messages"]] * 2})),
            ("invocations", lambda text: ("/invocations", chat(text)[1])),
            ("scoring", lambda text: ("/generative_scoring",
                                      {"model": model, "query": text, "items": ["a", "b"],
                                       "label_token_ids": [300, 301]})),
        ]
    for number in range(count):
        name, kind = kinds[number % len(kinds)]
        text = TEXTS[number // len(kinds) % len(TEXTS)] + f" {number}" * (number % 5)
        yield (name, *kind(text))


def body_for(path, model):
    """Something that the endpoint takes."""
    chat = {"model": model, "messages": [{"role": "user", "content": "Count: one,"}],
            "max_tokens": 4, "max_output_tokens": 4}
    if path.endswith("/batch"):
        return {**chat, "messages": [chat["messages"]] * 2}
    if "responses" in path:
        return {"model": model, "input": "Count: one,", "max_output_tokens": 4}
    if "chat" in path or "messages" in path or path == "/invocations":
        return chat
    if path == "/generative_scoring":
        return {"model": model, "query": "nice?", "items": ["a", "b"],
                "label_token_ids": [300, 301]}
    if "generate" in path:
        return {"model": model, "token_ids": [300, 301], "sampling_params": {"max_tokens": 4}}
    return {"model": model, "prompt": "Count: one,", "content": "Count: one,", "input": "Count",
            "inputs": "Count", "max_tokens": 4, "n_predict": 4, "query": "one",
            "documents": ["one", "two"], "text_1": "one", "text_2": "two", "texts": ["one"],
            "tokens": [300, 301], "conversation_ids": ["x"]}
