# dsv4 serve and the openai client, as it comes from the package index: what it reads is what the server means.
import json
import os
import subprocess

import pytest

from goldens import REPOSITORY
from server.served import serving

KEY = "a key"


@pytest.fixture(scope="module")
def found(library):
    interpreter = os.environ.get("DSV4_OPENAI_PYTHON", REPOSITORY / "build/venv-openai/bin/python")  # tools/test-venv.sh openai makes it
    script = REPOSITORY / "tests/server/program/ask_openai.py"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with serving(library.folder("mini", "--weight-format", "int8"), "-q", "--api-key", KEY, "--alias", "a/model") as server:
        done = subprocess.run([interpreter, script, f"http://127.0.0.1:{server.port}/v1", KEY], env=environment, capture_output=True, text=True, timeout=300,
                              check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_finds_the_model_by_its_name(found):
    assert found["models"] == ["a/model"] and found["model"] == "a/model" and found["whole"]["model"] == "a/model"


def test_a_stream_is_the_whole_in_pieces(found):
    whole = found["whole"]["choices"][0]
    *pieces, last = found["stream"]
    assert "".join(piece["choices"][0]["delta"]["content"] or "" for piece in pieces) == whole["message"]["content"]
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert pieces[-1]["choices"][0]["finish_reason"] == whole["finish_reason"]
    assert last["usage"]["completion_tokens"] == found["whole"]["usage"]["completion_tokens"]
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == last["usage"]["prompt_tokens"] - 1  # asked a moment ago


def test_log_probabilities_are_of_the_tokens(found):
    choice = found["whole"]["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert len(tokens) == found["whole"]["usage"]["completion_tokens"]
    assert b"".join(bytes(token["bytes"]) for token in tokens).decode(errors="replace").startswith(choice["message"]["content"])
    assert all(len(token["top_logprobs"]) == 2 and token["top_logprobs"][0]["logprob"] == token["logprob"] for token in tokens)


def test_reasoning_is_told_apart(found):
    assert found["reasoning"]


def test_choices_differ(found):
    assert len(set(found["choices"])) == 3


def test_a_history_of_calls_is_read(found):
    assert found["tools"]["completion_tokens"] == 4


def test_texts(found):
    text = found["text"]["choices"][0]
    assert "".join(found["texts"]) == text["text"] == "".join(text["logprobs"]["tokens"])
    assert found["text"]["usage"]["completion_tokens"] == 8


def test_a_stream_that_is_left_holds_nothing_up(found):
    assert found["after"] == 1


def test_errors_are_those_of_the_client(found):
    kinds = [(error["kind"], error["status"], error["param"], error["code"]) for error in found["refused"]]
    assert kinds == [("BadRequestError", 400, "temperature", None), ("BadRequestError", 400, "response_format.type", None),
                     ("BadRequestError", 400, "tool_choice", None), ("NotFoundError", 404, "model", "model_not_found"),
                     ("AuthenticationError", 401, None, "invalid_api_key"), ("NotFoundError", 404, None, None)]
