# The first hour of a person with dsv4: prompts from pipes and files, habits from other programs, slips of the keyboard, help and completion.
import json
import os
import pty
import re
import subprocess

import pytest

import goldens
import program

GENESIS = "In the beginning"
MINI = goldens.CHECKPOINTS["mini"]


@pytest.fixture(scope="module")
def mini(library):
    return library.folder("mini")


def run_text(mini, *flags, **options):
    return program.succeed("run", mini, "-n", 8, "--ignore-eos", *flags, **options)


class TestPrompts:
    def test_a_piped_prompt_is_that_of_p_without_its_last_newline(self, mini):
        expected = run_text(mini, "-p", GENESIS).out
        for text in (GENESIS, GENESIS + "\n"):
            assert run_text(mini, input=text).out == expected
        assert run_text(mini, input=GENESIS + "\n\n").out == run_text(mini, "-p", GENESIS + "\n").out

    def test_a_prompt_comes_from_a_file_and_from_standard_input_by_name(self, mini, tmp_path):
        (tmp_path / "prompt.txt").write_text(GENESIS + "\n")
        expected = run_text(mini, "-p", GENESIS).out
        assert run_text(mini, "-f", tmp_path / "prompt.txt").out == expected
        assert run_text(mini, "-f", "-", input=GENESIS + "\n").out == expected

    def test_nothing_piped_and_nothing_given_is_wrong_usage(self, mini):
        for text in ("", None):
            line = program.refuse("run", mini, code=2, naming=["-p, -f, --tokens"], **({"stdin": subprocess.DEVNULL} if text is None else {"input": text}))
            assert "standard input is empty" in line

    def test_a_terminal_is_not_waited_for(self, mini):
        controller, terminal = pty.openpty()
        try:
            program.refuse("run", mini, code=2, naming=["pipe it in"], stdin=terminal)
        finally:
            os.close(controller)
            os.close(terminal)

    def test_a_prompt_is_given_one_way(self, mini, tmp_path):
        program.refuse("run", mini, "-p", "x", "-f", tmp_path / "y", code=2, naming=["-p", "-f"])
        program.refuse("run", mini, "-f", tmp_path / "none", naming=[tmp_path / "none"])

    def test_echo_prints_the_prompt_before_what_continues_it(self, mini):
        continuation = run_text(mini, "-p", GENESIS).out
        assert run_text(mini, "-p", GENESIS, "--echo").out == GENESIS + continuation
        ids = run_text(mini, "--tokens", "5,6,7").out
        assert run_text(mini, "--tokens", "5,6,7", "--echo").out == "5,6,7," + ids
        program.refuse("run", mini, "-p", GENESIS, "--echo", "--json", code=2, naming=["--echo"])

    def test_quiet_leaves_the_text_alone(self, mini):
        loud, quiet = run_text(mini, "-p", GENESIS), run_text(mini, "-p", GENESIS, "-q")
        assert quiet.out == loud.out and quiet.err == "" and loud.err != ""

    def test_times_have_three_digits_and_the_prompt_a_rate(self, mini):
        line = run_text(mini, "-p", GENESIS).err.splitlines()[-1]
        found = re.fullmatch(r"dsv4: opened in (\S+) s, (\d+) prompt tokens in (\S+) s, (\S+) tokens/s, then (\S+) tokens/s(, .* read from disk meanwhile)?", line)
        assert found, line
        for number in found.group(1, 3, 4, 5):
            assert len(number.replace(".", "").strip("0")) <= 3, number
        assert float(found[4]) == pytest.approx(int(found[2]) / float(found[3]), rel=0.02)


class TestIdsAndTexts:
    @pytest.mark.parametrize("text", [GENESIS, "Genesis 1\n\nIn the beginning \n", "naïve 文字 🙂\n", "<think>a</think>  b"])
    def test_a_text_becomes_ids_and_the_same_bytes_again(self, mini, text):
        ids = program.succeed("tokenize", mini, "-p", text).out
        assert re.fullmatch(r"\d+(,\d+)*\n", ids)
        assert program.succeed("detokenize", mini, "--tokens", ids.strip()).out == text
        assert program.succeed("tokenize", mini, input=text).out == ids
        assert program.succeed("detokenize", mini, input=ids).out == text

    def test_bytes_that_are_no_utf8_stay_what_they_are(self, mini):
        """One id at a time: a character of several tokens comes in pieces."""
        text = "文"
        ids = program.succeed("tokenize", mini, "--no-bos", "-p", text).out.strip().split(",")
        assert len(ids) > 1
        pieces = [subprocess.run([program.executable(), "detokenize", mini, "--tokens", i], capture_output=True, check=True, timeout=60).stdout for i in ids]
        assert b"".join(pieces) == text.encode()

    def test_the_ids_are_the_tokenizers_and_begin_with_bos(self, mini):
        greedy = json.loads((goldens.TESTS / "data/goldens/mini/tokens.json").read_text())["greedy"]["p1"]  # transformers' ids
        assert json.loads(program.succeed("tokenize", mini, "-p", greedy["text"], "--json").out) == {"tokens": greedy["prompt"]}
        assert json.loads(program.succeed("tokenize", mini, "-p", greedy["text"], "--no-bos", "--json").out) == {"tokens": greedy["prompt"][1:]}
        ids = program.token_list(greedy["prompt"])
        assert program.succeed("detokenize", mini, "--tokens", ids, "--special").out == "<｜begin▁of▁sentence｜>" + greedy["text"]

    def test_what_run_and_tokenize_print_as_json_is_a_file_of_tokens(self, mini, tmp_path):
        done = json.loads(run_text(mini, "-p", GENESIS, "--json").out)
        for text in (json.dumps(done), json.dumps(done, indent=1), json.dumps({"tokens": done["tokens"]})):
            (tmp_path / "run.json").write_text(text)
            assert program.succeed("detokenize", mini, "--tokens-file", tmp_path / "run.json").out == done["text"]
        tokenized = program.succeed("tokenize", mini, "-p", GENESIS, "--json").out
        assert json.loads(run_text(mini, "--tokens-file", "-", "--json", input=tokenized).out)["tokens"] == done["tokens"]

    @pytest.mark.parametrize("text", ['{"ids": [1]}', '{"tokens": []}', '{"tokens": [1, "2"]}', '{"tokens": 3}', '{"tokens": [1]', '{"tokens": [1.5]}'])
    def test_json_without_token_ids_is_refused(self, mini, tmp_path, text):
        (tmp_path / "tokens").write_text(text)
        program.refuse("run", mini, "--tokens-file", tmp_path / "tokens", naming=[tmp_path / "tokens"])

    def test_ids_outside_of_the_vocabulary_are_refused(self, mini):
        program.refuse("detokenize", mini, "--tokens", "1,99999999", naming=["99999999"])

    def test_a_text_has_the_perplexity_of_its_ids(self, mini, tmp_path):
        (tmp_path / "text").write_text("In the beginning God created the heaven and the earth.\n")
        (tmp_path / "ids").write_text(program.succeed("tokenize", mini, "-f", tmp_path / "text").out)
        by_text = program.succeed("perplexity", mini, "-f", tmp_path / "text", "--json").out
        assert by_text == program.succeed("perplexity", mini, "--tokens-file", tmp_path / "ids", "--json").out
        assert json.loads(by_text)["tokens"] > 5
        program.refuse("perplexity", mini, "-f", tmp_path / "text", "--tokens-file", tmp_path / "ids", code=2, naming=["-f"])

    def test_verify_takes_a_text(self, mini, tmp_path):
        (tmp_path / "text").write_text("And God said, Let there be light: and there was light.\n")
        ids = program.succeed("tokenize", mini, "-f", tmp_path / "text").out.strip()
        flags = ("--program", "portable")
        by_text = program.verify(MINI, mini, "--text", tmp_path / "text", *flags)
        by_ids = program.verify(MINI, mini, "--tokens", ids, *flags)
        assert by_text.pop("input") == "the text of text" and by_ids.pop("input") == "as given"
        assert by_text == by_ids and by_text["tokens"] == ids.count(",") + 1
        assert program.verify(MINI, mini, "--text", tmp_path / "text", "--length", 5, *flags)["tokens"] == 5

    def test_verify_compares_on_a_text_where_there_is_a_tokenizer(self, library, mini):
        found = program.verify(MINI, mini, "--program", "portable", "--length", 40)
        assert (found["tokens"], found["input"]) == (40, "a short English text")
        found = program.verify(goldens.CHECKPOINTS["toy"], library.folder("toy"), "--program", "portable", "--length", 40)
        assert (found["tokens"], found["input"]) == (40, "ids spread over the vocabulary")


class TestHabits:
    def test_the_model_is_an_argument_or_an_option(self, mini):
        expected = run_text(mini, "-p", GENESIS).out
        for model in (["-m", mini], ["--model", mini]):
            assert program.succeed("run", *model, "-p", GENESIS, "-n", 8, "--ignore-eos").out == expected
            assert program.succeed("tokenize", *model, "-p", "a").out == program.succeed("tokenize", mini, "-p", "a").out
            assert program.succeed("inspect", *model).out == program.succeed("inspect", mini).out
        assert program.verify(MINI, mini, "--length", 3, "--program", "portable") == json.loads(
            program.succeed("verify", "-m", mini, MINI, "--length", 3, "--program", "portable", "--json", "-t", program.THREADS).out)

    def test_short_names_mean_the_long_ones(self, mini):
        short = run_text(mini, "-p", GENESIS, "-t", 1, "-c", 64, "--temp", 0.8, "--seed", 3).out
        assert short == run_text(mini, "-p", GENESIS, "--threads", 1, "--context", 64, "--temperature", 0.8, "--seed", 3).out

    @pytest.mark.parametrize("arguments, meant", [
        (["run", "m", "--temprature", "1"], "--temperature"), (["run", "m", "--promt", "x"], "--prompt"), (["run", "m", "--max-tokens", "3"], None),
        (["run", "m", "--thread=2"], "--threads"), (["bench", "m", "--repeat", "3"], "--repeats"), (["convert", "-m", "c", "o", "--weight-fromat", "int8"], "--weight-format"),
        (["bnech"], "bench"), (["perplexty", "m"], "perplexity"), (["help", "tokenise"], "tokenize"), (["--verison"], "--version"), (["fly"], None), (["run", "m", "-z"], None)],
        ids=lambda value: " ".join(value) if isinstance(value, list) else str(value))
    def test_what_was_meant_is_named(self, arguments, meant, tmp_path):
        line = program.refuse(*arguments, code=2, cwd=tmp_path)
        assert (f"did you mean {meant}?" in line) if meant else ("did you mean" not in line)
        command = f" {arguments[0]}" if arguments[0] in ("run", "bench", "convert") else ""
        assert line.endswith(f"ee dsv4{command} --help")

    def test_wrong_values_name_the_help_of_their_command(self, tmp_path):
        assert program.refuse("run", "m", "-n", "x", code=2, cwd=tmp_path).endswith("see dsv4 run --help")
        assert program.refuse("convert", "-m", "c", code=2, cwd=tmp_path).endswith("see dsv4 convert --help")
        assert program.refuse("bench", "m", "-p", "8;9", code=2, cwd=tmp_path).endswith("see dsv4 bench --help")


def commands():
    return re.findall(r"^  ([a-z-]+) ", program.succeed("--help").out, re.MULTILINE)


class TestHelp:
    def test_help_of_a_command_has_two_spellings(self):
        for command in commands():
            assert program.succeed("help", command).out == program.succeed(command, "--help").out
        assert program.succeed("help").out == program.succeed("--help").out == program.succeed("-h").out

    def test_help_fits_a_terminal_and_says_defaults_and_the_page(self):
        for command in commands():
            text = program.succeed(command, "--help").out
            assert text.endswith("\n") and max(map(len, text.splitlines())) <= 110, command
            page = re.search(r"^More: (\S+)$", text, re.MULTILINE)[1]
            assert (goldens.REPOSITORY / page).is_file(), page
            assert f"usage: dsv4 {command}" in text
        text = " ".join(program.succeed("run", "--help").out.split())
        for part in ("-n, --max-new-tokens N Tokens to generate (default 32)", "--program auto|cpu|portable", "(default auto)", "Generation:", "Output:", "How the model runs:"):
            assert part in text

    def test_version_says_what_a_bug_report_needs(self):
        text = program.succeed("--version").out
        assert text == program.succeed("-V").out
        lines = text.splitlines()
        assert re.fullmatch(r"dsv4 \d+\.\d+\.\d+", lines[0])
        assert lines[1].startswith("OpenVINO 2026.4.1-")
        assert re.fullmatch(r"openvino-tokenizers 2026\.4\.1\S*, /.*/libopenvino_tokenizers.so", lines[2])
        assert re.fullmatch(r"instruction set [A-Z0-9_]+", lines[3])
        assert re.fullmatch(r"commit ([0-9a-f]{12}(-dirty)?|unknown)", lines[4])

    def test_version_names_the_library_of_the_environment(self, tmp_path):
        library = tmp_path / "other.so"
        library.write_text("")
        text = program.succeed("--version", env={**os.environ, "DSV4_TOKENIZERS_LIBRARY": str(library)}).out
        assert f"openvino-tokenizers of DSV4_TOKENIZERS_LIBRARY, {library}\n" in text


def bash_words(line):
    """What bash offers for the last word of the line."""
    script = f"""
      source <({program.executable()} completion bash)
      COMP_WORDS=({line} {"''" if line.endswith(" ") else ""}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
      _dsv4
      printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout.split()


class TestCompletion:
    def test_bash_completes_commands_options_and_their_words(self):
        assert bash_words("dsv4 ") == [*commands(), "--help", "--version"]
        assert bash_words("dsv4 de") == ["detokenize"]
        assert bash_words("dsv4 run m --tem") == ["--temperature", "--temp"]
        assert bash_words("dsv4 run m --program ") == ["auto", "cpu", "portable"]
        assert bash_words("dsv4 convert --weight-format m") == ["mxfp4"]
        assert bash_words("dsv4 completion ") == ["bash", "zsh", "fish"]
        assert bash_words("dsv4 run mod") == []  # names of files, by bash itself

    def test_bash_knows_every_option_that_help_shows(self):
        for command in commands():
            shown = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*(?=[ ,\n])", "\n".join(
                line[:32] for line in program.succeed(command, "--help").out.splitlines() if line.startswith("  -"))))
            assert shown <= set(bash_words(f"dsv4 {command} -")), command

    @pytest.mark.parametrize("shell, check", [("zsh", ["-n"]), ("fish", ["--no-execute"])])
    def test_other_shells_can_read_theirs(self, tmp_path, shell, check):
        text = program.succeed("completion", shell).out
        for command in commands():
            assert command in text
        assert "weight-format" in text and "mxfp4" in text
        (tmp_path / "script").write_text(text)
        try:
            subprocess.run([shell, *check, tmp_path / "script"], check=True, timeout=60)
        except FileNotFoundError:
            pytest.skip(f"{shell} is not installed")

    def test_an_unknown_shell_is_wrong_usage(self):
        program.refuse("completion", "csh", code=2, naming=["csh", "bash, zsh, fish"])


class TestConvert:
    def test_options_of_optimum_cli_that_change_nothing_are_taken(self, tmp_path):
        habits = ["--task", "text-generation-with-past", "--library", "transformers", "--framework", "pt", "--trust-remote-code", "--cache_dir", "/cache"]
        outcome = program.succeed("convert", "-m", MINI, tmp_path / "out", *habits)
        line = next(line for line in outcome.err.splitlines() if "optimum-cli" in line)
        assert line.startswith("dsv4: ") and all(habit in line for habit in habits if habit.startswith("--"))
        program.succeed("convert", "-m", MINI, tmp_path / "plain")
        for file in ("openvino_model.bin", "config.json"):
            assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()

    @pytest.mark.parametrize("flags", [["--dataset", "wikitext2"], ["--awq"], ["--gptq"], ["--scale-estimation"], ["--lora-correction"], ["--sensitivity-metric", "hessian_input_activation"],
                                       ["--num-samples", "32"], ["--quant-mode", "int8"], ["--smooth-quant-alpha", "0.9"], ["--quantization-statistics-path", "x"]], ids=" ".join)
    def test_options_that_need_data_are_refused_with_the_reason(self, tmp_path, flags):
        program.refuse("convert", "-m", MINI, tmp_path / "out", "--weight-format", "int4", *flags, code=2, naming=[flags[0], "by the weights alone"])
        assert list(tmp_path.iterdir()) == []

    def test_small_models_are_float32_without_a_format(self, tmp_path):
        outcome = program.succeed("convert", "-m", MINI, tmp_path / "out", "--dry-run")
        assert "plan, fp32" in outcome.out and "--weight-format" not in outcome.err

    @pytest.mark.parametrize("published, expected", [("fp4", "mxfp4"), ("fp8", "int8")])
    def test_large_models_get_the_format_that_fits_and_say_so(self, tmp_path, published, expected):
        config = json.loads((goldens.TESTS / "data/configs/deepseek-v4-flash.config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, "expert_dtype": published}))
        program.succeed("synth", tmp_path / "config.json", tmp_path / "checkpoint", "--layers", 1, "--sparse")
        outcome = program.succeed("convert", "-m", tmp_path / "checkpoint", tmp_path / "out", "--dry-run", "--disable-convert-tokenizer")
        notice = next(line for line in outcome.err.splitlines() if "no --weight-format" in line)
        assert f"billion parameters: {expected}, " in notice and f"plan, {expected}" in outcome.out

    def test_a_dsv4_folder_is_replaced_when_the_new_one_is_complete(self, tmp_path):
        program.convert(MINI, tmp_path / "out")
        program.refuse("convert", "-m", MINI, tmp_path / "out", "--weight-format", "int8", naming=["exists", "not empty"])
        program.convert(MINI, tmp_path / "out", "--weight-format", "int8", "--overwrite")
        program.convert(MINI, tmp_path / "fresh", "--weight-format", "int8", "--overwrite")  # nothing to overwrite
        assert (tmp_path / "out/openvino_model.bin").read_bytes() == (tmp_path / "fresh/openvino_model.bin").read_bytes()
        program.succeed("inspect", tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "out"]
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in (tmp_path / "fresh").iterdir())

    def test_a_folder_without_a_list_is_known_by_its_ir(self, tmp_path):
        program.convert(MINI, tmp_path / "out")
        (tmp_path / "out/dsv4_files.json").unlink()
        program.convert(MINI, tmp_path / "out", "--overwrite")
        assert (tmp_path / "out/dsv4_files.json").is_file()

    def test_a_link_to_a_folder_stays_a_link(self, tmp_path):
        program.convert(MINI, tmp_path / "real")
        (tmp_path / "out").symlink_to(tmp_path / "real")
        program.convert(MINI, tmp_path / "out", "--weight-format", "fp16", "--overwrite")
        assert (tmp_path / "out").is_symlink() and "fp16" in program.succeed("inspect", tmp_path / "real").out
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "real"]

    @pytest.mark.parametrize("what", ["notes.txt", "cache/x", "only notes"])
    def test_nothing_else_is_overwritten(self, tmp_path, what):
        out = tmp_path / "out"
        if what == "only notes":
            out.mkdir()
            (out / "notes.txt").write_text("precious")
        else:
            program.convert(MINI, out)
            (out / what).parent.mkdir(exist_ok=True)
            (out / what).write_text("precious")
        before = sorted(out.rglob("*"))
        program.refuse("convert", "-m", MINI, out, "--overwrite", naming=[out, "--overwrite", "nothing else"])
        assert sorted(out.rglob("*")) == before and [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_a_checkpoint_is_not_overwritten(self, tmp_path):
        program.succeed("synth", "toy", tmp_path / "toy")
        program.refuse("convert", "-m", MINI, tmp_path / "toy", "--overwrite", naming=["no model folder that dsv4 made"])

    def test_rates_of_a_small_conversion_are_left_out(self, tmp_path):
        out = program.convert(MINI, tmp_path / "out").out
        assert re.search(r"^[\d.]+ s$", out, re.MULTILINE) and "/s" not in out

    def test_synth_says_what_it_wrote_and_what_to_do_next(self, tmp_path):
        lines = program.succeed("synth", "toy", "toy", cwd=tmp_path).out.splitlines()
        size = (tmp_path / "toy/model.safetensors").stat().st_size
        found = re.fullmatch(r"toy: a checkpoint with random weights, ([\d.]+ MB) of tensors in 1 file", lines[0])
        assert program.bytes_of(found[1]) == pytest.approx(size, rel=0.01)
        assert lines[1].startswith("next: dsv4 ")
        program.succeed(*lines[1].removeprefix("next: dsv4 ").split(), cwd=tmp_path)  # the line can be typed as it is
        assert (tmp_path / "toy-int8/openvino_model.xml").is_file()
