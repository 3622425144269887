"""What the clients' scripts share.

A script runs the steps in the file that is its argument, a JSON list of
{"op", "model", "prompt", "options"}, and prints for each one line of JSON: what
the client made of the answer, or how it reported the error.
"""

import json
import sys


def run(operations, errors):
    for step in json.load(open(sys.argv[1], encoding="utf-8")):
        try:
            line = operations[step["op"]](step)
        except errors as e:
            line = {"error": describe(e)}
        print(json.dumps(line))


def describe(e):
    # OpenAI's SDK gives the error object itself, Anthropic's what is around it.
    body = getattr(e, "body", None) or {}
    error = body.get("error", body)
    return {
        "class": type(e).__name__,
        "status": getattr(e, "status_code", 0),  # 200 where the error is in a stream
        "message": error.get("message"),
        "type": error.get("type"),
        "code": getattr(e, "code", None),
    }
