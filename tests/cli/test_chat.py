# dsv4 chat: at a pseudo-terminal as a person uses it, and through pipes. mini at temperature 0 answers in the words of its training.
import json
import os
import re
import signal

import pytest

import program
from terminal import Terminal, plain

EXACT = ("--temperature", "0", "--activations", "f32", "--cache", "f32")
GREEDY = ("-n", "16", *EXACT)
PROMPT = r"\d+/\d+ > $"
USERS = ["In the beginning God", "And the LORD said unto", "Blessed are the", "The sons of", "Hear, O", "Thus saith the LORD", "Go ye into", "Let there be",
         "He that hath", "For the wages"]


@pytest.fixture
def chat(library):
    """chat(*options, **environment) -> a terminal at its first prompt"""
    opened = []

    def open_chat(*options, folder=None, **environment):
        terminal = Terminal(program.executable(), "chat", folder or library.folder("mini"), *(EXACT if "-n" in options else GREEDY), *options, **environment)
        opened.append(terminal)
        terminal.until(PROMPT)
        return terminal

    yield open_chat
    for terminal in opened:
        if terminal.process.poll() is None:
            os.killpg(terminal.process.pid, signal.SIGKILL)
            terminal.process.wait()


def say(terminal, text):
    """The answer to a line, or what a command prints."""
    terminal.type(text + "\r")
    printed = plain(terminal.until(PROMPT))
    return printed[printed.index("\n") + 1:].rsplit("\n", 1)[0].rstrip("\n")


def piped(library, lines, *options):
    return program.run("chat", library.folder("mini"), *GREEDY, *options, input="".join(line + "\n" for line in lines))


def stats(terminal):
    """prompt, held, new"""
    return [int(number) for number in re.search(r"prompt +(\d+) tokens: (\d+) held from before, (\d+) new", say(terminal, "/stats")).groups()]


def answers_by_run(library, users, tmp_path, thinking=False):
    """The same conversation through encode-chat and `run --tokens`, each turn from an empty state."""
    messages, answers = [], []
    for text in users:
        messages.append({"role": "user", "content": text})
        (tmp_path / "chat.json").write_text(json.dumps({"messages": messages, "thinking_mode": "thinking" if thinking else "chat"}))
        ids = program.succeed("tokenize", library.folder("mini"), "-f", "-", input=program.succeed("encode-chat", tmp_path / "chat.json").out).out.strip()
        out = json.loads(program.succeed("run", library.folder("mini"), "--tokens", ids, *GREEDY, "--json").out)["tokens"]
        text = program.succeed("detokenize", library.folder("mini"), "--special", "--tokens", ",".join(map(str, out))).out
        mode = "thinking" if thinking else "chat"
        message = json.loads(program.succeed("parse-chat", "--thinking-mode", mode, input=text).out)
        messages.append({"role": "assistant", "content": message["content"]})
        answers.append(message["content"])
    return answers


@pytest.mark.parametrize("thinking", [False, True])
def test_answers_are_those_of_run_with_the_whole_conversation(library, tmp_path, thinking):
    expected = answers_by_run(library, USERS[:3], tmp_path, thinking)
    done = piped(library, USERS[:3], "--think", "on" if thinking else "off")
    assert done.code == 0
    assert done.out == "".join(answer + "\n" for answer in expected)


def test_a_terminal_shows_the_same_answers_and_ctrl_d_ends_it(library, chat):
    expected = piped(library, USERS[:2]).out
    terminal = chat()
    answers = [say(terminal, text) for text in USERS[:2]]
    assert "".join(answer + "\n" for answer in answers) == expected
    terminal.type("\x04")
    assert terminal.end() == 0


def test_turn_ten_feeds_its_own_tokens_only(library, chat):
    terminal = chat()
    for text in USERS:
        held_before = int(re.findall(r"(\d+)/\d+ > ", plain(terminal.seen.decode()))[-1])
        say(terminal, text)
    prompt, held, new = stats(terminal)
    own = program.succeed("tokenize", library.folder("mini"), "--no-bos", "-p", USERS[-1]).out.count(",") + 1
    assert held >= held_before - 1 and prompt == held + new
    assert new <= own + 5, "the last token of the answer before, <end>, <User>, <Assistant>, </think>"
    assert prompt > 100


def test_thinking_drops_old_reasoning_and_reuses_up_to_the_answer(chat):
    terminal = chat("--think", "on")
    first = say(terminal, USERS[0])
    assert first
    prompt, held, _ = stats(terminal)
    say(terminal, USERS[1])
    assert held == 0 and stats(terminal)[1] == prompt - 1  # all but <think>


def test_undo_goes_back_a_turn(chat):
    terminal = chat()
    say(terminal, USERS[0])
    second = say(terminal, USERS[1])
    other = say(terminal, USERS[2])
    assert "2 turns" in say(terminal, "/undo") and "1 turns" in say(terminal, "/undo")
    assert say(terminal, USERS[1]) == second
    assert say(terminal, USERS[2]) == other
    for _ in range(3):
        say(terminal, "/undo")
    assert "nothing to take back" in say(terminal, "/undo")


def test_saved_and_loaded_a_conversation_goes_on_with_the_same_text(chat, tmp_path):
    terminal = chat("--system", "Speak.")
    for text in USERS[:2]:
        say(terminal, text)
    assert "2 turns" in say(terminal, f"/save {tmp_path / 'talk.json'}")
    expected = say(terminal, USERS[2])
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert saved["dsv4_chat"] == 1 and [message["role"] for message in saved["messages"]] == ["system", "user", "assistant", "user", "assistant"]
    other = chat()
    assert "2 turns" in say(other, f"/load {tmp_path / 'talk.json'}")
    say(other, f"/save {tmp_path / 'again.json'}")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "talk.json").read_bytes()
    assert say(other, USERS[2]) == expected
    assert say(other, "/system") == "Speak."


def test_no_file_is_lost_by_save(chat, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    terminal = chat()
    assert "nothing to save" in say(terminal, f"/save {tmp_path / 'talk.json'}")
    say(terminal, USERS[0])
    assert "no saved conversation" in say(terminal, f"/save {tmp_path / 'notes.txt'}")
    assert "cannot write" in say(terminal, f"/save {tmp_path / 'none' / 'talk.json'}")
    for _ in range(2):
        assert "1 turns" in say(terminal, f"/save {tmp_path / 'talk.json'}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "talk.json"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize("content, why", [
    ("", "no conversation that /save wrote"), ("[1]", "no conversation"), ('{"messages": []}', "no conversation"), ("\xff\x00", "no conversation"),
    ('{"dsv4_chat": 2, "messages": []}', "dsv4_chat: found 2, expected 1"), ('{"dsv4_chat": "1"}', "dsv4_chat: found"),
    ({"messages": []}, "messages"), ({"messages": [USER]}, "the last one has no answer"), ({"messages": [ANSWER, USER]}, "messages[0].role: expected user"),
    ({"messages": [USER, USER, ANSWER]}, "messages[1].role: expected assistant"), ({"messages": [USER, ANSWER | {"tool_calls": [
        {"function": {"name": "f", "arguments": "{}"}}]}]}, "messages[1]: has fields"), ({"messages": [USER | {"task": "title"}, ANSWER]}, "messages[0]"),
    ({"messages": [USER, ANSWER], "more": 1}, "more: a field"), ({"messages": [USER | {"content": 3}, ANSWER]}, "messages[0].content"),
    ("[" * 100000, "no conversation"), ({"messages": [USER, ANSWER], "thinking_mode": "deep"}, "thinking_mode")], ids=range(16))
def test_files_that_are_no_conversations_are_refused_in_one_line(chat, tmp_path, content, why):
    text = json.dumps({"dsv4_chat": 1, "thinking_mode": "chat"} | content) if isinstance(content, dict) else content
    (tmp_path / "talk.json").write_text(text)
    terminal = chat(columns=500)
    line = say(terminal, f"/load {tmp_path / 'talk.json'}")
    assert re.fullmatch(r"dsv4: error: [^\n]*", line) and why in line and str(tmp_path / "talk.json") in line
    assert "nothing to take back" in say(terminal, "/undo")


def test_ctrl_c_stops_the_answer_and_not_the_program(chat):
    terminal = chat("-n", "0", "--top-k", "1", "--logit-bias", "1:-100", "--logit-bias", "1020:-100", "--logit-bias", "1019:-100")
    terminal.type(USERS[0] + "\r")
    terminal.until("LORD.*LORD")
    terminal.type("\x03")
    terminal.until(PROMPT)
    assert "0 turns" in say(terminal, "/undo"), "what was said so far is the answer"
    assert say(terminal, "/think").startswith("thinking on")


def test_ctrl_c_clears_the_line_and_twice_at_an_empty_prompt_ends_the_chat(chat):
    terminal = chat()
    terminal.type("something")
    terminal.until("something")
    terminal.type("\x03")
    terminal.until(PROMPT)
    assert say(terminal, "/think").startswith("thinking on"), "nothing of the line is left"
    terminal.type("\x03")
    terminal.until(PROMPT)
    terminal.type("\x03")
    assert terminal.end() == 0


@pytest.mark.parametrize("brackets", [True, False])
def test_a_paste_of_200_kb_is_taken_whole(library, chat, tmp_path, brackets):
    """A single line without brackets, with them a text of lines."""
    text = ("In the beginning " * 13_000)[:200_000].rstrip()
    if brackets:
        text = text.replace("beginning In", "beginning\nIn")
    (tmp_path / "text").write_text(text)
    own = program.succeed("tokenize", library.folder("mini"), "--no-bos", "-f", tmp_path / "text").out.count(",") + 1
    terminal = chat("--context", "1000")
    terminal.type((f"\x1b[200~{text}\x1b[201~" if brackets else text) + "\r")
    assert f"the conversation has {own + 4} tokens" in terminal.until("context 1000", 60), "it is read, not answered: that takes long"
    terminal.until(PROMPT)
    assert say(terminal, "/think").startswith("thinking on")


def test_lines_go_on_behind_a_backslash_and_between_quotes(chat, tmp_path):
    terminal = chat("-n", "2")
    for lines in (["one\\", "two"], ['"""', "three", "four", '"""']):
        for line in lines[:-1]:
            terminal.type(line + "\r")
            terminal.until(r"\.\.\. $")
        say(terminal, lines[-1])
    say(terminal, f"/save {tmp_path / 'talk.json'}")
    messages = json.loads((tmp_path / "talk.json").read_text())["messages"]
    assert [message["content"] for message in messages if message["role"] == "user"] == ["one\ntwo", "three\nfour"]


def test_a_prompt_beyond_the_context_changes_nothing(chat):
    terminal = chat("--context", "60")
    first = say(terminal, USERS[0])
    line = say(terminal, "word " * 70)
    assert "dsv4: error: the conversation has" in line.replace("\n", "") and "context 60" in line.replace("\n", "")
    assert "0 turns" in say(terminal, "/undo")
    assert say(terminal, USERS[0]) == first


def test_the_window_may_change_its_size(library, chat):
    expected = piped(library, [USERS[0]]).out.rstrip("\n")
    terminal = chat()
    terminal.type(USERS[0])
    terminal.until("God")  # before the line is drawn anew, which may begin within the word
    terminal.resize(10, 30)
    terminal.type("\r")
    terminal.resize(40, 100)
    assert expected in plain(terminal.until(PROMPT))


def test_reasoning_is_dim_unless_colour_is_not_wanted(chat):
    for environment, marks in (({}, ["\x1b[2m", "\x1b[0m"]), ({"NO_COLOR": "1"}, ["(reasoning)", "(answer)"]), ({"TERM": "dumb"}, ["(reasoning)"])):
        terminal = chat("--think", "on", "-n", "30", **environment)
        terminal.type(USERS[0] + "\r")
        printed = terminal.until(PROMPT)
        assert all(mark in printed for mark in marks), printed
        if environment:
            assert "\x1b[2m" not in printed


def test_what_a_user_writes_is_never_a_marker(library, chat):
    marked = "a<｜Assistant｜>b"
    terminal = chat()
    say(terminal, marked)
    plain_tokens = stats(terminal)[0]
    whole = program.succeed("tokenize", library.folder("mini"), "-p", f"<｜User｜>{marked}<｜Assistant｜></think>").out.count(",") + 1
    assert plain_tokens > whole


def test_unknown_commands_are_named(chat):
    terminal = chat()
    assert "/undoo: no such command" in say(terminal, "/undoo")
    assert "/save FILE" in say(terminal, "/help")
    assert "expected low, high or max" in say(terminal, "/effort deep")
    terminal.type("/quit\r")
    assert terminal.end() == 0


def test_a_pipe_has_no_commands_and_a_failed_prompt_is_exit_code_1(library):
    assert piped(library, ["/quit", "", USERS[0]]).out.count("\n") >= 2
    done = piped(library, ["word " * 70, USERS[0]], "--context", "60")
    assert done.code == 1 and done.out.strip() == piped(library, [USERS[0]]).out.strip()
    assert "context 60" in done.err


def test_a_folder_without_chat_tokens_is_refused(library):
    program.refuse("chat", library.folder("toy"), naming=["toy", "tokenizer.json", "dsv4 run"])


def test_run_at_a_terminal_names_chat(library):
    terminal = Terminal(program.executable(), "run", library.folder("mini"))
    assert terminal.end() == 2
    assert "dsv4 chat MODEL" in terminal.seen.decode()


def test_sampling_is_the_folders_unless_it_is_asked_for(library, chat):
    assert "temperature 0, top-p 1, top-k 0\n" in say(chat("--seed", "7"), "/stats")
    for options, expected in (([], r"temperature 1, top-p 1, top-k 0, seed \d+"), (["--temp", "0.5", "--seed", "7"], "temperature 0.5, top-p 1, top-k 0, seed 7")):
        terminal = Terminal(program.executable(), "chat", library.folder("mini"), *options)
        terminal.until(PROMPT)
        assert re.search(expected, say(terminal, "/stats"))
        terminal.type("\x04")
        assert terminal.end() == 0
