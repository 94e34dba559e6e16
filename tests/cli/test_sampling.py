# Sampling options of dsv4 run: where a text ends, log-probabilities, what changes a choice and what does not, values out of range.
import json

import numpy as np
import pytest

import program

GENESIS = "Genesis 1\n\nIn the beginning"


@pytest.fixture(scope="module")
def mini(library):
    return library.folder("mini")


def run_json(mini, *flags, count=24, threads=program.THREADS):
    return json.loads(program.succeed("run", mini, "-p", GENESIS, "-n", count, "--ignore-eos", "--json", "--threads", threads, *program.EXACT, *flags).out)


def softmax(logits):
    chance = np.exp(logits.astype(np.float64) - logits.max())
    return chance / chance.sum()


class TestEnds:
    def test_a_stop_string_ends_the_text_before_it_wherever_tokens_end(self, mini):
        whole = run_json(mini)
        text = whole["text"]
        for begin, end in ((4, 5), (9, 17), (len(text) // 2, len(text) // 2 + 9)):
            stop = text[begin:end]
            found = run_json(mini, "--stop", "never comes", "--stop", stop)
            assert found["text"] == text[:text.index(stop)]
            assert found["finish_reason"] == "stop"
            assert found["tokens"] == whole["tokens"][:len(found["tokens"])] and len(found["tokens"]) < len(whole["tokens"])
            printed = program.succeed("run", mini, "-p", GENESIS, "-n", 24, "--ignore-eos", "--threads", program.THREADS, *program.EXACT, "--stop", stop).out
            assert printed == found["text"] + "\n"

    def test_what_may_become_a_stop_string_is_printed_at_the_end(self, mini):
        whole = run_json(mini)
        found = run_json(mini, "--stop", whole["text"][-3:] + "#")
        assert found["text"] == whole["text"] and found["finish_reason"] == "length"

    def test_a_stop_token_ends_the_text_with_it(self, mini):
        whole = run_json(mini)["tokens"]
        stop = whole[5]
        found = run_json(mini, "--stop-token", 3, "--stop-token", stop)
        assert found["tokens"] == whole[:whole.index(stop) + 1]
        assert found["finish_reason"] == "stop"

    def test_stop_strings_need_a_text(self, mini):
        program.refuse("run", mini, "--tokens", "1,2", "--stop", "x", code=2, naming=["--stop", "--stop-token"])


class TestLogprobs:
    def test_they_are_those_of_the_softmax(self, mini, tmp_path):
        found = run_json(mini, "--logprobs", 20, "--temperature", 1, "--seed", 9, "--logits", tmp_path / "logits.npy", count=5)
        assert [entry["token"] for entry in found["logprobs"]] == found["tokens"]
        expected = np.log(softmax(np.load(tmp_path / "logits.npy")[-1]))
        first = found["logprobs"][0]
        assert first["logprob"] == pytest.approx(expected[first["token"]], abs=1e-5)
        assert [one["token"] for one in first["top"]] == np.argsort(-expected, kind="stable")[:20].tolist()
        assert [one["logprob"] for one in first["top"]] == pytest.approx(np.sort(expected)[::-1][:20].tolist(), abs=1e-5)

    def test_options_of_the_choice_do_not_change_them(self, mini):
        plain = run_json(mini, "--logprobs", 3, count=1)["logprobs"][0]["top"]
        for flags in (["--temperature", 2, "--top-k", 2], ["--logit-bias", "5:30"], ["--repetition-penalty", 2]):
            assert run_json(mini, "--logprobs", 3, *flags, count=1)["logprobs"][0]["top"] == plain

    def test_without_any_beside_the_chosen_one(self, mini):
        assert [entry["top"] for entry in run_json(mini, "--logprobs", 0, count=3)["logprobs"]] == [[], [], []]

    def test_they_need_json(self, mini):
        program.refuse("run", mini, "-p", "x", "--logprobs", 2, code=2, naming=["--logprobs", "--json"])


class TestChoice:
    def test_a_seed_gives_one_text_on_any_number_of_threads_and_in_either_output(self, mini):
        flags = ["--temperature", 1.2, "--top-p", 0.9, "--top-k", 200, "--min-p", 0.001, "--seed", 2**63]
        text = run_json(mini, *flags)["text"]
        assert run_json(mini, *flags, threads=1)["text"] == text
        assert run_json(mini, *flags[:-1], 2**63 + 1)["text"] != text
        assert program.succeed("run", mini, "-p", GENESIS, "-n", 24, "--ignore-eos", "--threads", 2, *program.EXACT, *flags).out == text + "\n"

    def test_a_longer_text_begins_like_a_shorter_one(self, mini):
        flags = ["--temperature", 1, "--seed", 4]
        assert run_json(mini, *flags)["tokens"][:9] == run_json(mini, *flags, count=9)["tokens"]

    def test_a_prompt_that_has_the_beginning_of_a_text_goes_on_as_the_text_did(self, mini):
        """Noise belongs to positions, so that what was generated can be fed again."""
        flags = ["--temperature", 1, "--seed", 4]
        prompt = json.loads(program.succeed("tokenize", mini, "-p", GENESIS, "--json").out)["tokens"]
        whole = program.generate(mini, prompt, 12, "--ignore-eos", *flags)["tokens"]
        assert program.generate(mini, prompt + whole[:5], 7, "--ignore-eos", *flags)["tokens"] == whole[5:]

    def test_a_bias_forces_and_forbids(self, mini):
        first, second = run_json(mini, count=2)["tokens"]
        assert run_json(mini, "--logit-bias", "77:100", count=3)["tokens"] == [77, 77, 77]
        assert run_json(mini, "--logit-bias", f"{first}:-100", count=1)["tokens"] != [first]
        assert run_json(mini, "--logit-bias", f"{first}:-100", "--logit-bias", f"{first}:100", count=1)["tokens"] == [first]

    def test_penalties_take_repetition_out(self, mini):
        plain = run_json(mini, count=60)["tokens"]
        for flags in (["--repetition-penalty", 1.5], ["--presence-penalty", 2], ["--frequency-penalty", 1.5]):
            assert len(set(run_json(mini, *flags, count=60)["tokens"])) > 1.3 * len(set(plain)), flags

    def test_greedy_is_the_default(self, mini):
        assert run_json(mini)["tokens"] == run_json(mini, "--temperature", 0, "--top-p", 0.3, "--top-k", 5, "--seed", 8)["tokens"]


@pytest.mark.parametrize("flags", [
    ["--temperature", "-1"], ["--temperature", "nan"], ["--temperature", "inf"], ["--top-p", "0"], ["--top-p", "1.5"], ["--top-k", "-1"], ["--top-k", "x"],
    ["--min-p", "-0.1"], ["--min-p", "1.1"], ["--min-p", "nan"], ["--seed", "-1"], ["--seed", "18446744073709551616"], ["--repetition-penalty", "0"],
    ["--repetition-penalty", "inf"], ["--presence-penalty", "2.5"], ["--presence-penalty", "-3"], ["--frequency-penalty", "-2.1"], ["--frequency-penalty", "nan"],
    ["--logit-bias", "5"], ["--logit-bias", "5:200"], ["--logit-bias", "-1:1"], ["--logit-bias", "x:1"], ["--stop-token", "x"], ["--stop", ""],
    ["--logprobs", "21"], ["--logprobs", "-1"]], ids=" ".join)
def test_values_out_of_range_are_wrong_usage(tmp_path, flags):
    """One line that names the option, before the model is looked at."""
    program.refuse("run", "none", "-p", "x", "--json", *flags, code=2, cwd=tmp_path, naming=[flags[0]])


def test_a_bias_beyond_the_vocabulary_is_refused(mini):
    program.refuse("run", mini, "-p", "x", "-q", "--logit-bias", "5000:1", naming=["logit bias of token 5000"])
