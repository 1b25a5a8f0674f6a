"""The ollama package for Python."""

import ollama

from cases import BASE, KEY, MESSAGES, QUESTION, TOOL, report

client = ollama.Client(host=BASE, headers={"Authorization": f"Bearer {KEY}"})

for kind, more in {"text": {}, "bound": {"options": {"num_predict": 3}},
                   "tool": {"tools": [TOOL]}}.items():
    report(f"chat {kind}", lambda: client.chat(model="mock", messages=MESSAGES, **more))
    report(f"chat {kind} stream",
           lambda: list(client.chat(model="mock", messages=MESSAGES, stream=True, **more)))
report("thinking", lambda: client.chat(model="mock-think", messages=MESSAGES))
report("generate", lambda: client.generate(model="mock", prompt=QUESTION))
report("generate stream",
       lambda: list(client.generate(model="mock", prompt=QUESTION, stream=True)))
report("embed", lambda: client.embed(model="mock", input="one two"))
