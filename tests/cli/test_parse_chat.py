# dsv4 parse-chat: answers that DeepSeek's own parser read, messages that its encoder wrote, and what the command refuses.
import json
import re

import pytest

import encoding_cases
import program

PARSED = json.loads((encoding_cases.FOLDER / "cases.json").read_text())["parse"]
END = "<｜end▁of▁sentence｜>"


def tools_of(messages, folder):
    """Tools without schemas, of the names that are called: DeepSeek's parser knows no schemas."""
    names = {call["function"]["name"] for message in messages for call in message.get("tool_calls") or []} | {"unused"}
    file = folder / "tools.json"
    file.write_text(json.dumps([{"type": "function", "function": {"name": name}} for name in sorted(names)]))
    return file


def parse(text, *options):
    return json.loads(program.succeed("parse-chat", *options, input=text).out)


def joined(lines):
    """A client's way to put chunks together."""
    message = {"role": None, "content": "", "reasoning_content": "", "tool_calls": []}
    for line in lines:
        delta = json.loads(line)
        message["role"] = delta.get("role", message["role"])
        for name in ("content", "reasoning_content"):
            message[name] += delta.get(name) or ""
        for call in delta.get("tool_calls", []):
            if call["index"] == len(message["tool_calls"]):
                message["tool_calls"].append({"id": call["id"], "type": call["type"], "function": {"name": call["function"]["name"], "arguments": ""}})
            message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return message


def without_ids(message):
    return {**message, "tool_calls": [{name: value for name, value in call.items() if name != "id"} for call in message["tool_calls"]]}


@pytest.mark.parametrize("case", range(len(PARSED)))
def test_messages_are_those_of_deepseeks_parser(case, tmp_path):
    case = PARSED[case]
    options = ("--thinking-mode", case["thinking_mode"], "--tools", tools_of([case["message"]], tmp_path))
    message = parse(case["text"], *options)
    assert without_ids(message) == case["message"]
    assert [call["id"] for call in message["tool_calls"]] == [f"call_{number}" for number in range(len(message["tool_calls"]))]
    deltas = program.succeed("parse-chat", *options, "--deltas", 3, input=case["text"]).out
    assert joined(deltas.splitlines()) == message


def turns(case):
    """The assistant's messages of a conversation with their texts in DeepSeek's prompt, where there is one text for each."""
    messages = [message for message in case.messages if message["role"] == "assistant"]
    texts = re.findall(r"<｜Assistant｜>(<think>|</think>)((?:(?!<｜Assistant｜>).)*?)<｜end▁of▁sentence｜>", case.prompt, re.DOTALL)
    return zip(messages, texts, strict=True) if len(messages) == len(texts) else ()


def test_what_deepseeks_encoder_wrote_is_read_back(tmp_path):
    seen = calls = 0
    for case in encoding_cases.load():
        for message, (mode, text) in turns(case):
            if text.startswith("<｜action｜>") or "<think>" in text or (not message.get("content") and not message.get("tool_calls")):
                continue  # <｜action｜> belongs to the prompt; content that holds a think tag is not told from reasoning
            read = parse(text + END, "--thinking-mode", "thinking" if mode == "<think>" else "chat", "--tools", tools_of([message], tmp_path))
            assert read["content"] == (message.get("content") or "")
            assert read["reasoning_content"] == ((message.get("reasoning_content") or "") if mode == "<think>" else "")
            given = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls") or []]
            assert [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in read["tool_calls"]] == given
            seen += 1
            calls += len(given)
    assert seen > 20 and calls > 5


CALL = '<｜DSML｜tool_calls><｜DSML｜invoke name="f"><｜DSML｜parameter name="a" string="true">x</｜DSML｜parameter>'


def test_without_tools_markup_is_text(tmp_path):
    assert parse(CALL, "--thinking-mode", "chat") == {"role": "assistant", "content": CALL, "reasoning_content": "", "tool_calls": []}
    tools = tmp_path / "tools.json"
    for text in ("[]", "{}", '{"tools": [{"name": "f"}], "tool_choice": "none"}'):
        tools.write_text(text)
        assert parse(CALL, "--thinking-mode", "chat", "--tools", tools)["content"] == CALL


def test_the_end_by_the_limit(tmp_path):
    options = ("--thinking-mode", "chat", "--tools", tools_of([{"tool_calls": [{"function": {"name": "f"}}]}], tmp_path))
    call = {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": '{"a": "x"'}}
    assert parse(CALL, *options, "--finish-reason", "length")["tool_calls"] == [call]
    call["function"]["arguments"] += "}"
    assert parse(CALL, *options)["tool_calls"] == [call]


def test_deltas_are_lines_of_chunks(tmp_path):
    options = ("--tools", tools_of([{"tool_calls": [{"function": {"name": "f"}}]}], tmp_path), "--deltas", 1000)
    lines = program.succeed("parse-chat", *options, input="r</think>c\n\n" + CALL).out.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "r"},
        {"content": "c"},
        {"tool_calls": [{"index": 0, "id": "call_0", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": "x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
    ]


@pytest.mark.parametrize("arguments, naming", [
    (["--thinking-mode", "on"], ["--thinking-mode on", "thinking, chat"]),
    (["--finish-reason", "limit"], ["--finish-reason limit", "length, stop"]),
    (["--deltas", "0"], ["--deltas"]),
    (["--deltas", "x"], ["--deltas"]),
    (["answer.txt"], ["answer.txt"])], ids=str)
def test_wrong_usage(arguments, naming):
    program.refuse("parse-chat", *arguments, code=2, naming=naming, input="a")


@pytest.mark.parametrize("text, naming", [
    (None, []), ("[", ["not JSON at byte 1"]), ("3", ["expected a list of tools"]), ("[3]", ["[0]"]), ('[{"function": {"name": 3}}]', ["[0].function.name"]),
    ('{"tools": [{"name": "f", "parameters": []}]}', ["tools[0].parameters"]), ("[" * 100000, ["900", "levels"])], ids=lambda text: str(text)[:40])
def test_tools_that_cannot_be_read_are_named(text, naming, tmp_path):
    file = tmp_path / "tools.json"
    if text is not None:
        file.write_text(text)
    program.refuse("parse-chat", "--tools", file, naming=[*naming, "tools.json"], input="a")
