# chat_template.jinja of our folders in transformers and in GenAI: byte for byte what DeepSeek's encoder makes, but for the cases docs/chat-template.md lists.
import json
import shutil

import openvino_genai
import pytest
from transformers import AutoTokenizer

import encoding_cases
import goldens
import program

CASES = encoding_cases.load()
ENGINES = ["transformers", "genai"]
USER, ASSISTANT, BOS, EOS = "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"


def renderer(folder):
    """render(engine, messages, tools=None, add_generation_prompt=True, **options) -> text"""
    transformers_tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    genai_tokenizer = openvino_genai.Tokenizer(folder)

    def text(engine, messages, tools=None, add_generation_prompt=True, **options):
        if engine == "transformers":
            return transformers_tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt,
                                                              **options)
        history = openvino_genai.ChatHistory(messages)
        return genai_tokenizer.apply_chat_template(history, add_generation_prompt, tools=tools, extra_context=options or None)

    return text


@pytest.fixture(scope="module")
def render(clients):
    return renderer(clients.folder("mini", "fp32"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_arguments_as_objects_give_the_encoders_text(render, engine, case):
    assert render(engine, encoding_cases.with_object_arguments(case.messages), case.tools, **case.options) == case.prompt


@pytest.mark.parametrize("engine", ENGINES)
def test_arguments_as_json_text_give_the_encoders_text_but_for_the_listed_cases(render, engine):
    differing = set()
    for case in CASES:
        try:
            if render(engine, case.messages, case.tools, **case.options) == case.prompt:
                continue
        except Exception as error:
            assert "must be an object" in str(error)  # refused, not rendered as something else
        differing.add(case.name)
    assert differing == encoding_cases.not_expressible(f"{engine}, arguments as JSON text")


VALUES = {
    "float": 2.5, "small float": 1e-7, "negative zero": -0.0, "large float": 1e22, "whole float": 1e15, "true": True, "null": None, "empty list": [],
    "empty object": {}, "nested": {"z": [1, {"a": None}], "b": "x"}, "text in a list": ["\x00\x1f\x7f\u2028é😀\"\\/<>&'"], "64 bits": 2**64 - 1,
    "more than 64 bits": 2**64, "infinity": float("inf"),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_values_are_written_as_pythons_json_writes_them_but_for_the_listed(render, engine):
    differing = set()
    for name, value in VALUES.items():
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"k": value}}}
        messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
        try:
            if f' name="k" string="false">{json.dumps(value, ensure_ascii=False)}</' in render(engine, messages):
                continue
        except RuntimeError as error:
            assert engine == "genai" and name == "infinity", error  # no JSON, so no ChatHistory
        differing.add(name)
    assert differing == encoding_cases.not_expressible(f"{engine}, values")


def user(text, **more):
    return {"role": "user", "content": text, **more}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}

# Rules of the format that no published case shows: messages, options, expected text.
RULES = {
    "chat mode is the default": ([user("a")], {}, f"{USER}a{ASSISTANT}</think>"),
    "thinking, DeepSeek's name for the switch": ([user("a")], {"thinking": True}, f"{USER}a{ASSISTANT}<think>"),
    "enable_thinking, Qwen's": ([user("a")], {"enable_thinking": True}, f"{USER}a{ASSISTANT}<think>"),
    "thinking_mode comes first": ([user("a")], {"thinking_mode": "chat", "enable_thinking": True}, f"{USER}a{ASSISTANT}</think>"),
    "no answer asked for": ([user("a")], {"add_generation_prompt": False}, f"{USER}a"),
    "an answer at the end is complete": ([user("a"), assistant("b")], {}, f"{USER}a{ASSISTANT}</think>b{EOS}"),
    "users in a row are one": ([user("a"), user("b")], {}, f"{USER}a\n\nb{ASSISTANT}</think>"),
    "old developer messages go with the old reasoning": (
        [{"role": "developer", "content": "d"}, user("a"), assistant("b", reasoning_content="r"), user("c")], {"thinking": True},
        f"{USER}a{ASSISTANT}</think>b{EOS}{USER}c{ASSISTANT}<think>"),
    "in chat mode developer messages stay": ([{"role": "developer", "content": "d"}, user("a")], {}, f"{USER}d{USER}a{ASSISTANT}</think>"),
    "all reasoning is kept on demand": ([user("a"), assistant("b", reasoning_content="r"), user("c")], {"thinking": True, "drop_thinking": False},
                                        f"{USER}a{ASSISTANT}<think>r</think>b{EOS}{USER}c{ASSISTANT}<think>"),
    "a task": ([user("a", task="query")], {}, f"{USER}a<｜query｜>"),
    "a task that acts": ([user("a", task="action")], {"thinking": True}, f"{USER}a{ASSISTANT}<think><｜action｜>"),
    "a title after an answer": ([user("a"), assistant("b", task="title"), assistant("t")], {}, f"{USER}a{ASSISTANT}</think>b{EOS}<｜title｜>t{EOS}"),
    "an answer to be continued": ([user("a"), assistant("b", wo_eos=True)], {}, f"{USER}a{ASSISTANT}</think>b"),
    "content in parts": ([user([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}])], {},
                         f"{USER}a\n\n[Unsupported image]\n\nb{ASSISTANT}</think>"),
    "response_format without a system message": (
        [user("a")], {"response_format": {"type": "object"}},
        f'\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n{{"type": "object"}}{USER}a{ASSISTANT}</think>'),
    # Not the encoder's: answers that a client put into the history with their reasoning in front.
    "reasoning inside the content": ([user("a"), assistant("r</think>b"), user("c")], {"thinking": True, "drop_thinking": False},
                                     f"{USER}a{ASSISTANT}<think>r</think>b{EOS}{USER}c{ASSISTANT}<think>"),
    "old reasoning inside the content": ([user("a"), assistant("r</think>b"), user("c")], {"thinking": True},
                                         f"{USER}a{ASSISTANT}</think>b{EOS}{USER}c{ASSISTANT}<think>"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", RULES)
def test_rule(render, engine, rule):
    messages, options, expected = RULES[rule]
    assert render(engine, messages, **options) == BOS + expected


@pytest.fixture(scope="module")
def render_0731(tmp_path_factory):
    """The same with the folder of a 0731 checkpoint."""
    directory = tmp_path_factory.mktemp("0731")
    config = json.loads((goldens.CHECKPOINTS["mini"] / "config.json").read_text())
    stages = {"dspark_block_size": 5, "dspark_noise_token_id": 3, "dspark_target_layer_ids": [3, 4, 5], "dspark_markov_rank": 8,
              "compress_ratios": config["compress_ratios"][:config["num_hidden_layers"]] + [0, 0, 0]}
    (directory / "config.json").write_text(json.dumps(config | stages))
    program.succeed("synth", directory / "config.json", directory / "checkpoint")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(goldens.CHECKPOINTS["mini"] / name, directory / "checkpoint")
    program.convert(directory / "checkpoint", directory / "model")
    return renderer(directory / "model")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("effort", ["low", "high", "max", None])
@pytest.mark.parametrize("mode", ["thinking", "chat"])
def test_the_0731_release_has_its_own_words_of_effort(render, render_0731, engine, effort, mode):
    options = {"thinking_mode": mode} | ({"reasoning_effort": effort} if effort else {})
    chat = json.dumps({"messages": [user("a")], **options})
    prompt = program.succeed("encode-chat", "-", "--release", "0731", input=chat).out
    assert render_0731(engine, [user("a")], **options) == prompt
    if effort != "low":
        assert (render(engine, [user("a")], **options) == prompt) == (mode == "chat" or effort is None)


TEMPLATE_ALONE = {"no answer asked for", "reasoning inside the content", "old reasoning inside the content"}


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in TEMPLATE_ALONE])
def test_encode_chat_makes_the_same_prompt(rule):
    messages, options, expected = RULES[rule]
    options = dict(options)
    thinking = [options.pop(name, None) for name in ("thinking_mode", "thinking", "enable_thinking")]
    chat = {"messages": messages, "thinking_mode": thinking[0] or ("thinking" if any(thinking) else "chat"), **options}
    assert program.succeed("encode-chat", "-", input=json.dumps(chat)).out == BOS + expected


@pytest.mark.parametrize("engine", ENGINES)
def test_tools_of_the_call_are_those_of_a_system_message(render, engine):
    inside = render(engine, [{"role": "system", "content": "s", "tools": [TOOL]}, user("a")])
    assert '\n### Available Tool Schemas\n\n{"name": "f", "parameters": {"type": "object", "properties": {}}}\n\n' in inside
    assert render(engine, [{"role": "system", "content": "s"}, user("a")], [TOOL]) == inside
    assert render(engine, [user("a")], [TOOL]) == inside.replace(BOS + "s", BOS, 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("messages, options, why", [
    ([{"role": "critic", "content": "a"}], {}, "Unknown role: critic"),
    ([user("a", task="dance")], {}, "Unknown task: dance"),
    ([{"role": "developer", "content": ""}], {}, "developer message must have content"),
    ([user("a")], {"thinking_mode": "deep"}, "thinking_mode must be"),
    ([user("a")], {"thinking": True, "reasoning_effort": "low"}, "reasoning_effort must be"),
])
def test_what_the_encoder_refuses_is_refused(render, engine, messages, options, why):
    with pytest.raises(Exception, match=why):
        render(engine, messages, **options)
