# dsv4 encode-chat: what DeepSeek's own encoder made of conversations, Python's json module for the forms of values, and every field that cannot be used.
import json
import random
import struct
import subprocess

import pytest

import encoding_cases
import program

BOS, EOS, USER, ASSISTANT = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"
CASES = encoding_cases.load()
ORIGINAL_MAX = (
    "Reasoning Effort: Absolute maximum with no shortcuts permitted.\nYou MUST be very thorough in your thinking and comprehensively decompose the problem to resolve"
    " the root cause, rigorously stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.\nExplicitly write out your entire"
    " deliberation process, documenting every intermediate step, considered alternative, and rejected hypothesis to ensure absolutely no assumption is left unchecked.\n\n")
LATER_MAX = (
    "Reasoning Effort: Beyond maximum — exhaustive, relentless, and uncompromising.\nYou MUST reason with the utmost depth and rigor, leaving absolutely nothing to"
    " chance: exhaustively decompose the problem into its most fundamental components, trace every causal chain to its root, and resolve the underlying cause rather"
    " than any surface symptom.\nDo not stop reasoning until you have independently verified the solution from multiple angles and are certain that no assumption"
    " remains unchecked and no error remains undiscovered.\n\n")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "chat.json"


def encoded(file, chat, *flags, notices=""):
    """The prompt; `chat` as a dict, or as the text of the file."""
    file.write_text(chat if isinstance(chat, str) else json.dumps(chat), encoding="utf-8")
    done = subprocess.run([program.executable(), "encode-chat", file, *flags], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, notices)
    return done.stdout.decode()


def chat(messages, **options):
    return {"messages": messages, "thinking_mode": "chat", **options}


def user(text="a", **more):
    return {"role": "user", "content": text, **more}


def assistant(text="b", **more):
    return {"role": "assistant", "content": text, **more}


def call(arguments, name="f", **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
TOOL_LINE = '\n### Available Tool Schemas\n\n{"name": "f", "parameters": {"type": "object", "properties": {}}}\n\nYou MUST strictly'
FORMAT = '\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n{"type": "object"}'


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_deepseeks_encoder_makes_the_same(file, case):
    beside = {} if case.tools is None else {"tools": case.tools}
    assert encoded(file, {"messages": case.messages, **beside, **case.options}) == case.prompt


def test_the_0731_release_words_effort_differently(file):
    efforts = set()
    for case in [case for case in CASES if case.options.get("reasoning_effort")][:30]:
        thinking, effort = case.options["thinking_mode"] == "thinking", case.options["reasoning_effort"]
        rest = case.prompt[len(BOS):]
        if thinking and effort == "max":
            assert rest.startswith(ORIGINAL_MAX)
            rest = rest[len(ORIGINAL_MAX):]
        front = {"max": LATER_MAX, "high": ORIGINAL_MAX}[effort] if thinking else ""
        assert encoded(file, {"messages": case.messages, **case.options}, "--release", "0731") == BOS + front + rest
        efforts.add((thinking, effort))
    assert len(efforts) == 4


@pytest.mark.parametrize("release", ["original", "0731"])
def test_low_and_no_effort_add_nothing_in_either_release(file, release):
    for effort in [{}, {"reasoning_effort": None}, {"reasoning_effort": "low"}]:
        prompt = encoded(file, chat([user()], **{"thinking_mode": "thinking", **effort}), "--release", release)
        assert prompt == f"{BOS}{USER}a{ASSISTANT}<think>"


# Rules of the format that no published case shows: messages, options, expected text behind BOS.
RULES = {
    "users in a row are one": ([user("a"), user("b")], {}, f"{USER}a\n\nb{ASSISTANT}</think>"),
    "old developer messages go with the old reasoning": (
        [{"role": "developer", "content": "d"}, user(), assistant(reasoning_content="r"), user("c")], {"thinking_mode": "thinking"},
        f"{USER}a{ASSISTANT}</think>b{EOS}{USER}c{ASSISTANT}<think>"),
    "in chat mode developer messages stay": ([{"role": "developer", "content": "d"}, user()], {}, f"{USER}d{USER}a{ASSISTANT}</think>"),
    "all reasoning is kept on demand": ([user(), assistant(reasoning_content="r"), user("c")], {"thinking_mode": "thinking", "drop_thinking": False},
                                        f"{USER}a{ASSISTANT}<think>r</think>b{EOS}{USER}c{ASSISTANT}<think>"),
    "tools of a reminder keep all reasoning too": (
        [user(), assistant(reasoning_content="r"), {"role": "latest_reminder", "content": "l", "tools": [TOOL]}, user("c")], {"thinking_mode": "thinking"},
        f"{USER}a{ASSISTANT}<think>r</think>b{EOS}<｜latest_reminder｜>l{USER}c{ASSISTANT}<think>"),
    "tools of a user message do not": ([user(tools=[TOOL]), assistant(reasoning_content="r"), user("c")], {"thinking_mode": "thinking"},
                                       f"{USER}a{ASSISTANT}</think>b{EOS}{USER}c{ASSISTANT}<think>"),
    "a task": ([user(task="query")], {}, f"{USER}a<｜query｜>"),
    "every task": ([user(task="authority"), assistant("1"), user(task="domain"), assistant("2"), user(task="read_url"), assistant("3")], {},
                   f"{USER}a<｜authority｜>1{EOS}{USER}a<｜domain｜>2{EOS}{USER}a<｜read_url｜>3{EOS}"),
    "a task that acts": ([user(task="action")], {"thinking_mode": "thinking"}, f"{USER}a{ASSISTANT}<think><｜action｜>"),
    "a task that acts in chat mode": ([user(task="action")], {}, f"{USER}a{ASSISTANT}</think><｜action｜>"),
    "what answers a task has no reasoning": ([user(task="query"), assistant(reasoning_content="r")], {"thinking_mode": "thinking"}, f"{USER}a<｜query｜>b{EOS}"),
    "a title after an answer": ([user(), assistant(task="title"), assistant("t")], {}, f"{USER}a{ASSISTANT}</think>b{EOS}<｜title｜>t{EOS}"),
    "a user behind one with a task is a turn of its own": ([user(task="query"), user("c")], {}, f"{USER}a{USER}c{ASSISTANT}</think>"),
    "a user that joins a turn loses its task": ([user(), user("c", task="query")], {}, f"{USER}a\n\nc{ASSISTANT}</think>"),
    "a result joins a turn with a task": ([user(task="query"), {"role": "tool", "content": "r"}], {}, f"{USER}a\n\n<tool_result>r</tool_result><｜query｜>"),
    "an answer without an end token": ([user(), assistant(wo_eos=True)], {}, f"{USER}a{ASSISTANT}</think>b"),
    "an answer to go on with": ([user(), assistant(reasoning_content="r", prefix=True)], {"thinking_mode": "thinking"}, f"{USER}a{ASSISTANT}<think>r</think>b"),
    "content in parts": ([user([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}])], {},
                         f"{USER}a\n\n[Unsupported image_url]\n\nb{ASSISTANT}</think>"),
    "parts in every role": (
        [{"role": role, "content": [{"type": "text", "text": role[0]}, {"type": "text", "text": "x"}]} for role in ["system", "developer", "assistant", "latest_reminder"]], {},
        f"s\n\nx{USER}d\n\nx{ASSISTANT}</think>a\n\nx{EOS}<｜latest_reminder｜>l\n\nx"),
    "an empty list of parts": ([user([])], {}, f"{USER}{ASSISTANT}</think>"),
    "no content": ([{"role": "system"}, {"role": "user"}, {"role": "assistant"}, {"role": "tool"}], {},
                   f"{USER}{ASSISTANT}</think>{EOS}{USER}<tool_result></tool_result>{ASSISTANT}</think>"),
    "null content, as Python prints it": ([{"role": "tool", "content": None}, {"role": "latest_reminder", "content": None}], {},
                                          f"{USER}<tool_result>None</tool_result>{ASSISTANT}</think><｜latest_reminder｜>None"),
    "results in the order of the calls": (
        [assistant("", tool_calls=[call("{}", id="1"), call("{}", "g", id="2")]), {"role": "tool", "tool_call_id": "2", "content": "two"},
         user("between"), {"role": "tool", "tool_call_id": "1", "content": "one"}, {"role": "tool", "tool_call_id": "9", "content": "none"}], {},
        f'\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name="f">\n\n</｜DSML｜invoke>\n<｜DSML｜invoke name="g">\n\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>{EOS}'
        f"{USER}<tool_result>one</tool_result>\n\nbetween\n\n<tool_result>none</tool_result>\n\n<tool_result>two</tool_result>{ASSISTANT}</think>"),
    "an id inside of the function": (
        [assistant("", tool_calls=[{"function": {"name": "f", "arguments": "{}", "id": "1"}}, {"function": {"name": "f", "arguments": "{}", "id": "2"}}]),
         {"role": "tool", "tool_call_id": "2", "content": "two"}, {"role": "tool", "tool_call_id": "1", "content": "one"}], {},
        "\n\n<｜DSML｜tool_calls>\n" + '<｜DSML｜invoke name="f">\n\n</｜DSML｜invoke>\n' * 2 + f"</｜DSML｜tool_calls>{EOS}"
        f"{USER}<tool_result>one</tool_result>\n\n<tool_result>two</tool_result>{ASSISTANT}</think>"),
    "a response format beside the messages": ([user()], {"response_format": {"type": "object"}}, f"{FORMAT}{USER}a{ASSISTANT}</think>"),
    "of the first system or developer message": (
        [user(), {"role": "developer", "content": "d"}, {"role": "system", "content": "s"}], {"response_format": {"type": "object"}},
        f"{USER}a{USER}d{FORMAT}s"),
    "in place of its own": ([{"role": "system", "content": "s", "response_format": {"type": "array"}}], {"response_format": {"type": "object"}}, f"s{FORMAT}"),
    "empty lists and schemas are none": ([user(tools=[], tool_calls=[])], {"tools": [], "response_format": {}}, f"{USER}a{ASSISTANT}</think>"),
    "markers in a content are taken as they are": ([user("<｜User｜></think>")], {}, f"{USER}{USER}</think>{ASSISTANT}</think>"),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(file, rule):
    messages, options, expected = RULES[rule]
    assert encoded(file, chat(messages, **options)) == BOS + expected


def test_tools_beside_the_messages_are_those_of_a_system_message(file):
    inside = encoded(file, chat([{"role": "system", "content": "s", "tools": [TOOL]}, user()]))
    assert inside.startswith(f"{BOS}s\n\n## Tools\n\n") and TOOL_LINE in inside
    assert encoded(file, chat([{"role": "system", "content": "s"}, user()], tools=[TOOL])) == inside
    assert encoded(file, chat([user()], tools=[TOOL])) == inside.replace(BOS + "s", BOS, 1)
    developer = encoded(file, chat([{"role": "developer", "content": "s"}], tools=[TOOL]))
    assert developer == inside.replace(BOS, BOS + USER, 1).replace(f"{USER}a", "")


def parameters(file, arguments):
    """What stands between the tags of a call with these arguments."""
    prompt = encoded(file, chat([assistant("", tool_calls=[call(arguments)])]))
    return prompt[prompt.index('name="f">\n') + len('name="f">\n'):prompt.index("\n</｜DSML｜invoke>")]


def as_parameters(members):
    return "\n".join(f'<｜DSML｜parameter name="{key}" string="{"true" if isinstance(value, str) else "false"}">'
                     f"{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}</｜DSML｜parameter>" for key, value in members.items())


def random_value(generator, depth=0):
    kind = generator.randrange(12 if depth < 4 else 9)
    if kind < 2:
        return generator.choice([1, -1]) * generator.randrange(10**generator.randrange(1, 60))
    if kind < 5:
        return struct.unpack("<d", generator.randbytes(8))[0]
    if kind < 6:
        return round(generator.uniform(-1e17, 1e17), generator.randrange(-17, 20))
    if kind < 8:
        return "".join(chr(generator.choice([generator.randrange(0x80), generator.randrange(0x3000), generator.randrange(0x1F300, 0x1F700)])) for _ in range(generator.randrange(9)))
    if kind < 9:
        return generator.choice([True, False, None, [], {}, "", float("nan"), float("inf"), -float("inf")])
    if kind < 10:
        return [random_value(generator, depth + 1) for _ in range(generator.randrange(5))]
    return {f"k{generator.randrange(9)}é\"": random_value(generator, depth + 1) for _ in range(generator.randrange(5))}


@pytest.mark.parametrize("ascii", [True, False])
def test_values_are_read_and_printed_as_python_does(file, ascii):
    generator = random.Random(20)
    members = {f"v{i}": random_value(generator) for i in range(3000)}
    members |= {f"2^{i}": 2.0**i for i in range(-1074, 1024)} | {f"10^{i}": float(f"1e{i}") for i in range(-330, 320)}
    text = json.dumps(members, ensure_ascii=ascii)
    assert parameters(file, text) == as_parameters(json.loads(text))


@pytest.mark.parametrize("text", [
    '{"a": 1e5, "b": 1E16, "c": 1e-7, "d": 0.1e1, "e": -0, "f": -0.0, "g": 1.0, "h": 1e400, "i": 123456789012345678901234567890}',
    '{"b": 1, "a": 2, "b": [3, {"y": 1, "x": 2, "y": 3}]}', ' {"a" :\t[ 1,2 ] }\n', "{}", '{"": "", "a\\nb": "\\u00e9\\ud83d\\ude00\\/"}',
    '{"a": [NaN, Infinity, -Infinity]}', '{"a": ["\\u0000\\u001f\\u007f\\u2028\\"\\\\"]}'])
def test_arguments_are_read_as_json_loads_does(file, text):
    assert parameters(file, text) == as_parameters(json.loads(text))


@pytest.mark.parametrize("text", ["", "no JSON", '{"a": 1', "[1, 2]", "17", "null", '"text"', "{'a': 1}", '{"a": 01}', "{}x", "\ufeff{}", '{"a": "\n"}', '{"a": nan}'])
def test_arguments_that_are_no_object_are_one_parameter(file, text):
    assert parameters(file, text) == as_parameters({"arguments": text})


def test_half_of_a_surrogate_pair_inside_of_a_value_stays_an_escape(file):
    assert parameters(file, r'{"a": ["\ud83d", "\ud83d\ude00"]}') == '<｜DSML｜parameter name="a" string="false">["\\ud83d", "😀"]</｜DSML｜parameter>'


def test_the_schema_of_a_tool_keeps_its_order_and_numbers(file):
    tool = '{"name": "f", "z": 1e5, "a": 12345678901234567890123, "é": [1.0, {}]}'
    text = json.dumps(chat([user()])).replace('{"messages"', '{"tools": [{"function": %s}], "messages"' % tool)
    assert '\n{"name": "f", "z": 100000.0, "a": 12345678901234567890123, "é": [1.0, {}]}\n' in encoded(file, text)


def test_standard_input(file):
    text = json.dumps(chat([user("é")]))
    assert program.succeed("encode-chat", "-", input=text).out == f"{BOS}{USER}é{ASSISTANT}</think>"


def test_fields_that_mean_nothing_are_named(file):
    notice = "dsv4: these fields mean nothing here and are left out: model, stream\n"
    assert encoded(file, chat([user()], model="m", stream=True), notices=notice) == f"{BOS}{USER}a{ASSISTANT}</think>"


def with_value(path, value):
    """A chat with the value at a place of it."""
    made = chat([user(), assistant("", tool_calls=[call("{}", id="1")]), {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "r"}]}],
                tools=[TOOL], response_format={"type": "object"}, drop_thinking=True, reasoning_effort="high")
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


WRONG = [
    (["messages"], [], "messages: an empty list"),
    (["messages"], {}, "messages: found {}, expected a list of messages"),
    (["messages"], None, "messages: found null"),
    (["messages", 0], "x", "messages[0]: found \"x\", expected an object"),
    (["messages", 1, "role"], "critic", 'messages[1].role: found "critic", expected "system", "developer"'),
    (["messages", 1, "role"], 3, "messages[1].role: found 3"),
    (["messages", 0, "content"], 3, "messages[0].content: found 3, expected a string or a list of parts"),
    (["messages", 0, "content"], None, "messages[0].content: found null"),
    (["messages", 0, "content"], {"type": "text"}, "messages[0].content: found {"),
    (["messages", 0, "content"], "a\ud800", "messages[0].content: half of a surrogate pair"),
    (["messages", 1, "content"], True, "messages[1].content: found true"),
    (["messages", 2, "content"], 1.5, "messages[2].content: found 1.5"),
    (["messages", 2, "content", 0], "x", "messages[2].content[0]: found \"x\", expected an object"),
    (["messages", 2, "content", 0], {}, "messages[2].content[0].type: missing"),
    (["messages", 2, "content", 0, "type"], None, "messages[2].content[0].type: found null"),
    (["messages", 2, "content", 0, "text"], 5, "messages[2].content[0].text: found 5"),
    (["messages", 2, "tool_call_id"], 5, "messages[2].tool_call_id: found 5"),
    (["messages", 1, "reasoning_content"], ["x"], 'messages[1].reasoning_content: found ["x"]'),
    (["messages", 1, "tool_calls"], {"a": 1}, "messages[1].tool_calls: found {"),
    (["messages", 1, "tool_calls", 0], None, "messages[1].tool_calls[0]: found null"),
    (["messages", 1, "tool_calls", 0, "id"], 7, "messages[1].tool_calls[0].id: found 7"),
    (["messages", 1, "tool_calls", 0], {}, "messages[1].tool_calls[0].function: missing"),
    (["messages", 1, "tool_calls", 0, "function"], "f", "messages[1].tool_calls[0].function: found \"f\""),
    (["messages", 1, "tool_calls", 0, "function"], {"arguments": "{}"}, "messages[1].tool_calls[0].function.name: missing"),
    (["messages", 1, "tool_calls", 0, "function", "name"], None, "messages[1].tool_calls[0].function.name: found null"),
    (["messages", 1, "tool_calls", 0, "function"], {"name": "f"}, "messages[1].tool_calls[0].function.arguments: missing"),
    (["messages", 1, "tool_calls", 0, "function", "arguments"], {"a": 1}, "messages[1].tool_calls[0].function.arguments: found {"),
    (["messages", 1, "tool_calls", 0, "function", "arguments"], r'{"a": "\ud83d"}', "messages[1].tool_calls[0].function.arguments: half of a surrogate pair"),
    (["messages", 1, "tool_calls", 0, "function", "arguments"], r'{"\udc00": 1}', "messages[1].tool_calls[0].function.arguments: half of a surrogate pair"),
    (["messages", 0, "task"], "dance", 'messages[0].task: found "dance", expected "action", "query"'),
    (["messages", 0, "task"], 1, "messages[0].task: found 1"),
    (["messages", 1, "wo_eos"], "yes", 'messages[1].wo_eos: found "yes", expected true or false'),
    (["messages", 1, "prefix"], 1, "messages[1].prefix: found 1, expected true or false"),
    (["messages", 1, "prefix"], True, "messages[1].prefix: true, which only the last message may have"),
    (["messages", 2, "prefix"], True, "messages[2].prefix: true, which only the last message may have, of the assistant"),
    (["messages", 0, "tools"], "f", "messages[0].tools: found \"f\", expected a list"),
    (["messages", 0, "tools"], [5], "messages[0].tools[0]: found 5, expected an object"),
    (["messages", 0, "response_format"], "json", "messages[0].response_format: found \"json\", expected an object"),
    (["messages", 0], {"role": "developer", "content": ""}, "messages[0].content: empty"),
    (["messages", 0], {"role": "developer"}, "messages[0].content: missing"),
    (["messages", 0], {"content": "a"}, "messages[0].role: missing"),
    (["tools"], {}, "tools: found {}, expected a list"),
    (["tools", 0], {"name": "f"}, "tools[0].function: missing, expected an object"),
    (["tools", 0, "function"], [], "tools[0].function: found []"),
    (["response_format"], ["x"], "response_format: found [\"x\"], expected an object"),
    (["thinking_mode"], "deep", 'thinking_mode: found "deep", expected "chat" or "thinking"'),
    (["thinking_mode"], None, "thinking_mode: found null"),
    (["thinking_mode"], True, "thinking_mode: found true"),
    (["drop_thinking"], "no", 'drop_thinking: found "no", expected true or false'),
    (["drop_thinking"], None, "drop_thinking: found null"),
    (["reasoning_effort"], "medium", 'reasoning_effort: found "medium", expected "low", "high" or "max"'),
    (["reasoning_effort"], 3, "reasoning_effort: found 3"),
    (["reasoning_effort"], "", 'reasoning_effort: found ""'),
]


@pytest.mark.parametrize("path, value, why", WRONG, ids=lambda value: value if isinstance(value, str) else None)
@pytest.mark.parametrize("release", ["original", "0731"])
def test_a_wrong_field_is_named(file, path, value, why, release):
    file.write_text(json.dumps(with_value(path, value)))
    program.refuse("encode-chat", file, "--release", release, naming=[f"{file}: {why}"])


@pytest.mark.parametrize("text, why", [
    ("", "byte 0: no JSON"), ("[]", 'found [], expected an object with "messages"'), ("{}", "messages: missing"), ('{"messages": [', "no JSON"),
    ('{"messages": [{"role": "user", "content": "a"}]}', 'thinking_mode: missing, expected "chat" or "thinking"'),
    ("\ufeff{}", "byte 0: no JSON"), ('{"a": ' * 100_000, "more than 900 levels"), ("[" * 1_000_000, "more than 900 levels")])
def test_a_file_that_is_no_chat(file, text, why):
    file.write_text(text, encoding="utf-8")
    program.refuse("encode-chat", file, naming=[file, why])


def test_bytes_that_are_no_utf8(file):
    file.write_bytes(b'{"messages": [{"role": "user", "content": "\xff"}], "thinking_mode": "chat"}')
    program.refuse("encode-chat", file, naming=[file, "byte 43 is not UTF-8"])


def test_a_long_value_is_shortened_in_a_message(file):
    file.write_text(json.dumps(chat([user({"x" * 100_000: "\x1b[2J"})])))
    assert len(program.refuse("encode-chat", file, naming=["messages[0].content: found {"])) < 500 + len(str(file))


def test_no_file_and_no_such_release(file):
    program.refuse("encode-chat", file, naming=[file, "no such file"])
    program.refuse("encode-chat", code=2)
    file.write_text("{}")
    program.refuse("encode-chat", file, "--release", "0815", code=2, naming=["0815", "original or 0731"])
