# What the openai client makes of a server: asks it for one thing after another and prints what it got as JSON. Runs in an environment of its own.
import json
import sys

import openai

SAY = [{"role": "user", "content": "Tell me of the sea."}]
OFF = {"thinking": {"type": "disabled"}}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}


def refused(ask):
    try:
        ask()
    except openai.APIStatusError as error:
        return {"kind": type(error).__name__, "status": error.status_code, "param": error.param, "code": error.code, "type": error.type, "text": error.message}
    return None


def main(base_url, key):
    client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)
    chat, completions = client.chat.completions, client.completions
    found = {"models": [model.id for model in client.models.list()]}
    found["model"] = client.models.retrieve(found["models"][0]).id

    whole = chat.create(model="any", messages=SAY, max_tokens=12, temperature=0, logprobs=True, top_logprobs=2, extra_body=OFF)
    found["whole"] = whole.model_dump()
    stream = chat.create(model="any", messages=SAY, max_tokens=12, temperature=0, stream=True, stream_options={"include_usage": True}, extra_body=OFF)
    found["stream"] = [chunk.model_dump() for chunk in stream]
    reasons = chat.create(model="any", messages=SAY, max_tokens=6, temperature=0)
    found["reasoning"] = reasons.choices[0].message.reasoning_content
    found["choices"] = [choice.message.content for choice in
                        chat.create(model="any", messages=SAY, max_tokens=6, n=3, seed=5, temperature=1, extra_body=OFF).choices]

    # A history with two calls and their results, in the other order.
    calls = [{"id": f"c{i}", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": city})}} for i, city in enumerate("AB")]
    history = [*SAY, {"role": "assistant", "content": None, "tool_calls": calls}, {"role": "tool", "tool_call_id": "c1", "content": "rain"},
               {"role": "tool", "tool_call_id": "c0", "content": "sun"}]
    found["tools"] = chat.create(model="any", messages=history, tools=[WEATHER], max_tokens=4, temperature=0).usage.model_dump()

    found["text"] = completions.create(model="any", prompt="In the beginning", max_tokens=8, temperature=0, logprobs=2).model_dump()
    found["texts"] = [piece.choices[0].text for piece in completions.create(model="any", prompt="In the beginning", max_tokens=8, temperature=0, stream=True)]

    # A stream that is left: the server must have gone on to the next request.
    with chat.create(model="any", messages=SAY, max_tokens=100000, stream=True) as left:
        next(iter(left))
    found["after"] = chat.create(model="any", messages=SAY, max_tokens=1).usage.completion_tokens

    found["refused"] = [refused(ask) for ask in (
        lambda: chat.create(model="any", messages=SAY, temperature=-1),
        lambda: chat.create(model="any", messages=SAY, response_format={"type": "json_object"}),
        lambda: chat.create(model="any", messages=SAY, tools=[WEATHER], tool_choice="required"),
        lambda: client.models.retrieve("other"),
        lambda: openai.OpenAI(base_url=base_url, api_key="wrong", max_retries=0).models.list(),
        lambda: client.embeddings.create(model="any", input="x"))]
    print(json.dumps(found))


main(*sys.argv[1:])
