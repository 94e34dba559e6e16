# What DeepSeek's own encoder makes of conversations (tests/data/encoding), and the list in docs/chat-template.md of what templates cannot express.
import copy
import json
import re
from dataclasses import dataclass, field

from goldens import REPOSITORY, TESTS

FOLDER = TESTS / "data/encoding"
PUBLISHED_MODES = {1: "thinking", 2: "thinking", 3: "thinking", 4: "chat"}  # as the encoder's own tests call it


@dataclass
class Case:
    name: str
    messages: list
    prompt: str
    options: dict = field(default_factory=dict)
    tools: list | None = None

    @property
    def calls(self):
        return [call for message in self.messages for call in message.get("tool_calls") or []]


def load():
    cases = []
    for number, mode in PUBLISHED_MODES.items():
        given = json.loads((FOLDER / f"test_input_{number}.json").read_text())
        given = given if isinstance(given, dict) else {"messages": given}
        prompt = (FOLDER / f"test_output_{number}.txt").read_text()
        cases.append(Case(f"published-{number}", given["messages"], prompt, {"thinking_mode": mode}, given.get("tools")))
    for number, case in enumerate(json.loads((FOLDER / "cases.json").read_text())["encode"]):
        options = {name: case[name] for name in ("thinking_mode", "drop_thinking", "reasoning_effort")}
        cases.append(Case(f"made-{number}", case["messages"], case["prompt"], options))
    return cases


def with_object_arguments(messages):
    """Arguments of tool calls as objects, which is how transformers wants them; DeepSeek and OpenAI have them as JSON text."""
    messages = copy.deepcopy(messages)
    for message in messages:
        for call in message.get("tool_calls") or []:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def not_expressible(key):
    """Names listed in docs/chat-template.md between the marks `cases: KEY`."""
    text = (REPOSITORY / "docs/chat-template.md").read_text()
    listed = re.search(rf"<!-- cases: {key} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert listed, f"docs/chat-template.md has no list of cases: {key}"
    return set(re.findall(r"`([^`]+)`", listed[1]))
