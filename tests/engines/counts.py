"""What an engine says that it took in and made: by its own counters, or in its answers where it has none."""

import json
import re
import time
import urllib.error
import urllib.request

# Names of the engine's own counters: what it took in, what it made, what runs.
COUNTERS = {
    "vllm": (["vllm:prompt_tokens_total"], ["vllm:generation_tokens_total"],
             ["vllm:num_requests_running", "vllm:num_requests_waiting"]),
    "llamacpp": (["llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total"],
                 ["llamacpp:tokens_predicted_total"],
                 ["llamacpp:requests_processing", "llamacpp:requests_deferred"]),
    # With --enable-metrics.
    "sglang": (["sglang:prompt_tokens_total"], ["sglang:generation_tokens_total"],
               ["sglang:num_running_reqs", "sglang:num_queue_reqs"]),
}
ENGINES = [*COUNTERS, "ollama"]
# Where each says its version: path, and the member.
VERSIONS = {"vllm": ("/version", "version"), "llamacpp": ("/props", "build_info"),
            "sglang": ("/get_server_info", "version"), "ollama": ("/api/version", "version")}
# Members of what an answer says of its usage.
INPUT = ["prompt_tokens", "input_tokens", "prompt_eval_count", "tokens_evaluated"]
OUTPUT = ["completion_tokens", "output_tokens", "eval_count", "tokens_predicted"]


def get(url, path):
    """The text of a page; None where there is none."""
    try:
        with urllib.request.urlopen(url + path, timeout=60) as answer:
            return answer.read().decode(errors="replace")
    except urllib.error.HTTPError:
        return None


def version(engine, url):
    path, member = VERSIONS[engine]
    try:
        return str(json.loads(get(url, path) or "{}").get(member, "?"))
    except ValueError:
        return "?"


def totals(engine, url):
    """Input, output, and how many requests it works on; None where it doesn't count."""
    text = get(url, "/metrics") if engine in COUNTERS else None
    if text is None:
        return None

    def total(names):
        lines = [line for line in text.splitlines() if re.split(r"[{ ]", line)[0] in names]
        return round(sum(float(line.rsplit(" ", 1)[1]) for line in lines))

    return tuple(total(names) for names in COUNTERS[engine])


def settled(engine, url, still=0.25):
    """The totals, once nothing runs and they stay as they are for so many seconds."""
    before, since = None, 0.0
    while True:
        now = totals(engine, url)
        if now is None:
            return None
        if now != before or now[2] != 0:
            before, since = now, time.monotonic()
        elif time.monotonic() - since >= still:
            return now
        time.sleep(0.25)


def messages(text):
    """The JSON values of an answer: one, or one for each event or line of a stream."""
    lines = text.splitlines() if text.startswith(("data:", "event:")) or "}\n{" in text else [text]
    for line in lines:
        try:
            yield json.loads(line.removeprefix("data:").strip())
        except ValueError:
            continue


def said(text):
    """(input, output) as an answer says them; None where it doesn't."""
    found = {"input": 0, "output": 0}
    is_said = False

    def look(value):
        nonlocal is_said
        if isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            for name, item in value.items():
                for way, names in (("input", INPUT), ("output", OUTPUT)):
                    if name in names and isinstance(item, int):
                        found[way], is_said = max(found[way], item), True
                if name in ("usage", "message", "response", "meta_info"):
                    look(item)

    for message in messages(text):
        look(message)
    return (found["input"], found["output"]) if is_said else None


def pieces_in(line):
    """Whether an event of a stream has some of the answer's text."""
    if not line.startswith(b"data:") and not line.startswith(b"{"):
        return False
    try:
        value = json.loads(line.removeprefix(b"data:"))
    except ValueError:
        return False
    if not isinstance(value, dict):
        return False
    choices = value.get("choices") or [{}]
    delta = value.get("delta") or choices[0].get("delta") or value.get("message") or {}
    return bool(isinstance(delta, dict) and (delta.get("content") or delta.get("text") or delta.get("reasoning_content")
                                             or delta.get("reasoning") or delta.get("thinking")))
