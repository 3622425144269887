"""The `openai` package, as its documentation uses it."""

import os

import openai

import steps

if "AZURE_OPENAI_ENDPOINT" in os.environ:
    default = openai.AzureOpenAI()  # and AZURE_OPENAI_API_KEY, OPENAI_API_VERSION
else:
    default = openai.OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY


def client(step):
    return default.with_options(**step["options"]) if step.get("options") else default


def messages(step):
    return [{"role": "user", "content": step["prompt"]}]


def chat(step):
    r = client(step).chat.completions.create(model=step["model"], messages=messages(step), temperature=0.7)
    return {"text": r.choices[0].message.content, "model": r.model, "finish": r.choices[0].finish_reason, "tokens": r.usage.total_tokens}


def chat_stream(step):
    chunks = list(client(step).chat.completions.create(
        model=step["model"], messages=messages(step), stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    return {"text": text, "model": chunks[0].model, "events": len(chunks), "tokens": chunks[-1].usage.total_tokens}


def responses(step):
    r = client(step).responses.create(model=step["model"], input=step["prompt"])
    return {"text": r.output_text, "model": r.model, "finish": r.status, "tokens": r.usage.total_tokens}


def responses_stream(step):
    events = list(client(step).responses.create(model=step["model"], input=step["prompt"], stream=True))
    last = events[-1]
    if last.type == "error":  # an event like any other to this package
        return {"error": {"class": type(last).__name__, "message": last.message, "code": last.code}}
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    return {"text": text, "model": last.response.model, "events": len(events), "finish": last.type}


def completions(step):
    r = client(step).completions.create(model=step["model"], prompt=step["prompt"])
    return {"text": r.choices[0].text, "model": r.model}


def embeddings(step):
    r = client(step).embeddings.create(model=step["model"], input=[step["prompt"], "another"])
    return {"model": r.model, "vectors": [d.embedding for d in r.data]}


def transcription(step):
    r = client(step).audio.transcriptions.create(model=step["model"], file=("speech.wav", bytes(range(256)) * 64), language="en")
    return {"text": r.text}


def models(step):
    return {"models": [m.id for m in client(step).models.list()]}


def model(step):
    m = client(step).models.retrieve(step["model"])
    return {"model": m.id, "text": m.owned_by}


steps.run({f.__name__: f for f in (
    chat, chat_stream, responses, responses_stream, completions, embeddings, transcription, models, model,
)}, (openai.APIError, ValueError))
