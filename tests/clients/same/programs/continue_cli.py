"""Continue's command, as it answers one question."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

engine, base, key = sys.argv[1:4]
command = (pathlib.Path(os.environ["TOLLGATE_CLIENTS"])
           / "node/node_modules/@continuedev/cli/dist/cn.js")

CONFIGURATION = """
name: mock
version: 1.0.0
schema: v1
models:
  - name: mock
    provider: openai
    model: {model}
    apiBase: {base}/v1
    apiKey: {key}
    roles: [chat]
"""

for model in ("mock", "mock-think"):
    with tempfile.TemporaryDirectory(prefix="tollgate-continue-") as folder:
        file = pathlib.Path(folder) / "config.yaml"
        file.write_text(CONFIGURATION.format(model=model, base=base, key=key))
        # Without its tools, which the mock would call.
        run = subprocess.run(
            ["node", command, "--config", file, "--exclude", "*", "-p", "How many tokens?"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            env={**os.environ, "HOME": folder, "CONTINUE_TELEMETRY_ENABLED": "0",
                 "CONTINUE_ALLOW_ANONYMOUS_TELEMETRY": "0", "CI": "1"}, cwd=folder, timeout=120,
        )
        seen = {"status": run.returncode, "text": run.stdout.replace(folder, "FOLDER")}
        if run.returncode:
            seen["error"] = run.stderr.replace(folder, "FOLDER")[-2000:]
        print(json.dumps({"case": model, "seen": seen}), flush=True)
