"""LlamaIndex's OpenAILike."""

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

from cases import BASE, KEY, QUESTION, plain, report


def model(name="mock", **options):
    return OpenAILike(model=name, api_base=f"{BASE}/v1", api_key=KEY, is_chat_model=True,
                      max_retries=0, **options)


def said(answer):
    return {"text": str(answer.message.content), "delta": answer.delta, "raw": plain(answer.raw),
            "more": plain(answer.additional_kwargs)}


QUESTIONS = [ChatMessage(role="user", content=QUESTION)]
for kind, chosen in {"text": model(), "thinking": model("mock-think"),
                     "bound": model(max_tokens=3)}.items():
    report(kind, lambda: said(chosen.chat(QUESTIONS)))
    report(f"{kind} stream", lambda: [said(answer) for answer in chosen.stream_chat(QUESTIONS)])
completer = OpenAILike(model="mock", api_base=f"{BASE}/v1", api_key=KEY, is_chat_model=False,
                       max_retries=0)
report("completion", lambda: plain(completer.complete(QUESTION).raw))
report("completion stream",
       lambda: [plain(answer.raw) for answer in completer.stream_complete(QUESTION)])
