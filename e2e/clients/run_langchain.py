"""LangChain's ChatOpenAI, as its documentation uses it."""

import openai
from langchain_openai import ChatOpenAI

import steps


def client(step, **more):
    # OPENAI_BASE_URL and OPENAI_API_KEY
    return ChatOpenAI(model=step["model"], **more, **step.get("options", {}))


def chat(step):
    r = client(step).invoke(step["prompt"])
    return {"text": r.text, "model": r.response_metadata["model_name"], "tokens": r.usage_metadata["total_tokens"]}


def chat_stream(step):
    chunks = list(client(step, stream_usage=True).stream(step["prompt"]))
    whole = chunks[0]
    for c in chunks[1:]:
        whole += c
    return {"text": whole.text, "model": whole.response_metadata["model_name"], "events": len(chunks), "tokens": whole.usage_metadata["total_tokens"]}


def responses(step):
    r = client(step, use_responses_api=True).invoke(step["prompt"])
    return {"text": r.text, "model": r.response_metadata["model_name"], "tokens": r.usage_metadata["total_tokens"]}


def tools(step):
    """A request with tools, as agents send it."""

    def weather(city: str) -> str:
        """The weather in a city."""

    r = client(step).bind_tools([weather]).invoke([("system", "Be brief."), ("human", step["prompt"])])
    return {"text": r.text, "model": r.response_metadata["model_name"]}


steps.run({f.__name__: f for f in (
    chat, chat_stream, responses, tools,
)}, openai.APIStatusError)
