"""The `anthropic` package, as its documentation uses it."""

import anthropic

import steps

default = anthropic.Anthropic()  # ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY


def client(step):
    return default.with_options(**step["options"]) if step.get("options") else default


def prompt(step):
    return {"model": step["model"], "messages": [{"role": "user", "content": step["prompt"]}]}


def messages(step):
    r = client(step).messages.create(max_tokens=1024, **prompt(step))
    return {"text": r.content[0].text, "model": r.model, "finish": r.stop_reason, "tokens": r.usage.output_tokens}


def messages_stream(step):
    with client(step).messages.stream(max_tokens=1024, **prompt(step)) as stream:
        events = list(stream)
        r = stream.get_final_message()
    return {"text": r.content[0].text, "model": r.model, "finish": r.stop_reason, "events": len(events), "tokens": r.usage.output_tokens}


def count_tokens(step):
    return {"tokens": client(step).messages.count_tokens(**prompt(step)).input_tokens}


def models(step):
    return {"models": [m.id for m in client(step).models.list()]}


def model(step):
    m = client(step).models.retrieve(step["model"])
    return {"model": m.id, "text": m.display_name}


steps.run({f.__name__: f for f in (
    messages, messages_stream, count_tokens, models, model,
)}, (anthropic.APIError, ValueError))
