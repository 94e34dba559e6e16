# dsv4 run --prompts: each line's text is that of `run` alone; bad lines, pipes, options that do not fit, and runs that are killed and go on.
import json
import os
import signal
import subprocess
import time

import pytest

import program

TEXTS = ["In the beginning", "And God said, Let there be", "é 漢字 \U0001f600", "Now these are the names of the children of Israel, " * 12, "x"]


@pytest.fixture(scope="module")
def mini(library):
    return library.folder("mini", "--weight-format", "int4", "--group-size", "32")


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def prompts(folder, lines, *flags, code=0):
    """What comes of these lines, by index; objects are made JSON."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    outcome = program.run("run", folder, "--prompts", "-", *flags, input=text)
    assert outcome.code == code, outcome.err
    found = lines_of(outcome.out)
    assert len({line["index"] for line in found}) == len(found)
    return {line["index"]: line for line in found}


def alone(folder, *flags):
    return json.loads(program.succeed("run", folder, *flags, "--json").out)


def test_each_line_is_what_run_says_alone(mini):
    lines, flags = [], []
    for i, text in enumerate(TEXTS):
        lines.append({"prompt": text, "id": f"n{i}", "max_new_tokens": 5 + 3 * i})
        flags.append(["-p", text, "-n", 5 + 3 * i])
    lines += [{"tokens": list(range(3, 120)), "id": 7, "temperature": 0.9, "top_p": 0.9, "top_k": 50, "min_p": 0.01, "seed": 2**64 - 1},
              {"prompt": TEXTS[0], "temperature": 1.1, "seed": 3, "stop": ["e", "zz"]}, {"prompt": TEXTS[1], "stop": "the"},
              {"prompt": TEXTS[0], "max_new_tokens": 0}, {"prompt": TEXTS[1]}]
    flags += [["--tokens", program.token_list(range(3, 120)), "--temperature", 0.9, "--top-p", 0.9, "--top-k", 50, "--min-p", 0.01, "--seed", 2**64 - 1],
              ["-p", TEXTS[0], "--temperature", 1.1, "--seed", 3, "--stop", "e", "--stop", "zz"], ["-p", TEXTS[1], "--stop", "the"],
              ["-p", TEXTS[0], "-n", 0], ["-p", TEXTS[1]]]
    common = ("--repetition-penalty", 1.1, "--stop-token", 300)
    expected_lines = [alone(mini, *(() if "-n" in one else ("-n", 20)), *one, *common) for one in flags]
    for parallel in (3, 8):
        found = prompts(mini, lines, "-n", 20, "--parallel", parallel, *common)
        assert sorted(found) == list(range(len(lines)))
        for i, (line, expected) in enumerate(zip(lines, expected_lines, strict=True)):
            assert found[i]["tokens"] == expected["tokens"], i
            assert found[i]["finish_reason"] == expected["finish_reason"], i
            if "prompt" in line:
                assert found[i]["text"] == expected["text"], i
            assert found[i].get("id") == line.get("id")
            assert set(found[i]) == {"index", "tokens", "text", "finish_reason"} | ({"id"} if "id" in line else set())


def test_a_folder_without_a_tokenizer_takes_ids_alone(library, tmp_path):
    folder = library.folder("toy", "--disable-convert-tokenizer")
    found = prompts(folder, [{"tokens": [5, 6, 7]}, {"prompt": "a"}, {"tokens": [5], "stop": "a"}], "-n", 4, "--ignore-eos", code=1)
    assert found[0] == {"index": 0, "tokens": alone(folder, "--tokens", "5,6,7", "-n", 4, "--ignore-eos")["tokens"], "finish_reason": "length"}
    assert "prompt" in found[1]["error"] and "no tokenizer" in found[1]["error"]
    assert "stop" in found[2]["error"] and "no tokenizer" in found[2]["error"]
    (tmp_path / "lines").write_text("")
    program.refuse("run", folder, "--prompts", tmp_path / "lines", "--stop", "a", naming=["--stop", "no tokenizer"])


def test_bad_lines_are_named_and_the_others_go_on(mini):
    good = {"prompt": "In the beginning", "max_new_tokens": 4}
    bad = [('{"prompt": 3}', "prompt"), ('{"prompt": "a", "top_p": 2}', "top_p"), ('{"prompt": "a", "temperature": NaN}', "temperature"),
           ('{"prompt": "a", "max_new_tokens": -1}', "max_new_tokens"), ('{"prompt": "a", "seed": 1.5}', "seed"), ('{"prompt": "a", "top_k": "1"}', "top_k"),
           ('{"prompt": "a", "min_p": 1.5}', "min_p"), ('{"prompt": "a", "stop": [""]}', "stop"), ('{"prompt": "a", "id": [1]}', "id"),
           ('{"prompt": "a", "tempreature": 1}', "tempreature"), ('{"prompt": "a", "tokens": [1]}', "tokens"), ('{"tokens": []}', "tokens"),
           ('{"tokens": [1, 1024]}', "token 1 is 1024"), ('{"prompt": "a", "prompt": "b"}', "prompt"), ('{"prompt": "\\ud800"}', "prompt"),
           ("nonsense", "JSON"), ('{"prompt": "a"', "JSON"), ("[" * 5000, "levels"), ("{}", "prompt"), ("3", "object")]
    lines = [good]
    for line, _ in bad:
        lines += [line, good]
    found = prompts(mini, lines, code=1)
    for i, (_, name) in enumerate(bad):
        assert set(found[2 * i + 1]) == {"index", "error"}
        assert name in found[2 * i + 1]["error"] and "\n" not in found[2 * i + 1]["error"]
    assert all(found[i]["tokens"] == found[0]["tokens"] for i in range(0, len(lines), 2))


def test_a_line_that_does_not_fit_the_context_is_an_error_of_its_own(mini):
    found = prompts(mini, [{"tokens": [1] * 50}, {"tokens": [1] * 30}, {"tokens": [1] * 39, "max_new_tokens": 9}], "-n", 4, "--ignore-eos", "--context", 40, code=1)
    assert "50 tokens" in found[0]["error"]
    assert len(found[1]["tokens"]) == 4
    assert len(found[2]["tokens"]) == 2 and found[2]["finish_reason"] == "length"


def test_every_form_of_line_end_and_empty_lines_count(mini, tmp_path):
    line = json.dumps({"prompt": "In the beginning", "max_new_tokens": 3}).encode()
    file = tmp_path / "lines"
    file.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line + b"\n\xff\n" + line)
    outcome = program.run("run", mini, "--prompts", file)
    found = {entry["index"]: entry for entry in lines_of(outcome.out)}
    assert outcome.code == 1 and sorted(found) == [0, 3, 4, 5]
    assert "UTF-8" in found[4]["error"]
    assert found[0]["tokens"] == found[3]["tokens"] == found[5]["tokens"]
    assert all(message.startswith("dsv4: ") for message in outcome.err.splitlines())
    assert outcome.err.splitlines()[-1].startswith("dsv4: error: 1 of 6 lines")
    file.write_bytes(b"")
    assert program.succeed("run", mini, "--prompts", file, "-q").out == ""


def test_a_long_line_is_passed_over(mini):
    good = {"prompt": "a", "max_new_tokens": 1}
    found = prompts(mini, [good, {"prompt": "x" * (33 << 20)}, '{"prompt": 3, "x": "' + "y" * (10 << 20) + '"}', good], code=1)
    assert "bytes" in found[1]["error"] and len(found[1]["error"]) < 200
    assert len(found[2]["error"]) < 2000
    assert found[3]["tokens"] == found[0]["tokens"]


def test_a_pipe_that_is_slow_holds_nothing_up(mini):
    command = [program.executable(), "run", mini, "--prompts", "-", "-n", "6"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for i in range(3):
            process.stdin.write(json.dumps({"prompt": TEXTS[i]}) + "\n")
            process.stdin.flush()
            line = json.loads(process.stdout.readline())  # comes while the input is open
            assert line["index"] == i and len(line["tokens"]) == 6
        process.stdin.close()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("flags", [("-p", "a"), ("-f", "x"), ("--tokens", "1"), ("--tokens-file", "x"), ("--echo",), ("--json",), ("--logits", "x.npy"),
                                   ("--logprobs", "1"), ("--save", "x"), ("--restore", "x"), ("--routes", "x")], ids=lambda flags: flags[0])
def test_options_of_one_prompt_do_not_go_with_many(mini, flags):
    name = {"-p": "--prompt", "-f": "--file"}.get(flags[0], flags[0])
    program.refuse("run", mini, "--prompts", "-", *flags, code=2, naming=[name, "--prompts"], input="")


def test_options_of_many_prompts_do_not_go_with_one(mini):
    for flags in (("--parallel", 2), ("--resume", "x")):
        program.refuse("run", mini, "-p", "a", *flags, code=2, naming=[flags[0], "--prompts"])
    program.refuse("run", mini, "--prompts", "", code=2, naming=["--prompts"])
    program.refuse("run", mini, "--prompts", "-", "--parallel", 0, code=2, naming=["--parallel"], input="")
    program.refuse("run", mini, "--prompts", "/nowhere/lines", naming=["/nowhere/lines"])
    program.refuse("run", mini, "--prompts", "-", "--resume", "/nowhere/out", naming=["/nowhere/out"], input="")


def test_a_killed_run_goes_on_where_it_was(mini, tmp_path):
    lines = [json.dumps({"prompt": TEXTS[i % 5], "seed": i, "temperature": 1, "max_new_tokens": 12}) for i in range(40)]
    lines[7] = '{"prompt": 1}'
    file, out = tmp_path / "lines", tmp_path / "out"
    file.write_text("\n".join(lines) + "\n")
    expected = {entry["index"]: entry for entry in lines_of(program.run("run", mini, "--prompts", file, "--ignore-eos").out)}
    assert len(expected) == 40
    for sign in (signal.SIGKILL, signal.SIGINT):
        with open(out, "ab") as stdout:
            resume = ("--resume", out) if out.stat().st_size > 0 else ()
            process = subprocess.Popen([program.executable(), "run", mini, "--prompts", file, "--ignore-eos", "--parallel", "2", *resume], stdout=stdout,
                                       stderr=subprocess.DEVNULL)
        begun = out.stat().st_size
        while process.poll() is None and out.stat().st_size < begun + 900:
            time.sleep(0.002)
        process.send_signal(sign)
        process.wait()
        with open(out, "ab") as file_of_output:
            file_of_output.write(b'{"index":3')  # as a line that was being written
    before = out.read_bytes()
    with open(out, "ab") as stdout:
        done = program.start("run", mini, "--prompts", file, "--ignore-eos", "--resume", out, stdout=stdout)
    assert done.returncode == 1 and "of 40 lines" in done.stderr
    after = out.read_bytes()
    assert after.startswith(before)
    whole = []
    for line in after.decode().splitlines():
        try:
            whole.append(json.loads(line))
        except json.JSONDecodeError:
            assert line.endswith('{"index":3')
    finished = [entry for entry in whole if "error" not in entry]
    assert len({entry["index"] for entry in finished}) == len(finished) == 39, "each once"
    assert all(entry == expected[entry["index"]] for entry in finished)
    # All is there: nothing is left but the line that has an error.
    again = program.run("run", mini, "--prompts", file, "--ignore-eos", "--resume", out)
    assert [entry["index"] for entry in lines_of(again.out)] == [7]


def test_another_file_is_no_output_to_go_on_from(mini, tmp_path):
    (tmp_path / "out").write_text('{"index": 0, "tokens": [1]}\n{"prompt": "a"}\n{"index": 1, "tokens": [1]}\n')
    program.refuse("run", mini, "--prompts", "-", "--resume", tmp_path / "out", naming=["--resume", "line 2"], input='{"prompt": "a"}\n')


def test_output_that_cannot_be_written_ends_the_run(mini, tmp_path):
    (tmp_path / "lines").write_text('{"prompt": "a"}\n' * 30)
    with open("/dev/full", "w") as full:
        done = program.start("run", mini, "--prompts", tmp_path / "lines", stdout=full)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("dsv4: error: ")]
    assert len(errors) == 1 and "standard output" in errors[0]


def test_memory_is_flat_over_many_lines(mini, tmp_path):
    (tmp_path / "lines").write_text('{"tokens": [5], "max_new_tokens": 1, "id": "%s"}\n' % ("x" * 2000) * 800)
    with open(tmp_path / "out", "w") as out:
        process = subprocess.Popen([program.executable(), "run", mini, "--prompts", tmp_path / "lines", "-q"], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 800
    (tmp_path / "lines").write_text('{"tokens": [5], "max_new_tokens": 1}\n' * 40)
    process = subprocess.Popen([program.executable(), "run", mini, "--prompts", tmp_path / "lines", "-q"], stdout=subprocess.DEVNULL)
    _, _, few = os.wait4(process.pid, 0)
    process.returncode = 0
    assert usage.ru_maxrss - few.ru_maxrss < 20 << 10  # KiB


def test_the_portable_program_takes_lines_too(library):
    folder = library.folder("toy")
    found = prompts(folder, [{"tokens": [5, 6, 7]}, {"tokens": list(range(40))}], "-n", 4, "--ignore-eos", "--program", "portable")
    assert len(found[0]["tokens"]) == 4
    assert found[1]["tokens"] == alone(folder, "--tokens", program.token_list(range(40)), "-n", 4, "--ignore-eos", "--program", "portable")["tokens"]
