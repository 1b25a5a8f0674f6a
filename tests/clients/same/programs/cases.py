"""How the programs in Python report: a line for each case, errors too."""

import json
import sys

ENGINE, BASE, KEY = sys.argv[1:4]
QUESTION = "How many tokens are in this question?"
MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                       "required": ["city"]}}}


def plain(value):
    """What an object of a package holds, as JSON has it."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json", warnings=False))
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return plain(vars(value)) if hasattr(value, "__dict__") else str(value)


def report(case, ask):
    """Prints what `ask` returns, or how it fails."""
    try:
        seen = plain(ask())
    except Exception as error:  # whatever the package raises
        seen = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps({"case": case, "seen": seen}), flush=True)
